"""`benchmark`: the speed of networks on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from infantjax.cli import common
from infantjax.progress import Progress

if TYPE_CHECKING:
    from infantjax.models.speed import SpeedConfig


@dataclass(frozen=True)
class Benchmark(common.Command):
    """Measure the speed of networks on this machine, a row for each combination of the options.

    Weights are random, and the compilation cache is not used. Windows of a recording start every half window.
    Operations a second, by the published counting rule, are compared with a matrix product on the same devices.
    Against PyTorch, eager, compiled and vmapped: `python -m benchmarks.ensemble_inference --help` in the repository.

    Example:
        infantjax benchmark --model kbest-gcn-2 st-gcn --batch-size 8 64 --precision float32 bfloat16
    """

    model: tuple[str, ...] = ("kbest-gcn-2",)
    """Networks that read windows of keypoints; `infantjax models` lists them."""
    batch_size: tuple[int, ...] = (8,)
    """Windows of a call on each device."""
    precision: tuple[Literal["float32", "bfloat16"], ...] = ("float32",)
    """Of weights and activations."""
    devices: tuple[int, ...] = ()
    """Numbers of devices that divide the windows; one and all of this process if not given."""
    seconds: float = 5.0
    """Time to measure each for."""
    recording: float = 180.0
    """Length of the recording in seconds."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        import json

        from infantjax.devices import require_backend

        require_backend()
        from infantjax.models.speed import measure

        with common.checked("benchmark"):
            configs = list(self._configs())
            rows = []
            with Progress(len(configs), "measuring", quiet=self.quiet or len(configs) == 1) as progress:
                for config in configs:
                    rows.append(measure(config))
                    progress.update(len(rows), config.model)
        _add_scaling(rows)
        if self.json:
            print(json.dumps(rows, indent=2))
        else:
            print(_table(rows, self.recording))
        return 0

    def _configs(self) -> Iterator["SpeedConfig"]:
        import jax

        from infantjax.models.speed import SpeedConfig

        numbers = self.devices or sorted({1, jax.local_device_count()})
        for model in self.model:
            for precision in self.precision:
                for devices in numbers:
                    for batch_size in self.batch_size:
                        yield SpeedConfig(model, batch_size, precision, devices, self.seconds, self.recording)


def _add_scaling(rows: list[dict[str, Any]]) -> None:
    """Add `scaling` to each row: windows a second of a device, relative to the fewest devices of the same settings."""

    def per_device(row: dict[str, Any]) -> float:
        return row["windows_per_second"] / row["devices"]

    for row in rows:
        same = [r for r in rows if all(r[name] == row[name] for name in ("model", "precision", "batch_size"))]
        row["scaling"] = per_device(row) / per_device(min(same, key=lambda r: r["devices"]))


def _table(rows: list[dict[str, Any]], recording: float) -> str:
    """The rows for a terminal."""
    head = ("network", "precision", "devices", "batch", "compile s", "windows/s", f"ms for {recording:g} s")
    cells = [(*head, "scaling", "GFLOP/s", "of matmul", "MB"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in cells]
    return "\n".join([f"{rows[0]['device']}, random weights", *lines])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["model"],
        row["precision"],
        f"{row['devices']}",
        f"{row['batch_size']}",
        f"{row['compile_seconds']:.1f}",
        f"{row['windows_per_second']:.1f}",
        f"{row['recording_milliseconds']:.1f}",
        f"{row['scaling']:.0%}",
        f"{row['flops_per_second'] / 1e9:.2f}",
        f"{row['share']:.1%}",
        "-" if row["program_mb"] is None else f"{row['program_mb']:.0f}",
    )
