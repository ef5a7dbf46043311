"""Columns of a cohort: characteristics of its infants, and what the records of their assessments hold."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.tables import MAX_GROUPS, QUALITY
from infantjax.files import safe_stem
from infantjax.formats.outcomes import read_column, read_metadata

Kind = Literal["number", "category"]

MAX_CODES = 5
"""Numbers with at most so many different values are codes of a category, such as levels of GMFCS; our choice."""

TRACKING = ("usable", "missing")
"""Measures of tracking quality that are compared between recording factors: shares of the seconds and of the points."""


class Column(NamedTuple):
    """One entry for each infant.

    Attributes:
        name: in the header.
        kind: `number` or `category`.
        values: `[infant]` float, NaN where missing; of a category texts, empty where missing.
    """

    name: str
    kind: Kind
    values: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """`[infant]` bool: the infant has an entry."""
        return np.isfinite(self.values) if self.kind == "number" else self.values != ""

    @property
    def entries(self) -> list[str]:
        """The different entries of a category, in alphabetical order."""
        return sorted(set(self.values[self.known].tolist()))


def to_column(name: str, entries: Sequence[str], kind: Kind | None = None) -> Column:
    """A column from the cells of a table.

    Args:
        name: of the column.
        entries: `[infant]`, empty where missing; decimal commas are understood.
        kind: None decides: a number where every entry is one and there are more than `MAX_CODES` different ones.

    Raises:
        ValueError: asked for numbers where an entry is none, or a category of more than `MAX_GROUPS` entries.
    """
    numbers = [_number(entry) for entry in entries]
    wrong = next((entry for entry, number in zip(entries, numbers) if entry and not math.isfinite(number)), None)
    if kind is None:
        kind = "number" if wrong is None and len({n for n in numbers if n == n}) > MAX_CODES else "category"
    if kind == "number":
        if wrong is not None:
            raise ValueError(f'column "{name}" has the entry "{wrong[:40]}", which is not a number')
        return Column(name, kind, np.array(numbers, np.float64))
    if (different := len(set(entries) - {""})) > MAX_GROUPS:
        raise ValueError(f'column "{name}" has {different} different entries, at most {MAX_GROUPS} make groups')
    return Column(name, kind, np.array(entries, object))


def read_infant_column(path: str | Path, asked: str, recordings: Mapping[str, Sequence[str]]) -> Column:
    """A column of a table of outcomes, for infants.

    Args:
        path: the table.
        asked: name of the column, perhaps with `:number` or `:category` behind it.
        recordings: infant -> ids of its recordings, in the order of the result.

    Raises:
        InputError: as `read_column` and `to_column`, or recordings of one infant have different entries.
    """
    name, _, suffix = asked.rpartition(":")
    name, kind = (name, suffix) if name and suffix in get_args(Kind) else (asked, None)
    cells = read_column(path, name)
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


class Measures(NamedTuple):
    """Numbers of infants from the records of `assess`, or the `quality.csv` of `crossval`; means over recordings.

    Attributes:
        contributions: keypoint -> `[infant]` contribution to the risk, NaN where missing; empty without records.
        tracking: measure of tracking quality -> `[infant]`, NaN where missing; empty without.
    """

    contributions: dict[str, np.ndarray]
    tracking: dict[str, np.ndarray]


def read_measures(risks: str | Path, recordings: Mapping[str, Sequence[str]]) -> Measures:
    """Read the records `ID.json` and the table `quality.csv` beside a table of risks, where they are there.

    Args:
        risks: the table of risks.
        recordings: infant -> ids of its recordings, in the order of the result.

    Raises:
        InputError: `quality.csv` cannot be read.
    """
    folder = Path(risks).parent
    ids = [id for of_one in recordings.values() for id in of_one]
    records = {id: _read_record(folder / f"{safe_stem(id)}.json") for id in ids}
    contributions = {id: record["contributions"] for id, record in records.items()}
    table = read_metadata(folder / QUALITY) if (folder / QUALITY).exists() else {}
    tracking = {id: record["tracking"] or _numbers(table.get(id, {}), TRACKING) for id, record in records.items()}
    return Measures(_means(contributions, recordings), _means(tracking, recordings))


def _means(found: Mapping[str, Mapping[str, float]], recordings: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Measure -> `[infant]` mean over the recordings that have it."""
    names = dict.fromkeys(name for measures in found.values() for name in measures)
    rows = {
        name: [[found[id][name] for id in ids if name in found[id]] for ids in recordings.values()] for name in names
    }
    return {n: np.array([sum(v) / len(v) if v else math.nan for v in values]) for n, values in rows.items()}


def _read_record(path: Path) -> dict[str, dict[str, float]]:
    """Contributions and tracking quality of a record; empty where there is none, or another file."""
    try:
        record = json.loads(path.read_text("utf-8"))
        quality, contributions = record["quality"] or {}, record["contributions"] or {}
        return {
            "contributions": _numbers(contributions, contributions),
            "tracking": _numbers(quality.get("summary", {}), TRACKING),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {"contributions": {}, "tracking": {}}


def _numbers(values: Mapping[str, Any], names: Sequence[str] | Mapping[str, Any]) -> dict[str, float]:
    found = {name: _number(str(values[name])) for name in names if name in values}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _number(entry: str) -> float:
    """A finite number, else NaN."""
    try:
        value = float(entry.replace(",", ".")) if "_" not in entry else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
