"""Risks and outcomes from the tables that `assess` and `crossval` write."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from infantjax.errors import InputError
from infantjax.files import without_guard
from infantjax.formats import checks, text
from infantjax.formats.outcomes import read_column, read_infant_ids, read_outcomes

MAX_GROUPS = 20
"""Most different entries of a column that makes subgroups."""

QUALITY = "quality.csv"
"""Name of the table of the quality of a cohort's recordings."""
_NAMES = ("id", "name", "file")
_T = TypeVar("_T")


class ColumnNames(NamedTuple):
    """Names of the columns of a table of risks; None for the usual ones.

    Attributes:
        id: of the infants. Without such a column each line is an infant of its own, if `risk` is given.
        risk: of the risks, 0..1.
        outcome: of the outcomes, 0 or 1.
    """

    id: str | None = None
    risk: str | None = None
    outcome: str | None = None


USUAL = ColumnNames()
"""The columns that the commands write."""


class RiskTable(NamedTuple):
    """Risks of infants with their outcomes, in the order of the table.

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


def read_risks(path: str | Path, outcomes: str | Path | None = None, columns: ColumnNames = USUAL) -> RiskTable:
    """Read a table of risks, and the outcomes from it or from another table.

    Args:
        path: table with a column `id`, `name` or `file`, a column `risk`, and perhaps `outcome`; or the summary of
            `assess` or the `out_of_fold.csv` of `crossval`, whose risks are in the column `value`. Rows without a risk
            (recordings that failed) are problems.
        outcomes: table of outcomes as in a cohort; None takes the column of the first table.
        columns: other names of these columns, in any case.

    Raises:
        InputError: a column is missing, a risk is not a number in 0..1, two files of a summary have one id, or no row
            can be used.
    """
    path = checks.check_readable(path)
    if checks.kind_of(path) != "text":
        raise InputError(path, "is not a text table", "give the summary.csv of assess or a table with id and risk")
    dialect = text.dialect_of(path)
    lines = text.rows(path, dialect)
    header = [name.lower() for name in text.header_of(path, next((cells for _, cells in lines), []))]
    used = _find_columns(path, header, columns, outcomes is None)
    known = read_outcomes(outcomes) if outcomes is not None else None
    rows, problems, lines_of = [], [], dict[str, int]()
    for number, cells in lines:
        row = dict(zip(header, text.check_width(path, number, cells, len(header))))
        name = without_guard(row[used.id].strip()) if used.id else f"line {number}"
        has_file = {"file", "value_name"} <= set(header) and row[str(used.risk)].strip()
        if has_file and (first := lines_of.setdefault(name, number)) != number:
            # Two files: of two infants, or two recordings of one. Only the user knows.
            what = f'lines {first} and {number} are both named "{name[:60]}"'
            raise InputError(path, what, "give each file an id of its own")
        if row.get("value_name", "").strip() not in ("", "risk"):
            raise InputError(path, f"line {number} has a {row['value_name'][:20]}, not a risk", "give a table of risks")
        risk = _risk(path, number, row[str(used.risk)], dialect.separator)
        outcome = _outcome(path, number, row[str(used.outcome)]) if known is None else _known(known, name)
        if risk is None or outcome is None:
            problems.append(f"line {number} ({name[:60]}): has no {'risk' if risk is None else 'outcome'}")
        else:
            rows.append((name, risk, outcome))
    if not rows:
        raise InputError(path, "holds no infant with a risk and an outcome", "check that the ids of both tables agree")
    names, risks, labels = zip(*rows)
    return RiskTable(names, risks, labels, tuple(problems))


def read_not_assessable(path: str | Path, columns: ColumnNames = USUAL) -> dict[str, str]:
    """Recordings of a table of risks that are not assessable, with the reasons.

    Args:
        path: the table. They are those with `false` in its column `assessable` (the summary of `assess`), or in that of
            the table `quality.csv` beside it (of `crossval`).
        columns: as in `read_risks`.

    Raises:
        InputError: a table cannot be read.
    """
    found: dict[str, str] = {}
    for table in (Path(path), Path(path).with_name(QUALITY)):
        if not table.exists():
            continue
        lines = text.rows(table, text.dialect_of(table))
        header = [name.lower() for name in next((cells for _, cells in lines), [])]
        asked = (columns.id or "").lower()
        name = asked if asked in header else next((name for name in _NAMES if name in header), None)
        if name is None or "assessable" not in header:
            continue
        reasons = "reasons" if "reasons" in header else "message"
        for number, cells in lines:
            row = dict(zip(header, text.check_width(table, number, cells, len(header))))
            if row["assessable"] == "false":
                found.setdefault(row[name].strip().removeprefix("'"), row.get(reasons, ""))
    return found


def leave_out(table: RiskTable, names: Iterable[str]) -> RiskTable:
    """The table without some recordings.

    Raises:
        ValueError: none is left.
    """
    left_out = set(names)
    kept = [row for row in zip(*table[:3]) if row[0] not in left_out]
    if not kept:
        raise ValueError("no assessable recording is left")
    names, risks, outcomes = zip(*kept)
    return RiskTable(names, risks, outcomes, table.problems)


def _find_columns(path: Path, header: Sequence[str], asked: ColumnNames, with_outcome: bool) -> ColumnNames:
    """The columns of a table, each by the name that was asked for or by a usual one."""
    for name in filter(None, asked):
        if name.lower() not in header:
            raise InputError(path, f'has no column "{name[:40]}"', f"it has {', '.join(header)[:200]}")
    names, risk, outcome = (name.lower() if name else None for name in asked)
    names = names or next((name for name in _NAMES if name in header), None)
    usual = "value" if {"value_name", "runs"} & set(header) else "risk"
    if (names is None and risk is None) or (risk or usual) not in header:
        raise InputError(
            path, "needs a column id and a column risk", "give the summary.csv of assess, or name them by --risk-column"
        )
    if with_outcome and (outcome or "outcome") not in header:
        raise InputError(path, "has no column outcome", "give the table of outcomes too, or --outcome-column")
    return ColumnNames(names, risk or usual, outcome or "outcome")


def read_infants(path: str | Path | None, table: RiskTable) -> tuple[str, ...] | None:
    """The infant of each recording, by the column `group` of a table of outcomes; None if each has its own.

    Args:
        path: table of outcomes; an infant that it does not name is identified by its id.
        table: of the recordings.

    Raises:
        InputError: as `read_outcomes`, or recordings of an infant differ in their outcomes.
    """
    known = {} if path is None else read_infant_ids(path)
    infants = tuple(_known(known, name) or name for name in table.names)
    pairs = set(zip(infants, table.outcomes))
    if len(pairs) > len(set(infants)):
        both = min(infant for infant, outcome in pairs if outcome and (infant, 0) in pairs)
        what = f'gives recordings of infant "{both[:60]}" different outcomes'
        raise InputError(path or "the table of risks", what, "correct the table")
    return infants if len(set(infants)) < len(infants) else None


def mean_per_infant(table: RiskTable, path: str | Path | None) -> RiskTable:
    """One row for each infant, by the infant's name: the mean risk of its recordings.

    Args:
        table: of recordings.
        path: as `read_infants`.

    Raises:
        InputError: as `read_infants`.
    """
    infants = read_infants(path, table)
    if infants is None:
        return table
    risks: dict[str, list[float]] = {infant: [] for infant in infants}
    for infant, risk in zip(infants, table.risks):
        risks[infant].append(risk)
    outcomes = dict(zip(infants, table.outcomes))
    means = tuple(sum(of_one) / len(of_one) for of_one in risks.values())
    return RiskTable(tuple(risks), means, tuple(outcomes[infant] for infant in risks), table.problems)


def read_subgroups(path: str | Path, column: str, names: Sequence[str]) -> tuple[str, ...]:
    """The subgroup of each infant, by a column of the table of outcomes; `not given` where the table has no entry.

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


