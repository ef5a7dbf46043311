"""Risks or scores, and outcomes, from the tables that `assess` and `crossval` write, as data frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from infantjax.errors import InputError
from infantjax.files import without_guard
from infantjax.formats import checks, text
from infantjax.formats.outcomes import read_column, read_infant_ids, read_outcomes
from infantjax.recording.cohort import ANY_SCORE, ScoreRange

if TYPE_CHECKING:
    import pandas as pd

MAX_GROUPS = 20
"""Most different entries of a column that makes subgroups."""

QUALITY = "quality.csv"
"""Name of the table of the quality of a cohort's recordings."""
_REMEDY = "give the summary.csv of assess or a table with id and risk"
_NAMES = ("id", "name", "file")
_T = TypeVar("_T")


class ColumnNames(NamedTuple):
    """Names of the columns of a table of risks; None for the usual ones.

    Attributes:
        id: of the infants. Without such a column each line is an infant of its own, if `risk` is given.
        risk: of the risks, 0..1.
        outcome: of the outcomes, 0 or 1, or measured scores.
        score: of predicted scores; given, the table holds scores.
    """

    id: str | None = None
    risk: str | None = None
    outcome: str | None = None
    score: str | None = None


USUAL = ColumnNames()
"""The columns that the commands write."""


def read_cells(path: str | Path, remedy: str, *, pad: bool = False) -> "pd.DataFrame":
    """Read a text table: a row a line, with its number as index and the column names in lower case; all cells are text.

    Args:
        path: the table.
        remedy: for messages, where it is none.
        pad: whether a row may be shorter than the header: its last cells are then empty.

    Raises:
        InputError: it is no text table, a column occurs twice, or a row has another length than the header.
    """
    import pandas as pd

    path = checks.check_readable(path)
    if path.is_dir() or checks.kind_of(path) != "text":
        raise InputError(path, "is not a text table", remedy)
    lines = text.rows(path, text.dialect_of(path))
    header = [name.lower() for name in text.header_of(path, next((cells for _, cells in lines), []))]
    if len(set(header)) < len(header):
        raise InputError(path, "has a column twice, in capital and small letters", "remove one of them")
    rows = {}
    for number, cells in lines:
        padded = cells + [""] * (len(header) - len(cells)) if pad else cells
        rows[number] = [without_guard(cell.strip()) for cell in text.check_width(path, number, padded, len(header))]
    return pd.DataFrame(list(rows.values()), pd.Index(rows, dtype=int), header, dtype=object)


def holds_scores(path: str | Path, columns: ColumnNames = USUAL) -> bool:
    """Whether a table holds scores: their column is named, or those of `assess` or the outcomes of `crossval` say so.

    Raises:
        InputError: it is no text table.
    """
    table = read_cells(path, _REMEDY)
    if columns.risk or columns.score:
        return columns.score is not None
    if "value_name" in table:
        return bool((table["value_name"] == "score").any())
    return {"runs", "outcome"} <= set(table) and not table["outcome"].isin(("", "0", "1")).all()


def read_scores(
    path: str | Path, outcomes: str | Path | None = None, columns: ColumnNames = USUAL
) -> "tuple[pd.DataFrame, list[str]]":
    """As `read_risks` with the column `score` in place of `risk`, and outcomes that are measured scores."""
    return _read(path, outcomes, columns._replace(risk=columns.score), "score")


def read_risks(
    path: str | Path, outcomes: str | Path | None = None, columns: ColumnNames = USUAL
) -> "tuple[pd.DataFrame, list[str]]":
    """Read a table of risks, and the outcomes from it or from another table.

    Args:
        path: table with a column `id`, `name` or `file`, a column `risk`, and perhaps `outcome`; or the summary of
            `assess` or the `out_of_fold.csv` of `crossval`, whose risks are in the column `value`. Rows without a risk
            (recordings that failed) are problems.
        outcomes: table of outcomes as in a cohort; None takes the column of the first table.
        columns: other names of these columns, in any case.

    Returns:
        Columns `id`, `risk` (0..1) and `outcome` (0 or 1) in the order of the table, and the rows that were left out,
        one line each.

    Raises:
        InputError: a column is missing, a risk is not a number in 0..1, two files of a summary have one id, or no row
            can be used.
    """
    return _read(path, outcomes, columns, "risk")


