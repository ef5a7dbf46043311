"""Text tables with one row a recording: outcomes, metadata, annotated seconds.

A table is separated by `;`, `,` or tab and has a header row. The id is text (`007` stays `007`) and names a keypoint
file: its name without ending and without `orgcoords_`. A table of outcomes has columns for the id and for the outcome
(1: cerebral palsy or the abnormal class, 0: not; or a score), optionally `group` (recordings of one group are never in
training and test at once), and any others, which become metadata.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from infantjax.errors import InputError, Problems
from infantjax.files import MAX_FRAMES, without_guard
from infantjax.formats import text
from infantjax.formats.checks import check_readable, kind_of
from infantjax.recording.cohort import ScoreRange, describe_outcomes, is_outcome

_ID_COLUMNS = ("id", "individual", "infant", "recording", "subject", "name")
_OUTCOME_COLUMNS = ("outcome", "score", "label", "cp")
_WRITE_OUTCOMES = "write the outcomes as id;outcome, one row an infant"


class OutcomeRow(NamedTuple):
    """One row of a table of outcomes.

    Attributes:
        outcome: 0 or 1, or a score.
        group: the group; the id if the row has none, so that an infant is never split.
        metadata: the other columns, without empty cells.
    """

    outcome: float
    group: str
    metadata: dict[str, str]


def read_outcome_table(path: Path, problems: Problems, score_range: ScoreRange | None = None) -> dict[str, OutcomeRow]:
    """Read a table of outcomes by id, in the order of the file; problems of its rows are added to `problems`.

    Raises:
        InputError: it is no text table, has no header, or lacks the columns for id and outcome.
    """
    path, header, lines = _open_table(path, _WRITE_OUTCOMES)
    names = [name.lower() for name in header]
    if len(names) < 2:
        raise InputError(path, "needs two columns, id and outcome", "separate them with ; or ,")
    outcome_column = next((i for i, name in enumerate(names) if name in _OUTCOME_COLUMNS), 1)
    id_column = next((i for i, name in enumerate(names) if name in _ID_COLUMNS and i != outcome_column), 0)
    if id_column == outcome_column:
        raise InputError(path, "needs two columns, id and outcome", "put the id first")
    if score_range is None and names[outcome_column] in ("0", "1"):
        raise InputError(path, "has no header row", "let the first row be id;outcome")
    group_column = names.index("group") if "group" in names else None
    rows: dict[str, OutcomeRow] = {}
    for line, cells in lines:
        name, where = cells[id_column], f"line {line} ({cells[id_column][:60]})"
        outcome = _parse_outcome(cells[outcome_column], score_range)
        if not name:
            problems.errors.append((f"line {line}", "has no id"))
        elif outcome is None:
            kind = "outcome" if score_range is None else "score"
            what = f'has {kind} "{cells[outcome_column][:20]}", which is not {describe_outcomes(score_range)}'
            problems.errors.append((where, what))
        elif name in rows and rows[name].outcome != outcome:
            problems.errors.append((where, "contradicts an earlier line of the same infant"))
        elif name in rows:
            problems.warnings.append((where, "repeats an earlier line"))
        else:
            named = enumerate(zip(header, cells))
            others = {h: c for i, (h, c) in named if h and c and i not in (id_column, outcome_column)}
            group = cells[group_column] if group_column is not None else ""
            rows[name] = OutcomeRow(outcome, group or name, others)
    if not rows and not problems.errors:
        raise InputError(path, "names no infant", _WRITE_OUTCOMES)
    return rows


def read_outcomes(path: str | Path, score_range: ScoreRange | None = None) -> dict[str, float]:
    """Read the outcome of each recording of a table, by id: 0 or 1, or within the range of scores if there is one.

    Raises:
        InputError: the table cannot be read, names no infant, or contradicts itself.
    """
    return {name: row.outcome for name, row in _valid_rows(path, score_range).items()}


def read_column(path: str | Path, column: str, score_range: ScoreRange | None = None) -> dict[str, str]:
    """Read another column of a table of outcomes, by id, without empty cells; `score_range` as `read_outcomes`.

    Raises:
        InputError: as `read_outcomes`, or the column is missing or empty; the message lists the columns.
    """
    rows = _valid_rows(path, score_range)
    found = {name: row.metadata[column] for name, row in rows.items() if column in row.metadata}
    if not found:
        known = sorted({name for row in rows.values() for name in row.metadata})
        listed = f"those with entries are {', '.join(known[:20])}" if known else "there are none beside id and outcome"
        raise InputError(path, f'has no entries in a column "{column}"', listed)
    return found


def read_infant_ids(path: str | Path, score_range: ScoreRange | None = None) -> dict[str, str]:
    """Read the group of each recording of a table of outcomes, by id; the id itself where there is none.

    `score_range` as `read_outcomes`.

    Raises:
        InputError: as `read_outcomes`.
    """
    return {name: row.group for name, row in _valid_rows(path, score_range).items()}


def read_metadata(path: str | Path) -> dict[str, dict[str, str]]:
    """Read all columns of a table but the id, by id, without empty cells.

    Args:
        path: any table with an id; a table of outcomes will do.

    Raises:
        InputError: the table cannot be read or has no rows, or an id is missing or occurs twice.
    """
    remedy = "write id and the other columns, one row a recording"
    path, header, lines = _open_table(path, remedy)
    id_column = next((i for i, name in enumerate(header) if name.lower() in _ID_COLUMNS), 0)
    found: dict[str, dict[str, str]] = {}
    for line, cells in lines:
        name = cells[id_column] if cells else ""
        if not name or name in found:
            raise InputError(path, f"line {line} {'repeats an id' if name else 'has no id'}", remedy)
        found[name] = {h.lower(): c for i, (h, c) in enumerate(zip(header, cells)) if h and c and i != id_column}
    if not found:
        raise InputError(path, "has no rows", remedy)
    return found


def find_metadata(path: str | Path, table: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The row of a table of `read_metadata` for a keypoint file; empty if there is none."""
    return next((table[name] for name in ids_of_file(Path(path)) if name in table), {})


