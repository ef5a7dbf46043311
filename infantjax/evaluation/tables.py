"""Risks and outcomes from the tables that `assess` and `crossval` write."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from infantjax.errors import InputError
from infantjax.formats import checks, text
from infantjax.recording.tables import read_column, read_infant_ids, read_outcomes

MAX_GROUPS = 20
"""Most different entries of a column that makes subgroups."""

_NAMES = ("id", "name", "file")
_T = TypeVar("_T")


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
    path = checks.check_readable(path)
    if checks.kind_of(path) != "text":
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
    return Scores(tuple(names), tuple(risks), tuple(found), tuple(problems))


def read_infants(path: str | Path | None, scores: Scores) -> tuple[str, ...] | None:
    """The infant of each recording, by the column `group` of a table of outcomes; None where each is of its own.

    Args:
        path: table of outcomes; without one, or where it is silent, an infant is an id.
        scores: of the recordings.

    Raises:
        InputError: as `read_outcomes`, or recordings of an infant differ in their outcomes.
    """
    known = {} if path is None else read_infant_ids(path)
    infants = tuple(_known(known, name) or name for name in scores.names)
    pairs = set(zip(infants, scores.outcomes))
    if len(pairs) > len(set(infants)):
        both = min(infant for infant, outcome in pairs if outcome and (infant, 0) in pairs)
        what = f'gives recordings of infant "{both[:60]}" different outcomes'
        raise InputError(path or "the table of risks", what, "correct the table")
    return infants if len(set(infants)) < len(infants) else None


def per_infant(scores: Scores, path: str | Path | None) -> Scores:
    """One row for each infant, by the infant's name: the mean risk of its recordings.

    Args:
        scores: of recordings.
        path: as `read_infants`.

    Raises:
        InputError: as `read_infants`.
    """
    infants = read_infants(path, scores)
    if infants is None:
        return scores
    risks: dict[str, list[float]] = {infant: [] for infant in infants}
    for infant, risk in zip(infants, scores.risks):
        risks[infant].append(risk)
    outcomes = dict(zip(infants, scores.outcomes))
    means = tuple(sum(of_one) / len(of_one) for of_one in risks.values())
    return Scores(tuple(risks), means, tuple(outcomes[infant] for infant in risks), scores.problems)


def read_groups(path: str | Path, column: str, names: Sequence[str]) -> tuple[str, ...]:
    """The subgroup of each infant, by a column of the table of outcomes; `not given` where the table is silent.

    Args:
        path: table of outcomes, or one of risks that has them.
        column: its name in the header.
        names: ids.

    Raises:
        InputError: as `read_column`, or the column has more than `MAX_GROUPS` different entries.
    """
    known = read_column(path, column)
    if (different := len(set(known.values()))) > MAX_GROUPS:
        what = f'has {different} different entries in column "{column}", at most {MAX_GROUPS} make subgroups'
        raise InputError(path, what, "sort them into classes")
    return tuple(_known(known, name) or "not given" for name in names)


class Paired(NamedTuple):
    """Risks of two methods for the infants that both have, in the order of the first.

    Attributes:
        first: 0..1.
        second: 0..1.
        outcomes: 0 or 1.
        problems: what was left out, one line each.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]
    outcomes: tuple[int, ...]
    problems: tuple[str, ...]


def pair(first: Scores, second: Scores, path: str | Path) -> Paired:
    """Match two methods by the ids of their infants.

    Args:
        first: of one method.
        second: of the other.
        path: the second's table, for messages.

    Raises:
        InputError: no infant in common, an infant with several risks, or one whose outcomes differ.
    """
    for scores in (first, second):
        if len(set(scores.names)) < len(scores.names):
            raise InputError(path, "cannot be paired: some infants have several risks", "give one risk an infant")
    others = dict(zip(second.names, zip(second.risks, second.outcomes)))
    both = [(risk, *others[name], outcome) for name, risk, outcome in zip(*first[:3]) if name in others]
    if not both:
        raise InputError(path, "holds no infant of the first table", "check that the ids of both tables agree")
    if any(theirs != ours for _, _, theirs, ours in both):
        raise InputError(path, "and the first table differ in the outcomes of infants", "correct one of them")
    alone = len(first.names) + len(second.names) - 2 * len(both)
    problems = (f"{alone} infants are in one of the two tables only; the comparison leaves them out",) if alone else ()
    a, b, _, outcomes = zip(*both)
    return Paired(a, b, outcomes, problems)


def common(methods: Mapping[str, Scores]) -> tuple[dict[str, tuple[float, ...]], tuple[int, ...]]:
    """Risks of the infants that all methods have, by method and in the order of the first, and their outcomes.

    Args:
        methods: by name; an infant has one risk in each.

    Raises:
        InputError: no infant is common to all.
    """
    first = next(iter(methods.values()))
    risks = {method: dict(zip(scores.names, scores.risks)) for method, scores in methods.items()}
    names = [name for name in first.names if all(name in known for known in risks.values())]
    if not names:
        raise InputError(
            "--baseline", "leaves no infant that all methods have", "check that the ids of all tables agree"
        )
    outcomes = dict(zip(first.names, first.outcomes))
    return (
        {method: tuple(known[name] for name in names) for method, known in risks.items()},
        tuple(outcomes[name] for name in names),
    )


def _outcome(path: Path, number: int, cell: str) -> int | None:
    if cell.strip() not in ("", "0", "1"):
        raise InputError(path, f"line {number} has outcome {cell[:20]!r}, which is not 0 or 1", "correct the table")
    return int(cell) if cell.strip() else None


def _known(table: Mapping[str, _T], name: str) -> _T | None:
    """The entry of a recording whose name may carry the prefix of the released files."""
    return table.get(name, table.get(name.removeprefix("orgcoords_")))