def _read(
    path: str | Path, outcomes: str | Path | None, columns: ColumnNames, kind: Literal["risk", "score"]
) -> "tuple[pd.DataFrame, list[str]]":
    import pandas as pd

    table = read_cells(path, _REMEDY)
    used = _find_columns(Path(path), list(table), columns, outcomes is None, kind)
    names = table[used.id] if used.id else pd.Series([f"line {number}" for number in table.index], table.index)
    given = table[used.risk] != ""
    if {"file", "value_name"} <= set(table) and (
        twice := given & names[given].duplicated().reindex(table.index, fill_value=False)
    ).any():
        # Two files: of two infants, or two recordings of one. Only the user knows.
        name = names[twice].iloc[0]
        first, second = names.index[given & (names == name)][:2]
        what = f'lines {first} and {second} are both named "{name[:60]}"'
        raise InputError(path, what, "give each file an id of its own")
    if "value_name" in table:
        for number, cell in table["value_name"][~table["value_name"].isin(("", kind))].items():
            raise InputError(path, f"line {number} has a {cell[:20]}, not a {kind}", f"give a table of {kind}s")
    values = pd.to_numeric(table[used.risk].str.replace(",", ".", n=1).where(given), errors="coerce")
    for number, cell in table[used.risk][given & values.isna()].items():
        what = f'line {number}, column {kind}: "{cell[:40]}" is not a number'
        raise InputError(path, what, "leave the cell empty if missing")
    for number, risk in values[(values < 0) | (values > 1)].items() if kind == "risk" else ():
        raise InputError(path, f"line {number} has risk {risk:g}, must be within 0..1", "correct the table")
    if outcomes is None:
        cells, numbers = table[used.outcome], table[used.outcome].str.replace(",", ".", n=1)
        labels = cells.map({"0": 0, "1": 1}) if kind == "risk" else pd.to_numeric(numbers, errors="coerce")
        for number, cell in cells[labels.isna() & (cells != "")].items():
            allowed = "0 or 1" if kind == "risk" else "a number"
            what = f"line {number} has outcome {cell[:20]!r}, which is not {allowed}"
            raise InputError(path, what, "correct the table")
    else:
        known = read_outcomes(outcomes, ANY_SCORE if kind == "score" else None)
        labels = names.map(lambda name: _known(known, name))
    rows = pd.DataFrame({"id": names, kind: values, "outcome": labels})
    problems = [
        f"line {row.Index} ({row.id[:60]}): has no {'outcome' if row[2] == row[2] else kind}"
        for row in rows[rows.isna().any(axis=1)].itertuples()
    ]
    rows = rows.dropna().astype({"outcome": int if kind == "risk" else float}).reset_index(drop=True)
    if rows.empty:
        raise InputError(
            path, f"holds no infant with a {kind} and an outcome", "check that the ids of both tables agree"
        )
    return rows, problems


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
    for file in (Path(path), Path(path).with_name(QUALITY)):
        if not file.exists():
            continue
        table = read_cells(file, "give the summary.csv of assess")
        name = next((name for name in ((columns.id or "").lower(), *_NAMES) if name in table), None)
        reasons = next((name for name in ("reasons", "message") if name in table), None)
        if name is not None and "assessable" in table:
            for _, row in table[table["assessable"] == "false"].iterrows():
                found.setdefault(row[name], row[reasons] if reasons else "")
    return found


def _find_columns(path: Path, header: Sequence[str], asked: ColumnNames, with_outcome: bool, kind: str) -> ColumnNames:
    """The columns of a table, each by the name that was asked for or by a usual one."""
    for name in filter(None, asked):
        if name.lower() not in header:
            raise InputError(path, f'has no column "{name[:40]}"', f"it has {', '.join(header)[:200]}")
    names, risk, outcome, _ = (name.lower() if name else None for name in asked)
    names = names or next((name for name in _NAMES if name in header), None)
    usual = "value" if {"value_name", "runs"} & set(header) else kind
    if (names is None and risk is None) or (risk or usual) not in header:
        what = f"needs a column id and a column {kind}"
        raise InputError(path, what, f"give the summary.csv of assess, or name them by --{kind}-column")
    if with_outcome and (outcome or "outcome") not in header:
        raise InputError(path, "has no column outcome", "give the table of outcomes too, or --outcome-column")
    return ColumnNames(names, risk or usual, outcome or "outcome")


