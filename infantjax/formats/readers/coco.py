"""COCO keypoint JSON: annotations of a data set, or a list of detections.

Annotations: `images`, `annotations` (`keypoints` = x, y, v; v 0 is a point without label and becomes NaN) and
`categories` with the names of the points. Detections: a list of `image_id`, `keypoints` = x, y, score. A `track_id` of
all entries (also in their `attributes`) names individuals.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.formats import persons
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks
from infantjax.recording.recording import Recording

SETS = ("coco-17",)
_AGAIN = "export it as COCO keypoints again"


def recognizes(source: Source) -> bool:
    """Whether JSON holds annotations with images, or a list of detections."""
    document = source.document
    if isinstance(document, dict):
        return isinstance(document.get("annotations"), list) and isinstance(document.get("images"), list)
    return isinstance(document, list) and bool(document) and _is_detection(document[0])


def read(source: Source, individual: str | None) -> Tracks:
    """Read COCO JSON: the chosen individual, or the largest of each frame.

    Raises:
        InputError: an entry is invalid, the number of points changes, or there is no such individual.
    """
    path, document = source.path, source.document
    annotations, frame_of = document, None
    if labeled := isinstance(document, dict):
        annotations, frame_of = document.get("annotations"), _frames(path, document.get("images"))
    if not isinstance(annotations, list):
        raise InputError(path, "has no list of annotations", _AGAIN)
    labels: dict[str, None] = {}
    found: dict[int, list[np.ndarray]] = {frame: [] for frame in (frame_of or {}).values()}
    for number, entry in enumerate(annotations):
        if not isinstance(entry, dict) or "keypoints" not in entry:
            continue
        if (values := persons.points(entry["keypoints"], 3)) is None:
            raise InputError(path, f"annotation {number}: keypoints are not x, y, v of each point", _AGAIN)
        if labeled:
            values[values[:, 2] == 0] = np.nan
            values[:, 2] = np.nan  # v is no confidence
        if len(values):
            frame = found.setdefault(_frame(path, number, entry.get("image_id"), frame_of), [])
            labels[label := _individual(entry)] = None
            if individual in (None, label):
                frame.append(values)
    if individual is not None and individual not in labels:
        named = ", ".join(list(filter(None, labels))[:10])
        what = f'has no individual "{individual}" ({named})' if named else "does not name individuals"
        remedy = "choose one with --individual, of assess or convert" if named else "leave out --individual"
        raise InputError(path, what, remedy)
    frames = sorted(found)
    tracks = persons.to_tracks(
        path,
        [found[frame] for frame in frames],
        lambda row, joint: f"frame {frames[row]}",
        SETS,
        _names(document),
        frames=np.array(frames, dtype=np.float64),
        fps=_fps(document),
    )
    if len(labels) == 1 or (individual is None and "" in labels):
        return tracks
    note = f'individual "{individual}" of {len(labels)} was taken'
    if individual is None:
        note = f"--individual, of assess or convert, chooses one of {', '.join(list(labels)[:10])}"
    return replace(tracks, notes=(*tracks.notes, note))


def _individual(entry: dict[str, Any]) -> str:
    """Name of the individual of an entry; empty without."""
    attributes = entry.get("attributes")
    name = entry.get("track_id", attributes.get("track_id") if isinstance(attributes, dict) else None)
    return str(name) if isinstance(name, (int, str)) else ""


def _is_detection(entry: Any) -> bool:
    return isinstance(entry, dict) and "image_id" in entry and isinstance(entry.get("keypoints"), list)


def _frames(path: Path, images: Any) -> dict[Any, int]:
    """Frame number of each image: `frame_id` where all have one, else the number in the file name, else the id."""
    is_list = isinstance(images, list)
    if not is_list or not all(isinstance(i, dict) and isinstance(i.get("id"), (int, str)) for i in images):
        raise InputError(path, "has no list of images with an id each", _AGAIN)
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


def _frame(path: Path, annotation: int, image_id: Any, frame_of: dict[Any, int] | None) -> int:
    if frame_of is not None and isinstance(image_id, (int, str)) and image_id in frame_of:
        return frame_of[image_id]
    number = image_id if isinstance(image_id, int) else _last_number(image_id)
    if frame_of is not None or number is None or abs(number) >= 2**53:
        raise InputError(path, f"annotation {annotation}: belongs to no image", _AGAIN)
    return number


def _last_number(name: Any) -> int | None:
    digits = re.findall(r"\d+", name.rpartition("/")[2]) if isinstance(name, str) else []
    return int(digits[-1]) if digits and len(digits[-1]) <= 15 else None


def _names(document: Any) -> list[str]:
    categories = document.get("categories") if isinstance(document, dict) else None
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names and all(isinstance(n, str) for n in names):
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
