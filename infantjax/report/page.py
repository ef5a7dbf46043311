r"""The record as one HTML page that works offline: no request, no third-party script, no time stamp.

The template escapes every value (Jinja2, autoescape) and shows control characters as U+FFFD; the page's script reads
its data from a JSON block in which `<` is written `\u003c`. The content security policy allows exactly one script, by
its digest, so that nothing in a name or in metadata runs.
"""

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from infantjax.report import body, charts, text
from infantjax.report.film import Film
from infantjax.report.glance import Glance
from infantjax.report.study import Section
from infantjax.report.table import Row

_UNSHOWN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of surrogate pairs, which UTF-8 cannot hold."""


def to_html(
    record: Mapping[str, Any],
    movement: np.ndarray,
    movement_fps: float,
    earlier: Sequence[Glance] = (),
    film: Film | None = None,
    visit_notes: Sequence[str] = (),
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
        visit_notes: sentences below the chart of the visits.

    Raises:
        ValueError: the movement does not fit the skeleton of the record.
    """
    script, values = _file("page.js"), record["contributions"] or {}
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
    names = dict.fromkeys([*pose.joints, *values, *record["missing"], *record["approximated"]])
    return _render(
        "page.html.j2",
        not record["validated"],
        script,
        film.source if film else "",
        r=record,
        head=record["headline"],
        series=series,
        graded=record["certainty"] is not None,
        pose=pose,
        duration=duration,
        values=values,
        keypoints=sorted(names, key=lambda name: -(values.get(name) or 0.0)),
        limbs=_limbs(record["limbs"]),
        visits=[*earlier, now] if earlier and record["headline"] else [],
        course_notes=visit_notes,
        networks=_networks(record["members"]) if series else [],
        data=data,
        film=film,
    )


def index_html(glances: Sequence[Glance]) -> str:
    """A page with one line for each recording of a summary, linked to its own page and sorted by any column."""
    rows = [glance.row for glance in glances]
    statements = dict.fromkeys([*(row.statement for row in rows), *(row.calibration for row in rows)])
    caveat = not all(glance.validated or not glance.row.statement for glance in glances)
    return _render("index.html.j2", caveat, _file("index.js"), lines=glances, statements=list(filter(None, statements)))


def study_html(
    kind: str,
    title: str,
    facts: Sequence[str],
    sections: Sequence[Section],
    statement: str = "",
    links: Mapping[str, str] | None = None,
) -> str:
    """A page of what a study found, which works without scripts too; equal arguments give equal bytes.

    Args:
        kind: what the page is about: `Cross-validation`.
        title: its heading.
        facts: in a few words each, below the heading.
        sections: of the page.
        statement: the caveat; empty without.
        links: title -> file beside the page.
    """
    content: dict[str, Any] = {"kind": kind, "heading": title, "facts": facts, "sections": sections, "links": links}
    return _render("study.html.j2", bool(statement), statement=statement, **content)


def framed(page: str) -> str:
    """A page as a frame within another document, for notebooks."""
    attributes = 'sandbox="allow-scripts" title="infantjax assessment" style="width:100%;height:80vh;border:0"'
    return f'<iframe {attributes} srcdoc="{html.escape(page, quote=True)}"></iframe>'


def _render(template: str, caveat: bool, script: str = "", video: str = "", **content: Any) -> str:
    """A page: whether the caveat is shown, the one script that may run, and the address of its video."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    allowed = f"script-src 'sha256-{digest}'; " if script else ""
    media = "media-src data:; " if video.startswith("data:") else "media-src 'self'; " if video else ""
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; {allowed}{media}img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    fixed = {"policy": Markup(policy), "style": Markup(_file("page.css")), "script": Markup(script)}
    return _environment().get_template(template).render(caveat=caveat, **fixed, **content)


@cache
def _environment() -> Environment:
    """The templates of all pages."""
    environment = Environment(
        loader=FunctionLoader(_file),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name)
        for name in ("line", "number", "figure", "percent", "place", "clock", "sentence", "spaced")
    } | {"color": charts.color}
    environment.globals |= {
        "charts": charts,
        "count": text.count,
        "outcome": text.outcome,
        "words": text,
        "width": body.WIDTH,
    }
    environment.tests |= {"digest": text.is_digest, "finite": _is_finite}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment


def _shown(value: Any) -> Any:
    """A value as a template shows it."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", value) if is_text else value


def _is_finite(point: np.ndarray) -> bool:
    return bool(np.isfinite(point).all())


@cache
def _file(name: str) -> str:
    return resources.files("infantjax.report").joinpath(name).read_text("utf-8")


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


def _networks(members: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]], float | None]]:
    """Each architecture with its networks, and the median of their values."""
    groups = []
    for model, of_model in groupby(members, itemgetter("model")):
        networks = list(of_model)
        known = [member["value"] for member in networks if member["value"] is not None]
        groups.append((model, networks, float(np.median(known)) if known else None))
    return groups
