"""A recording as the index and the course of an infant show it, read from the records of a folder."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from infantjax.report import charts
from infantjax.report.table import Row

INFANT = ("infant", "subject", "patient", "group")
"""Names of metadata that say which infant a recording is of; the first that is there counts."""

VISIT = ("age_days", "age_weeks", "age_months", "age", "date", "visit")
"""Names of metadata by which the visits of an infant are ordered; the first that is there counts."""

_DAYS = 365.25 / 12
_PER_MONTH = {"age_days": _DAYS, "age_weeks": _DAYS / 7, "age_months": 1.0}


@dataclass(frozen=True)
class Glance:
    """A recording of a folder in brief.

    Attributes:
        row: its row of the summary.
        curve: SVG path of its windows, see `charts.sparkline`.
        usable: fraction of its seconds whose keypoints are usable; None where it was not measured.
        validated: False where the weights were never validated on infants.
        infant: which infant it is of; empty if the metadata do not say.
        visit: name and value of the metadata that order the visits; empty without.
        ensemble: digest of the ensemble.
    """

    row: Row
    curve: str = ""
    usable: float | None = None
    validated: bool = False
    infant: str = ""
    visit: tuple[str, str] = ("", "")
    ensemble: str = ""

    @classmethod
    def of(cls, row: Row, record: Mapping[str, Any]) -> Self:
        """From a record, see `infantjax.report.record`."""
        quality, metadata = record["quality"], {str(key).lower(): str(v) for key, v in record["metadata"].items()}
        usable = quality["usable"] if quality else []
        visit = next(((name, metadata[name]) for name in VISIT if name in metadata), ("", ""))
        return cls(
            row,
            charts.sparkline(record),
            sum(usable) / len(usable) if usable else None,
            record["validated"] is True,
            next((metadata[name] for name in INFANT if name in metadata), ""),
            visit,
            str(record["provenance"].get("ensemble", "")),
        )

    @classmethod
    def read(cls, row: Row, folder: Path) -> Self:
        """From the record beside the page of a row; the row alone where that cannot be read."""
        try:
            return cls.of(row, json.loads((folder / row.page).with_suffix(".json").read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(row)

    def earlier(self, others: Iterable["Glance"]) -> list["Glance"]:
        """The visits of this infant before this one, in order: same method, and ordered by the same metadata.

        Numbers are ordered by size and other values as texts, such as dates 2030-01-31. Without such metadata all other
        recordings of the infant count as earlier.
        """
        if not self.infant:
            return []
        found = [other for other in others if other._course == self._course and other.row.id != self.row.id]
        if self.visit[0]:
            found = [other for other in found if other._order < self._order]
        return sorted(found, key=lambda other: other._order)

    @property
    def _course(self) -> tuple[str, str, str]:
        """Infant, method, and name of the metadata that order the visits: the same for all visits of a course."""
        return self.infant, self.row.method, self.visit[0]

    @property
    def months(self) -> float | None:
        """Age, or time since a fixed day, in months; None where the unit is not known, as of `age` and `visit`."""
        name, value = self.visit
        try:
            if name == "date":
                return date.fromisoformat(value).toordinal() / _DAYS
            return float(value) / _PER_MONTH[name]
        except (ValueError, KeyError):
            return None

    @property
    def _order(self) -> tuple[float, str]:
        try:
            return float(self.visit[1]), ""
        except ValueError:
            return float("inf"), self.visit[1]
