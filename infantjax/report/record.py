"""The record of an assessment: JSON types, the published schema, and the words that every report shares.

A record is what `Assessment.to_dict()` returns and what a JSON file holds. `assessment.schema.json` beside this file
describes it (JSON Schema, draft 2020-12). CSV and page are made from the record, so that no two reports can show
different values.
"""

import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any, Literal

import numpy as np

SCHEMA_VERSION = "3.1"
"""Version of the record. The second number grows when a field is added, the first when one changes or is removed."""

Level = Literal["green", "yellow", "orange", "red"]
LABELS: dict[Level, str] = {
    "red": "CP, certain",
    "orange": "CP, uncertain",
    "yellow": "no CP, uncertain",
    "green": "no CP, certain",
}
"""Each level of certainty in words."""

UNVALIDATED = (
    "The weights behind this value were never validated on infants. It must not be used for any decision about a child."
)
"""The caveat where the weights are not validated and have no statement of their own."""


def rounded(value: float) -> float | None:
    """A float as every report writes it: six significant decimals; None (JSON null) for NaN and infinities.

    Rounding keeps the bytes of a report the same where backends differ in the last bits of a float32.
    """
    return float(f"{value:.6g}") + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0


def plain(value: Any, where: str = "value") -> Any:
    """A value as JSON types: floats by `rounded`, NumPy scalars and arrays as their contents, keys as text.

    Halves of surrogate pairs, which UTF-8 cannot hold, become U+FFFD. They come from undecodable file names.

    Args:
        value: None, text, numbers, NumPy scalars and arrays; mappings and sequences of these.
        where: how an error names the value.

    Raises:
        TypeError: any other type; the message says where.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return value if value is None else bool(value)
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return rounded(float(value))
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim):
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        return plain(value.item(), where)
    raise TypeError(f"{where}: JSON cannot hold a {type(value).__name__}")


def schema() -> dict[str, Any]:
    """The published JSON Schema of the record."""
    return json.loads(resources.files("infantjax.report").joinpath("assessment.schema.json").read_text("utf-8"))
