"""LabelMe: a `.json` file beside each image, with named points in pixels.

Labels are matched by name: `Wrist_R` is `right_wrist`, `Head` the head top. Other shapes than points count by their
first point.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import canonical_json, natural_order
from infantjax.formats import json_file
from infantjax.pose.annotations.data import (
    AnnotatedPerson,
    ParsedAnnotations,
    ReadRequest,
    collected,
    images_in,
    note_unannotated,
)

_ALIASES = {"head": "head_top", "vertex": "head_top", "neck": "upper_neck"}
_SIDE = re.compile(r"^(.*)[_ ]([rl])$")
_REMEDY = "give LabelMe's own files"


def recognizes(path: Path) -> bool:
    """Whether a folder holds `.json` files, or one file has shapes and the size of an image."""
    if path.is_dir():
        return bool(_files(path))
    if path.suffix.lower() != ".json":
        return False
    document = json_file.load(path)
    return isinstance(document, dict) and "shapes" in document


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the files.

    Raises:
        InputError: no such files, or no label of a point of the skeleton.
    """
    path, problems = request.path, Problems()
    files = _files(path) if path.is_dir() else [path]
    folder = request.image_dir or (path if path.is_dir() else path.parent)
    images = images_in(folder)
    found: list[tuple[Path, tuple[float, float], dict[str, tuple[float, float]], Path]] = []
    for file in files:
        with collected(problems, file.name):
            size, points, name = _labels(file, problems)
            found.append((file, size, points, images.get(file.stem, folder / (name or f"{file.stem}.jpg"))))
    joints = list(dict.fromkeys(joint for _, _, points, _ in found for joint in points))
    skeleton = request.skeleton
    if skeleton is not None:
        # Other labels are not a mistake: a set of 22 points may serve a skeleton of 16.
        joints = [joint for joint in joints if joint in skeleton.joints]
        if found and not joints and not problems.errors:
            raise InputError(path, f"has no label of a point of {skeleton.name}", "name labels like Wrist_R")
    entries = [
        AnnotatedPerson(
            where=file.name,
            name=file.stem,
            points=np.array([points.get(joint, (np.nan, np.nan)) for joint in joints]).reshape(-1, 2),
            image=image,
            size=size,
        )
        for file, size, points, image in found
    ]
    note_unannotated(folder, entries, problems)
    return ParsedAnnotations(joints, entries, problems)


def blank(image: str, height: int, width: int) -> str:
    """The file of an image without a point, for annotators to fill in.

    Args:
        image: name of the image, which lies beside it.
        height: of the image, pixels.
        width: of the image, pixels.
    """
    size = {"imageHeight": height, "imageWidth": width}
    return canonical_json({"version": "5.5.0", "flags": {}, "shapes": [], "imagePath": image, "imageData": None} | size)


def _files(path: Path) -> list[Path]:
    return sorted((p for p in path.glob("*.json") if not p.name.startswith(".")), key=natural_order)


def _labels(file: Path, problems: Problems) -> tuple[tuple[float, float], dict[str, tuple[float, float]], str]:
    """Size of the image, points by joint, and the image's name, empty where the file names none."""
    points: dict[str, tuple[float, float]] = {}
    try:
        document: Any = json_file.load(file)
        if isinstance(document, dict) and "images" in document:
            raise ValueError("it is of COCO: give it alone, not its folder")
        height, width = float(document["imageHeight"]), float(document["imageWidth"])
        for shape in document["shapes"]:
            joint = _joint(str(shape["label"]))
            x, y = (float(v) for v in shape["points"][0])
            if joint in points:
                problems.errors.append((file.name, f"has the label {shape['label']} twice"))
            points[joint] = x, y
        name = str(document.get("imagePath") or "").replace("\\", "/").rpartition("/")[2]
    except InputError as error:
        raise InputError(file, f"is not a LabelMe file ({error.what})", _REMEDY) from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(file, f"is not a LabelMe file ({reason})", _REMEDY) from None
    return (height, width), points, name


def _joint(label: str) -> str:
    name = label.strip().lower()
    if match := _SIDE.match(name):
        name = f"{'right' if match[2] == 'r' else 'left'}_{match[1]}"
    return _ALIASES.get(name, name)
