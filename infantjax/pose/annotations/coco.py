"""COCO keypoints, the format of SyRIP too: one JSON with `images`, `annotations` and `categories`.

A point whose visibility `v` is 0 has no label and becomes NaN. Several persons of an image are rows; where a row is an
image, the one whose points span the largest box. Crowds are passed over. An image with a `frame` (our choice) is that
frame, counted from 0, of the video that `file_name` names.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import canonical_json
from infantjax.formats import json_file
from infantjax.formats.persons import largest, points
from infantjax.formats.source import Source
from infantjax.pose.annotations.data import AnnotatedPerson, ParsedAnnotations, ReadRequest, folder_of
from infantjax.skeletons import Skeleton

_SETS = ("coco-17",)
_REMEDY = "export it as COCO keypoints again"


def recognizes(path: Path) -> bool:
    """Whether a JSON file has images and annotations."""
    if path.is_dir() or path.suffix.lower() != ".json" or Source(path).kind != "json":
        return False
    document = json_file.load(path)
    return isinstance(document, dict) and isinstance(document.get("annotations"), list) and "images" in document


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the file.

    Raises:
        InputError: entries that are not as COCO has them.
    """
    path = request.path
    document: Any = json_file.load(path)
    images = _images(path, document.get("images"))
    joints = _joints(document.get("categories"))
    problems = Problems()
    persons: dict[Any, list[np.ndarray]] = {name: [] for name in images}
    for number, entry in enumerate(document["annotations"]):
        if not isinstance(entry, dict) or "keypoints" not in entry or entry.get("iscrowd"):
            continue
        values = points(entry["keypoints"], 3)
        if values is None or len(values) != len(joints or values) or entry.get("image_id") not in images:
            raise InputError(path, f"annotation {number}: is not of an image, or has other points", _REMEDY)
        joints = joints or [str(i) for i in range(len(values))]
        persons[entry["image_id"]].append(values)
    first = next(iter(images.values()), {}).get("file_name", "")
    folder = folder_of(
        request.image_dir,
        (path.parent, path.parent / "images", path.parent.parent / "images", path.parent.parent),
        first,
    )
    several = 0
    entries = []
    for name, image in images.items():
        several += len(persons[name]) > 1
        shown = persons[name]
        if not shown:
            problems.warnings.append((image["file_name"][:60], "has no annotation"))
        elif len(shown) == 1 or request.row_per_image:
            entries.append(_entry(path, folder, image, shown[largest(shown)]))
        else:
            entries += [_entry(path, folder, image, each, f"#{number}") for number, each in enumerate(shown, 1)]
    if several:
        counts = "the largest counts" if request.row_per_image else "each is a row"
        problems.warnings.append((f"{several} images", f"show several persons; {counts}"))
    return ParsedAnnotations(joints, entries, problems, () if _joints(document.get("categories")) else _SETS, own=False)


def blank(images: Mapping[str, tuple[str, int, int]], skeleton: Skeleton) -> str:
    """A file without annotations, for annotators to fill in.

    Args:
        images: by file name the video, height and width in pixels of each image.
        skeleton: the points to annotate.
    """
    edges = [[a + 1, b + 1] for a, b in skeleton.edges]  # COCO counts keypoints from 1
    category = {"id": 1, "name": "infant", "keypoints": skeleton.joints, "skeleton": edges}
    listed = [
        {"id": number, "file_name": name, "video_id": video, "height": height, "width": width}
        for number, (name, (video, height, width)) in enumerate(images.items(), 1)
    ]
    return canonical_json({"images": listed, "annotations": [], "categories": [category]})


def _images(path: Path, images: Any) -> dict[Any, dict[str, Any]]:
    found = {}
    for image in images if isinstance(images, list) else []:
        if not isinstance(image, dict) or not isinstance(image.get("id"), (int, str)) or image["id"] in found:
            raise InputError(path, "has an image without an id of its own", _REMEDY)
        if not isinstance(image.get("file_name"), str) or ".." in Path(image["file_name"]).parts:
            raise InputError(path, f"image {image['id']}: has no usable file name", _REMEDY)
        frame = image.get("frame", 0)
        if not isinstance(frame, int) or isinstance(frame, bool) or frame < 0:
            raise InputError(path, f"image {image['id']}: its frame is not a number from 0 on", _REMEDY)
        found[image["id"]] = image
    return found


def _joints(categories: Any) -> list[str]:
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return names
    return []


def _entry(path: Path, folder: Path, image: dict[str, Any], values: np.ndarray, suffix: str = "") -> AnnotatedPerson:
    file = folder / image["file_name"].lstrip("/")
    height, width = (_number(image.get(side)) for side in ("height", "width"))
    video = image.get("video_id", image.get("video", ""))
    frame = image.get("frame")
    name = file.stem if frame is None else f"{file.stem}_{frame:06d}"
    split = re.search(r"(?<![a-z])(train|val|test)", path.stem.lower())
    return AnnotatedPerson(
        where=f"{image['file_name'][:60]}{suffix}",
        name=name + suffix,
        points=np.where(values[:, 2:] > 0, values[:, :2], np.nan),
        image=file,
        frame=frame,
        size=(float(height), float(width)) if height > 0 and width > 0 else None,
        group=str(video) if isinstance(video, (int, str)) else "",
        split=split[1] if split else "",
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else np.nan
