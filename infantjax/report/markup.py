"""Text that is safe in HTML: the one place where values become markup."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_DIRECTIONS = re.compile(r"[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")


def text(value: object) -> str:
    """A value as text in HTML or in an attribute: escaped, control characters replaced by U+FFFD."""
    return html.escape(_CONTROLS.sub("\N{REPLACEMENT CHARACTER}", str(value)), quote=True)


def free(value: object) -> str:
    """A text of the user: escaped, and set apart so that its writing direction does not reach its neighbors."""
    return f"<bdi>{text(value)}</bdi>"


def line(value: object) -> str:
    """A text of the user where no element can stand: escaped, without direction marks, on one line."""
    return " ".join(text(_DIRECTIONS.sub("", str(value))).split())


def script_json(value: Any) -> str:
    r"""A value as JSON within a script element: compact, `<` as `\u003c`, so that no text can end the element."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def number(value: float | None, digits: int = 2) -> str:
    """A figure; a dash for one that is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """A share in percent, whole or with one decimal near the ends."""
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.{0 if share in (0, 1) or 0.01 <= share <= 0.99 else 1}f} %"


def place(share: float) -> str:
    """A share as a position or an extent in a style attribute, kept within the box."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def count(number_of: int, noun: str) -> str:
    """A number with its noun, in the plural where it belongs."""
    return f"{number_of} {noun}{'' if number_of == 1 else 's'}"


def clock(seconds: float, digits: int = 0) -> str:
    """Seconds as minutes and seconds, with hours where there are any: `1:05`, `1:02:05`."""
    minutes, rest = divmod(round(seconds, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:0{3 + digits if digits else 2}.{digits}f}"
    return f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}"


def tree(value: Any) -> str:
    """Nested JSON types as lists of terms: mappings as `dl`, sequences of texts as `ol`."""
    if isinstance(value, Mapping):
        if not value:
            return '<span class="none">none</span>'
        return "<dl>" + "".join(f"<dt>{free(k)}</dt><dd>{tree(v)}</dd>" for k, v in value.items()) + "</dl>"
    if isinstance(value, list):
        if not value:
            return '<span class="none">none</span>'
        if all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value):
            return text(", ".join(map(str, value)))
        return "<ol>" + "".join(f"<li>{tree(item)}</li>" for item in value) + "</ol>"
    if value is None:
        return '<span class="none">not known</span>'
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and re.fullmatch(r"(sha256:)?[0-9a-f]{16,}", value):
        return f"<code>{value}</code>"
    return free(value)


def table(head: Iterable[str], rows: Iterable[str]) -> str:
    """A table of finished header cells and finished rows."""
    return f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
