"""The summary over recordings as CSV: one line for each, also for those that failed."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from infantjax.assessment.result import Assessment
from infantjax.report.record import plain, statement_of

COLUMNS = (
    "file",
    "name",
    "status",
    "risk",
    "threshold",
    "decision",
    "certainty",
    "fraction_positive",
    "duration_seconds",
    "message",
    "statement",
)
"""The columns of the summary, in order."""

_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@dataclass(frozen=True, eq=False)
class Row:
    """One input of a batch.

    Attributes:
        file: the input as the user named it.
        assessment: its result; None where there is none. A row keeps it without its movement, so that thousands of
            rows stay small.
        message: why there is none, or what to know about the result; empty if all went well.
    """

    file: str
    assessment: Assessment | None = None
    message: str = ""

    def __post_init__(self) -> None:
        if self.assessment is not None:
            # A new array: an empty view would keep the movement alive.
            still = np.zeros((0, *self.assessment.movement.shape[1:]), np.float32)
            object.__setattr__(self, "assessment", replace(self.assessment, movement=still))

    @property
    def status(self) -> Literal["ok", "warning", "error"]:
        """`error` without a result, `warning` for a result with a message, else `ok`."""
        if self.assessment is None:
            return "error"
        return "warning" if self.message else "ok"


def summary_csv(rows: Iterable[Row]) -> str:
    r"""The summary as CSV text: a header, then one line for each row in the order given; lines end in `\n`.

    Figures are those of the JSON record. Line breaks and other white space within a text become single spaces, and a
    text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        result = row.assessment
        figures = (
            ("", "", "", "", "", "")
            if result is None
            else (
                _number(result.risk),
                _number(result.threshold),
                "CP" if result.positive else "no CP",
                result.colour,
                _number(result.fraction_positive),
                _number(result.duration),
            )
        )
        name, statement = (result.name, statement_of(result)) if result else ("", "")
        writer.writerow([_text(row.file), _text(name), row.status, *figures, _text(row.message), _text(statement)])
    return stream.getvalue()


def _number(value: float) -> str:
    value = plain(value)
    return "" if value is None else str(value)


def _text(value: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in plain(value)).split())
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
