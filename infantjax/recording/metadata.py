"""`Metadata`: what is known of the infant of a recording beside the keypoints."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, eq=False)
class Metadata(Mapping[str, Any]):
    """Facts about the infant of a recording: the columns that methods and reports read, and the user's own.

    It is also a mapping of all columns by name, without those that are None, and equals any mapping of the same
    content. The mapping keeps a value as it was given (the text `012` of a table); a field has its type.

    Attributes:
        age: at the recording, weeks.
        corrected_age: age corrected for preterm birth, weeks.
        gestational_age: at birth, weeks.
        birth_weight: grams.
        sex: for example `female`.
        cohort: for example `term` or `preterm`.
        infant: the infant, where several recordings are of one.
        group: recordings of one group stay together when data are split.
        center: the hospital or site.
        columns: all other columns, JSON-compatible, and the given form of a field where that differs.
    """

    age: float | None = None
    corrected_age: float | None = None
    gestational_age: float | None = None
    birth_weight: float | None = None
    sex: str | None = None
    cohort: str | None = None
    infant: str | None = None
    group: str | None = None
    center: str | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, to_type in _TYPES.items():
            if (value := getattr(self, name)) is not None and to_type(value) is None:
                raise ValueError(f"{name} must be a finite number, got {value!r}")
        kept = {
            name: value
            for name, value in self.columns.items()
            if name not in _TYPES or _TYPES[name](value) == getattr(self, name)
        }
        object.__setattr__(self, "columns", kept)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Metadata":
        """Take columns by name, for example a row of a table; a field whose value has no such type stays None."""
        if isinstance(values, Metadata):
            return values
        typed = {name: to_type(values[name]) for name, to_type in _TYPES.items() if name in values}
        return cls(**typed, columns=dict(values))

    def with_columns(self, values: Mapping[str, Any]) -> "Metadata":
        """Return a copy with these columns added or replaced."""
        return Metadata.from_mapping({**self, **values})

    def __getitem__(self, name: str) -> Any:
        if name in self.columns:
            return self.columns[name]
        if name not in _TYPES or getattr(self, name) is None:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        yield from self.columns
        yield from (name for name in _TYPES if name not in self.columns and getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value).strip() or None


_NUMBERS = ("age", "corrected_age", "gestational_age", "birth_weight")
_TYPES: dict[str, Callable[[Any], Any]] = {
    entry.name: _number if entry.name in _NUMBERS else _text for entry in fields(Metadata) if entry.name != "columns"
}
