"""MMPose predictions as JSON: frames with instances, each with `keypoints` and `keypoint_scores`.

Either an object with `instance_info` (a list of frames) and `meta_info` (the names of the points), as the demo scripts
write it, or the bare list of frames that the inferencer writes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.formats import persons
from infantjax.formats.checks import check_shape
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks
from infantjax.recording.recording import Recording

SETS = ("coco-17", "halpe-26", "coco-wholebody-133", "halpe-136")


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
    entries = document.get("instance_info") if isinstance(document, dict) else document
    if not isinstance(entries, list) or not entries or not all(_is_frame(e) for e in entries):
        raise InputError(path, "is no list of frames with instances", "export it from MMPose again")
    found: list[list[np.ndarray]] = []
    shape: tuple[int, ...] = (0,)
    for number, entry in enumerate(entries):
        found.append([])
        for instance in entry["instances"]:
            values = _instance(path, number, instance)
            if shape[0] and values.shape != shape:
                raise InputError(
                    path, f"entry {number}: {values.shape[0]} points, before {shape[0]}", "export it from MMPose again"
                )
            shape = values.shape
            found[-1].append(values)
    if shape[0] == 0:
        raise InputError(path, "no person was found in any frame", "run MMPose again")
    check_shape(path, len(entries), shape[0])
    values, notes = persons.follow_largest(found, shape)
    if empty := sum(not people for people in found):
        notes += (f"{empty} frames show nobody",)
    names = _names(document, shape[0])
    numbers = [entry.get("frame_id", number) for number, entry in enumerate(entries)]
    if not all(isinstance(n, int) and abs(n) < 2**53 for n in numbers):
        raise InputError(path, "a frame_id is not a whole number", "export it from MMPose again")
    meta = document.get("meta_info") if isinstance(document, dict) else None
    return Tracks(
        joints=names or [str(i) for i in range(shape[0])],
        keypoints=values[..., :-1],
        confidence=values[..., -1],
        frames=np.array(numbers, dtype=np.float64),
        fps=meta.get("fps") if isinstance(meta, dict) else None,
        among=() if names else SETS,
        place=lambda row, joint: f"frame {numbers[row]}",
        notes=notes,
    )


def _is_frame(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("instances"), list)


def _instance(path: Path, number: int, instance: Any) -> np.ndarray:
    keypoints = persons.points(instance.get("keypoints"), None) if isinstance(instance, dict) else None
    if keypoints is None:
        raise InputError(path, f"entry {number}: keypoints are not a list of points", "export it from MMPose again")
    scores = np.full((len(keypoints), 1), np.nan)
    if instance.get("keypoint_scores") is not None:
        given = persons.points(instance["keypoint_scores"], 1)
        if given is None or len(given) != len(keypoints):
            raise InputError(
                path, f"entry {number}: keypoint_scores are not one number a point", "export it from MMPose again"
            )
        scores = given
    return np.concatenate([keypoints, scores], axis=1)


def _names(document: Any, size: int) -> list[str]:
    meta = document.get("meta_info") if isinstance(document, dict) else None
    table = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(table, dict) or len(table) != size:
        return []
    names = [table.get(str(i)) for i in range(size)]
    return [n for n in names if isinstance(n, str)] if all(isinstance(n, str) for n in names) else []


def write(recording: Recording, path: Path) -> None:
    """Write frames with one instance each, as MMPose's demo scripts do, and the frame rate in `meta_info`."""
    joints = recording.skeleton.joints
    frames = []
    for i, keypoints in enumerate(recording.keypoints):
        instance: dict[str, Any] = {
            "keypoints": [[None if v != v else v for v in point] for point in keypoints.tolist()]
        }
        if recording.confidence is not None:
            instance["keypoint_scores"] = [None if v != v else v for v in recording.confidence[i].tolist()]
        frames.append({"frame_id": i, "instances": [instance]})
    meta = {
        "dataset_name": recording.skeleton.name,
        "num_keypoints": len(joints),
        "keypoint_id2name": {str(i): joint for i, joint in enumerate(joints)},
        "fps": recording.fps,
    }
    write_atomically(path, json.dumps({"meta_info": meta, "instance_info": frames}, allow_nan=False))
