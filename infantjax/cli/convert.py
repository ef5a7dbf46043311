"""Files in other formats: `convert` and `export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.errors import InputError


@dataclass(frozen=True)
class Convert:
    """Convert a keypoint file to another format or keypoint set, or released pose weights to the project's own folder.

    Example:
        infantjax convert dlc.h5 out.csv --fps 30 --to-skeleton in-motion-19
    """

    input: Positional[Path]
    """Keypoint file, or weights of a pose network."""
    output: Positional[Path]
    """File to write, for weights a folder; must not exist."""
    fps: float | None = None
    """Frames per second, where the file does not say."""
    format: str | None = None
    """Format of the input; found from its content if not given."""
    to_format: str | None = None
    """Format of the output; found from its ending if not given."""
    skeleton: str | None = None
    """Keypoint set of the input; found from the joint names if not given."""
    to_skeleton: str | None = None
    """Keypoint set of the output."""
    individual: str | None = None
    """Which individual, in files that hold several."""
    strict: bool = False
    """Refuse to approximate points."""
    precision: Literal["float32", "float16", "int8"] = "float32"
    """For weights: how they are stored; int8 for the kernels alone, a factor a channel."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Read, convert, write."""
        from infantjax import formats as readers
        from infantjax import skeletons
        from infantjax.recording.conversion import convert

        common.require_fps(self.fps)
        common.require_known(self.format, self.skeleton)
        if self.output.exists():
            raise InputError(self.output, "exists", "give a new name")
        if self._is_weights():
            return self._weights()
        recording = readers.read(
            self.input, fps=self.fps, format=self.format, skeleton=self.skeleton, individual=self.individual
        )
        if self.to_skeleton:
            with common.checked("--to-skeleton"):
                target = skeletons.get(self.to_skeleton)
            recording = convert(recording, target, strict=self.strict)
        with common.written(self.output), common.checked(self.output):
            readers.write(recording, self.output, self.to_format)
        common.note(recording.notes, self.quiet)
        print(self.output)
        return 0

    def _is_weights(self) -> bool:
        if self.input.suffix.lower() not in (".h5", ".hdf5", ".npz"):
            return False  # without loading what knows networks
        from infantjax.pose.importers.keras import is_pose_weights

        return is_pose_weights(self.input)

    def _weights(self) -> int:
        from infantjax.pose import load_pose_network
        from infantjax.pose.estimator import save_pose_network

        network = load_pose_network(self.input, skeleton=self.skeleton, early_heads=True)
        with common.written(self.output):
            save_pose_network(
                network,
                self.output,
                {"training": f"imported from {self.input.name}, {network.digest}"},
                precision=self.precision,
            )
        print(self.output)
        return 0


@dataclass(frozen=True)
class Export:
    """Write a pose network for use elsewhere, and check it against the network: StableHLO for JAX, ONNX without it.

    Example:
        infantjax export EfficientPoseRT.h5 -o rt.onnx
    """

    weights: Positional[Path]
    """Weights: a released file of EfficientPose or EfficientHourglass."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """File to write; must not exist. `.onnx` gives confidence maps, `.stablehlo` keypoints."""
    side: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    decoder: Literal["smoothed", "real_time", "weighted", "weighted_video", "quarter", "dark", "soft_argmax"] = (
        "smoothed"
    )
    """For StableHLO: from maps to points."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """For StableHLO: where it can run."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Export and compare."""
        from infantjax.pose import export, load_pose_network

        if self.output.exists():
            raise InputError(self.output, "exists", "give a new name")
        if self.output.suffix not in (".onnx", ".stablehlo"):
            raise InputError(self.output, "has an ending that names no format", "use .onnx or .stablehlo")
        common.prepare_process()
        network = load_pose_network(self.weights, self.side)
        with common.written(self.output):
            if self.output.suffix == ".onnx":
                export.write_onnx(network, self.output)
            else:
                export.write_stablehlo(network, self.output, self.decoder, self.platforms)
        difference = export.difference(network, self.output, self.decoder)
        print(f"{self.output}  largest relative difference {difference:.1e} on random pictures")
        return 0
