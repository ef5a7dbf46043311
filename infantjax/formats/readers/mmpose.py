"""MMPose predictions as JSON: frames with instances, each with `keypoints` and `keypoint_scores`.

Either an object with `instance_info` (a list of frames) and `meta_info` (the names of the points), as the demo scripts
write it, or the bare list of frames that the inferencer writes.
"""

from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.formats import persons
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks

SETS = ("coco-17", "halpe-26", "coco-wholebody-133", "halpe-136")
_AGAIN = "export it from MMPose again"


def recognizes(source: Source) -> bool:
    """Whether JSON holds `instance_info`, or a list of frames with instances."""
    document = source.document
    if isinstance(document, dict):
        return isinstance(document.get("instance_info"), list)
    return isinstance(document, list) and bool(document) and _is_frame(document[0])


def read(source: Source, individual: str | None) -> Tracks:
    """Read MMPose JSON.

    Raises:
        InputError: an entry is invalid, or the number of points changes.
    """
    path, document = source.path, source.document
    entries, meta = document, None
    if isinstance(document, dict):
        entries, meta = document.get("instance_info"), document.get("meta_info")
    if not isinstance(entries, list) or not entries or not all(map(_is_frame, entries)):
        raise InputError(path, "is no list of frames with instances", _AGAIN)
    found: list[list[np.ndarray]] = []
    for number, entry in enumerate(entries):
        found.append([])
        for instance in entry["instances"]:
            if (person := persons.instance(instance)) is None:
                raise InputError(path, f"entry {number}: keypoints are not a list of points with a score each", _AGAIN)
            found[-1].append(person)
    numbers = [entry.get("frame_id", number) for number, entry in enumerate(entries)]
    if not all(isinstance(n, int) and abs(n) < 2**53 for n in numbers):
        raise InputError(path, "a frame_id is not a whole number", _AGAIN)
    return persons.to_tracks(
        path,
        found,
        lambda row, joint: f"frame {numbers[row]}",
        SETS,
        _names(meta),
        frames=np.array(numbers, dtype=np.float64),
        fps=meta.get("fps") if isinstance(meta, dict) else None,
    )


def _is_frame(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("instances"), list)


def _names(meta: Any) -> list[str]:
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    names: list[Any] = [table.get(str(i)) for i in range(len(table))] if isinstance(table, dict) else []
    return names if all(isinstance(name, str) for name in names) else []
