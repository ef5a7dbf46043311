"""Moments of the recordings that an ensemble was trained on, and the distance of a recording from them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from infantjax.recording.recording import Recording


@dataclass(frozen=True)
class Moments:
    """Mean, spread and count of features that depend on neither keypoint set nor scale.

    Attributes:
        mean: by feature.
        spread: standard deviation, by feature.
        count: number of recordings, by feature.
    """

    mean: Mapping[str, float]
    spread: Mapping[str, float]
    count: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types."""
        return {"mean": dict(self.mean), "spread": dict(self.spread), "count": dict(self.count)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Moments":
        """Create from `to_dict`.

        Raises:
            ValueError: fields are missing, or a value is no number.
        """
        try:
            mean = {str(k): float(v) for k, v in values["mean"].items()}
            spread = {k: float(values["spread"][k]) for k in mean}
            count = {k: int(values["count"][k]) for k in mean}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"moments need mean, spread and count by feature: {error}") from None
        if not all(map(math.isfinite, (*mean.values(), *spread.values()))):
            raise ValueError("moments must be finite numbers")
        return cls(mean, spread, count)


def features(recording: Recording) -> dict[str, float]:
    """Features of a recording for `moments`; only those that are defined."""
    if not recording.frames or recording.missing.all():
        return {}
    return {"missing": float(recording.missing.mean())}


def moments(recordings: Iterable[Recording]) -> Moments:
    """Moments of the features of recordings; the order of the recordings does not matter beyond rounding."""
    rows: dict[str, list[float]] = {}
    for recording in recordings:
        for name, value in features(recording).items():
            rows.setdefault(name, []).append(value)
    return Moments(
        {name: float(np.mean(values)) for name, values in rows.items()},
        {name: float(np.std(values)) for name, values in rows.items()},
        {name: len(values) for name, values in rows.items()},
    )


def distance(recording: Recording, reference: Moments) -> dict[str, float]:
    """By feature: how many spreads the recording lies from the mean of the training recordings, with sign."""
    return {
        name: (value - reference.mean[name]) / max(reference.spread[name], 1e-9)
        for name, value in features(recording).items()
        if name in reference.mean
    }