def read_seconds(path: str | Path) -> dict[str, dict[int, int]]:
    """Read annotated seconds, a table `id;second;fidgety`: for each id and second 1 for fidgety movements, else 0.

    Raises:
        InputError: the table cannot be read, has no rows, or a row is invalid.
    """
    remedy = "write id;second;fidgety, one row a second, as `infantjax simulate` does"
    path, header, lines = _open_table(path, remedy)
    names = [name.lower() for name in header]
    if not {"id", "second", "fidgety"} <= set(names):
        raise InputError(path, "needs columns id, second and fidgety", remedy)
    seconds: dict[str, dict[int, int]] = defaultdict(dict)
    for line, cells in lines:
        row = dict(zip(names, cells))
        second, fidgety = row["second"], row["fidgety"]
        if not (row["id"] and second.isdecimal() and fidgety in ("0", "1")):
            raise InputError(path, f'line {line} has second "{second[:20]}" and fidgety "{fidgety[:20]}"', remedy)
        seconds[row["id"]][int(second)] = int(fidgety)
    if not seconds:
        raise InputError(path, "has no rows", remedy)
    return dict(seconds)


def ids_of_file(path: Path) -> Iterator[str]:
    """Ids that the name of a keypoint file may stand for, the most literal first."""
    stem = path.name if os.path.isdir(path) else path.stem
    yield stem
    if stem.startswith("orgcoords_"):
        yield stem.removeprefix("orgcoords_")
    # DeepLabCut appends the name of its network to that of the video.
    if (plain := re.sub(r"DLC_.*$", "", stem)) != stem:
        yield plain


def _valid_rows(path: str | Path, score_range: ScoreRange | None) -> dict[str, OutcomeRow]:
    problems = Problems()
    rows = read_outcome_table(Path(path), problems, score_range)
    if problems.errors:
        raise problems.to_error(path, _WRITE_OUTCOMES)
    return rows


def _open_table(path: str | Path, remedy: str) -> tuple[Path, list[str], Iterator[tuple[int, list[str]]]]:
    """Path, column names, and (line number, one stripped cell a column) of each row of a text table."""
    path = check_readable(path)
    if kind_of(path) != "text":
        raise InputError(path, "is not a text table", remedy)
    lines = text.rows(path, text.dialect_of(path))
    header = text.header_of(path, next((cells for _, cells in lines), []))

    def rows() -> Iterator[tuple[int, list[str]]]:
        for count, (line, cells) in enumerate(lines):
            if count >= MAX_FRAMES:
                raise InputError(path, f"has more than {MAX_FRAMES} rows", "is it the right table?")
            yield line, [without_guard(cell.strip()) for cell in cells] + [""] * (len(header) - len(cells))

    return path, header, rows()


def _parse_outcome(cell: str, score_range: ScoreRange | None) -> float | None:
    """An outcome or a score, or None if the cell is not an allowed one."""
    if score_range is None:
        return int(cell) if cell in ("0", "1") else None
    try:
        value = float(cell.replace(",", ".") if "." not in cell else cell)
    except ValueError:
        return None
    return value if is_outcome(value, score_range) else None
