"""The charts of the page: the scale of the risk, its course over time, the instances. No script is needed to see them.

They stretch with the page: they are drawn in shares of their box, and their labels are HTML at the same shares, so that
text keeps its size at every width.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from infantjax.report.markup import clock, count, number, place, text

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000, 86400)


def scale(record: Mapping[str, Any]) -> str:
    """The risk, the threshold and the quartiles of the instances on a line from 0 to 1."""
    risk, threshold, certainty = record["risk"], record["threshold"], record["certainty"]
    q1, q3 = certainty["q1"], certainty["q3"]
    parts = ['<div class="track">']
    if threshold is not None:
        parts.append(f'<div class="side" style="left:{place(threshold)}"></div>')
    parts.append("</div>")
    if q1 is not None and q3 is not None:
        parts.append(f'<div class="half" style="left:{place(q1)};width:{place(max(q3 - q1, 0))}"></div>')
    if threshold is not None:
        parts.append(f'<div class="limit" style="left:{place(threshold)}"></div>')
        parts.append(
            f'<span class="label above{_edge(threshold)}" style="left:{place(threshold)}">'
            f"threshold {number(threshold)}</span>"
        )
    if risk is not None:
        parts.append(f'<div class="mark" style="left:{place(risk)}"></div>')
    for end, side, words in ((0, " start", "0 · no CP"), (1, " end", "CP · 1")):
        parts.append(f'<span class="label below{side}" style="left:{place(end)}">{words}</span>')
    spoken = f"Risk {number(risk)} on a line from 0 to 1, threshold {number(threshold)}, "
    spoken += f"middle half of the instances from {number(q1)} to {number(q3)}."
    return f'<div class="scale" role="img" aria-label="{text(spoken)}">{"".join(parts)}</div>'


def course(record: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Median and quartiles of every window over time, the threshold, and a strip of their certainty."""
    windows, length = record["windows"], record["window_length"]
    duration = max([record["duration"], *(w["start"] + length for w in windows)]) or 1.0
    x = [1000 * (w["start"] + length / 2) / duration for w in windows]
    half = 500 * length / duration
    runs = list(_runs(windows))
    band = "".join(_band(windows, x, run, half) for run in runs)
    median = "".join(_polyline([w["median"] for w in windows], x, run, half) for run in runs)
    grid = "".join(f'<line class="grid" x1="0" x2="1000" y1="{y}" y2="{y}"/>' for y in (0, 25, 50, 75, 100))
    colors = "".join(f'<span class="{c}"><i class="dot"></i>{text(w)}</span>' for c, w in words.items())
    labels = "".join(
        f'<span class="tick y" style="top:{100 * (1 - y):g}%" aria-hidden="true">{y:g}</span>'
        for y in (0, 0.25, 0.5, 0.75, 1)
    )
    limit = ""
    keys = (
        '<span><i class="key line"></i>median</span><span><i class="key area"></i>middle half of the instances</span>'
    )
    if (threshold := record["threshold"]) is not None:
        y = 100 * (1 - threshold)
        limit = f'<line class="limit-line" x1="0" x2="1000" y1="{y:.2f}" y2="{y:.2f}"/>'
        keys += f'<span><i class="key dashed"></i>threshold {number(threshold)}</span>'
    return (
        f'<figure class="course"><div class="legend">{keys}</div><div class="plot" id="plot"><div class="box">'
        f'<svg class="lines" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(_course_in_words(record))}">{grid}<path class="band" d="{band}"/>'
        f'<path class="median" d="{median}"/>{limit}</svg>{labels}</div>'
        f"{_strip(windows, x, half, words)}"
        f'<div class="ticks" aria-hidden="true">{_ticks(duration)}</div>'
        f'<div class="hover" id="hover" hidden></div><div class="cursor" id="cursor" hidden></div></div>'
        f'<div class="legend">{colors}</div><div class="readout" id="readout"></div>'
        f"{_windows_table(record, words)}</figure>"
    )


