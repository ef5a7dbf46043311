"""COCO keypoint JSON: annotations of a data set, or a list of detections.

Annotations: `images`, `annotations` (`keypoints` = x, y, v; v 0 is a point without label and becomes NaN) and
`categories` with the names of the points. Detections: a list of `image_id`, `keypoints` = x, y, score.
"""

import json
import re
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

SETS = ("coco-17",)


def recognizes(source: Source) -> bool:
    """Whether JSON holds annotations with images, or a list of detections."""
    document = source.document
    if isinstance(document, dict):
        return isinstance(document.get("annotations"), list) and isinstance(document.get("images"), list)
    return isinstance(document, list) and bool(document) and _is_detection(document[0])


def read(source: Source, individual: str | None) -> Tracks:
    """Read COCO JSON.

    Raises:
        InputError: an entry is invalid, or the number of points changes.
    """
    path, document = source.path, source.document
    if isinstance(document, dict):
        annotations, images = _list(path, document, "annotations"), _list(path, document, "images")
    else:
        annotations, images = document if isinstance(document, list) else [], None
    frame_of = None if images is None else _frames(path, images)
    found: dict[int, list[np.ndarray]] = {}
    size = 0
    for number, entry in enumerate(annotations):
        if not isinstance(entry, dict) or "keypoints" not in entry:
            continue
        values = persons.points(entry["keypoints"], 3)
        where = f"annotation {number}"
        if values is None or (size and len(values) != size):
            what = "keypoints are not x, y, v of each point" if values is None else f"{len(values)} points, not {size}"
            raise InputError(path, f"{where}: {what}", "export the keypoints again")
        size = len(values)
        if size:
            found.setdefault(_frame(path, where, entry.get("image_id"), frame_of), []).append(values)
    if not found:
        raise InputError(path, "holds no keypoints", "export the keypoints again")
    frames = sorted(set(found) | set((frame_of or {}).values()))
    check_shape(path, len(frames), size)
    values, notes = persons.follow_largest([found.get(frame, []) for frame in frames], (size, 3))
    labeled = isinstance(document, dict)
    if labeled:
        values[values[..., 2] == 0] = np.nan
    names = _names(document, size)
    return Tracks(
        joints=names or [str(i) for i in range(size)],
        keypoints=values[..., :2],
        confidence=None if labeled else values[..., 2],
        frames=np.array(frames, dtype=np.float64),
        fps=_fps(document),
        among=() if names else SETS,
        place=lambda row, joint: f"frame {frames[row]}",
        notes=notes,
    )


def _is_detection(entry: Any) -> bool:
    return isinstance(entry, dict) and "image_id" in entry and isinstance(entry.get("keypoints"), list)


def _list(path: Path, document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise InputError(path, f'has no list "{name}"', "export it as COCO keypoints again")
    return value


def _frames(path: Path, images: list[Any]) -> dict[Any, int]:
    """Frame number of each image: `frame_id` where all have one, else the number in the file name, else the id."""
    if not all(isinstance(image, dict) and isinstance(image.get("id"), (int, str)) for image in images):
        raise InputError(path, "an image has no id", "export it as COCO keypoints again")
    rules = (
        lambda image: image.get("frame_id"),
        lambda image: _last_number(image.get("file_name")),
        lambda image: image["id"],
    )
    for rule in rules:
        numbers = [rule(image) for image in images]
        if all(isinstance(n, int) and abs(n) < 2**53 for n in numbers) and len(set(numbers)) == len(numbers):
            return dict(zip((image["id"] for image in images), numbers))
    raise InputError(
        path, "the images are not numbered: neither frame_id, file_name nor id is", "give each image a frame_id"
    )


def _frame(path: Path, where: str, image_id: Any, frame_of: dict[Any, int] | None) -> int:
    if frame_of is not None and isinstance(image_id, (int, str)) and image_id in frame_of:
        return frame_of[image_id]
    number = image_id if isinstance(image_id, int) else _last_number(image_id)
    if frame_of is not None or number is None or abs(number) >= 2**53:
        raise InputError(path, f"{where}: belongs to no image", "export it as COCO keypoints again")
    return number


def _last_number(name: Any) -> int | None:
    digits = re.findall(r"\d+", name.rpartition("/")[2]) if isinstance(name, str) else []
    return int(digits[-1]) if digits and len(digits[-1]) <= 15 else None


def _names(document: Any, size: int) -> list[str]:
    categories = document.get("categories") if isinstance(document, dict) else None
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and len(names) == size and all(isinstance(n, str) for n in names):
            return names
    return []


def _fps(document: Any) -> Any:
    if not isinstance(document, dict):
        return None
    videos = document.get("videos")
    holders = [document.get("info"), *(videos[:1] if isinstance(videos, list) else [])]
    return next((h["fps"] for h in holders if isinstance(h, dict) and h.get("fps") is not None), None)


def write(recording: Recording, path: Path) -> None:
    """Write annotations: one image and one person a frame. Confidences are not stored.

    Raises:
        ValueError: three dimensions.
    """
    if recording.keypoints.shape[2] != 2:
        raise ValueError("COCO keypoints have two dimensions; project the recording first")
    seen = ~recording.missing
    values = np.concatenate([recording.keypoints, np.where(seen, 2.0, 0.0)[..., None]], axis=-1)
    values[~seen] = 0.0
    joints = recording.skeleton.joints
    document = {
        "info": {"description": recording.name, "fps": recording.fps},
        "images": [{"id": i, "frame_id": i, "file_name": f"{i:08d}.png"} for i in range(recording.frames)],
        "annotations": [
            {
                "id": i,
                "image_id": i,
                "category_id": 1,
                "num_keypoints": int(seen[i].sum()),
                "keypoints": row.ravel().tolist(),
            }
            for i, row in enumerate(values)
        ],
        "categories": [
            {
                "id": 1,
                "name": "infant",
                "keypoints": list(joints),
                "skeleton": [[a + 1, b + 1] for a, b in recording.skeleton.edges],
            }
        ],
    }
    write_atomically(path, json.dumps(document, allow_nan=False))
