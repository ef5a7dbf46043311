"""The summary and the index page of a folder of results."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from infantjax.errors import InputError
from infantjax.files import write_together
from infantjax.report import page, table
from infantjax.report.glance import Glance
from infantjax.report.table import Row

_SECONDS = 2.0
"""Least time between two versions of a summary."""


class Summary:
    """The rows of earlier and of new recordings, written every few seconds and at the end, whatever ends the batch.

    To write them after every recording would take most of the time of a batch of thousands.

    Args:
        folder: of the results.
        overwrite: replace a `summary.csv` that cannot be read.

    Raises:
        InputError: another `summary.csv` is there, or a file cannot be written.
    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self.table, self.index = folder / "summary.csv", folder / "index.html"
        try:
            rows = table.read_summary(self.table)
        except InputError:
            if not overwrite:
                raise
            rows = []
        self.folder = folder
        self.rows = [row for row in rows if not row.page or (folder / row.page).exists()]
        self._glances: dict[Row, Glance] = {}
        self.due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()

    def add(self, row: Row) -> None:
        """Put a row in its place, and write all if it is time."""
        self.rows = table.merge(self.rows, row)
        self._glances.pop(row, None)
        if time.monotonic() >= self.due:
            self.write()

    def glances(self) -> list[Glance]:
        """Every row with what the index shows of its record, which is read once."""
        known = self._glances
        self._glances = {row: known.get(row) or Glance.read(row, self.folder) for row in self.rows}
        return [self._glances[row] for row in self.rows]

    def write(self) -> None:
        """Write the table and the index page."""
        began = time.monotonic()
        write({self.table: table.summary_csv(self.rows), self.index: page.index_html(self.glances())})
        self.due = time.monotonic() + max(_SECONDS, 10 * (time.monotonic() - began))


def write(contents: Mapping[Path, str]) -> None:
    """Write files of one folder, all or none.

    Raises:
        InputError: one cannot be written.
    """
    try:
        write_together(contents)
    except OSError as error:
        remedy = "make room or give another folder"
        raise InputError(error.filename, f"cannot be written ({error.strerror})", remedy) from None
