r"""The record as one HTML page that works offline: no request, no third-party script, no time stamp.

The template escapes every value (Jinja2, autoescape); the page's script reads its data from a JSON block in which `<`
is written `\u003c`. The content security policy allows exactly one script, by its digest, so that nothing in a name or
in metadata runs.
"""

import base64
import hashlib
import html
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from infantjax.report import body, charts, text
from infantjax.report.film import Film
from infantjax.report.glance import Glance
from infantjax.report.record import plain
from infantjax.report.table import Row

DescribeVisits = Callable[[Mapping[str, Any], Sequence[Glance], Glance], list[str]]
"""Sentences on the record of a visit, the earlier visits, and this one."""


def no_words(record: Mapping[str, Any], earlier: Sequence[Glance], now: Glance) -> list[str]:
    """Say nothing of the visits."""
    return []


def to_html(
    record: Mapping[str, Any],
    movement: np.ndarray,
    movement_fps: float,
    earlier: Sequence[Glance] = (),
    film: Film | None = None,
    describe_visits: DescribeVisits = no_words,
) -> str:
    """A self-contained page of an assessment by any method; equal arguments give equal bytes.

    The page works in browsers of 2023 and later, from a file, in light and dark, on paper, by keyboard and without its
    script (which adds the animation and reads the chart). A movement of more than `body.MAX_FRAMES` frames is
    thinned.

    Args:
        record: `Assessment.to_dict()`.
        movement: `[time, joint, 2]` positions for the animation, y upwards; NaN is missing.
        movement_fps: frames per second of the movement.
        earlier: earlier visits of the infant, in order; see `Glance.earlier`.
        film: the video that the record was made from; see `infantjax.report.film.film_of`.
        describe_visits: sentences below the chart of the visits.

    Raises:
        ValueError: the movement does not fit the skeleton of the record.
    """
    record, script = text.printable(dict(record)), _file("page.js")
    now = Glance.of(Row.of("", record), record)
    pose = body.Pose.of(record, movement, movement_fps)
    duration, series = charts.duration_of(record), record["time_series"]
    data = {
        "duration": duration,
        "length": series["length"] if series else 0,
        "movement": pose.packed(),
        "windows": series["windows"] if series else [],
        "labels": text.LEVELS,
    }
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            r=record,
            head=record["headline"],
            series=series,
            graded=record["certainty"] is not None,
            pose=pose,
            duration=duration,
            rows=_keypoints(record, pose),
            limbs=_limbs(record["limbs"]),
            visits=_visits(record, earlier, now),
            course_notes=describe_visits(record, earlier, now),
            networks=_networks(record) if series else [],
            data=_script_json(data),
            film=film,
            **frame(not record["validated"], script, film.source if film else ""),
        )
    )


def index_html(glances: Sequence[Glance]) -> str:
    """A page with one line for each recording of a summary, linked to its own page and sorted by any column."""
    lines = [_line(glance) for glance in glances]
    texts = [line["row"][name] for name in ("statement", "calibration") for line in lines]
    shown = frame(not all(glance.validated or not glance.row.statement for glance in glances), _file("index.js"))
    statements = list(dict.fromkeys(filter(None, texts)))
    return environment().get_template("index.html.j2").render(lines=lines, statements=statements, **shown)


def _line(glance: Glance) -> dict[str, Any]:
    """The content of a line of the index, or of a visit in the course of an infant."""
    row = glance.row
    content = text.printable(plain(vars(row) | {"outcome": row.outcome}))
    visit = text.printable(plain(glance.visit))
    return {
        "row": content,
        "link": quote(row.page),
        "curve": glance.curve,
        "usable": glance.usable,
        "visit": visit,
    }


def framed(page: str) -> str:
    """A page as a frame within another document, for notebooks."""
    attributes = 'sandbox="allow-scripts" title="infantjax assessment" style="width:100%;height:80vh;border:0"'
    return f'<iframe {attributes} srcdoc="{html.escape(page, quote=True)}"></iframe>'


