"""`export`: pose networks for other programs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from infantjax.cli.options import common
from infantjax.errors import InputError


@dataclass(frozen=True)
class Export(common.Command):
    """Write a pose network as StableHLO or ONNX, and compare the file with the network.

    Example:
        infantjax export EfficientPoseRT.h5 -o rt.onnx
    """

    weights: Positional[Path]
    """Weights of EfficientPose or EfficientHourglass: a name of `infantjax weights list`, a file or a folder."""
    output: common.OutputFile
    """File to write; must not exist. `.onnx` computes confidence maps, `.stablehlo` keypoints."""
    image_size: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    decoder: common.Decoder | None = None
    """For StableHLO: how keypoints are found in confidence maps; the network's own if not given."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """For StableHLO: where it can run."""

    def run(self) -> int:
        """Export and compare."""
        from infantjax.pose import export, load_pose_network

        common.require_new(self.output)
        if self.output.suffix not in (".onnx", ".stablehlo"):
            raise InputError(self.output, "has an unknown suffix", "use .onnx or .stablehlo")
        common.prepare_process()
        network = load_pose_network(self.weights, self.image_size)
        with common.written(self.output):
            if self.output.suffix == ".onnx":
                export.write_onnx(network, self.output)
            else:
                export.write_stablehlo(network, self.output, self.decoder, self.platforms)
        difference = export.difference(network, self.output, self.decoder)
        print(f"{self.output}  largest relative difference {difference:.1e} on random images")
        return 0
