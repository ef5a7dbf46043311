"""`lift`: keypoints in the image to positions in space."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax import formats
from infantjax.assessment.batch import find_recordings, needs_tracker
from infantjax.cli.assessment.assess import ReadOptions
from infantjax.cli.options import common
from infantjax.cli.options.keypoints import targets_of
from infantjax.errors import InputError
from infantjax.files import refuse_inputs, write_atomically
from infantjax.progress import Progress


@dataclass(frozen=True)
class Lift(common.Command):
    """Lift keypoints of a video to 3D by VideoPose3D, for methods that read 3D such as `mam`.

    The public weights, for non-commercial use, were trained on adults: nothing here was validated on infants.

    Example:
        infantjax pose clip.mp4 -o clip.csv
        infantjax lift clip.csv -o clip3d.npz --weights pretrained_h36m_cpn.bin
    """

    inputs: Positional[tuple[str, ...]]
    """Keypoint files in 2D, glob patterns, or folders, whose tables of outcomes are copied."""
    weights: Annotated[Path, arg(metavar="FILE")]
    """VideoPose3D: a published `.bin`, or a state dict."""
    output: common.Output
    """Folder for .npz files; for one input also the file, .npz or .csv."""
    reads: Literal["human36m-17", "coco-17"] = "human36m-17"
    """Keypoint set that the weights read."""
    image_size: Annotated[tuple[float, float] | None, arg(metavar="WIDTH HEIGHT")] = None
    """Size of frames in pixels; a square about the infant if not given (our choice)."""
    causal: bool = False
    """The weights are of the causal form."""
    overwrite: bool = False
    """Replace the output."""
    files: Annotated[ReadOptions, common.FLAT] = ReadOptions()

    def run(self) -> int:
        """Lift every file."""
        from infantjax.pose.lifting import Lifter

        self.files.check()
        if self.image_size is not None and not min(self.image_size) > 0:
            raise InputError("--image-size", f"is {self.image_size}, must be above 0", "give width and height")
        paths = find_recordings(self.inputs)
        if videos := [path for path in paths if needs_tracker(path)]:
            raise InputError(videos[0], "is a video or image", "give its keypoints: infantjax pose")
        targets = targets_of(self.output, paths, "npz")
        refuse_inputs(targets, [*paths, self.weights])
        if not self.overwrite:
            common.require_new(*targets)
        common.prepare_process()
        lifter = Lifter.load(self.weights, self.reads, self.image_size, causal=self.causal)
        with Progress(len(paths), "lifting", quiet=self.quiet) as progress:
            for done, (path, target) in enumerate(zip(paths, targets), 1):
                recording = lifter(formats.read(path, **asdict(self.files)))
                with common.written(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    formats.write(recording, target)
                progress.update(done, path.name)
        for table in _tables_of(map(Path, self.inputs), targets[0].parent):
            with common.written(table):
                write_atomically(targets[0].parent / table.name, table.read_bytes())
        common.note(recording.notes)
        for target in targets:
            print(target)
        return 0


def _tables_of(inputs: Iterable[Path], folder: Path) -> list[Path]:
    """Tables that make the recordings of a folder a cohort, and that the other folder does not have."""
    tables = [path / name for path in inputs if path.is_dir() for name in ("outcomes.csv", "truth.csv")]
    return [table for table in tables if table.is_file() and not (folder / table.name).exists()]
