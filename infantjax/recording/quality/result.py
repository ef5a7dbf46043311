"""Result of the measures of tracking quality for one recording."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Measure:
    """One measure of tracking quality over time.

    Attributes:
        name: short name, for example `exchanged_sides`.
        label: in words, with unit.
        values: `[second]`, NaN where undefined.
        limit: a second whose value is above it fails; NaN if the measure only informs.
    """

    name: str
    label: str
    values: np.ndarray
    limit: float

    @property
    def failed(self) -> np.ndarray:
        """`[second]` bool: the value is above the limit."""
        return np.nan_to_num(self.values, nan=-np.inf) > self.limit


@dataclass(frozen=True)
class Fault:
    """Something that was found: what, where, when.

    Attributes:
        kind: name of the measure.
        text: one plain sentence for readers.
        start: seconds.
        end: seconds.
        joints: the joints concerned.
    """

    kind: str
    text: str
    start: float
    end: float
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Quality:
    """Tracking quality of one recording.

    Attributes:
        measures: over time.
        usable: `[second]` bool; the last second may be partial.
        faults: what was found, by time.
        summary: per recording, JSON numbers (shares 0..1, hertz, trunk lengths).
        assessable: enough of the recording is usable.
        reasons: why it is not assessable, in words; empty if it is.
        doubts: why an answer about an assessable recording cannot be certain, in words; empty if it can. A decision
            keeps its side of the threshold, but its level is at most yellow or orange.
    """

    measures: tuple[Measure, ...]
    usable: np.ndarray
    faults: tuple[Fault, ...]
    summary: Mapping[str, float]
    assessable: bool
    reasons: tuple[str, ...]
    doubts: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types; what is not a number becomes None."""
        return {
            "assessable": self.assessable,
            "reasons": list(self.reasons),
            "doubts": list(self.doubts),
            "summary": {key: _number(value) for key, value in self.summary.items()},
            "usable": self.usable.tolist(),
            "measures": [
                asdict(m) | {"values": [_number(value) for value in m.values.tolist()], "limit": _number(m.limit)}
                for m in self.measures
            ],
            "faults": [asdict(fault) | {"joints": list(fault.joints)} for fault in self.faults],
        }


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
