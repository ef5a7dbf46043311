"""What was measured, for reading while training runs: `history.csv` and TensorBoard events."""

import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from infantjax.files import write_atomically

TABLE = "history.csv"
FOLDER = "tensorboard"


class Log:
    """The logs of a stack below a folder, as a context manager.

    `history.csv` has a row for each run and epoch up to the last checkpoint and is whole at any moment; TensorBoard
    gets each value at once, under the same tag for every run, so that runs lie over each other. Both go on where an
    interrupted training left off.

    Args:
        directory: the training's folder, which exists.
        run_ids: number of each run.
    """

    def __init__(self, directory: str | Path, run_ids: Sequence[int]) -> None:
        self.directory, self.run_ids = Path(directory), list(run_ids)
        self._writers: list[Any] = []

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            # What could not be written was told when it was flushed.
            with contextlib.suppress(OSError):
                writer.close()

    def write(self, epoch: int, history: Mapping[str, Any], table: bool = True) -> None:
        """Everything up to an epoch.

        Args:
            epoch: counted from 1.
            history: `[run, epoch]`; runs beyond the named ones pad the stack and are left out, as are arrays with more
                axes.
            table: write the table anew, whose size grows with the epochs; else the events alone.

        Raises:
            OSError: the folder cannot be written.
        """
        history = {name: values for name, values in history.items() if np.ndim(values) == 2}
        if table:
            write_atomically(self.directory / TABLE, history_table(history, self.run_ids, epoch))
        self._write_events(epoch, history)

    def _write_events(self, epoch: int, history: Mapping[str, Any]) -> None:
        # tensorboardX's own front end has a thread and a queue for each writer, which a stack of 70 runs does not
        # need and which tell a full disk as several tracebacks.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.summary import scalar

        if not self._writers:
            for run in self.run_ids:
                folder = self.directory / FOLDER / f"run-{run:03d}"
                folder.mkdir(parents=True, exist_ok=True)
                writer = EventsWriter(str(folder / "events"), f".epoch-{epoch}")
                # Events of epochs that are run again after an interruption give way to the new ones.
                writer.write_event(Event(step=epoch, session_log=SessionLog(status=SessionLog.START)))
                self._writers.append(writer)
        for row, writer in enumerate(self._writers):
            for name, values in history.items():
                if math.isfinite(value := float(values[row, epoch - 1])):
                    writer.write_event(Event(wall_time=time.time(), step=epoch, summary=scalar(name, value)))
            writer.flush()


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
