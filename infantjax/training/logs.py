"""What was measured, for reading while training runs: `history.csv` and TensorBoard events."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from infantjax.files import write_atomically
from infantjax.training.state import History

TABLE = "history.csv"
FOLDER = "tensorboard"


class Log:
    """The logs of a stack below a folder, as a context manager.

    `history.csv` has a row for each run and epoch and is whole at any moment; TensorBoard gets each figure under the
    same tag for every run, so that runs lie over each other. Both go on where an interrupted training left off.

    Args:
        directory: the training's folder.
        run_ids: number of each run.
        tensorboard: whether to write TensorBoard events.
    """

    def __init__(self, directory: str | Path, run_ids: Sequence[int], *, tensorboard: bool = True) -> None:
        self.directory, self.run_ids, self.tensorboard = Path(directory), list(run_ids), tensorboard
        self._writers: list[Any] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, epoch: int, history: History) -> None:
        """Everything up to an epoch.

        Args:
            epoch: counted from 1.
            history: `[run, epoch]`; runs beyond the named ones pad the stack and are left out.
        """
        write_atomically(self.directory / TABLE, history_table(history, self.run_ids, epoch))
        if self.tensorboard:
            self._write_events(epoch, history)

    def _write_events(self, epoch: int, history: History) -> None:
        from tensorboardX import SummaryWriter

        if not self._writers:
            for run in self.run_ids:
                folder = self.directory / FOLDER / f"run-{run:03d}"
                # Events of an epoch that is run again after an interruption give way to the new ones.
                writer = SummaryWriter(str(folder), purge_step=epoch)
                self._writers.append(writer)
                self._stack.callback(writer.close)
        for row, writer in enumerate(self._writers):
            for name, values in history._asdict().items():
                if math.isfinite(value := float(values[row, epoch - 1])):
                    writer.add_scalar(name, value, epoch)
            writer.flush()


def history_table(history: History, run_ids: Sequence[int], epochs: int) -> str:
    """The history as CSV text: `run,epoch,training_loss,validation_loss,auc`, shortest decimals that give float32 back.

    An epoch that a run did not make is left out; one in which it diverged has empty fields.

    Args:
        history: `[run, epoch]`.
        run_ids: number of each run.
        epochs: how many to write.
    """
    lines = [",".join(("run", "epoch", *History._fields))]
    for row, run in enumerate(run_ids):
        for epoch in range(epochs):
            values = [values[row, epoch] for values in history]
            if not all(math.isnan(v) for v in values):
                lines.append(",".join([str(run), str(epoch + 1), *("" if math.isnan(v) else str(v) for v in values)]))
    return "\n".join(lines) + "\n"
