"""`export`: pose networks and ensembles for other programs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from infantjax.cli.options import common
from infantjax.errors import InputError

if TYPE_CHECKING:
    from infantjax.weights.ensemble import Ensemble


@dataclass(frozen=True)
class Export(common.Command):
    """Write a pose network as StableHLO or ONNX, or an ensemble as StableHLO, and compare the file with it.

    Example:
        infantjax export EfficientPoseRT.h5 -o rt.onnx
        infantjax export ensemble -o ensemble.stablehlo --windows 23
    """

    weights: Positional[Path]
    """Weights of EfficientPose or EfficientHourglass: a name of `infantjax weights list`, a file or a folder; or the
    folder of an ensemble of any method, or of `train depth`."""
    output: common.OutputFile
    """File to write; must not exist. `.onnx` computes confidence maps, `.stablehlo` keypoints, risks of standardized
    windows (graph networks), maps of depth clips, or what the networks of another method give for their input."""
    image_size: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    decoder: common.Decoder | None = None
    """For StableHLO: how keypoints are found in confidence maps; the network's own if not given."""
    platforms: tuple[Literal["cpu", "cuda", "rocm", "tpu"], ...] = ("cpu", "cuda", "tpu")
    """For StableHLO: where it can run."""
    windows: int = 8
    """For ensembles: number of windows, videos or clips of a call."""

    def run(self) -> int:
        """Export and compare."""
        from infantjax.pose import export, load_pose_network
        from infantjax.weights.ensemble import INDEX, load_ensemble

        common.require_new(self.output)
        if self.output.suffix not in (".onnx", ".stablehlo"):
            raise InputError(self.output, "has an unknown suffix", "use .onnx or .stablehlo")
        common.prepare_process()
        if (self.weights / INDEX).is_file() and (ensemble := load_ensemble(self.weights)).info.task != "pose":
            return self._export_ensemble(ensemble)
        network = load_pose_network(self.weights, self.image_size)
        with common.written(self.output):
            if self.output.suffix == ".onnx":
                export.write_onnx(network, self.output)
            else:
                export.write_stablehlo(network, self.output, self.decoder, self.platforms)
        difference = export.difference(network, self.output, self.decoder)
        print(f"{self.output}  largest relative difference {difference:.1e} on random images")
        return 0

    def _export_ensemble(self, ensemble: "Ensemble") -> int:
        """Export an ensemble and compare."""
        from infantjax.methods import registry
        from infantjax.weights import program

        if self.output.suffix != ".stablehlo":
            raise InputError(self.output, "has a suffix that is not for ensembles", "use .stablehlo")
        if self.windows < 1:
            raise InputError("--windows", f"is {self.windows}, must be at least 1")
        with common.written(self.output), common.checked(self.weights):
            networks = registry.get(registry.name_of(ensemble)).program(ensemble, self.windows)
            difference = program.write_compared(*networks, self.output, self.platforms)
        print(f"{self.output}  largest difference {difference:.1e} on random numbers")
        return 0
