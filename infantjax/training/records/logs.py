"""Metrics of a training, for reading while it runs: `history.csv`, and the loggers of `loggers`."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from infantjax.files import write_atomically
from infantjax.training.records.loggers import LOGGERS, LoggerName, Write

TABLE = "history.csv"


class Log(contextlib.ExitStack):
    """The logs of a stack below a folder, as a context manager.

    `history.csv` has a row for each run and epoch up to the last checkpoint and is whole at any moment; loggers get
    each value at once. Both go on where an interrupted training left off.

    Args:
        directory: the training's folder, which exists.
        runs: number of runs.
        loggers: names of `LOGGERS`.
    """

    def __init__(self, directory: str | Path, runs: int, loggers: Sequence[LoggerName] = ("tensorboard",)) -> None:
        super().__init__()
        self.directory, self.runs, self.names = Path(directory), runs, tuple(loggers)
        self._writers: list[Write] | None = None

    def write(
        self, epoch: int, history: Mapping[str, Any], table: bool = True, speed: Mapping[str, float] | None = None
    ) -> None:
        """Everything up to an epoch.

        Args:
            epoch: counted from 1.
            history: `[run, epoch]`; further runs pad the stack and are left out, as are arrays with more axes.
            table: write the table anew, whose size grows with the epochs; else the loggers alone.
            speed: metrics of the whole stack that differ from one execution to another, for the loggers alone.

        Raises:
            OSError: the folder cannot be written.
            InputError: a logger cannot be used.
        """
        history = {name: values for name, values in history.items() if np.ndim(values) == 2}
        if table:
            write_atomically(self.directory / TABLE, history_table(history, self.runs, epoch))
        if self._writers is None:
            opened = [LOGGERS[name](self.directory, self.runs, epoch) for name in self.names]
            self._writers = [self.enter_context(logger) for logger in opened]
        metrics = [
            _finite({name: values[run, epoch - 1] for name, values in history.items()}) | _finite(speed or {})
            for run in range(self.runs)
        ]
        for write in self._writers:
            write(epoch, metrics)


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def peak_memory(devices: Sequence[jax.Device]) -> float:
    """The most memory in use so far, megabytes: of the fullest device, or of this process on a CPU.

    NaN where neither is known.
    """
    stats = [device.memory_stats() or {} for device in devices]
    peaks = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    if peaks:
        return max(peaks) / 1e6
    peak = process_peak_mb()
    return math.nan if peak is None else peak


def process_peak_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not say.

    What `getrusage` gives counts the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), None)


def history_table(history: Mapping[str, Any], runs: int, epochs: int) -> str:
    """The history as CSV text: `run,epoch,training_loss,validation_loss` and the rest, shortest exact decimals.

    An epoch that a run did not make is left out; one in which it diverged has empty fields.

    Args:
        history: `[run, epoch]`.
        runs: number of runs.
        epochs: how many to write.
    """
    names = sorted(history, key=lambda name: (not name.endswith("_loss"), name))
    lines = [",".join(("run", "epoch", *names))]
    for run in range(runs):
        for epoch in range(epochs):
            values = [history[name][run, epoch] for name in names]
            if not all(math.isnan(v) for v in values):
                lines.append(",".join([str(run), str(epoch + 1), *("" if math.isnan(v) else str(v) for v in values)]))
    return "\n".join(lines) + "\n"