@cache
def environment() -> Environment:
    """The templates of all pages."""
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name) for name in ("line", "number", "percent", "place", "clock", "sentence", "spaced")
    } | {"color": charts.color}
    environment.globals |= {
        "charts": charts,
        "count": text.count,
        "outcome": text.outcome,
        "words": text,
        "width": body.WIDTH,
    }
    environment.tests |= {"digest": text.is_digest, "finite": _is_finite, "numbers": _are_numbers}
    return environment


def _is_finite(point: np.ndarray) -> bool:
    return bool(np.isfinite(point).all())


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


@cache
def _file(name: str) -> str:
    return resources.files("infantjax.report").joinpath(name).read_text("utf-8")


def frame(caveat: bool, script: str = "", film: str = "") -> dict[str, Any]:
    """Variables of `base.html.j2`: whether the caveat is shown, the one script that may run, and its video."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    allowed = f"script-src 'sha256-{digest}'; " if script else ""
    media = "media-src data:; " if film.startswith("data:") else "media-src 'self'; " if film else ""
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; {allowed}{media}img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    return {
        "caveat": caveat,
        "policy": Markup(policy),
        "style": Markup(_file("page.css")),
        "script": Markup(script),
    }


def _script_json(value: Any) -> Markup:
    r"""A value as JSON within a script element: compact, `<` as `\u003c`, so that no text can end the element."""
    return Markup(json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _keypoints(record: Mapping[str, Any], pose: body.Pose) -> list[dict[str, Any]]:
    """The rows of the table of keypoints, the largest contribution first."""
    values, missing, approximated = record["contributions"] or {}, record["missing"], record["approximated"]
    names = list(dict.fromkeys([*pose.joints, *values, *missing, *approximated]))
    rows = [
        {"name": n, "value": values.get(n), "missing": missing.get(n), "approximated": approximated.get(n)}
        for n in names
    ]
    return sorted(rows, key=lambda row: -(row["value"] or 0.0))


def _visits(record: Mapping[str, Any], earlier: Sequence[Glance], now: Glance) -> list[dict[str, Any]]:
    """The earlier visits and this one, each with its place on the scale; empty without earlier ones."""
    if not earlier or record["headline"] is None:
        return []
    lines = [_line(glance) for glance in (*earlier, now)]
    for line in lines:
        places = (
            charts.fraction_of(line["row"][key], record["headline"]["limits"]) for key in ("value", "low", "high")
        )
        line["at"], line["low"], line["high"] = places
    return lines


def _limbs(limbs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the table of movement: right, left, and the smaller as a fraction of the larger."""
    rows = []
    for limb, words in text.MOVEMENT.items():
        by_side = {each["side"]: each for each in limbs if each["limb"] == limb}
        for name, label in words.items():
            right, left = (by_side.get(side, {}).get(name) for side in ("right", "left"))
            symmetry = None
            if right is not None and left is not None and max(right, left) > 0:
                symmetry = min(right, left) / max(right, left)
            if right is not None or left is not None:
                digits = 0 if name == "range" else 2
                rows.append({"label": label, "right": right, "left": left, "symmetry": symmetry, "digits": digits})
    return rows


def _networks(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values by the networks, grouped by architecture: where each lies on the scale."""
    limits = record["headline"]["limits"]
    models: dict[str, list[dict[str, Any]]] = {}
    for member in record["members"]:
        models.setdefault(member["model"], []).append(member)
    groups = []
    for model, members in models.items():
        known = [member for member in members if member["value"] is not None]
        dots = [
            {
                "at": charts.fraction_of(member["value"], limits),
                "index": member["index"],
                "value": member["value"],
            }
            for member in known
        ]
        median = float(np.median([member["value"] for member in known])) if known else None
        groups.append({"model": model, "members": members, "dots": dots, "median": charts.fraction_of(median, limits)})
    return groups
