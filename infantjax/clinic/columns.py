"""Columns of a cohort: characteristics of its infants, and what the records of their assessments hold."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from infantjax.errors import InputError
from infantjax.evaluation.tables import MAX_GROUPS, QUALITY
from infantjax.files import safe_stem
from infantjax.formats.outcomes import read_column, read_metadata

Kind = Literal["number", "category"]

MAX_CODES = 5
"""Numbers with at most so many different values are codes of a category, such as levels of GMFCS; our choice."""

TRACKING = ("usable", "missing")
"""Measures of tracking quality that are compared between recording factors: shares of the seconds and of the points."""


def to_column(name: str, entries: Sequence[str], kind: Kind | None = None) -> pd.Series:
    """A column from the cells of a table.

    Args:
        name: of the column.
        entries: `[infant]`, empty where missing; decimal commas are understood.
        kind: None decides: a number where every entry is one and there are more than `MAX_CODES` different ones.

    Returns:
        `[infant]` floats, NaN where missing, or categories in alphabetical order.

    Raises:
        ValueError: asked for numbers where an entry is none, or a category of more than `MAX_GROUPS` entries.
    """
    cells = pd.Series(entries, name=name, dtype=object)
    cells = cells.where(cells != "")
    numbers = _numbers(cells)
    wrong = cells[cells.notna() & numbers.isna()]
    if kind is None:
        kind = "number" if wrong.empty and numbers.nunique() > MAX_CODES else "category"
    if kind == "number":
        if not wrong.empty:
            raise ValueError(f'column "{name}" has the entry "{wrong.iloc[0][:40]}", which is not a number')
        return numbers
    if (different := cells.nunique()) > MAX_GROUPS:
        raise ValueError(f'column "{name}" has {different} different entries, at most {MAX_GROUPS} make groups')
    return cells.astype("category")


def entries_of(column: pd.Series) -> list[str] | None:
    """The different entries of a category, in alphabetical order; None of numbers."""
    return column.cat.categories.tolist() if isinstance(column.dtype, pd.CategoricalDtype) else None


def _numbers(cells: pd.Series) -> pd.Series:
    """The finite numbers of a column of texts, else NaN."""
    numbers = pd.to_numeric(cells.astype(object).map(str).str.replace(",", "."), errors="coerce")
    return numbers.astype(float).replace([np.inf, -np.inf], np.nan)


def read_infant_column(path: str | Path, asked: str, recordings: Mapping[str, Sequence[str]]) -> pd.Series:
    """A column of a table of outcomes, for infants.

    Args:
        path: the table.
        asked: name of the column, perhaps with `:number` or `:category` behind it, or with named groups of its entries,
            `gmfcs=I,II,III:IV,V`; an entry of no group is missing.
        recordings: infant -> ids of its recordings, in the order of the result.

    Raises:
        InputError: as `read_column` and `to_column`, or recordings of one infant have different entries, or an entry is
            in two groups.
    """
    asked, _, grouped = asked.partition("=")
    name, _, suffix = asked.rpartition(":")
    name, kind = (name, suffix) if name and suffix in get_args(Kind) else (asked, None)
    cells = read_column(path, name)
    if grouped:
        groups = _groups(f"{name}={grouped}", grouped)
        cells, kind = {id: groups.get(cell.strip(), "") for id, cell in cells.items()}, "category"
    entries = []
    for infant, ids in recordings.items():
        found = {cells[key] for id in ids for key in (id, id.removeprefix("orgcoords_")) if key in cells}
        if len(found) > 1:
            what = f'gives infant "{infant[:60]}" different entries in column "{name}"'
            raise InputError(path, what, "give each infant one entry, or leave all but one recording out")
        entries.append(found.pop() if found else "")
    try:
        return to_column(name, entries, kind)  # type: ignore[arg-type]
    except ValueError as error:
        raise InputError(path, str(error), "correct the entries, or sort them into classes") from error


def _groups(where: str, text: str) -> dict[str, str]:
    """Entry -> name of its group, from `I,II,III:IV,V`."""
    pairs = [(entry.strip(), group.replace(",", ", ")) for group in text.split(":") for entry in group.split(",")]
    if len(dict(pairs)) < len(pairs) or "" in dict(pairs):
        raise InputError(where, "names an entry twice, or an empty one", "write groups as I,II,III:IV,V")
    return dict(pairs)


def read_measures(risks: str | Path, recordings: Mapping[str, Sequence[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Numbers of infants from the records `ID.json` and the table `quality.csv` beside a table of risks.

    Args:
        risks: the table of risks.
        recordings: infant -> ids of its recordings, in the order of the result.

    Returns:
        `[infant, keypoint]` contributions to the risk and `[infant, measure]` tracking quality, means over the
        recordings that have them, NaN where missing; without columns where no file is there.

    Raises:
        InputError: `quality.csv` cannot be read.
    """
    folder = Path(risks).parent
    infants = pd.Series({id: infant for infant, ids in recordings.items() for id in ids})
    records = {id: _read_record(folder / f"{safe_stem(id)}.json") for id in infants.index}
    table = read_metadata(folder / QUALITY) if (folder / QUALITY).exists() else {}
    contributions = {id: found for id, (found, _) in records.items()}
    tracking = {
        id: found or {n: v for n, v in table.get(id, {}).items() if n in TRACKING} for id, (_, found) in records.items()
    }
    return _means(contributions, infants), _means(tracking, infants)


def _means(found: Mapping[str, Mapping[str, Any]], infants: pd.Series) -> pd.DataFrame:
    """`[infant, measure]` means over recordings."""
    rows = pd.DataFrame(list(found.values()), infants.index).apply(_numbers)
    return rows.groupby(infants, sort=False).mean().dropna(axis="columns", how="all")


def _read_record(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Contributions and tracking quality of a record; empty where there is none, or another file."""
    try:
        record = json.loads(path.read_text("utf-8"))
        quality = (record["quality"] or {}).get("summary", {})
        return dict(record["contributions"] or {}), {name: quality[name] for name in TRACKING if name in quality}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, {}
