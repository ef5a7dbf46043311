"""`convert`: keypoint files in other formats and keypoint sets, and public weights in a checked folder."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax import formats, models, pose
from infantjax.cli.assessment.assess import ReadOptions
from infantjax.cli.options import common
from infantjax.recording.conversion import convert
from infantjax.skeletons import SKELETONS
from infantjax.weights.bundled import statement_of
from infantjax.weights.ensemble import save_ensemble

Name = Annotated[str | None, arg(metavar="NAME")]


@dataclass(frozen=True)
class Convert(common.Command):
    """Convert a keypoint file to another format or keypoint set, or import public weights.

    Example:
        infantjax convert dlc.h5 out.csv --fps 30 --to-skeleton in-motion-19
    """

    input: Positional[Path]
    """Keypoint file, weights of a pose network, public checkpoint of a method, or name of `infantjax weights list`."""
    output: Positional[Path]
    """File to write, for weights a folder; must not exist."""
    to_format: Name = None
    """Format of the output; found from its suffix if not given."""
    to_skeleton: Name = None
    """Keypoint set of the output."""
    strict: bool = False
    """Refuse to approximate points."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    """For weights: how they are stored; int8 affects kernels only."""
    files: Annotated[ReadOptions, common.FLAT] = ReadOptions()

    def run(self) -> int:
        """Read, convert, write."""
        from infantjax.pose.importers.keras import is_pose_weights
        from infantjax.weights import public

        self.files.check()
        if self.to_skeleton is not None:
            common.require_known("--to-skeleton", self.to_skeleton, SKELETONS)
        common.require_new(self.output)
        if str(self.input) in models.names() and not self.input.exists():
            return replace(self, input=public.fetch(str(self.input), quiet=self.quiet)).run()
        suffix = self.input.suffix.lower()
        if suffix in public.SUFFIXES:
            return self._convert_checkpoint()
        if suffix in (".h5", ".hdf5", ".npz", ".tflite") and is_pose_weights(self.input):
            return self._convert_weights()
        recording = formats.read(self.input, **asdict(self.files))
        if self.to_skeleton is not None:
            recording = convert(recording, SKELETONS[self.to_skeleton], strict=self.strict)
        with common.written(self.output), common.checked(self.output):
            formats.write(recording, self.output, self.to_format)
        common.note(recording.notes)
        print(self.output)
        return 0

    def _convert_checkpoint(self) -> int:
        from infantjax.weights.public import import_checkpoint

        ensemble = import_checkpoint(self.input)
        with common.written(self.output):
            save_ensemble(ensemble, self.output, precision=self.precision)
        common.note((*ensemble.info.training["notes"], statement_of(ensemble)))
        print(self.output)
        return 0

    def _convert_weights(self) -> int:
        network = pose.load_pose_network(self.input, skeleton=self.files.skeleton, early_heads=True)
        source = {"training": {"imported_from": self.input.name, "digest": network.digest}}
        with common.written(self.output):
            pose.save_pose_network(network, self.output, source, precision=self.precision)
        print(self.output)
        return 0
