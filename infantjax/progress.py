"""Progress of work over two seconds, on stderr: a bar on a terminal, a plain line every 30 s elsewhere, or nothing.

Stdout carries results only.
"""

import sys
import time
from types import TracebackType
from typing import Any

INTERVAL = 30.0
"""Seconds between two plain lines."""


class Progress:
    """A context manager that tells how far some work is.

    Args:
        total: steps of the work.
        label: what is done, a word or two.
        quiet: say nothing at all.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False) -> None:
        self.total, self.label, self.quiet = total, label, quiet
        self._bar: Any = None
        self._told = time.monotonic()

    def __enter__(self) -> "Progress":
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = RichProgress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, text="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line, now."""
        if self._bar is not None:
            self._bar.console.print(f"{self.label}: {text}", markup=False, highlight=False)
        elif not self.quiet:
            print(f"{self.label}: {text}", file=sys.stderr, flush=True)

    def update(self, done: int, text: str = "") -> None:
        """How many steps are done; the last one is always told."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=text)
        elif not self.quiet and (done >= self.total or time.monotonic() - self._told >= INTERVAL):
            self._told = time.monotonic()
            self.say(f"{done}/{self.total}" + (f", {text}" if text else ""))
