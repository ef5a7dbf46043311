"""Annotated pictures: LabelMe files."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_JSON_BYTES, natural_order
from infantjax.motion.readers import read
from infantjax.skeletons import Skeleton

_ALIASES = {"head": "head_top", "vertex": "head_top", "neck": "upper_neck"}
_SIDE = re.compile(r"^(.*)[_ ]([rl])$")


class Annotations(NamedTuple):
    """Keypoints of pictures.

    Attributes:
        names: of the pictures, in the order of their numbers.
        points: `[picture, keypoint, 2]`, pixels; NaN where not annotated.
    """

    names: tuple[str, ...]
    points: np.ndarray


def read_annotations(path: str | Path, skeleton: Skeleton) -> Annotations:
    """The annotations of a folder of LabelMe files, or of a keypoint file with one row a picture.

    Args:
        path: a folder of `.json` files of LabelMe, or a keypoint file.
        skeleton: whose points to take. Labels are matched by name, `Wrist_R` being `right_wrist` and `Head` the head
            top; labels of other points are passed over.

    Raises:
        InputError: not such a folder or file, a file that is no LabelMe file, or no label of the skeleton anywhere.
    """
    path = Path(path)
    if not path.is_dir():
        recording = read(path, fps=1.0)
        shared = [j for j in skeleton.joints if j in recording.skeleton.joints]
        points = np.full((recording.frames, len(skeleton.joints), 2), np.nan)
        for joint in shared:
            points[:, skeleton.index(joint)] = recording.keypoints[:, recording.skeleton.index(joint), :2]
        return Annotations(tuple(str(i) for i in range(recording.frames)), points)
    files = sorted((p for p in path.glob("*.json") if not p.name.startswith(".")), key=natural_order)
    if not files:
        raise InputError(path, "holds no .json files of LabelMe", "give the folder of the annotations")
    points = np.stack([_labelme(file, skeleton) for file in files])
    if np.isnan(points).all():
        raise InputError(path, f"has no label of a point of {skeleton.name}", "name labels like Wrist_R or right_wrist")
    return Annotations(tuple(file.stem for file in files), points)


def _labelme(path: Path, skeleton: Skeleton) -> np.ndarray:
    points = np.full((len(skeleton.joints), 2), np.nan)
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(path, f"is larger than {MAX_JSON_BYTES} bytes")
        document = json.loads(path.read_bytes())
        height, width = float(document["imageHeight"]), float(document["imageWidth"])
        for shape in document["shapes"]:
            joint = _joint(str(shape["label"]))
            if joint not in skeleton.joints:
                continue
            x, y = (float(v) for v in shape["points"][0])
            if not (0 <= x <= width and 0 <= y <= height):
                raise InputError(path, f"has {shape['label']} at {x:g}, {y:g}, outside the picture", "correct it")
            if not np.isnan(points[skeleton.index(joint)]).all():
                raise InputError(path, f"has the label {shape['label']} twice", "correct it")
            points[skeleton.index(joint)] = x, y
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(path, f"is no LabelMe file ({reason})", "give LabelMe's own files") from None
    return points


def _joint(label: str) -> str:
    name = label.strip().lower()
    if match := _SIDE.match(name):
        name = f"{'right' if match[2] == 'r' else 'left'}_{match[1]}"
    return _ALIASES.get(name, name)
