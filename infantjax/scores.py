"""Risks and outcomes from the tables that `assess` and `crossval` write."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from infantjax.errors import InputError
from infantjax.motion.cohort import read_outcomes
from infantjax.motion.readers import edge, text

_NAMES = ("id", "name", "file")


class Scores(NamedTuple):
    """Risks of infants with what became of them, in the order of the table.

    Attributes:
        names: ids.
        risks: 0..1.
        outcomes: 0 or 1.
        problems: rows that were left out, one line each.
    """

    names: tuple[str, ...]
    risks: tuple[float, ...]
    outcomes: tuple[int, ...]
    problems: tuple[str, ...]


def read_scores(path: str | Path, outcomes: str | Path | None = None) -> Scores:
    """Read a table of risks, and the outcomes from it or from another table.

    Args:
        path: table with a column `id`, `name` or `file`, a column `risk`, and perhaps `outcome`; rows without a risk
            (recordings that failed) are problems.
        outcomes: table of outcomes as in a cohort; None takes the column of the first table.

    Raises:
        InputError: the table lacks a column, holds a risk that is no number in 0..1, or nothing that can be used.
    """
    path = edge.check_readable(path)
    if edge.kind_of(path) != "text":
        raise InputError(path, "is not a text table", "give the summary.csv of assess or a table with id and risk")
    dialect = text.dialect_of(path)
    lines = text.rows(path, dialect)
    header = [name.lower() for name in text.header_of(path, next((cells for _, cells in lines), []))]
    of_name = next((header.index(name) for name in _NAMES if name in header), None)
    if of_name is None or "risk" not in header:
        raise InputError(path, "needs a column id and a column risk", "give the summary.csv of assess")
    if outcomes is None and "outcome" not in header:
        raise InputError(path, "has no column outcome", "give the table of outcomes too")
    known = read_outcomes(outcomes) if outcomes is not None else None
    names, risks, found, problems = [], [], [], []
    for number, cells in lines:
        row = dict(zip(header, text.check_width(path, number, cells, len(header))))
        # The writers put an apostrophe before what a spreadsheet would take for a formula.
        name = row[header[of_name]].strip().removeprefix("'")
        if not row["risk"].strip():
            problems.append(f"line {number} ({name[:60]}): has no risk")
            continue
        risk = text.parse(path, number, "risk", row["risk"], dialect.separator)
        if not 0 <= risk <= 1:
            raise InputError(path, f"line {number} has risk {risk:g}, must be within 0..1", "correct the table")
        outcome = _outcome(path, number, row["outcome"]) if known is None else _known(known, name)
        if outcome is None:
            problems.append(f"line {number} ({name[:60]}): has no outcome")
            continue
        names.append(name)
        risks.append(risk)
        found.append(outcome)
    if not names:
        raise InputError(path, "holds no infant with a risk and an outcome", "check that the ids of both tables agree")
    if len(set(names)) < len(names):
        problems.append("some infants have several risks; intervals take them as independent")
    return Scores(tuple(names), tuple(risks), tuple(found), tuple(problems))


def _outcome(path: Path, number: int, cell: str) -> int | None:
    if cell.strip() not in ("", "0", "1"):
        raise InputError(path, f"line {number} has outcome {cell[:20]!r}, which is not 0 or 1", "correct the table")
    return int(cell) if cell.strip() else None


def _known(outcomes: Mapping[str, int], name: str) -> int | None:
    """The outcome of a recording whose name may carry the prefix of the released files."""
    return outcomes.get(name, outcomes.get(name.removeprefix("orgcoords_")))
