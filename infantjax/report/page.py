r"""The assessment as one HTML page that works offline: no request, no third-party script, no time stamp.

Every value goes through `markup`; the page's script reads its data from a JSON block in which `<` is written `\u003c`.
The content security policy allows exactly one script, by its digest, so that nothing in a name or in metadata runs.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from infantjax.assessment.result import Assessed, Finding
from infantjax.report import body, charts
from infantjax.report.markup import clock, count, free, line, number, percent, script_json, table, text, tree
from infantjax.report.record import WORDS, to_record

_WARNING_SIGN = (
    '<svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.8" '
    'stroke-linejoin="round" stroke-linecap="round"><path d="M12 3.5 21.5 20h-19zM12 10v4.6M12 17.3v.1"/></svg>'
)
_PLAY = '<svg class="play" viewBox="0 0 16 16" aria-hidden="true"><path d="M4 2.2v11.6L14 8z"/></svg>'
_PAUSE = (
    '<svg class="pause" viewBox="0 0 16 16" aria-hidden="true"><path d="M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z"/></svg>'
)
_NOT_VALIDATED = "Not validated on infants"


def to_html(assessed: Assessed) -> str:
    """A self-contained page of an assessment by any system; equal assessments give equal bytes.

    The page works in browsers of 2023 and later, from a file, in light and dark, on paper, by keyboard and without its
    script (which adds the animation and the reading of the chart). A movement of more than `body.MAX_FRAMES` frames
    is thinned.

    Raises:
        TypeError: metadata or provenance hold something that is not JSON-compatible.
    """
    record, pose, script = to_record(assessed), body.Pose.of(assessed), _part("page.js")
    if isinstance(assessed, Finding):
        template, own = "finding.html", _of_finding(record)
    else:
        template, own = "assessment.html", _of_assessment(record, pose)
    values = dict(
        policy=_policy(script),
        style=_part("page.css"),
        print_caveat="" if record["validated"] else _print_caveat(),
        banner=_banner(record),
        name=text(record["name"]),
        caveat=_caveat(record),
        notes=_notes(record),
        window_length=f"{record['window_length']:.3g} s",
        player=_player(pose),
        keypoints=_keypoints(record, pose),
        metadata=_section("metadata", "Metadata", "As the input gives it.", record["metadata"]),
        provenance=_section(
            "provenance",
            "Provenance",
            "Enough to repeat this assessment: same input, same bytes.",
            record["provenance"],
        ),
        footer=_footer(record),
        data=_data(record, pose),
        script=script,
        **own,
    )
    content = Template(_part(template)).substitute(values)
    return Template(_part("page.html")).substitute(values, content=content)


def _of_assessment(record: Mapping[str, Any], pose: body.Pose) -> dict[str, str]:
    """What the page of the graph networks has of its own."""
    known = record["risk"] is not None
    return {
        "title": line(f"{record['name']}: movement assessment"),
        "kind": "Movement assessment",
        "facts": _facts(record),
        "color": record["certainty"]["color"] if known else "unknown",
        "risk": number(record["risk"]),
        "words": text(record["certainty"]["words"]) if known else "not known",
        "sentence": _sentence(record),
        "scale": charts.scale(record),
        "course": charts.course(record, WORDS),
        "instances": charts.instances(record),
        "contributions": _contributions(record, pose),
    }


def _of_finding(record: Mapping[str, Any]) -> dict[str, str]:
    """What the page of another system has of its own."""
    first = next(iter(record["quantities"].values()))
    facts = (
        *_length_and_rate(record),
        count(len(record["windows"]), "window"),
        count(len(record["instances"]), "instance"),
    )
    reading = ""
    if record["reading"]:
        reading = (
            '<section aria-labelledby="h-reading"><div class="gutter"><h2 id="h-reading">A reading</h2>'
            f"<p>Only the outline of this system is published.</p></div><p>{text(record['reading'])}</p></section>"
        )
    intervals = ""
    if record["intervals"] is not None:
        found = "".join(f"<li>{clock(a, 1)} to {clock(b, 1)}</li>" for a, b in record["intervals"])
        intervals = (
            '<section aria-labelledby="h-intervals"><div class="gutter"><h2 id="h-intervals">Where</h2><p>Stretches '
            f"with fidgety movements.</p></div>{f'<ul>{found}</ul>' if found else '<p>none found</p>'}</section>"
        )
    return {
        "title": line(f"{record['name']}: movement assessment by {record['title']}"),
        "kind": f"Movement assessment by {text(record['title'])}",
        "facts": "".join(f"<span>{text(fact)}</span>" for fact in facts),
        "label": text(first["words"]),
        "value": number(first["value"]),
        "unit": text(first["unit"] or "0 to 1"),
        "decision": text(record["decision"] or ""),
        "sentence": text(
            f"{first['words'][:1].upper()}{first['words'][1:]}. By {record['title']}. {record['source']}."
        ),
        "reading": reading,
        "quantities": _quantities(record),
        "course": charts.line(record),
        "intervals": intervals,
    }


def _quantities(record: Mapping[str, Any]) -> str:
    rows = []
    for quantity in record["quantities"].values():
        around = ""
        if quantity["around"]:
            around = f"{number(quantity['low'])} to {number(quantity['high'])}, {text(quantity['around'])}"
        value = f"{number(quantity['value'])} {text(quantity['unit'])}".strip()
        rows.append(
            f'<tr><th scope="row">{text(quantity["words"])}</th><td class="number">{value}</td><td>{around}</td></tr>'
        )
    head = (
        '<th scope="col">Figure</th>',
        '<th scope="col" class="number">Value</th>',
        '<th scope="col">Around it</th>',
    )
    return table(head, rows)


@cache
def _part(name: str) -> str:
    return resources.files("infantjax.report").joinpath(name).read_text("utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _print_caveat() -> str:
    return f'@page {{ @bottom-left {{ content: "{_NOT_VALIDATED}"; font: 9px sans-serif; color: #7a4a00; }} }}'


def _banner(record: Mapping[str, Any]) -> str:
    if record["validated"]:
        return ""
    return (
        f'<div class="banner" role="note" aria-label="Caveat"><div>{_WARNING_SIGN}<div><p class="lead"><strong>'
        f"{_NOT_VALIDATED}</strong></p><p>{text(record['statement'])}</p></div></div></div>"
    )


def _caveat(record: Mapping[str, Any]) -> str:
    if not record["statement"]:
        return ""
    lead = "" if record["validated"] else f"<strong>{_NOT_VALIDATED}.</strong> "
    return f'<p class="caveat">{lead}{text(record["statement"])}</p>'


def _facts(record: Mapping[str, Any]) -> str:
    models = len({i["model"] for i in record["instances"]})
    facts = (
        *_length_and_rate(record),
        count(len(record["windows"]), "window"),
        f"{count(len(record['instances']), 'instance')} of {count(models, 'architecture')}",
    )
    return "".join(f"<span>{text(fact)}</span>" for fact in facts)


def _length_and_rate(record: Mapping[str, Any]) -> tuple[str, str]:
    unit = "min" if record["duration"] < 3600 else "h"
    return f"{clock(record['duration'])} {unit}", f"{record['fps']:g} frames a second"


def _sentence(record: Mapping[str, Any]) -> str:
    certainty, total = record["certainty"], len(record["instances"])
    if record["risk"] is None:
        return "No risk could be computed from this recording."
    side = "on the CP side of" if record["decision"] == "CP" else "on the no-CP side of"
    share, q1, q3 = certainty["fraction_positive"], certainty["q1"], certainty["q3"]
    agreeing = band = ""
    if share is not None:
        agreeing = f"{round(share * total)} of {count(total, 'instance')} ({percent(share)}) predict CP"
    if agreeing and q1 is not None and q3 is not None:
        band = f"; the middle half of them lies between {number(q1)} and {number(q3)} (band below)"
    # A percent sign stays on the line of its number.
    return text(
        f"The risk is {side} the threshold {number(record['threshold'])}. {agreeing}{band}{'. ' if agreeing else ''}"
        f"{certainty['words'].split(', ')[1].capitalize()} by the rule “{certainty['rule']}”: {certainty['reason']}."
    ).replace(" %", "\N{NO-BREAK SPACE}%")


def _notes(record: Mapping[str, Any]) -> str:
    if not record["notes"]:
        return ""
    items = "".join(f"<li>{free(note)}</li>" for note in record["notes"])
    return (
        '<section class="notes" aria-labelledby="h-notes"><div class="gutter"><h2 id="h-notes">To know</h2>'
        f"<p>What was found in the input.</p></div><ul>{items}</ul></section>"
    )


def _player(pose: body.Pose) -> str:
    frames = len(pose.positions)
    caption = {
        True: "As seen from above: the infant’s right is on the left.",
        False: "The infant’s right is on the right, unlike in a view from above: the video may be mirrored.",
        None: "",
    }[pose.right_is_left]
    speeds = "".join(f'<option value="{s:g}"{" selected" if s == 1 else ""}>{s:g}×</option>' for s in (0.5, 1, 2, 4, 8))
    return (
        f'<figure class="card" id="player">{body.moving(pose)}<div class="controls">'
        f'<button type="button" id="play" aria-label="Play"{"" if frames > 1 else " disabled"}>{_PLAY}{_PAUSE}</button>'
        f'<input type="range" id="time" min="0" max="{max(frames - 1, 0)}" step="1" value="0" '
        'aria-label="Time in the recording">'
        f'<span class="clock" id="clock">0:00.0</span><select id="speed" aria-label="Speed">{speeds}</select></div>'
        f"<figcaption>{caption}<noscript> The animation needs scripts.</noscript></figcaption></figure>"
    )


def _contributions(record: Mapping[str, Any], pose: body.Pose) -> str:
    return (
        f'<figure class="card">{body.contributions(pose, record["contributions"])}'
        f"<figcaption>{body.legend()}Color and size grow with the contribution, 0 to 1.</figcaption></figure>"
    )


def _keypoints(record: Mapping[str, Any], pose: body.Pose) -> str:
    values, missing, approximated = record.get("contributions"), record["missing"], record["approximated"]
    contributing = values is not None
    values = values or {}
    names = [*dict.fromkeys([*pose.joints, *values, *missing, *approximated])]
    order = {name: index for index, name in enumerate(names)}
    names.sort(key=lambda name: (-(values.get(name) or 0.0), order[name]))
    rows = []
    for name in names:
        value, share = values.get(name), missing.get(name)
        how = f"<small>approximated: {free(approximated[name])}</small>" if name in approximated else ""
        rows.append(
            f'<tr{"" if value or not contributing else " class=muted"}><th scope="row">'
            f"{text(name.replace('_', ' '))}{how}</th>{_contribution(value) if contributing else ''}"
            f'<td class="number">{percent(share)}</td></tr>'
        )
    columns = (
        '<th scope="col" class="bar"><span class="sr">Contribution as a bar</span></th>',
        '<th scope="col" class="number">Contribution</th>',
    )
    head = (
        '<th scope="col">Keypoint</th>',
        *(columns if contributing else ()),
        '<th scope="col" class="number">Missing</th>',
    )
    return table(head, rows)


def _contribution(value: float | None) -> str:
    return f'<td class="bar">{body.bar(value) if value else ""}</td><td class="number">{number(value)}</td>'


def _section(name: str, title: str, explanation: str, content: Mapping[str, Any]) -> str:
    if not content:
        return ""
    return (
        f'<section aria-labelledby="h-{name}"><div class="gutter"><h2 id="h-{name}">{title}</h2>'
        f"<p>{explanation}</p></div>{tree(content)}</section>"
    )


def _footer(record: Mapping[str, Any]) -> str:
    return text(f"Made by infantjax. {record['statement']} The same figures are in the JSON file beside this page.")


def _data(record: Mapping[str, Any], pose: body.Pose) -> str:
    length = record["window_length"]
    duration = max([record["duration"], *(w["start"] + length for w in record["windows"])]) or 1.0
    content = {
        "duration": duration,
        "length": length,
        "movement": pose.packed(),
        "windows": record["windows"],
        "words": WORDS,
    }
    return script_json(content)
