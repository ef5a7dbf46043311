"""Several persons in a frame: parse their points, and follow the largest person."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.formats.checks import check_shape
from infantjax.formats.tracks import Tracks

Points = Float[np.ndarray, "joint _"]


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


def scored(coordinates: Points | None, scores: Any) -> Points | None:
    """Points with a list of scores as last axis, NaN if there is none; None where the two do not fit."""
    given = None if scores is None else points(scores, 1)
    if coordinates is None or (scores is not None and (given is None or len(given) != len(coordinates))):
        return None
    return np.concatenate([coordinates, np.full((len(coordinates), 1), np.nan) if given is None else given], axis=1)


def instance(value: Any) -> Points | None:
    """Points with scores of an object with `keypoints` and perhaps `keypoint_scores`; None if it is none."""
    if not isinstance(value, dict):
        return None
    return scored(points(value.get("keypoints"), None), value.get("keypoint_scores"))


def without_zeros(person: Points) -> Points:
    """Points whose x and y are missing where both are 0, as tools write them that always give a confidence."""
    person[(person[:, :2] == 0).all(axis=1), :2] = np.nan
    return person


def largest(persons: Sequence[Points]) -> int:
    """Index of the person whose visible points span the largest box: an infant is nearer than a passer-by."""
    areas = []
    for person in persons:
        seen = person[~np.isnan(person[:, :2]).any(axis=1) & (person[:, :2] != 0).any(axis=1), :2]
        areas.append(float(np.prod(np.ptp(seen, axis=0))) if len(seen) > 1 else 0.0)
    return int(np.argmax(areas))


def to_tracks(
    path: Path,
    people: Sequence[Sequence[np.ndarray]],
    place: Callable[[int, str], str],
    among: tuple[str, ...],
    names: Sequence[str] = (),
    unread: Sequence[str] = (),
    **others: Any,
) -> Tracks:
    """Tracks of the largest person of every frame.

    Args:
        path: the file, for messages.
        people: the persons of each frame, `[joint, 3|4]` with the confidence last.
        place: as in `Tracks`.
        among: the keypoint sets that the file may hold where it has no names.
        names: of the points; ignored if their number is not that of the points.
        unread: why frames without persons could not be read, one text each.
        others: further fields of `Tracks`.

    Raises:
        InputError: nobody is in any frame, or the number of points changes.
    """
    shape: tuple[int, ...] = ()
    for row, persons in enumerate(people):
        for person in persons:
            shape = shape or person.shape
            if person.shape != shape:
                what = f"{place(row, '')} holds {len(person)} points a person, another frame {shape[0]}"
                raise InputError(path, what, "keep the results of one network")
    if not shape or not shape[0]:
        raise InputError(path, "no person was found in any frame", "run the tracker again")
    check_shape(path, len(people), shape[0])
    values = np.full((len(people), *shape), np.nan)
    for row, persons in enumerate(people):
        if persons:
            values[row] = persons[largest(persons)]
    several, empty = sum(len(found) > 1 for found in people), sum(not found for found in people) - len(unread)
    notes = (
        f"{several} frames show several persons; the largest was followed" if several else "",
        f"{len(unread)} frames could not be read and are missing, the first: {unread[0]}" if unread else "",
        f"{empty} frames show nobody" if empty else "",
    )
    named = len(names) == shape[0]
    return Tracks(
        joints=names if named else [str(i) for i in range(shape[0])],
        keypoints=values[..., :-1],
        confidence=values[..., -1],
        among=() if named else among,
        place=place,
        notes=tuple(filter(None, notes)),
        **others,
    )
