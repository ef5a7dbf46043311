"""A profile of the first epochs of a training, by `jax.profiler`."""

from pathlib import Path
from types import TracebackType

import jax

from infantjax.errors import InputError

EPOCHS = 3
"""Epochs that are profiled: a profile grows with every operation."""


class Profiler:
    """A context manager that profiles the first `EPOCHS` epochs of this process; read by TensorBoard or Perfetto.

    Args:
        folder: made if missing; None profiles nothing.

    Raises:
        InputError: the folder cannot be made.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder, self._begun, self._running = folder, 0, False
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                what = f"cannot be written ({error.strerror})"
                raise InputError(folder, what, "give another folder by --profile") from None

    def __enter__(self) -> "Profiler":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def begin_epoch(self) -> None:
        """Begin an epoch: the first one begins the profile, the one behind the last ends it."""
        if self.folder is None:
            return
        if self._begun == 0:
            jax.profiler.start_trace(self.folder)
            self._running = True
        elif self._begun == EPOCHS:
            self._stop()
        self._begun += 1

    def _stop(self) -> None:
        if self._running:
            self._running = False
            jax.profiler.stop_trace()