def line(record: Mapping[str, Any]) -> str:
    """Median and quartiles of every window of a finding over time, on the scale of its course."""
    course, length = record["course"], record["window_length"]
    (low, high), threshold = course["limits"], course["threshold"]
    duration = max([record["duration"], *(w["start"] + length for w in record["windows"])]) or 1.0
    keys = ("median", "q1", "q3")
    windows: list[dict[str, Any]] = [
        {k: None if w[k] is None else (w[k] - low) / (high - low) for k in keys} for w in record["windows"]
    ]
    x = [1000 * (w["start"] + length / 2) / duration for w in record["windows"]]
    half = 500 * length / duration
    runs = list(_runs(windows))
    band = "".join(_band(windows, x, run, half) for run in runs)
    median = "".join(_polyline([w["median"] for w in windows], x, run, half) for run in runs)
    shares = (0, 0.25, 0.5, 0.75, 1)
    grid = "".join(f'<line class="grid" x1="0" x2="1000" y1="{100 * y:g}" y2="{100 * y:g}"/>' for y in shares)
    labels = "".join(
        f'<span class="tick y" style="top:{100 * (1 - y):g}%" aria-hidden="true">{low + y * (high - low):.3g}</span>'
        for y in shares
    )
    limit, legend = "", '<span><i class="key line"></i>median</span><span><i class="key area"></i>middle half</span>'
    if threshold is not None:
        y = 100 * (1 - (threshold - low) / (high - low))
        limit = f'<line class="limit-line" x1="0" x2="1000" y1="{y:.2f}" y2="{y:.2f}"/>'
        legend += f'<span><i class="key dashed"></i>threshold {number(threshold)}</span>'
    known = [w["median"] for w in record["windows"] if w["median"] is not None]
    between = f", medians from {min(known):.2f} to {max(known):.2f}" if known else ""
    spoken = f"Over time: {course['words']}; {count(len(windows), 'window')}{between}."
    return (
        f'<figure class="course"><div class="legend"><span>{text(course["words"])}</span>{legend}</div>'
        f'<div class="plot" id="plot"><div class="box"><svg class="lines" viewBox="0 0 1000 100" '
        f'preserveAspectRatio="none" role="img" aria-label="{text(spoken)}">{grid}<path class="band" d="{band}"/>'
        f'<path class="median" d="{median}"/>{limit}</svg>{labels}</div>'
        f'<div class="ticks" aria-hidden="true">{_ticks(duration)}</div>'
        f'<div class="hover" id="hover" hidden></div><div class="cursor" id="cursor" hidden></div></div>'
        f'<div class="readout" id="readout"></div>{_windows_table(record)}</figure>'
    )


def instances(record: Mapping[str, Any]) -> str:
    """The risk of every instance as a dot, one row for each architecture."""
    models: dict[str, list[Mapping[str, Any]]] = {}
    for instance in record["instances"]:
        models.setdefault(instance["model"], []).append(instance)
    threshold = record["threshold"]
    limit = "" if threshold is None else f'<div class="limit" style="left:{place(threshold)}"></div>'
    rows = []
    for model, members in models.items():
        known = [m for m in members if m["risk"] is not None]
        dots = "".join(
            f"<i{' class=cp' if _predicts_cp(m['risk'], record) else ''} "
            f'style="left:{place(m["risk"])}" title="instance {m["instance"]}: {number(m["risk"])}"></i>'
            for m in known
        )
        middle = ""
        if known:
            median = float(np.median([m["risk"] for m in known]))
            middle = f'<div class="mid" style="left:{place(median)}"></div>'
        spoken = f"Risks of {model}: " + ", ".join(number(m["risk"]) for m in members)
        rows.append(
            f'<div class="model">{text(model)}<small>{count(len(members), "instance")}</small></div>'
            f'<div class="dots" role="img" aria-label="{text(spoken)}">{limit}{middle}{dots}</div>'
        )
    ticks = "".join(
        f'<span class="tick{" last" if y == 1 else ""}" style="left:{place(y)}">{y:g}</span>'
        for y in (0, 0.25, 0.5, 0.75, 1)
    )
    if threshold is not None:
        ticks += f'<span class="tick name" style="left:{place(threshold)}">threshold {number(threshold)}</span>'
    return f'<div class="rows">{"".join(rows)}<div></div><div class="axis" aria-hidden="true">{ticks}</div></div>'


def _predicts_cp(risk: float, record: Mapping[str, Any]) -> bool:
    """By the rule of the record: above the threshold in the paper, at or above it in the released program."""
    threshold = record["threshold"]
    if threshold is None:
        return False
    return risk > threshold if record["certainty"]["rule"] == "fraction" else risk >= threshold


def _edge(value: float) -> str:
    return " start" if value < 0.08 else " end" if value > 0.92 else ""


def _runs(windows: Sequence[Mapping[str, Any]]) -> Iterator[range]:
    """Stretches of windows whose figures are all known; a line is not drawn across the others."""
    start = None
    for index in range(len(windows) + 1):
        known = index < len(windows) and all(windows[index][key] is not None for key in ("median", "q1", "q3"))
        if known and start is None:
            start = index
        elif not known and start is not None:
            yield range(start, index)
            start = None


