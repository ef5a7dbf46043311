"""The summary over recordings as CSV: one line for each, also for those that failed."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from infantjax.assessment.result import Assessed, Assessment, Finding
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
"""The columns of the summary of the graph networks, in order; other systems have their own quantities in the middle."""

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
    assessment: Assessed | None = None
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
    text that a spreadsheet would take for a formula gets a leading apostrophe. Columns are those of the first result,
    or those of the graph networks while there is none.
    """
    rows = list(rows)
    first = next((row.assessment for row in rows if row.assessment is not None), None)
    columns = (*COLUMNS[:3], *figures_of(first), *COLUMNS[-2:]) if first is not None else COLUMNS
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        result = row.assessment
        figures = figures_of(result) if result else {}
        name, statement = (result.name, statement_of(result)) if result else ("", "")
        cells = [figures.get(column, "") for column in columns[3:-2]]
        writer.writerow([_text(row.file), _text(name), row.status, *cells, _text(row.message), _text(statement)])
    return stream.getvalue()


def figures_of(result: Assessed) -> dict[str, str]:
    """The figures of a result by column: those of the graph networks, or the quantities of another system."""
    duration = {"duration_seconds": _number(result.duration)}
    if isinstance(result, Assessment):
        return {
            "risk": _number(result.risk),
            "threshold": _number(result.threshold),
            "decision": "CP" if result.positive else "no CP",
            "certainty": result.color,
            "fraction_positive": _number(result.fraction_positive),
        } | duration
    assert isinstance(result, Finding)
    figures = {"system": result.title}
    for quantity in result.quantities:
        figures[quantity.name] = _number(quantity.value)
        if quantity.around:
            figures |= {f"{quantity.name}_low": _number(quantity.low), f"{quantity.name}_high": _number(quantity.high)}
    return figures | {"decision": result.decision} | duration


def in_words(result: Assessed) -> str:
    """A result in a few words, for a terminal."""
    if isinstance(result, Assessment):
        return f"risk {result.risk:.3f}  {'CP' if result.positive else 'no CP'}  {result.color}"
    assert isinstance(result, Finding)
    words = [f"{q.name.replace('_', ' ')} {q.value:.3f}" for q in result.quantities[:2]]
    return "  ".join((*words, *([result.decision] if result.decision else []), f"({result.title})"))


def _number(value: float) -> str:
    value = plain(value)
    return "" if value is None else str(value)


def _text(value: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in plain(value)).split())
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
