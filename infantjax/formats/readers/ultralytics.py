"""Results of ultralytics as JSON: a list of frames, each the list that `Results.to_json()` gives.

A detection has `name`, `confidence`, `box`, and `keypoints` with lists `x`, `y` and perhaps `visible`. The labels that
its command line writes (`.txt`) are not read: they hold fractions of the image's width and height, and not these.
"""

from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.formats import persons
from infantjax.formats.checks import check_shape
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks

SETS = ("coco-17",)


def recognizes(source: Source) -> bool:
    """Whether JSON is a list of lists of detections with keypoints."""
    document = source.document
    if not isinstance(document, list) or not all(isinstance(frame, list) for frame in document):
        return False
    return any(isinstance(one, dict) and isinstance(one.get("keypoints"), dict) for frame in document for one in frame)


def read(source: Source, individual: str | None) -> Tracks:
    """Read a list of frames.

    Raises:
        InputError: a detection without keypoints, or the number of points changes.
    """
    path, frames = source.path, source.document
    if not recognizes(source):
        raise InputError(path, "is no list of results of ultralytics", "write Results.to_json() of every frame")
    found: list[list[np.ndarray]] = []
    size = 0
    for number, frame in enumerate(frames):
        people = [_points(one) for one in frame]
        for person in people:
            if person is None or (size and len(person) != size):
                what = "has no keypoints" if person is None else f"has {len(person)} points, before {size}"
                raise InputError(path, f"frame {number}: a detection {what}", "write the results of one pose network")
            size = len(person)
        found.append([person for person in people if person is not None])
    check_shape(path, len(frames), size)
    values, notes = persons.follow_largest(found, (size, 3))
    values[(values[..., :2] == 0).all(-1), :2] = np.nan
    return Tracks(
        joints=[str(i) for i in range(size)],
        keypoints=values[..., :2],
        confidence=None if np.isnan(values[..., 2]).all() else values[..., 2],
        among=SETS,
        notes=notes,
    )


def _points(detection: Any) -> np.ndarray | None:
    """x, y and confidence of each point; None where a detection has none."""
    keypoints = detection.get("keypoints") if isinstance(detection, dict) else None
    if not isinstance(keypoints, dict):
        return None
    columns = [persons.points(keypoints.get(name), 1) for name in ("x", "y", "visible")]
    x, y, seen = columns
    if x is None or y is None or len(x) != len(y) or (seen is not None and len(seen) != len(x)):
        return None
    return np.concatenate([x, y, np.full_like(x, np.nan) if seen is None else seen], axis=1)
