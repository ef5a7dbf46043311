"""A folder with one JSON file a frame, as OpenPose, tools of rtmlib (Sports2D, Pose2Sim) and Sapiens write it.

`people[k].pose_keypoints_2d` holds x, y, confidence of 25 (BODY_25) or 18 (COCO) points, with rtmlib of those of its
network; with Sapiens `instance_info[k]` holds `keypoints` and `keypoint_scores`. A missing point is 0, 0, 0 and becomes
NaN. The frame number is in the file's name, zero-padded or not; a missing file is a missing frame.
"""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FRAMES, umask
from infantjax.formats import json_file, persons
from infantjax.formats.checks import check_readable
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks
from infantjax.recording.recording import Recording

SETS = ("openpose-25", "openpose-18")
"""Keypoint sets that are written."""
_READ = (*SETS, "coco-17", "halpe-26", "coco-wholebody-133", "halpe-136")


def recognizes(source: Source) -> bool:
    """Whether a folder holds files named as OpenPose names them, or one of the first few is a frame of OpenPose.

    Folders of recordings may hold other .json files.
    """
    names = sorted(source.json_names)
    return any(n.endswith("_keypoints.json") for n in names) or any(_is_frame(source.path / n) for n in names[:3])


def _is_frame(path: Path) -> bool:
    try:
        document = json_file.load(check_readable(path))
    except InputError:
        return False
    return _people(document) is not None


def _people(document: Any) -> list[Any] | None:
    """The persons of a frame; None where it is no frame."""
    if not isinstance(document, dict):
        return None
    if isinstance(people := document.get("people"), list):
        return people
    people = document.get("instance_info")
    # MMPose uses the same name for the frames of a whole video.
    return (
        people
        if isinstance(people, list) and not any("instances" in p for p in people if isinstance(p, dict))
        else None
    )


def read(source: Source, individual: str | None) -> Tracks:
    """Read a folder of frames.

    Raises:
        InputError: no frame can be read, a file's name has no number, two have the same, the number of points changes.
    """
    path = source.path
    if source.kind != "folder":
        raise InputError(path, "is one file", "give the folder with one OpenPose .json a frame")
    names = source.json_names
    if not names:
        raise InputError(path, "holds no .json files", "give the folder with one OpenPose .json a frame")
    if len(names) > MAX_FRAMES:
        raise InputError(path, f"holds {len(names)} frames; at most {MAX_FRAMES} are read", "split the recording")
    numbers = {_number(path, name): name for name in names}
    if len(numbers) < len(names):
        number, first = next((_number(path, n), n) for n in names if numbers[_number(path, n)] != n)
        raise InputError(
            path, f'frame number {number} occurs twice, in "{first}" and "{numbers[number]}"', "remove one of the two"
        )
    frames = sorted(numbers)
    found: list[list[np.ndarray]] = []
    broken: list[InputError] = []
    for frame in frames:
        try:
            found.append(_read_frame(path / numbers[frame]))
        except InputError as error:
            broken.append(error)
            found.append([])
    if len(broken) == len(frames):
        raise broken[0]
    return persons.to_tracks(
        path,
        found,
        lambda row, joint: numbers[frames[row]],
        _READ,
        unread=[str(error) for error in broken],
        frames=np.array(frames, dtype=np.float64),
    )


def _number(path: Path, name: str) -> int:
    digits = re.findall(r"\d+", name.removesuffix(".json").removesuffix("_keypoints"))
    if not digits or len(digits[-1]) > 15:
        raise InputError(path, f'"{name}" has no frame number in its name', "keep only OpenPose's .json files there")
    return int(digits[-1])


def _read_frame(path: Path) -> list[np.ndarray]:
    document = json_file.load(check_readable(path))
    people = _people(document)
    if people is None:
        raise InputError(path, 'has no list "people"', "keep only OpenPose's .json files in the folder")
    result = []
    for person in people:
        if not isinstance(person, dict):
            points = None
        elif "keypoints" in person:
            points = persons.instance(person)
        else:
            points = persons.points(person.get("pose_keypoints_2d"), 3)
        if points is None:
            raise InputError(path, "its points are not a list of x, y, confidence", "export the frame again")
        if len(points):
            result.append(persons.without_zeros(points))
    return result


def write(recording: Recording, path: Path) -> None:
    """Write a folder with one file a frame, whole or not at all. It does not store the frame rate.

    Raises:
        ValueError: another keypoint set than openpose-25 or openpose-18, or three dimensions.
        FileExistsError: the folder exists.
    """
    if recording.skeleton.name not in SETS or recording.keypoints.shape[2] != 2:
        raise ValueError(f"an OpenPose folder holds {' or '.join(SETS)} in two dimensions; convert the recording first")
    if path.exists():
        raise FileExistsError(f"{path} exists; name a new folder")
    confidence = np.ones(recording.keypoints.shape[:2]) if recording.confidence is None else recording.confidence
    values = np.concatenate([recording.keypoints, confidence[..., None]], axis=-1)
    values[np.isnan(values).any(axis=-1)] = 0.0
    temporary = Path(tempfile.mkdtemp(prefix=".tmp-", dir=path.parent))
    try:
        for frame, row in enumerate(values):
            person = {"person_id": [-1], "pose_keypoints_2d": row.ravel().tolist()}
            document: dict[str, Any] = {"version": 1.3, "people": [person] if row.any() else []}
            (temporary / f"{path.name}_{frame:012d}_keypoints.json").write_text(json.dumps(document), encoding="utf-8")
        temporary.chmod(0o777 & ~umask())
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
