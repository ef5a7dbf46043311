"""The summary over recordings as CSV: one line for each, also if it failed; the same columns for all methods."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_type_hints

from infantjax.errors import InputError
from infantjax.files import csv_text, without_guard
from infantjax.report import text
from infantjax.report.record import LABELS, plain

if TYPE_CHECKING:
    from pandas import DataFrame

_PARTS = {
    "method": ("method", "name"),
    "value_name": ("headline", "name"),
    "value": ("headline", "value"),
    "low": ("headline", "low"),
    "high": ("headline", "high"),
    "unit": ("headline", "unit"),
    "certainty": ("certainty", "level"),
    "calibrated_risk": ("calibration", "risk"),
    "prevalence": ("calibration", "prevalence"),
    "conformal_set": ("calibration", "conformal_set"),
    "conformal_error": ("calibration", "error"),
    "calibration": ("calibration", "statement"),
}
"""Column -> the part of a record and its field that the column shows."""
_DIRECT = ("name", "assessable", "threshold", "decision", "agreement", "statement")
"""Fields of a record that are columns of the same name."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One input of a batch. The fields are the columns of the summary, in order; a value that is not known is None.

    Attributes:
        file: the input as the user named it.
        name: name of the recording.
        status: `error` without a result, `not assessable` where too little of the recording is usable, `warning` for a
            result with a message, else `ok`.
        id: of the recording, unique in a summary: the name of its file without ending, with a number where it is taken.
        page: file name of its page; empty without a result.
        assessable: False where too little of the recording is usable; the value is then empty unless it was forced.
        method: registry name of the method.
        value_name: name of the headline value (`risk`, `score`, ...).
        value: the headline value.
        low: lower end of its interval.
        high: upper end of its interval.
        unit: of the value; empty for a fraction.
        threshold: decision threshold.
        decision: in words; empty where the method decides nothing.
        certainty: level of certainty; empty where the method has none.
        agreement: fraction of the networks whose own decision equals that of the ensemble.
        calibrated_risk: the risk as a probability; empty without a calibration map.
        prevalence: at which the calibrated risk holds.
        conformal_set: `above`, `below` or `cannot tell`.
        conformal_error: chance that the conformal set misses the true outcome.
        duration_seconds: length of the recording.
        noise: error of the keypoints from frame to frame, trunk lengths; empty where it was not measured.
        message: why there is no result, or what to know about it; empty if all went well.
        calibration: what is known of the risk as a probability; empty where there is no risk.
        statement: the caveat to print with every value.
    """

    file: str
    name: str = ""
    status: Literal["ok", "warning", "error", "not assessable"] = "error"
    id: str = ""
    page: str = ""
    assessable: bool | None = None
    method: str = ""
    value_name: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    threshold: float | None = None
    decision: str = ""
    certainty: str = ""
    agreement: float | None = None
    calibrated_risk: float | None = None
    prevalence: float | None = None
    conformal_set: str = ""
    conformal_error: float | None = None
    duration_seconds: float | None = None
    noise: float | None = None
    message: str = ""
    calibration: str = ""
    statement: str = ""

    @classmethod
    def of(cls, file: str, record: Mapping[str, Any], message: str = "", *, id: str = "", page: str = "") -> Self:
        """The row of a recording that was assessed, or that is not assessable.

        Args:
            file: the input as the user named it.
            record: see `infantjax.report.record`. Its warnings belong to the message.
            message: what else to know about the result.
            id: of the recording; its name if empty.
            page: file name of its page.
        """
        found = {column: (record[part] or {}).get(name) for column, (part, name) in _PARTS.items()}
        found |= {name: record[name] for name in _DIRECT}
        reasons = () if record["forced"] else record["reasons"]
        message = "; ".join(filter(None, [*reasons, *record["warnings"], message]))
        return cls(
            file=file,
            status="not assessable" if reasons else "warning" if message else "ok",
            id=id or record["name"],
            page=page,
            duration_seconds=record["duration"],
            noise=((record.get("quality") or {}).get("summary") or {}).get("noise"),
            message=message,
            **{name: value for name, value in found.items() if value is not None},
        )

    def __str__(self) -> str:
        """The result in a few words, for a terminal."""
        if self.status in ("error", "not assessable"):
            return f"{self.status}: {self.message}"
        value = "-" if self.value is None else f"{self.value:.3f}"
        words = [f"{self.value_name} {value} {self.unit}".strip(), self.outcome]
        if self.calibrated_risk is not None:
            words.append(f"calibrated {self.calibrated_risk:.3f}")
        return "  ".join(filter(None, [*words, f"({self.message})" if self.message else ""]))

    @property
    def outcome(self) -> str:
        """The result in plain words; empty where there is none."""
        return text.outcome(self.value, self.threshold, self.certainty, self.decision)


COLUMNS = tuple(field.name for field in fields(Row))
"""The columns of the summary, in order."""


def summary_csv(rows: Iterable[Row]) -> str:
    r"""The summary as CSV text: a header, then one line for each row in the order given; lines end in `\n`.

    Line breaks and other white space within a text become single spaces. A text that a spreadsheet would take for a
    formula gets a leading apostrophe.
    """
    return csv_text(COLUMNS, (list(map(_cell, astuple(row))) for row in rows))


def summary_frame(rows: Iterable[Row]) -> "DataFrame":
    """The summary as a `DataFrame` with the ids of the recordings as index; numbers that are not known are NaN.

    `summary_csv` does without pandas: to import it would take a tenth of the time of an assessment.
    """
    from pandas import DataFrame

    kinds = {name: "float64" for name, kind in get_type_hints(Row).items() if kind == float | None}
    return DataFrame(list(rows), columns=list(COLUMNS)).astype(kinds).set_index("id")


def read_summary(path: Path) -> list[Row]:
    """The rows of a summary that `summary_csv` made; none if there is no such file.

    Raises:
        InputError: it is another table, or cannot be read.
    """
    kinds = get_type_hints(Row)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = csv.DictReader(stream, strict=True)
            rows = [Row(**{column: _value(kinds[column], cell) for column, cell in line.items()}) for line in lines]
        if unknown := {row.certainty for row in rows} - {"", *LABELS}:
            raise ValueError(f"unknown certainty {unknown}")
        return rows
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error):
        raise InputError(path, "is no summary that this version wrote", "use --overwrite or another folder") from None


def merge(rows: Sequence[Row], row: Row) -> list[Row]:
    """The rows of a summary with a new one in the place of the same recording's, or at the end.

    A recording that failed now and has earlier results keeps their row; its error is a row of its own.
    """
    failed = row.status == "error"
    replaced = {i for i, old in enumerate(rows) if old.id == row.id and (old.status == "error" or not failed)}
    at = min(replaced, default=len(rows))
    return [*rows[:at], row, *(old for i, old in enumerate(rows) if i > at and i not in replaced)]


def _value(kind: Any, cell: str) -> Any:
    """A cell of a summary as the type of its column."""
    if kind == float | None:
        return float(cell) if cell else None
    if kind == bool | None:
        return {"true": True, "false": False, "": None}[cell]
    return without_guard(cell)


def _cell(value: str | float | None) -> str | float | None:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    return " ".join("".join(c if c.isprintable() else " " for c in plain(value)).split())
