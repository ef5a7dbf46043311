"""Messages and progress of long work, on stderr: a bar on a terminal, a plain line every 30 s elsewhere.

The library sends its messages to the logger `infantjax`; a program shows them with `configure_logging`. Stdout carries
results only.
"""

import logging
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from infantjax.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

LOGGER = logging.getLogger("infantjax")
"""Every message of the library goes here: progress as INFO, damaged or skipped data as WARNING."""
INTERVAL = 30.0
"""Seconds between two progress lines where there is no terminal."""


def configure_logging(*, quiet: bool = False) -> None:
    """Show messages of the library on stderr.

    For programs. A library must not call it. A second call replaces the settings of the first.

    Args:
        quiet: show warnings only.
    """
    LOGGER.handlers = [_Handler()]
    LOGGER.setLevel(logging.WARNING if quiet else logging.INFO)


class _Handler(logging.StreamHandler):
    """Writes to what is stderr at that time: a bar on the screen takes its place and prints messages above itself.

    Messages may hold texts of files, so they are written without control characters.
    """

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


class Progress:
    """A context manager that shows how much of some work is done.

    Args:
        total: number of steps.
        label: what is done, a word or two.
        quiet: show neither bar nor lines.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False) -> None:
        self.total, self.label, self.quiet = total, label, quiet
        self._bar: RichProgress | None = None
        self._last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            # While the bar is on the screen, it prints what others write to stderr above itself.
            self._bar = RichProgress(
                *columns, TextColumn("{task.fields[text]}", markup=False), console=Console(stderr=True)
            )
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, text="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def log(self, text: str) -> None:
        """Log a message with the label in front."""
        if not self.quiet:
            LOGGER.info("%s: %s", self.label, text)

    def update(self, done: int, text: str = "") -> None:
        """Show how many steps are done. The last step is always shown.

        Args:
            done: number of finished steps.
            text: anything else of interest, for example a metric.
        """
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=printable(text))
        elif done >= self.total or time.monotonic() - self._last_line >= INTERVAL:
            self._last_line = time.monotonic()
            self.log(f"{done}/{self.total}" + (f", {text}" if text else ""))
