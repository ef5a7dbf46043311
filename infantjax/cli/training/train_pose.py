"""`train pose`: pose networks, trained on annotated images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.cli.training.crossval import LogOptions


@dataclass(frozen=True)
class TrainPose(common.Command):
    """Train a pose network on annotated images.

    The same command continues after an interruption.

    Example:
        infantjax train pose annotations -o network --weights EfficientPoseRT.h5
    """

    annotations: Positional[Path]
    """Annotated images: a file or a folder, see docs/train/pose.md."""
    output: common.Output
    """Folder for the network, the logs and the checkpoints."""
    training: Any = None
    model: str | None = None
    """Network to train; that of the weights if not given. `infantjax models` lists them."""
    weights: Path | None = None
    """Weights to start from: a name of `infantjax weights list`, a file, or the folder of a training."""
    imagenet: Annotated[tuple[Path, ...] | None, arg(metavar="[FILE ...]")] = None
    """Start the backbones from weights trained on ImageNet: files (.pth, .npz, .safetensors) with the names of timm,
    torchvision or EfficientNet-PyTorch. Without a file: those of the extra `imagenet`, for Lite networks."""
    skeleton: Annotated[str | None, arg(metavar="NAME")] = None
    """Keypoints to train; those of the annotations if not given."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the annotations; found from their content if not given."""
    image_dir: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the images, where they are not beside the annotations."""
    image_size: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    no_crop: bool = False
    """Train on whole images, not on a crop around the keypoints."""
    validation: float = 0.1
    """Fraction of the images that select the best epoch, up to 0.5."""
    prefetch: Annotated[int | None, arg(metavar="STEPS")] = None
    """Load the images of this many steps at a time, where not all fit on the device."""
    logs: Annotated[LogOptions, common.FLAT] = LogOptions()
    distributed: common.Distributed = None
    """Train in several processes; auto on Slurm and TPU pods."""

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """With the settings of a pose training as options."""
        from infantjax.pose.training.training import PoseTrainingConfig

        return cls.with_defaults(training=PoseTrainingConfig())

    def run(self) -> int:
        """Train."""
        from infantjax.pose import load_pose_network
        from infantjax.pose.annotations import read_annotations
        from infantjax.pose.importers.imagenet import by_version
        from infantjax.pose.training.training import CropConfig, train_pose

        common.prepare_process(self.distributed)
        with common.checked():
            annotations = read_annotations(self.annotations, self.skeleton, self.format, image_dir=self.image_dir)
            common.note(annotations.problems)
            trained = train_pose(
                annotations,
                model=self.model,
                directory=self.output,
                config=self.training,
                start=load_pose_network(self.weights, early_heads=True) if self.weights else None,
                imagenet_files=None if self.imagenet is None else by_version(self.imagenet),
                crop=CropConfig(self.image_size, not self.no_crop),
                validation=self.validation,
                prefetch=self.prefetch,
                options=self.logs.train_options(self.quiet),
            )
        ended = f"{trained.status.name.lower()} after {trained.last_epoch} of {self.training.epochs} epochs"
        error = 100 * trained.mean_error
        print(f"mean error {error:.2f} % of the crop's side in epoch {trained.best_epoch}  ({ended})")
        print(f"network: {self.output}")
        common.note(trained.notes)
        return 0