class PairedRisks(NamedTuple):
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


def pair_risks(first: RiskTable, second: RiskTable, path: str | Path) -> PairedRisks:
    """Match two methods by the ids of their infants.

    Args:
        first: of one method.
        second: of the other.
        path: the second's table, for messages.

    Raises:
        InputError: no infant in common, an infant with several risks, or one whose outcomes differ.
    """
    for table in (first, second):
        if len(set(table.names)) < len(table.names):
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
    return PairedRisks(a, b, outcomes, problems)


def common_infants(methods: Mapping[str, RiskTable]) -> tuple[dict[str, tuple[float, ...]], tuple[int, ...]]:
    """Risks of the infants that all methods have, by method and in the order of the first, and their outcomes.

    Args:
        methods: by name; an infant has one risk in each.

    Raises:
        InputError: no infant is common to all.
    """
    first = next(iter(methods.values()))
    risks = {method: dict(zip(table.names, table.risks)) for method, table in methods.items()}
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


def _risk(path: Path, number: int, cell: str, separator: str) -> float | None:
    if not cell.strip():
        return None
    risk = text.parse(path, number, "risk", cell, separator)
    if not 0 <= risk <= 1:
        raise InputError(path, f"line {number} has risk {risk:g}, must be within 0..1", "correct the table")
    return risk


def _outcome(path: Path, number: int, cell: str) -> int | None:
    if cell.strip() not in ("", "0", "1"):
        raise InputError(path, f"line {number} has outcome {cell[:20]!r}, which is not 0 or 1", "correct the table")
    return int(cell) if cell.strip() else None


def _known(table: Mapping[str, _T], name: str) -> _T | None:
    """The entry of a recording whose name may carry the prefix of the reference implementation."""
    return table.get(name, table.get(name.removeprefix("orgcoords_")))
