"""Positions and paths of the charts of the page.

The charts stretch with the page: they are drawn in fractions of their box, and their labels are HTML at the same
fractions, so that text keeps its size at every width. No library draws them: Plotly and Altair need scripts of their
own, which the page does not allow, and charts of Matplotlib do not stretch with the page.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of a scale at which it has a line and a label."""

MAX_COLUMNS, LEVELS = 150, 20
"""Most columns of a heatmap, and how many shades it has: more is not seen and makes the page large."""

SPARK = 40
"""Most points of a line in an index."""

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400)
_LEVELS = {"red": (0, 10), "orange": (5, 5), "yellow": (10, 5), "green": (10, 10)}


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


CIVIDIS = ("#00224e", "#123570", "#3c4a6c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c2b369", "#e1cc55", "#fee838")
"""The sequential color map cividis at ten equal steps, from 0 to 1. It reads the same with every color vision.

Source: Nunez, Anderton and Renslow 2018.
"""


def color(fraction: float) -> str:
    """The color of a fraction 0..1, between the two nearest of `CIVIDIS`."""
    at = min(max(fraction, 0.0), 1.0) * (len(CIVIDIS) - 1)
    low = min(int(at), len(CIVIDIS) - 2)
    ends = ([int(end[i : i + 2], 16) for i in (1, 3, 5)] for end in CIVIDIS[low : low + 2])
    return "#" + "".join(f"{round(a + (at - low) * (b - a)):02x}" for a, b in zip(*ends))


def heat_cells(record: Mapping[str, Any], joints: Sequence[str]) -> list[tuple[str, str]]:
    """(color, SVG path) of the contributions of joints in every window, in a box of 1000 by one for each joint.

    Windows of long recordings are averaged to at most `MAX_COLUMNS`; cells of one color are one path.
    """
    values = np.array([record["window_contributions"][joint] for joint in joints], np.float64)
    step = max(1, -(-values.shape[1] // MAX_COLUMNS))
    edges = _edges(record)
    paths: dict[str, list[str]] = {}
    for start in range(0, values.shape[1], step):
        columns = values[:, start : start + step]
        known = np.isfinite(columns[0])
        if not known.any():
            continue
        left, right = edges[start], edges[min(start + step, values.shape[1])]
        for row, value in enumerate(columns[:, known].mean(axis=1).tolist()):
            path = f"M{left:.1f} {row}h{right - left:.1f}v1h{left - right:.1f}z"
            paths.setdefault(color(round(value * LEVELS) / LEVELS), []).append(path)
    return [(tone, "".join(cells)) for tone, cells in sorted(paths.items())]


def cohort_path(counts: Sequence[float], most: float, up: bool) -> str:
    """SVG path of the infants in equal parts of the risks, in a box of 1000 by 100 whose base is its middle."""
    width, sign = 1000 / len(counts), -1 if up else 1
    bars = (
        f"M{i * width + 4:.1f} 50v{sign * 46 * count / most:.2f}h{width - 8:.1f}V50z"
        for i, count in enumerate(counts)
        if count
    )
    return "".join(bars)


def median_path(record: Mapping[str, Any]) -> str:
    """SVG path of the medians of the windows, in a box of 1000 by 100."""
    return "".join(_path(run[:, [0, 2]]) for run in _points(record))


def sparkline(record: Mapping[str, Any]) -> str:
    """SVG path of the medians in brief, at most `SPARK` points, in a box of 1000 by 100; empty without any."""
    runs = list(_points(record)) if record["time_series"] else []
    if not runs:
        return ""
    points = np.concatenate(runs)[:, [0, 2]]
    step = max(1, -(-len(points) // SPARK))
    return _path([points[start : start + step].mean(axis=0) for start in range(0, len(points), step)])


def band_path(record: Mapping[str, Any]) -> str:
    """SVG path of the area between the quartiles of the windows, in a box of 1000 by 100."""
    return "".join(_path([*run[:, [0, 3]], *run[::-1, :2]]) + "Z" for run in _points(record))


def certainty_bars(record: Mapping[str, Any]) -> list[tuple[str, float, float, int, int]]:
    """The bars of the strip of certainty: level, x, width, y and height, in a box of 1000 by 20.

    They stand up for the second class, and are long where the decision is certain; equal neighbors are one bar.
    """
    windows, edges = record["time_series"]["windows"], _edges(record)
    bars = []
    levels = enumerate(None if w["median"] is None else w["certainty"] for w in windows)
    for level, run in groupby(levels, key=lambda pair: pair[1]):
        members = [i for i, _ in run]
        if level is not None:
            begin, end = edges[members[0]], edges[members[-1] + 1]
            bars.append((level, begin, end - begin, *_LEVELS[level]))
    return bars


def left_out(record: Mapping[str, Any]) -> list[list[int]]:
    """(start, end) in seconds of the stretches whose keypoints are not usable."""
    return _runs(np.logical_not(record["quality"]["usable"]))


def _runs(known: ArrayLike) -> list[list[int]]:
    """The first of each stretch of true values, and the one behind its last."""
    return np.flatnonzero(np.diff(np.r_[False, known, False])).reshape(-1, 2).tolist()


def _middles(record: Mapping[str, Any]) -> tuple[list[float], float]:
    """Middle of each window, and half the length of a window, in thousandths of the time axis."""
    series, duration = record["time_series"], duration_of(record)
    half = 500 * series["length"] / duration
    return [1000 * w["start"] / duration + half for w in series["windows"]], half


def _edges(record: Mapping[str, Any]) -> list[float]:
    """Where the window of each middle begins and the last ends, in thousandths of the time axis."""
    x, half = _middles(record)
    return [x[0] - half, *((a + b) / 2 for a, b in pairwise(x)), x[-1] + half] if x else []


def _points(record: Mapping[str, Any]) -> Iterator[np.ndarray]:
    """`[window, 4]`: x, q1, median, q3 of each stretch of windows that are known; no line is drawn across the others.

    A window on its own spans its length.
    """
    windows, (low, high) = record["time_series"]["windows"], record["time_series"]["limits"]
    x, half = _middles(record)
    values = np.array([[w["q1"], w["median"], w["q3"]] for w in windows], np.float64).reshape(-1, 3)
    points = np.column_stack([x, 100 * (1 - (values - low) / (high - low))])
    for start, end in _runs(np.isfinite(values).all(axis=1)):
        alone = points[[start, start]] + np.outer((-half, half), (1, 0, 0, 0))
        yield points[start:end] if end > start + 1 else alone


def _path(points: Iterable[Sequence[float] | np.ndarray]) -> str:
    return "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in points)
