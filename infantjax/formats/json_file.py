"""JSON of other programs: its size and depth are checked before it is parsed."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_JSON_BYTES, MAX_JSON_DEPTH
from infantjax.formats.checks import damage

_PIECE = 1 << 22


def load(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: too large, nested too deeply, or not JSON.
    """
    with damage(path, "JSON"):
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                path, f"is JSON of more than {MAX_JSON_BYTES / 1e6:.0f} MB", "split it, or export a table or .npz"
            )
        return parse(path, path.read_bytes())


def parse(path: Path, data: bytes) -> Any:
    """Parse JSON text in UTF-8, -16 or -32. `NaN` is accepted, since trackers write it.

    Raises:
        InputError: nested too deeply, or not JSON.
    """
    with damage(path, "JSON"):
        text = data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
        if depth(text.encode("utf-8", errors="replace")) > MAX_JSON_DEPTH:
            raise InputError(path, f"is nested more than {MAX_JSON_DEPTH} levels deep", "export the keypoints again")
        return json.loads(text)


def depth(data: bytes) -> int:
    """Deepest nesting of brackets outside of strings; vectorized, without recursion."""
    # A backslash escapes the next character of a string; without escaped ones only real quotes remain.
    data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    level = deepest = quotes = 0
    for start in range(0, len(data), _PIECE):
        piece = np.frombuffer(data, dtype=np.uint8, count=min(_PIECE, len(data) - start), offset=start)
        quoted = np.cumsum(piece == ord('"')) + quotes
        opens = np.isin(piece, (ord("["), ord("{")))
        closes = np.isin(piece, (ord("]"), ord("}")))
        levels = level + np.cumsum(np.where(quoted % 2 == 0, opens.astype(np.int32) - closes, 0))
        level, quotes = int(levels[-1]), int(quoted[-1])
        deepest = max(deepest, int(levels.max()))
    return deepest
