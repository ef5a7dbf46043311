"""`benchmark`: the speed of networks on this machine."""

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

from infantjax.cli.options import common
from infantjax.progress import Progress

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Benchmark(common.Command):
    """Measure the speed of networks on this machine, a row for each combination of the options.

    Weights are random, and the compilation cache is not used. A recording is all of its images, or windows that start
    every half window. Operations a second, by the published counting rule, are compared with a matrix product on the
    same devices; those of a training step count three times.
    Against PyTorch, eager, compiled and vmapped: `python -m benchmarks.ensemble_inference --help` in the repository.

    Example:
        infantjax benchmark --model kbest-gcn-2 st-gcn --batch-size 8 64 --precision float32 bfloat16
        infantjax benchmark --model efficientpose-rt babypose-detection --batch-size 1 --train
    """

    model: tuple[str, ...] = ("kbest-gcn-2",)
    """Networks that read windows of keypoints, images, or clips of depth images; `infantjax models` lists them."""
    train: bool = False
    """Measure a training step: the gradient of the mean square of the output, and an update by Adam."""
    batch_size: tuple[int, ...] = (8,)
    """Windows, images or clips of a call on each device."""
    precision: tuple[Literal["float32", "bfloat16"], ...] = ("float32",)
    """Of weights and activations."""
    devices: tuple[int, ...] = ()
    """Numbers of devices that divide them; one and all of this process if not given."""
    seconds: float = 5.0
    """Time to measure each for."""
    recording: float = 180.0
    """Length of the recording in seconds."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        import jax
        from pandas import DataFrame

        from infantjax.devices import require_backend

        require_backend()
        from infantjax.models.speed import SpeedConfig, measure

        numbers = self.devices or sorted({1, jax.local_device_count()})
        rows = []
        with common.checked("benchmark"):
            configs = [
                SpeedConfig(model, batch_size, precision, devices, self.seconds, self.recording, self.train)
                for model, precision, devices, batch_size in product(
                    self.model, self.precision, numbers, self.batch_size
                )
            ]
            with Progress(len(configs), "measuring", quiet=self.quiet or len(configs) == 1) as progress:
                for config in configs:
                    rows.append(measure(config))
                    progress.update(len(rows), config.model)
        table = DataFrame(rows)
        # Samples a second of a device, relative to the fewest devices of the same settings.
        table["scaling"] = table.samples_per_second / table.devices
        fewest = table.sort_values("devices").groupby(["model", "precision", "batch_size"]).scaling
        table["scaling"] /= fewest.transform("first")
        if self.json:
            print(table.to_json(orient="records", indent=2, double_precision=15))
        else:
            print(f"{table.device[0]}, random weights")
            print(_shown(table, self.recording).to_string(index=False))
        return 0


def _shown(table: "DataFrame", recording: float) -> "DataFrame":
    """The columns for a terminal, with their units."""
    columns = {
        "network": table.model,
        "precision": table.precision,
        "devices": table.devices,
        "batch": table.batch_size,
        "compile s": table.compile_seconds.map("{:.1f}".format),
        "speed": table.samples_per_second.map("{:.1f} ".format) + table["sample"] + "s/s",
        f"ms for {recording:g} s": table.recording_milliseconds.map("{:.1f}".format, na_action="ignore").fillna("-"),
        "scaling": table.scaling.map("{:.0%}".format),
        "GFLOP/s": (table.flops_per_second / 1e9).map("{:.2f}".format),
        "of matmul": table.share.map("{:.1%}".format),
        "MB": table.program_mb.map("{:.0f}".format, na_action="ignore").fillna("-"),
    }
    return type(table)(columns)
