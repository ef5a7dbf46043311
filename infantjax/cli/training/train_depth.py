"""`train depth`: networks of depth images, trained on annotated ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.cli.training.crossval import LogOptions
from infantjax.methods import registry


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
    settings: Any = None
    skeleton: Annotated[str, arg(metavar="NAME")] = "babypose-12"
    """Keypoints to train."""
    format: Annotated[str | None, arg(metavar="NAME")] = None
    """Format of the annotations; found from their content if not given."""
    image_dir: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder of the images, where they are not beside the annotations."""
    logs: Annotated[LogOptions, common.FLAT] = LogOptions()
    distributed: common.Distributed = None
    """Train in several processes; auto on Slurm and TPU pods."""

    @classmethod
    def specialize(cls, arguments: Sequence[str]) -> type[Self]:
        """With the settings of the training as options."""
        (name,) = registry.names("depth images")
        return cls.with_defaults(settings=registry.get(name)())

    def run(self) -> int:
        """Train."""
        from infantjax.pose.annotations import read_annotations

        common.prepare_process(self.distributed)
        with common.checked():
            annotations = read_annotations(self.annotations, self.skeleton, self.format, image_dir=self.image_dir)
            common.note(annotations.problems)
            info = self.settings.train(annotations, self.output, self.logs.train_options(self.quiet)).info
        for name, ending in zip(("detection", "regression"), info.extra["endings"]):
            print(f"{name}: {ending}")
        print(info.extra["tested"])
        for name, value in info.training["metrics"].items():
            print(f"  {name:<22}{'-' if value is None else f'{value:8.3f}'}")
        print(f"networks: {self.output}")
        common.note((*info.notes, info.statement), always=True)
        return 0
