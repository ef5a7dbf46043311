"""Positions and paths of the charts of the page.

The charts stretch with the page: they are drawn in fractions of their box, and their labels are HTML at the same
fractions, so that text keeps its size at every width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of a scale at which it has a line and a label."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400)
_LEVELS = {"red": (0, 10), "orange": (5, 5), "yellow": (10, 5), "green": (10, 10)}

Window = Mapping[str, Any]
Point = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """A bar of the strip of certainty, in a box of 1000 by 20: up for the second class, long for certain."""

    level: str
    x: float
    width: float
    y: float
    height: float


def fraction_of(value: float | None, limits: Sequence[float]) -> float | None:
    """Where a value lies on a scale, as a fraction; None for an unknown value."""
    low, high = limits
    return None if value is None else (value - low) / (high - low)


def ticks(limits: Sequence[float]) -> list[tuple[float, str]]:
    """(fraction, label) of the lines of a scale."""
    low, high = limits
    return [(share, f"{low + share * (high - low):.3g}") for share in GRID]


def duration_of(record: Mapping[str, Any]) -> float:
    """Seconds of the time axis: the recording, or its windows where they reach further."""
    series = record["time_series"] or {"windows": ()}
    return max([record["duration"], *(w["start"] + series["length"] for w in series["windows"])]) or 1.0


def time_ticks(duration: float) -> list[float]:
    """Seconds at which the time axis has a label, at most eight."""
    step = next((s for s in _STEPS if duration / s <= 8), _STEPS[-1])
    return np.arange(0, duration * 0.985, step).tolist()


def median_path(record: Mapping[str, Any]) -> str:
    """SVG path of the medians of the windows, in a box of 1000 by 100."""
    points = _points(record)
    return "".join(_path([(x, mid) for x, _, mid, _ in run]) for run in points)


def band_path(record: Mapping[str, Any]) -> str:
    """SVG path of the area between the quartiles of the windows, in a box of 1000 by 100."""
    parts = []
    for run in _points(record):
        upper, lower = [(x, q3) for x, _, _, q3 in run], [(x, q1) for x, q1, _, _ in run]
        parts.append(_path([*upper, *reversed(lower)]) + "Z")
    return "".join(parts)


def certainty_bars(record: Mapping[str, Any]) -> list[Bar]:
    """The bars of the strip of certainty; equal neighbors are one bar."""
    windows = record["time_series"]["windows"]
    x, half = _middles(record)
    edges = [x[0] - half, *((a + b) / 2 for a, b in pairwise(x)), x[-1] + half] if x else []
    bars = []
    levels = enumerate(None if w["median"] is None else w["certainty"] for w in windows)
    for level, run in groupby(levels, key=lambda pair: pair[1]):
        members = [i for i, _ in run]
        if level is not None:
            begin, end = edges[members[0]], edges[members[-1] + 1]
            bars.append(Bar(level, begin, end - begin, *_LEVELS[level]))
    return bars


def left_out(record: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(start, end) in seconds of the stretches whose keypoints are not usable."""
    usable = enumerate(record["quality"]["usable"])
    runs = ((kept, [second for second, _ in run]) for kept, run in groupby(usable, key=lambda pair: pair[1]))
    return [(seconds[0], seconds[-1] + 1) for kept, seconds in runs if not kept]


def _middles(record: Mapping[str, Any]) -> tuple[list[float], float]:
    """Middle of each window, and half the length of a window, in thousandths of the time axis."""
    series, duration = record["time_series"], duration_of(record)
    half = 500 * series["length"] / duration
    return [1000 * w["start"] / duration + half for w in series["windows"]], half


def _points(record: Mapping[str, Any]) -> Iterator[list[tuple[float, float, float, float]]]:
    """(x, q1, median, q3) of each stretch of windows that are known; a line is not drawn across the others.

    A window on its own spans its length.
    """
    series = record["time_series"]
    x, half = _middles(record)
    keys = ("q1", "median", "q3")
    known = enumerate(all(w[key] is not None for key in keys) for w in series["windows"])
    for is_known, run in groupby(known, key=lambda pair: pair[1]):
        if not is_known:
            continue
        stretch = []
        for i, _ in run:
            window = series["windows"][i]
            low, middle, high = (100 * (1 - (fraction_of(window[key], series["limits"]) or 0.0)) for key in keys)
            stretch.append((x[i], low, middle, high))
        if len(stretch) == 1:
            ((middle_x, *values),) = stretch
            stretch = [(middle_x - half, *values), (middle_x + half, *values)]  # type: ignore[list-item]
        yield stretch


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in points)
