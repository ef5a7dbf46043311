"""Metrics of a training, for reading while it runs: `history.csv`, TensorBoard, and JSON lines.

A logger is a context manager of `(directory, runs, epoch)`: folder of the training, number of runs, and first epoch of
this process. It yields a function `write(epoch, metrics)`. Where a training was interrupted, epochs that are run again
replace those of before.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from infantjax.files import write_atomically

if TYPE_CHECKING:
    import jax

LoggerName = Literal["tensorboard", "jsonl"]
"""Name of a logger, see `LOGGERS`."""
TABLE, TENSORBOARD, JSON_LINES = "history.csv", "tensorboard", "log.jsonl"
"""Names of the table, of the events and of the lines in the folder of a training."""
Metrics = Sequence[Mapping[str, float]]
"""Finite values by name, of each run."""
Write = Callable[[int, Metrics], None]
"""Writes the metrics after an epoch, counted from 1; raises `OSError` where they cannot be written."""


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


@contextlib.contextmanager
def tensorboard(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """Events of each run in a folder of its own, under the same tag for every run, so that runs lie over each other."""
    # tensorboardX's own front end has a thread and a queue for each writer, which a stack of 70 runs does not need and
    # which report a full disk as several tracebacks.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import scalar

    writers = []
    for run in range(runs):
        folder = directory / TENSORBOARD / f"run-{run:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        writers.append(EventsWriter(str(folder / "events"), f".epoch-{epoch}"))
        # Events of epochs that are run again after an interruption give way to the new ones.
        writers[-1].write_event(Event(step=epoch, session_log=SessionLog(status=SessionLog.START)))

    def write(epoch: int, metrics: Metrics) -> None:
        for writer, values in zip(writers, metrics):
            for name, value in values.items():
                writer.write_event(Event(wall_time=time.time(), step=epoch, summary=scalar(name, value)))
            writer.flush()

    try:
        yield write
    finally:
        for writer in writers:
            with contextlib.suppress(OSError):  # raised when it was flushed
                writer.close()


@contextlib.contextmanager
def json_lines(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """A line a run and epoch in `log.jsonl`: `{"run": 0, "epoch": 1, "training_loss": 0.7, ...}`."""
    path = directory / JSON_LINES
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    write_atomically(path, "".join(line for line in lines if _is_before(line, epoch)))

    def write(epoch: int, metrics: Metrics) -> None:
        for run, values in enumerate(metrics):
            stream.write(json.dumps({"run": run, "epoch": epoch, **values}) + "\n")
        stream.flush()

    with path.open("a", encoding="utf-8", newline="\n") as stream:
        yield write


def _is_before(line: str, epoch: int) -> bool:
    """Whether a line of `log.jsonl` is whole and of an earlier epoch."""
    try:
        return line.endswith("\n") and json.loads(line)["epoch"] < epoch
    except (ValueError, KeyError, TypeError):
        return False


LOGGERS: dict[str, Callable[[Path, int, int], AbstractContextManager[Write]]] = {
    "tensorboard": tensorboard,
    "jsonl": json_lines,
}
"""Name -> logger."""


def peak_memory(devices: "Sequence[jax.Device]") -> float:
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
