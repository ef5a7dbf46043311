"""`train depth`: networks of depth images, trained on annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.cli.crossval import LogOptions


@dataclass(frozen=True)
class TrainDepth(common.Command):
    """Train the networks that find the limbs of infants in depth images: detection, then regression.

    The same command continues after an interruption.

    Example:
        infantjax train depth babyPose -o network
        infantjax train depth babyPose -o network --split time --model babypose-regression
    """

    annotations: Positional[Path]
    """Annotated depth images: babyPose, MINI-RGBD, or another format of docs/train/pose.md."""
    output: common.Output
    """Folder for the networks, the logs and the checkpoints."""
    training: Any = None
    skeleton: Annotated[str, arg(metavar="NAME")] = "babypose-12"
    """Keypoints to train."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the annotations; found from their content if not given."""
    image_dir: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the images, where they are not beside the annotations."""
    save_every: int = 1
    """Epochs between checkpoints."""
    logs: Annotated[LogOptions, common.FLAT] = LogOptions()
    distributed: common.Distributed = None
    """Train in several processes; auto on Slurm and TPU pods."""

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """With the settings of the training as options."""
        from infantjax.pose.depth import DepthTrainingConfig

        return cls.with_defaults(training=DepthTrainingConfig())

    def run(self) -> int:
        """Train."""
        from infantjax.pose.annotations import read_annotations
        from infantjax.pose.depth import train_depth
        from infantjax.training.loop import TrainOptions

        common.prepare_process(self.distributed)
        with common.checked():
            annotations = read_annotations(self.annotations, self.skeleton, self.format, image_dir=self.image_dir)
            common.note(annotations.problems)
            trained = train_depth(
                annotations,
                directory=self.output,
                config=self.training,
                options=TrainOptions(save_every=self.save_every, quiet=self.quiet, **self.logs.given),
            )
        for name, ending in zip(("detection", "regression"), trained.endings):
            print(f"{name}: {ending}")
        for maps, overlap in trained.overlaps.items():
            print(f"  {maps:<12}Dice {overlap.dice:.3f}, recall {overlap.recall:.3f}")
        print(f"RMSD on {trained.tested_on}, pixels of 128 x 96: median (interquartile range), joints found")
        for limb, error in trained.errors.items():
            print(f"  {limb.replace('_', ' '):<10}{error.median:6.2f} ({error.iqr:.2f}) {100 * error.found:5.1f} %")
        print(f"networks: {self.output}")
        common.note((*trained.notes, trained.network.statement), always=True)
        return 0
