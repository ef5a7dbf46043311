"""Several persons in a frame: parse their points, and follow the largest person."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "joint axis"]


def points(values: Any, axes: int | None) -> Points | None:
    """Convert a list of coordinates to an array; None if it is no such list.

    Args:
        values: a flat list with `axes` values a point, or with `axes` None a list of points. None entries become NaN.
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


def largest(persons: Sequence[Points]) -> int:
    """Index of the person whose visible points span the largest box: an infant is nearer than a passer-by."""
    areas = []
    for person in persons:
        seen = person[~np.isnan(person[:, :2]).any(axis=1) & (person[:, :2] != 0).any(axis=1), :2]
        areas.append(float(np.prod(np.ptp(seen, axis=0))) if len(seen) > 1 else 0.0)
    return int(np.argmax(areas))


def follow_largest(
    frames: Sequence[Sequence[Points]], shape: tuple[int, ...]
) -> tuple[Float[np.ndarray, "frame joint axis"], tuple[str, ...]]:
    """Select the largest person of every frame.

    Args:
        frames: the persons of each frame.
        shape: of every person, `(joint, axis)`.

    Returns:
        Points, NaN in frames without a person, and a note if some frames show several persons.
    """
    values = np.full((len(frames), *shape), np.nan)
    for row, found in enumerate(frames):
        if found:
            values[row] = found[largest(found)]
    several = sum(len(found) > 1 for found in frames)
    return values, (f"{several} frames show several persons; the largest was followed",) if several else ()