def read_infants(path: str | Path | None, rows: "pd.DataFrame") -> list[str] | None:
    """The infant of each recording, by the column `group` of a table of outcomes; None if each has its own.

    Args:
        path: table of outcomes; an infant that it does not name is identified by its id.
        rows: of `read_risks`, or of `read_scores`.

    Raises:
        InputError: as `read_outcomes`, or recordings of an infant differ in their outcomes that are no scores.
    """
    scored = "score" in rows
    known = {} if path is None else read_infant_ids(path, ANY_SCORE if scored else None)
    infants = [_known(known, name) or name for name in rows["id"]]
    outcomes = rows["outcome"].groupby(infants).nunique()
    if not scored and (outcomes > 1).any():
        what = f'gives recordings of infant "{outcomes.idxmax()[:60]}" different outcomes'
        raise InputError(path or "the table of risks", what, "correct the table")
    return infants if len(outcomes) < len(infants) else None


def mean_per_infant(rows: "pd.DataFrame", path: str | Path | None) -> "pd.DataFrame":
    """One row for each infant, by the infant's name: the mean risk of its recordings.

    Args:
        rows: of `read_risks`.
        path: as `read_infants`.

    Raises:
        InputError: as `read_infants`.
    """
    infants = read_infants(path, rows)
    if infants is None:
        return rows
    grouped = rows.assign(id=infants).groupby("id", sort=False, as_index=False)
    return grouped.agg({"risk": "mean", "outcome": "first"})


def read_subgroups(
    path: str | Path, column: str, names: Sequence[str], score_range: ScoreRange | None = None
) -> list[str]:
    """The subgroup of each infant, by a column of the table of outcomes; `not given` where the table has no entry.

    Args:
        path: table of outcomes, or one of risks that has them.
        column: its name in the header.
        names: ids.
        score_range: of outcomes that are scores.

    Raises:
        InputError: as `read_column`, or the column has more than `MAX_GROUPS` different entries.
    """
    known = read_column(path, column, score_range)
    if (different := len(set(known.values()))) > MAX_GROUPS:
        what = f'has {different} different entries in column "{column}", at most {MAX_GROUPS} make subgroups'
        raise InputError(path, what, "sort them into classes")
    return [_known(known, name) or "not given" for name in names]


def pair_risks(first: "pd.DataFrame", second: "pd.DataFrame", path: str | Path) -> "tuple[pd.DataFrame, list[str]]":
    """Match two methods by the ids of their infants.

    Args:
        first: of one method.
        second: of the other.
        path: the second's table, for messages.

    Returns:
        Columns `id`, `risk`, `outcome` and `risk_other` of the infants that both have, in the order of the first, and
        what was left out, one line each.

    Raises:
        InputError: no infant in common, an infant with several risks, or one whose outcomes differ.
    """
    if first["id"].duplicated().any() or second["id"].duplicated().any():
        raise InputError(path, "cannot be paired: some infants have several risks", "give one risk an infant")
    both = first.merge(second, on="id", suffixes=("", "_other"))
    if both.empty:
        raise InputError(path, "holds no infant of the first table", "check that the ids of both tables agree")
    if (both["outcome"] != both.pop("outcome_other")).any():
        raise InputError(path, "and the first table differ in the outcomes of infants", "correct one of them")
    alone = len(first) + len(second) - 2 * len(both)
    return both, [f"{alone} infants are in one of the two tables only; the comparison leaves them out"] * bool(alone)


def _known(table: Mapping[str, _T], name: str) -> _T | None:
    """The entry of a recording whose name may carry the prefix of the reference implementation."""
    return table.get(name, table.get(name.removeprefix("orgcoords_")))
