"""Words, numbers and texts for readers: pages, terminal. The fixed values of records stay as the schema has them."""

import math
import re

from infantjax.report.record import Level

LEVELS: dict[Level, str] = {
    "red": "above the threshold; the networks agree",
    "orange": "above the threshold; uncertain",
    "yellow": "below the threshold; uncertain",
    "green": "below the threshold; the networks agree",
}
"""Each level of certainty in plain words."""

SETS = {
    "above": "The risk fits infants with the outcome and contradicts its absence",
    "below": "The risk fits infants without the outcome and contradicts its presence",
    "cannot tell": "The risk does not tell the outcomes apart",
}
"""Each conformal set in plain words."""

FIDELITY = {
    "exact": "exact: equal to the reference implementation",
    "published": "follows the published text",
    "interpretation": "re-implemented from its description",
}
"""How a method relates to its publication."""

MOVEMENT = {
    "arm": {
        "speed": "Arms: speed of the hand, trunk lengths per second",
        "fast": "Arms: fast movements (one in ten is faster)",
        "range": "Arms: bending of the elbow, degrees",
    },
    "leg": {
        "speed": "Legs: speed of the foot, trunk lengths per second",
        "fast": "Legs: fast movements (one in ten is faster)",
        "range": "Legs: bending of the knee, degrees",
    },
}
"""The measures of the limbs in words."""

CAVEAT = "Not validated on infants: for research only, not for any decision about a child."
"""The caveat that stays in view; the page says the whole of it once, under "Limits"."""

_DIRECTIONS = re.compile(r"[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def line(value: str) -> str:
    """A text of the user where no element can stand: without direction marks, on one line."""
    return " ".join(_DIRECTIONS.sub("", value).split())


def number(value: float | None, digits: int = 2) -> str:
    """A number; a dash for one that is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def figure(value: float | None) -> str:
    """A number with three digits, a whole one as it is; a dash for one that is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def percent(fraction: float | None) -> str:
    """A fraction in percent, whole or with one decimal near the ends; the sign stays on the line of its number."""
    if fraction is None:
        return "–"
    if 0 < fraction < 0.001:
        return "under 0.1\N{NO-BREAK SPACE}%"
    if 0.999 < fraction < 1:
        return "over 99.9\N{NO-BREAK SPACE}%"
    digits = 0 if fraction in (0, 1) or 0.01 <= fraction <= 0.99 else 1
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def side(value: float, threshold: float) -> str:
    """Where a value lies relative to its threshold."""
    return f"{'above' if value > threshold else 'below' if value < threshold else 'at'} the threshold"


def outcome(value: float | None, threshold: float | None, level: Level | str | None, decision: str | None) -> str:
    """The result in plain words; empty where there is none.

    Args:
        value: the headline value.
        threshold: its threshold.
        level: of certainty; empty or None for a method without.
        decision: of the method, in its own words, which serve where there is no threshold.
    """
    if value is None:
        return ""
    if level:
        return LEVELS[level]  # type: ignore[index]
    return side(value, threshold) if threshold is not None else decision or ""


def place(fraction: float) -> str:
    """A fraction as a position or an extent in a style attribute, kept within the box."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.2f}%"


def count(number_of: int, noun: str) -> str:
    """A number with its noun, in the plural where it belongs."""
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def clock(seconds: float, digits: int = 0) -> str:
    """Seconds as minutes and seconds, with hours where there are any: `1:05`, `1:02:05`."""
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def sentence(value: str) -> str:
    """A text that begins with a capital letter."""
    return value[:1].upper() + value[1:]


def spaced(joint: str) -> str:
    """The name of a joint in words."""
    return joint.replace("_", " ")


def is_digest(value: str) -> bool:
    """Whether a text is a digest, which is set in a typewriter face."""
    return re.fullmatch(r"(sha256:)?[0-9a-f]{16,}", value) is not None
