"""Sections of the page of a study (`page.study_html`), with a chart or a table.

`infantjax.report.training` makes those of cross-validations and trainings, `infantjax.search.report` those of searches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Kind = Literal["line", "faint", "points", "steps", "reference"]
"""How a series is drawn: a line, one of many thin lines, points, steps, or a dashed line to compare with."""

Values = Sequence[float] | np.ndarray

COLORS = ("accent", "second", "third")
"""Classes of the colors of the named series of a chart, in order."""

MAX_POINTS = 400
"""Most points of a series; longer ones are thinned."""


@dataclass(frozen=True)
class Series:
    """A line or points of a chart.

    Attributes:
        name: for the legend; empty leaves it out.
        x: of each point.
        y: of each point; what is not finite breaks the line.
        kind: how it is drawn.
        low: lower end of the band, or of the interval of each point; empty without.
        high: upper end.
    """

    name: str
    x: Values
    y: Values
    kind: Kind = "line"
    low: Values = ()
    high: Values = ()


@dataclass(frozen=True)
class Chart:
    """Series over one pair of axes.

    Attributes:
        label: what is seen, for those who cannot see it.
        x_label: with its unit.
        y_label: with its unit.
        series: drawn in order.
        limits: of both axes; None takes those of the series.
        square: both axes have one scale.
    """

    label: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    limits: tuple[float, float] | None = None
    square: bool = False

    def drawn(self) -> dict[str, Any]:
        """Paths in a box of 1000 by 1000, and ticks as (fraction, label)."""
        x_limits = self.limits or _limits([np.asarray(s.x) for s in self.series])
        bands = [np.asarray(v) for s in self.series for v in (s.y, s.low, s.high)]
        y_limits = self.limits or _limits(bands)
        named = [s for s in self.series if s.name and s.kind != "reference"]
        colors = {id(s): COLORS[i % len(COLORS)] for i, s in enumerate(named)}
        return {
            "series": [_drawn(s, x_limits, y_limits, colors.get(id(s), COLORS[0])) for s in self.series],
            "x_ticks": _ticks(x_limits, 1.0 if all(np.equal(np.mod(s.x, 1), 0).all() for s in named) else 0.0),
            "y_ticks": _ticks(y_limits),
        }


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        explanations: paragraphs beside it.
        chart: None without.
        head: of the table; empty without.
        rows: of the table; numbers stand on the right, None is a dash.
    """

    title: str
    explanations: Sequence[str] = ()
    chart: Chart | None = None
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str | float | None]] = ()


def _limits(values: Sequence[np.ndarray]) -> tuple[float, float]:
    whole = np.concatenate([np.asarray(v, np.float64).ravel() for v in values])
    whole = whole[np.isfinite(whole)]
    if not len(whole):
        return 0.0, 1.0
    low, high = float(whole.min()), float(whole.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(limits: tuple[float, float], least: float = 0.0) -> list[tuple[float, str]]:
    """(fraction, label) of at most six round values within the limits, `least` apart or more."""
    low, high = limits
    raw = max((high - low) / 5, least)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]
    return [((value - low) / (high - low), f"{value + 0.0:.6g}") for value in values]


def _drawn(series: Series, x_limits: tuple[float, float], y_limits: tuple[float, float], color: str) -> dict[str, Any]:
    step = max(1, -(-len(series.x) // MAX_POINTS)) if series.kind != "points" else 1
    x = 1000 * (np.asarray(series.x, np.float64)[::step] - x_limits[0]) / (x_limits[1] - x_limits[0])
    y, low, high = (
        1000 * (1 - (np.asarray(v, np.float64)[::step] - y_limits[0]) / (y_limits[1] - y_limits[0]))
        for v in (series.y, series.low, series.high)
    )
    drawn: dict[str, Any] = {"name": series.name, "kind": series.kind, "color": color}
    drawn |= {"path": "", "band": "", "points": []}
    known = np.isfinite(x) & np.isfinite(y)
    if series.kind == "points":
        reach = len(low) == len(x)
        drawn["points"] = [
            (x[i] / 1000, y[i] / 1000, (low[i] / 1000, high[i] / 1000) if reach else None)
            for i in np.flatnonzero(known)
        ]
        return drawn
    parts, pen = [], "M"
    for i, is_known in enumerate(known):
        if not is_known:
            pen = "M"
            continue
        across = f"H{x[i]:.1f}" if series.kind == "steps" and pen == "L" else ""
        parts.append(f"{across}{pen}{x[i]:.1f} {y[i]:.1f}")
        pen = "L"
    drawn["path"] = "".join(parts)
    if len(low) == len(x):
        whole = np.flatnonzero(np.isfinite(low) & np.isfinite(high) & np.isfinite(x))
        edge = [*((x[i], high[i]) for i in whole), *((x[i], low[i]) for i in whole[::-1])]
        drawn["band"] = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in edge) + "Z" if edge else ""
    return drawn
