"""What the formats with several persons a frame share: which of them the recording follows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float


def points(values: Any, axes: int | None) -> Float[np.ndarray, "joint axis"] | None:
    """A list of coordinates as an array, or None if it is not one.

    Args:
        values: flat with `axes` values a point, or nested one list a point with `axes` None; None entries are NaN.
        axes: values of each point in a flat list.
    """
    if not isinstance(values, list):
        return None
    try:
        result = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    if axes is not None:
        return result.reshape(-1, axes) if result.ndim == 1 and result.size % axes == 0 else None
    return result if result.ndim == 2 and result.shape[1] in (2, 3) else None


def largest(persons: Sequence[Float[np.ndarray, "joint axis"]]) -> int:
    """Index of the person whose visible points span the largest box: the infant is nearer than a passer-by."""
    areas = []
    for person in persons:
        seen = person[~np.isnan(person[:, :2]).any(axis=1) & (person[:, :2] != 0).any(axis=1), :2]
        areas.append(float(np.prod(np.ptp(seen, axis=0))) if len(seen) > 1 else 0.0)
    return int(np.argmax(areas))


def several_note(frames: int) -> tuple[str, ...]:
    """The note that says in how many frames a choice was made."""
    return (f"{frames} frames show several persons; the largest was followed",) if frames else ()
