"""Results of ultralytics as JSON: a list of frames, each the list that `Results.to_json()` gives.

A detection has `name`, `confidence`, `box`, and `keypoints` with lists `x`, `y` and perhaps `visible`. The labels that
its command line writes (`.txt`) are not read: they hold fractions of the image's width and height, and not these.
"""

from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.formats import persons
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
    if not recognizes(source):
        raise InputError(source.path, "is no list of results of ultralytics", "write Results.to_json() of every frame")
    found: list[list[np.ndarray]] = []
    for number, frame in enumerate(source.document):
        found.append([])
        for detection in frame:
            if (person := _points(detection)) is None:
                what = f"frame {number}: a detection has no keypoints"
                raise InputError(source.path, what, "write the results of a pose network")
            found[-1].append(persons.without_zeros(person))
    return persons.to_tracks(source.path, found, lambda row, joint: f"frame {row}", SETS)


def _points(detection: Any) -> np.ndarray | None:
    """x, y and confidence of each point; None where a detection has none."""
    keypoints = detection.get("keypoints") if isinstance(detection, dict) else None
    if not isinstance(keypoints, dict) or (x := persons.points(keypoints.get("x"), 1)) is None:
        return None
    return persons.scored(persons.scored(x, keypoints.get("y", [])), keypoints.get("visible"))
