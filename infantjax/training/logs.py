"""What was measured, for reading while training runs: `history.csv`, and the loggers of `loggers`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from infantjax.files import write_atomically
from infantjax.training.loggers import LOGGERS, Logger, LoggerName

TABLE = "history.csv"


class Log:
    """The logs of a stack below a folder, as a context manager.

    `history.csv` has a row for each run and epoch up to the last checkpoint and is whole at any moment; loggers get
    each value at once. Both go on where an interrupted training left off.

    Args:
        directory: the training's folder, which exists.
        run_ids: number of each run.
        loggers: names of `LOGGERS`.
    """

    def __init__(
        self, directory: str | Path, run_ids: Sequence[int], loggers: Sequence[LoggerName] = ("tensorboard",)
    ) -> None:
        self.directory, self.run_ids, self.names = Path(directory), list(run_ids), tuple(loggers)
        self._loggers: list[Logger] | None = None

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for logger in self._loggers or ():
            logger.close()

    def write(
        self, epoch: int, history: Mapping[str, Any], table: bool = True, speed: Mapping[str, float] | None = None
    ) -> None:
        """Everything up to an epoch.

        Args:
            epoch: counted from 1.
            history: `[run, epoch]`; runs beyond the named ones pad the stack and are left out, as are arrays with more
                axes.
            table: write the table anew, whose size grows with the epochs; else the loggers alone.
            speed: figures of the whole stack that differ from one execution to another, for the loggers alone.

        Raises:
            OSError: the folder cannot be written.
            InputError: a logger cannot be used.
        """
        history = {name: values for name, values in history.items() if np.ndim(values) == 2}
        if table:
            write_atomically(self.directory / TABLE, history_table(history, self.run_ids, epoch))
        if self._loggers is None:
            self._loggers = [LOGGERS[name](self.directory, self.run_ids, epoch) for name in self.names]
        figures = [
            _finite({name: values[row, epoch - 1] for name, values in history.items()}) | _finite(speed or {})
            for row in range(len(self.run_ids))
        ]
        for logger in self._loggers:
            logger.write(epoch, figures)


def _finite(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in figures.items() if math.isfinite(value)}


def peak_memory(devices: Sequence[jax.Device]) -> float:
    """The most memory in use so far, megabytes: of the fullest device; of this process on a CPU, which tells none.

    NaN where neither is known.
    """
    stats = [device.memory_stats() or {} for device in devices]
    peaks = [each["peak_bytes_in_use"] for each in stats if "peak_bytes_in_use" in each]
    if peaks:
        return max(peaks) / 1e6
    peak = process_peak_mb()
    return math.nan if peak is None else peak


def process_peak_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not tell.

    What `getrusage` gives counts the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), None)


def history_table(history: Mapping[str, Any], run_ids: Sequence[int], epochs: int) -> str:
    """The history as CSV text: `run,epoch,training_loss,validation_loss` and the rest, shortest exact decimals.

    An epoch that a run did not make is left out; one in which it diverged has empty fields.

    Args:
        history: `[run, epoch]`.
        run_ids: number of each run.
        epochs: how many to write.
    """
    names = sorted(history, key=lambda name: (not name.endswith("_loss"), name))
    lines = [",".join(("run", "epoch", *names))]
    for row, run in enumerate(run_ids):
        for epoch in range(epochs):
            values = [history[name][row, epoch] for name in names]
            if not all(math.isnan(v) for v in values):
                lines.append(",".join([str(run), str(epoch + 1), *("" if math.isnan(v) else str(v) for v in values)]))
    return "\n".join(lines) + "\n"
