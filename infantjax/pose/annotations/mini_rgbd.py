"""MINI-RGBD: `joints_2Ddep/*.txt` with a line `x y depth id` a joint, beside the images in `rgb`.

The folder is one sequence, or holds several (`01`, `02`, ...), each the movement of another infant: the group. Of the
25 joints of the body model those are read that keypoint sets of images have; the hips are the centers of the joints,
not the iliac spines of In-Motion, and are left out there, as in the papers.

Source: Hesse et al. 2018; Groos et al., Paper II (table 6: nose, upper neck, shoulders, elbows, wrists, knees, ankles).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from infantjax import skeletons
from infantjax.errors import Problems
from infantjax.files import natural_order
from infantjax.pose.annotations.data import AnnotatedPerson, ParsedAnnotations, ReadRequest, collected, read_numbers
from infantjax.skeletons import IN_MOTION_19

_PAIRS = {"shoulder": 16, "elbow": 18, "wrist": 20, "hip": 1, "knee": 4, "ankle": 7}
_JOINTS = {"nose": 24, "head": 15, "neck": 12}
_JOINTS |= {f"{side}_{part}": n + (side == "right") for part, n in _PAIRS.items() for side in ("right", "left")}
"""Numbers of the joints of the body model, in which the right one of a pair follows the left one."""
_OTHERS = {"neck": "upper_neck", "wrist": "hand", "ankle": "foot"}
_SIZE = (480.0, 640.0)
_FOLDER = "joints_2Ddep"


def recognizes(path: Path) -> bool:
    """Whether a folder, or one in it, holds a folder of joints."""
    return path.is_dir() and bool(_sequences(path))


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the sequences, by default as `in-motion-19`.

    Raises:
        InputError: no sequence.
    """
    skeleton = skeletons.get(request.skeleton or IN_MOTION_19)
    joints = {_named(joint, skeleton.joints): number for joint, number in _JOINTS.items()}
    if skeleton.name == IN_MOTION_19.name:
        joints = {joint: number for joint, number in joints.items() if not joint.endswith("_hip")}
    problems, entries = Problems(), []
    for sequence in _sequences(request.path):
        images = (request.image_dir / sequence.name if request.image_dir else sequence) / "rgb"
        for file in sorted((sequence / _FOLDER).glob("*.txt"), key=natural_order):
            number, where = file.stem.rpartition("_")[2], f"{sequence.name}/{file.name}"
            with collected(problems, where):
                points = _points(file, [joints.get(joint, -1) for joint in skeleton.joints])
                name, image = f"{sequence.name}_{number}", images / f"syn_{number}.png"
                entries.append(AnnotatedPerson(where, name, points, image, size=_SIZE, group=sequence.name))
    return ParsedAnnotations(skeleton.joints, entries, problems, own=False)


def _sequences(path: Path) -> list[Path]:
    folders = [path, *sorted((p for p in path.iterdir() if p.is_dir()), key=natural_order)]
    return [folder for folder in folders if (folder / _FOLDER).is_dir()]


def _named(joint: str, known: tuple[str, ...]) -> str:
    """The name that a keypoint set has for a joint."""
    if joint in known:
        return joint
    side, _, part = joint.rpartition("_")
    other = _OTHERS.get(part, part)
    return f"{side}_{other}" if side else other


def _points(file: Path, numbers: Sequence[int]) -> np.ndarray:
    """The joints of these numbers; NaN where the body model has none."""
    rows = read_numbers(file, 4, "x, y, depth and number")
    found = {int(number): (x, y) for x, y, _, number in rows}
    return np.array([found.get(number, (np.nan, np.nan)) for number in numbers])
