"""JSON of other programs: its size is checked before it is parsed."""

import json
from pathlib import Path
from typing import Any

from infantjax.errors import InputError
from infantjax.files import MAX_JSON_BYTES
from infantjax.formats.checks import damage


def load(path: Path) -> Any:
    """Read a JSON file in UTF-8, -16 or -32. `NaN` is accepted, since trackers write it.

    Raises:
        InputError: too large, or not JSON.
    """
    with damage(path, "JSON"):
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(
                path, f"is JSON of more than {MAX_JSON_BYTES / 1e6:.0f} MB", "split it, or export a table or .npz"
            )
        return json.loads(path.read_bytes())