def _outline(values: Sequence[float], x: Sequence[float], run: range, half: float) -> list[tuple[float, float]]:
    """Points of a line through the middles of the windows; a window on its own spans its length."""
    if len(run) == 1:
        (i,) = run
        return [(x[i] - half, 100 * (1 - values[i])), (x[i] + half, 100 * (1 - values[i]))]
    return [(x[i], 100 * (1 - values[i])) for i in run]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in points)


def _polyline(values: Sequence[float], x: Sequence[float], run: range, half: float) -> str:
    return _path(_outline(values, x, run, half))


def _band(windows: Sequence[Mapping[str, Any]], x: Sequence[float], run: range, half: float) -> str:
    lower = _outline([w["q1"] for w in windows], x, run, half)
    upper = _outline([w["q3"] for w in windows], x, run, half)
    return _path([*upper, *reversed(lower)]) + "Z"


_LEVELS = {"red": (0, 10), "orange": (5, 5), "yellow": (10, 5), "green": (10, 10)}


def _strip(windows: Sequence[Mapping[str, Any]], x: Sequence[float], half: float, words: Mapping[str, str]) -> str:
    """Bars around a middle line: up for CP, down for no CP, long for certain, so that the color is not needed."""
    cells: list[list[Any]] = []
    for i, window in enumerate(windows):
        begin = (x[i - 1] + x[i]) / 2 if i else x[i] - half
        end = (x[i] + x[i + 1]) / 2 if i + 1 < len(windows) else x[i] + half
        if window["median"] is None:
            continue
        if cells and cells[-1][0] == window["color"] and cells[-1][2] == begin:
            cells[-1][2] = end
        else:
            cells.append([window["color"], begin, end])
    bars = "".join(
        f'<rect class="{c}" x="{a:.2f}" width="{b - a:.2f}" y="{_LEVELS[c][0]}" height="{_LEVELS[c][1]}"/>'
        for c, a, b in cells
    )
    colors = [w["color"] for w in windows]
    spoken = ", ".join(f"{words[c]} {colors.count(c)}" for c in words if c in colors)
    return (
        f'<div class="box"><svg class="strip" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" '
        f'aria-label="{text(f"Certainty of the windows: {spoken}")}">{bars}'
        '<line class="base" x1="0" x2="1000" y1="10" y2="10"/></svg>'
        '<span class="tick y" style="top:22%" aria-hidden="true">CP</span>'
        '<span class="tick y" style="top:78%" aria-hidden="true">no CP</span></div>'
    )


def _ticks(duration: float) -> str:
    step = next((s for s in _STEPS if duration / s <= 8), _STEPS[-1])
    marks = np.arange(0, duration * 0.985, step)
    return "".join(
        f'<span class="tick" style="left:{100 * mark / duration:.2f}%">{clock(float(mark))}</span>' for mark in marks
    )


def _course_in_words(record: Mapping[str, Any]) -> str:
    medians = [w["median"] for w in record["windows"] if w["median"] is not None]
    if not medians:
        return "Risk over time: no window has a risk."
    above = ""
    if record["threshold"] is not None:
        above = f"; {sum(_predicts_cp(m, record) for m in medians)} of them on the CP side of {record['threshold']:.2f}"
    return (
        f"Risk over time: {count(len(record['windows']), 'window')}, medians from {min(medians):.2f} to "
        f"{max(medians):.2f}{above}. The table below holds all figures."
    )


def _windows_table(record: Mapping[str, Any], words: Mapping[str, str] | None = None) -> str:
    """Every window with its figures, and with words for its certainty where it has one."""
    length, rows = record["window_length"], []
    for w in record["windows"]:
        figures = "".join(f'<td class="number">{number(w[key])}</td>' for key in ("median", "q1", "q3"))
        certainty = f"<td>{words[w['color']]}</td>" if words else ""
        rows.append(f"<tr><td>{clock(w['start'], 1)} to {clock(w['start'] + length, 1)}</td>{figures}{certainty}</tr>")
    head = "".join(
        f'<th scope="col" class="number">{title}</th>' for title in ("Median", "Lower quartile", "Upper quartile")
    )
    certainty = '<th scope="col">Certainty</th>' if words else ""
    return (
        f'<details><summary>All windows as a table</summary><div class="scroll" tabindex="0" role="region" '
        f'aria-label="All windows"><table><thead><tr><th scope="col">Window</th>{head}{certainty}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )
