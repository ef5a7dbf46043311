"""The corpus of odd keypoint files: each is read, read with a note, or refused in one clear line.

`CORPUS` is made by the functions below from one simulated movement; nothing binary is stored. Its keys are the rows of
the corpus; rows about assessing (shorter than a window) and about folders of files are tested elsewhere.
"""

import io
import json
import os
import pickle
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from infantjax import files
from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.formats import checks, hdf5, text
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19, MPII_16, OPENPOSE_18, OPENPOSE_25

FPS = 30.0
FRAMES = 120
JOINTS = IN_MOTION_19.joints


@cache
def simulated() -> np.ndarray:
    return simulate(0, InfantConfig(duration=FRAMES / FPS, dropout_rate=0)).keypoints.round(3)


def movement(frames: int = FRAMES) -> np.ndarray:
    """An infant on its back, head up, its front towards the camera."""
    return simulated()[:frames].copy()


def recording(**changes: Any) -> Recording:
    return Recording(**({"keypoints": movement(), "fps": FPS, "skeleton": IN_MOTION_19, "name": "a"} | changes))


@dataclass(frozen=True)
class Case:
    """One file and what must come of it.

    Attributes:
        make: writes it into a folder and returns its path.
        error: a part of the message if it must be refused; None if it must be read.
        note: a part of one of the notes.
        check: of the recording that was read.
        options: for `read`; the frame rate is given unless they say otherwise.
    """

    make: Callable[[Path], Path]
    error: str | None = None
    note: str | None = None
    check: Callable[[Recording], Any] | None = None
    options: dict[str, Any] = field(default_factory=lambda: {"fps": FPS})


# Makers -------------------------------------------------------------------------------------------------------------


def table(
    points: np.ndarray | None = None,
    joints: tuple[str, ...] = JOINTS,
    separator: str = ",",
    comma: bool = False,
    encoding: str = "utf-8",
    newline: str = "\n",
    numbers: Callable[[int], Any] | None = lambda frame: frame,
    edit: Callable[[list[str]], list[str]] = lambda lines: lines,
    name: str = "a.csv",
) -> Callable[[Path], Path]:
    """A wide table; `edit` changes its lines, `numbers` its frame numbers (None leaves them out)."""

    def make(folder: Path) -> Path:
        values = movement() if points is None else points
        frame = [] if numbers is None else ["frame"]
        lines = [separator.join([*frame, *(f"{j}_{a}" for j in joints for a in "xyz"[: values.shape[2]])])]
        for i, row in enumerate(values):
            cells = ["" if np.isnan(v) else repr(float(v)).replace(".", "," if comma else ".") for v in row.ravel()]
            lines.append(separator.join([*([] if numbers is None else [str(numbers(i))]), *cells]))
        (folder / name).write_bytes((newline.join(edit(lines)) + newline).encode(encoding))
        return folder / name

    return make


def cell(line: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    """An edit that puts one value into one cell (line 0 is the header, column 0 the frame number)."""

    def edit(lines: list[str]) -> list[str]:
        cells = lines[line].split(",")
        cells[column] = value
        return [*lines[:line], ",".join(cells), *lines[line + 1 :]]

    return edit


def changed(change: Callable[[np.ndarray], Any]) -> np.ndarray:
    points = movement()
    change(points)
    return points


def written(format: str, name: str, edit: Callable[[bytes], bytes] = lambda b: b, **changes: Any):
    """A file that the project writes, and then some of its bytes changed."""

    def make(folder: Path) -> Path:
        readers.write(recording(**changes), folder / name, format)
        if edit is not None and (folder / name).is_file():
            (folder / name).write_bytes(edit((folder / name).read_bytes()))
        return folder / name

    return make


def content(data: bytes | str | Any, name: str) -> Callable[[Path], Path]:
    """A file of bytes, a text, or of anything else as JSON."""
    data = data if isinstance(data, (bytes, str)) else json.dumps(data)

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return folder / name

    return make


def mmpose(first: list[Any] | None = None) -> Callable[[Path], Path]:
    """As the demo scripts write it, with points put before those of the first frame."""
    entries = [{"frame_id": i, "instances": [{"keypoints": row}]} for i, row in enumerate(movement().tolist())]
    entries[0]["instances"][0]["keypoints"][:0] = first or []
    names = {str(i): joint for i, joint in enumerate(JOINTS)}
    return content({"meta_info": {"keypoint_id2name": names, "fps": FPS}, "instance_info": entries}, "a.json")


def sleap(edit: Callable[[bytes], bytes] = lambda b: b) -> Callable[[Path], Path]:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["tracks"] = movement(12).transpose(2, 1, 0)[None]
        file["node_names"] = np.array([joint.encode() for joint in JOINTS])
    return content(edit(stream.getvalue()), "a.h5")


def openpose(change: Callable[[Path], Any] = lambda folder: None, points: int = 25) -> Callable[[Path], Path]:
    skeleton = OPENPOSE_25 if points == 25 else OPENPOSE_18
    keypoints = np.random.default_rng(0).normal(300, 50, (12, points, 2)).round(2)

    def make(folder: Path) -> Path:
        readers.write(Recording(keypoints, FPS, skeleton), folder / "frames", "openpose")
        change(folder / "frames")
        return folder / "frames"

    return make


def frame_file(folder: Path, number: int) -> Path:
    return folder / f"frames_{number:012d}_keypoints.json"


def person(*, points: int = 25, size: float = 1.0) -> dict[str, Any]:
    values = np.random.default_rng(5).random((points, 3)) * size + 100
    values[:, 2] = 0.9
    return {"pose_keypoints_2d": values.ravel().tolist()}


def coco(change: Callable[[Any], Any] = lambda document: None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        readers.write(recording(), folder / "a.json", "coco")
        document = json.loads((folder / "a.json").read_text())
        change(document)
        (folder / "a.json").write_text(json.dumps(document))
        return folder / "a.json"

    return make


def archive(**arrays: Any) -> Callable[[Path], Path]:
    """An .npz whose members are arrays, or bytes that are stored as they are."""

    def make(folder: Path) -> Path:
        defaults = {"keypoints": movement(), "joints": np.array(JOINTS), "fps": np.float64(FPS)}
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, value in (defaults | arrays).items():
                stream = io.BytesIO()
                if not isinstance(value, bytes):
                    np.lib.format.write_array(stream, np.asarray(value), allow_pickle=True)
                file.writestr(f"{name}.npy", value if isinstance(value, bytes) else stream.getvalue())
        return folder / "a.npz"

    return make


def npy_header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def link(target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "a.csv").symlink_to(target)
        return folder / "a.csv"

    return make


def huge(name: str, size: int) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with (folder / name).open("wb") as stream:
            stream.write(b"frame,nose_x,nose_y\n")
            stream.truncate(size)  # takes no room on the disk
        return folder / name

    return make


def folder_named(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.csv")
    return folder / "a.csv"


# Checks -------------------------------------------------------------------------------------------------------------


def equal(read: Recording) -> None:
    np.testing.assert_array_equal(read.keypoints, movement())


def missing(joint: str) -> Callable[[Recording], None]:
    def check(read: Recording) -> None:
        index = JOINTS.index(joint)
        assert np.isnan(read.keypoints[:, index]).all()
        np.testing.assert_array_equal(np.delete(read.keypoints, index, 1), np.delete(movement(), index, 1))

    return check


def frames_missing(*frames: int) -> Callable[[Recording], None]:
    def check(read: Recording) -> None:
        assert np.flatnonzero(read.missing.all(axis=1)).tolist() == list(frames)

    return check


def set_to(index: Any, value: Any) -> Callable[[np.ndarray], None]:
    def change(points: np.ndarray) -> None:
        points[index] = value

    return change


def names(separator: str, change: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(change(j).replace("_", separator) for j in JOINTS)


NOSE_X = 1 + 2 * JOINTS.index("nose")
MIRROR = list(IN_MOTION_19.mirror)
SHUFFLED = np.random.default_rng(1).permutation(len(JOINTS))
CONFIDENT = np.full((FRAMES, len(JOINTS)), 0.5)

CORPUS: dict[str, Case] = {
    "K01 empty": Case(content("", "a.csv"), error="is empty"),
    "K02 header only": Case(table(movement(0)), error="has no frames"),
    "K03 one frame": Case(table(movement(1)), error="has a single frame"),
    "K04 four seconds": Case(table(), check=equal),
    "K05 wrong columns": Case(
        table(joints=tuple(f"sensor{i}" for i in range(19))), error="are not those of a known keypoint set"
    ),
    "K05 no header": Case(
        table(edit=lambda lines: lines[1:], numbers=None),
        error="is a text table without columns like nose_x and nose_y",
    ),
    "K06 another order": Case(table(movement()[:, SHUFFLED], tuple(np.array(JOINTS)[SHUFFLED].tolist())), check=equal),
    "K07 missing joint": Case(
        table(np.delete(movement(), 1, 1), tuple(j for j in JOINTS if j != "nose")),
        note="joints of in-motion-19 that are missing in the file: nose",
        check=missing("nose"),
    ),
    "K08 joint twice": Case(
        table(np.concatenate([movement(), movement()[:, :1]], 1), (*JOINTS, "HeadTop")),
        error='joint "head_top" occurs twice, as "head_top" and "HeadTop"',
    ),
    "K09 unknown joint": Case(
        table(np.concatenate([movement(), movement()[:, :1]], 1), (*JOINTS, "tail")),
        note="points ignored, which are not in in-motion-19: tail",
        check=equal,
    ),
    "K10 all missing": Case(table(np.full_like(movement(), np.nan)), error="every point is missing"),
    "K11 a joint all missing": Case(table(changed(set_to(np.s_[:, 1], np.nan))), check=missing("nose")),
    "K12 nine tenths missing": Case(table(changed(set_to(np.s_[:110], np.nan))), note="92% of all points are missing"),
    "K13 one missing": Case(
        table(changed(set_to(np.s_[3, 1], np.nan))), check=lambda r: r.missing.sum() == 1 and r.missing[3, 1]
    ),
    **{
        f"K15 {word}": Case(table(edit=cell(5, NOSE_X, word)), check=lambda r: r.missing[4, 1] and r.missing.sum() == 1)
        for word in ("NA", "-", " ")
    },
    "K15 a word": Case(
        table(edit=cell(5, NOSE_X, "lost")), error='line 6, column nose_x: "lost" is not a number; leave the cell empty'
    ),
    "K16 infinite": Case(table(edit=cell(5, NOSE_X, "-inf")), error="line 6, joint nose: the x coordinate is infinite"),
    "K18 a thousand million pixels": Case(
        table(edit=cell(5, NOSE_X, "1e9")), error="the x coordinate is 1e+09, larger than 1e+06"
    ),
    "K20 all zero": Case(table(np.zeros_like(movement())), error="every point is 0 or missing"),
    "K20 some zero": Case(
        table(changed(set_to(np.s_[3, 1:4], 0.0))),
        note="3 points at exactly (0, 0) were taken as missing",
        check=lambda r: r.missing[3, 1:4].all() and r.missing.sum() == 3,
    ),
    "K21 constant": Case(table(movement(1).repeat(FRAMES, 0)), note="the pose never changes"),
    "K22 no frame rate": Case(
        table(), error="states no frame rate; give the frames per second of the video with --fps", options={}
    ),
    **{
        f"K23-K26 frame rate {fps}": Case(table(), error="--fps", options={"fps": fps})
        for fps in (0, 1e6, float("nan"), "thirty")
    },
    "K23 frame rate 0 in a file": Case(archive(fps=np.float64(0)), error="frame rate 0 is not above 0", options={}),
    "K27 frame number twice": Case(
        table(numbers=lambda i: min(i, 100)), error="line 103: frame number 100 occurs twice"
    ),
    "K27 frame numbers of a thousand years": Case(
        table(numbers=lambda i: i * 10**9), error="frame numbers run from 0 to 119000000000 in 120 rows"
    ),
    "K28 unsorted": Case(table(movement()[::-1], numbers=lambda i: FRAMES - 1 - i), check=equal),
    "K29 gaps": Case(
        table(movement(118), numbers=lambda i: i + 2 * (i > 9)),
        note="2 of 120 frames are absent from the file and left missing",
        check=frames_missing(10, 11),
    ),
    "K30 from 1000": Case(table(numbers=lambda i: i + 1000), check=equal),
    "K31 semicolon and decimal comma": Case(table(separator=";", comma=True), check=equal),
    "K32 tab": Case(table(separator="\t", name="a.tsv"), check=equal),
    "K33 byte order mark": Case(table(encoding="utf-8-sig"), check=equal),
    "K34 UTF-16": Case(table(encoding="utf-16"), check=equal),
    "K35 Latin-1": Case(
        table(np.concatenate([movement(), movement()[:, :1]], 1), (*JOINTS, "zeh\xe4"), encoding="latin-1"),
        note="which are not in in-motion-19: zeh\xe4",
        check=equal,
    ),
    "K36 CRLF": Case(table(newline="\r\n"), check=equal),
    "K37 quoted numbers": Case(
        table(edit=lambda lines: [",".join(f'"{c}"' for c in line.split(",")) for line in lines]), check=equal
    ),
    "K38 trailing comma": Case(table(edit=lambda lines: [line + "," for line in lines]), check=equal),
    "K38 blank lines": Case(table(edit=lambda lines: "\n\n".join(lines).split("\n")), check=equal),
    "K39 ragged": Case(
        table(edit=lambda lines: [*lines[:7], lines[7].rpartition(",")[0], *lines[8:]]),
        error="line 8 has 38 cells, the header 39",
    ),
    "K39 a very long line": Case(
        table(edit=lambda lines: [*lines, "1" * (files.MAX_LINE_CHARACTERS + 1)]),
        error="line 122 is longer than 1000000 characters",
    ),
    "K40 confidence a little above 1": Case(
        written("wide-csv", "a.csv", confidence=CONFIDENT + 0.7),
        note="confidences up to 1.2 were cut at 1",
        check=lambda r: r.confidence.max() == 1,
    ),
    "K41 confidence in percent": Case(
        written("wide-csv", "a.csv", confidence=CONFIDENT * 100),
        note="taken as percent",
        check=lambda r: np.testing.assert_array_equal(r.confidence, CONFIDENT),
    ),
    "K42 confidence negative": Case(
        written("wide-csv", "a.csv", confidence=CONFIDENT - 1),
        error="line 2, joint head_top: confidence -0.5 is not in 0..1",
    ),
    "K43 fractions of the picture": Case(
        table(movement() / 5000), note="all coordinates lie within -1..1: if they are fractions"
    ),
    "K44 millimetres": Case(table(movement() * 1.7)),
    "K45 y upwards": Case(table(movement() * [1, -1]), note="left and right look exchanged"),
    "K47 mirrored": Case(table([640, 0] + movement() * [-1, 1]), note="left and right look exchanged"),
    "K48 three dimensions": Case(
        table(np.concatenate([movement(), movement()[..., :1]], -1)), check=lambda r: r.keypoints.shape[2] == 3
    ),
    "K48 a z missing": Case(
        table(
            np.concatenate([movement(), movement()[..., :1]], -1),
            edit=lambda lines: [lines[0].replace("nose_z", "nose_q"), *lines[1:]],
        ),
        error='joint "nose" has no column "z"',
    ),
    "K50 another set": Case(
        table(movement()[:, [IN_MOTION_19.index(j) for j in MPII_16.joints]], MPII_16.joints),
        check=lambda r: r.skeleton is MPII_16,
    ),
    "K50 another set than was named": Case(
        table(joints=tuple(f"sensor{i}" for i in range(19))),
        error="are not those of skeleton mini-rgbd-14, of which 0 of 14 joints were found",
        options={"fps": FPS, "skeleton": "mini-rgbd-14"},
    ),
    "K51 25 points named as 18": Case(
        openpose(),
        error="holds 25 points a frame without names, not those of openpose-18 (18)",
        options={"fps": FPS, "skeleton": "openpose-18"},
    ),
    "K52 DeepLabCut": Case(written("deeplabcut-csv", "a.csv"), check=equal),
    "K52 DeepLabCut without frames": Case(
        written("deeplabcut-csv", "a.csv", lambda b: b"\n".join(b.split(b"\n")[:3])), error="has a header but no frames"
    ),
    "K58 HDF5 cut": Case(sleap(lambda b: b[: len(b) // 2]), error="is not an HDF5 file that can"),
    "K59 text named .h5": Case(content("frame,nose_x,nose_y\n1,2,3\n", "a.h5"), error="is named .h5 but holds text"),
    "K61 OpenPose": Case(openpose(), check=lambda r: r.skeleton is OPENPOSE_25 and not r.missing.any()),
    "K61 OpenPose of 18 points": Case(openpose(points=18), check=lambda r: r.skeleton is OPENPOSE_18),
    "K61 one frame of OpenPose": Case(
        content(json.dumps({"people": [person()]}), "a.json"), error="is a single frame of OpenPose: give the folder"
    ),
    "K62 missing frame": Case(
        openpose(lambda f: frame_file(f, 4).unlink()), note="1 of 12 frames are absent", check=frames_missing(4)
    ),
    "K63 unreadable frame": Case(
        openpose(lambda f: frame_file(f, 4).write_text("{")),
        note="1 frames could not be read and are missing, the first:",
        check=frames_missing(4),
    ),
    "K63 no readable frame": Case(
        openpose(lambda f: [p.write_text("{") for p in f.iterdir()]), error="is not JSON that can be read"
    ),
    "K64 two persons": Case(
        openpose(
            lambda f: frame_file(f, 4).write_text(
                json.dumps({"people": [person(size=5), person(size=300), person(size=9)]})
            )
        ),
        note="1 frames show several persons; the largest was followed",
        check=lambda r: np.ptp(r.keypoints[4, :, 0]) > 200,
    ),
    "K65 nobody": Case(
        openpose(lambda f: frame_file(f, 4).write_text('{"people": []}')),
        note="1 frames show nobody",
        check=frames_missing(4),
    ),
    "K66 names not padded": Case(
        openpose(lambda f: [frame_file(f, i).rename(f / f"v2_{i}_keypoints.json") for i in range(12)]),
        check=lambda r: np.testing.assert_array_equal(
            r.keypoints, np.random.default_rng(0).normal(300, 50, (12, 25, 2)).round(2)
        ),
    ),
    "K66 names without numbers": Case(
        openpose(lambda f: frame_file(f, 4).rename(f / "last.json")), error='"last.json" has no frame number'
    ),
    "K66 one number twice": Case(
        openpose(lambda f: frame_file(f, 4).rename(f / "x_3_keypoints.json")), error="frame number 3 occurs twice"
    ),
    "K67 25 then 18 points": Case(
        openpose(lambda f: frame_file(f, 4).write_text(json.dumps({"people": [person(points=18)]}))),
        error="holds 18 points a person, another frame 25",
    ),
    "K68 COCO": Case(coco(), check=equal, options={}),
    "K68 COCO detections": Case(
        content(
            json.dumps([{"image_id": i, "keypoints": [i + 1.5, 9.5, 0.9] * 17, "score": 1} for i in range(5)]), "a.json"
        ),
        check=lambda r: r.skeleton.name == "coco-17" and r.frames == 5,
    ),
    "K69 v 0": Case(
        coco(lambda d: d["annotations"][3]["keypoints"].__setitem__(5, 0)), check=lambda r: r.missing[3, 1], options={}
    ),
    "K68 COCO without annotations": Case(coco(lambda d: d["annotations"].clear()), error="no person was found"),
    "K68 COCO of no image": Case(
        coco(lambda d: d["annotations"][3].update(image_id=999)), error="annotation 3: belongs to no image"
    ),
    "K68 COCO and MMPose in one": Case(
        coco(lambda d: d.update(instance_info=[])),
        error="may be read as coco or as mmpose; choose with --format coco or --format mmpose",
    ),
    "K68 other JSON": Case(content('{"a": 1}', "a.json"), error="is JSON without keypoints of a known format"),
    "K70 MMPose": Case(mmpose(), check=equal, options={}),
    "K70 MMPose inferencer": Case(
        content(
            json.dumps([{"frame_id": i, "instances": [{"keypoints": [[i + 1, 2.5]] * 17}]} for i in range(5)]), "a.json"
        ),
        check=lambda r: r.skeleton.name == "coco-17" and r.confidence is None,
    ),
    "K70 MMPose with a point less": Case(
        mmpose([[1, 2]]),
        error="holds 19 points a person, another frame 20",
    ),
    "K71 NaN in JSON": Case(
        coco(lambda d: d["annotations"][3]["keypoints"].__setitem__(slice(0, 2), [float("nan")] * 2)),
        check=lambda r: r.missing[3, 0] and r.missing.sum() == 1,
        options={},
    ),
    "K72 nested deeply": Case(content("[" * 100_000 + "]" * 100_000, "a.json"), error="is not JSON that can be read"),
    "K73 JSON cut": Case(written("coco", "a.json", lambda b: b[:5000]), error="is not JSON that can be read"),
    "K77 archive cut": Case(written("npz", "a.npz", lambda b: b[: len(b) // 2]), error="is not an .npz archive that"),
    "K78 objects in an archive": Case(
        archive(joints=np.array(JOINTS, dtype=object)), error="(joints): holds Python objects, which are never loaded"
    ),
    "K79 text named .npz": Case(content("frame,nose_x,nose_y\n", "a.npz"), error="is named .npz but holds text"),
    "K80 declares 10^12 numbers": Case(
        archive(keypoints=npy_header((10**12, 19, 2))), error="(keypoints): declares 304000000000000 bytes but holds 0"
    ),
    "K80 a bare array": Case(content(npy_header((3,)) + bytes(24), "a.npy"), error="holds a bare .npy array"),
    "K81 unpacks to a thousand times its size": Case(
        archive(keypoints=npy_header((50_000, 19, 2)) + bytes(50_000 * 19 * 2 * 8)),
        error="times its size; at most 100 times are allowed",
    ),
    "K81 another archive": Case(archive(joints=b"no array"), error="is not an .npz archive that can be read"),
    "K81 the wrong shape": Case(archive(keypoints=np.ones((4, 3, 2))), error="keypoints have shape (4, 3, 2)"),
    "K81 information that is no JSON": Case(
        archive(info=np.frombuffer(b"{", np.uint8)), error="is not JSON that can be read"
    ),
    "K81 information without a skeleton": Case(
        archive(info=np.frombuffer(b"{}", np.uint8)), error="info: the skeleton cannot be used"
    ),
    "K83 over two gigabytes": Case(huge("a.csv", files.MAX_FILE_BYTES + 1), error="at most 2.1 GB are read"),
    "K83 too much JSON": Case(huge("a.json", files.MAX_JSON_BYTES + 1), error="a.json"),
    "K84 a thousand joints and one": Case(
        table(np.ones((2, 1001, 2)), tuple(f"p{i}" for i in range(1001))),
        error="has 1001 points a frame; at most 1000 are read",
    ),
    "folder": Case(folder_named("a.csv"), error="is a folder without .json files of OpenPose"),
    "dangling link": Case(link("nowhere.csv"), error="is a link to nothing"),
    "circular link": Case(link("a.csv"), error="is not a name that can be opened"),
    "missing": Case(lambda folder: folder / "a.csv", error="does not exist; check the name"),
    "pipe": Case(pipe, error="is a pipe or a device, not a file"),
    "name of 300 letters": Case(lambda folder: folder / ("a" * 300), error="is not a name that can be opened"),
    "newline in the name": Case(lambda folder: folder / "a\n\x1b[31m.csv", error="does not exist"),
    "picture named .csv": Case(content(b"\x89PNG\r\n\x1a\n" + bytes(50), "a.csv"), error="holds an image (png)"),
    "video named .csv": Case(content(b"\0\0\0\x18ftypmp42" + bytes(50), "a.csv"), error="holds a video (mp4 or mov)"),
    "pickle named .npz": Case(content(pickle.dumps({"a": 1}), "a.npz"), error="holds a Python pickle, which is never"),
    "random bytes": Case(content(np.random.default_rng(0).bytes(500), "a.csv"), error="its bytes are of no known kind"),
    "prose named .csv": Case(
        content("Dear colleague,\nplease find\n", "a.csv"), error="is a text table without columns"
    ),
    "archive named .csv": Case(
        lambda folder: written("npz", "b.npz")(folder).rename(folder / "a.csv"), error="is named .csv but holds a zip"
    ),
    "individual where there is none": Case(
        table(), error="which does not name individuals; leave out --individual", options={"fps": 30, "individual": "b"}
    ),
    "wide and long in one": Case(
        content("frame,joint,x,y,nose_x,nose_y\n1,nose,2,3,2,3\n", "a.csv"),
        error="may be read as wide-csv or as long-csv; choose with --format",
    ),
    "long table with a point twice": Case(
        written("long-csv", "a.csv", lambda b: b + b.splitlines()[25] + b"\n"),
        error="a second time; keep one line for each frame and joint",
    ),
    "long table without frames": Case(
        content("joint,x,y\nnose,1,2\n", "a.csv"), error="needs columns frame (or time), joint, x and y"
    ),
    "long table with an infinite point": Case(
        written("long-csv", "a.csv", lambda b: b.replace(b"\n0,0.0,nose,", b"\n0,0.0,nose,inf,1\n9,0.3,tail,", 1)),
        error="line 3, joint nose: the x coordinate is infinite",
    ),
    "time stamps that are even": Case(
        written("wide-csv", "a.csv"), check=lambda r: (equal(r), r.fps == FPS)[1], options={}
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_odd_keypoint_file(name, tmp_path):
    case = CORPUS[name]
    path = case.make(tmp_path)
    if case.error is None:
        read = readers.read(path, **case.options)
        assert case.check is None or case.check(read) in (None, True, np.True_)
        assert case.note is None or any(case.note in note for note in read.notes), read.notes
        assert case.note is not None or not read.notes
        return
    with pytest.raises(InputError) as caught:
        readers.read(path, **case.options)
    message = str(caught.value)
    assert case.error in message
    assert message.isprintable()
    assert caught.value.remedy
    assert path.name[:1] in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"keypoints": np.zeros((400, 19, 2), np.int8)}, "(keypoints): has 400 frames of 19 points, which take more"),
        ({"confidence": np.zeros((400, 19), np.int8)}, "(confidence): has 400 frames of 19 points, which take more"),
        ({"keypoints": np.zeros(15_000, np.int8)}, "(keypoints): has shape (15000,), expected 3 axes"),
        ({"joints": np.array([""] * 5000)}, "(joints): has shape (5000,), which is too large"),
        ({"fps": np.ones(3)}, "(fps): has shape (3,), expected one number"),
    ],
)
def test_an_array_is_refused_by_its_header_and_by_its_size_as_float64(tmp_path, monkeypatch, arrays, told):
    path = archive(**({"keypoints": np.zeros((40, 19, 2))} | arrays))(tmp_path)
    monkeypatch.setattr(checks, "MAX_FILE_BYTES", 50_000)
    with pytest.raises(InputError, match=re.escape(told)):
        readers.read(path)


def test_no_permission_is_said_so(tmp_path, monkeypatch):
    # By its effect: who runs the tests as root may read everything.
    path = table()(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="cannot be opened: no permission; change its permissions"):
        readers.read(path, fps=FPS)


def test_a_format_that_does_not_exist_is_a_wrong_call(tmp_path):
    with pytest.raises(ValueError, match="format must be one of orgcoords-csv"):
        readers.read(table()(tmp_path), fps=FPS, format="excel")


MAKERS = {
    "wide-csv": table(),
    "coco": written("coco", "a.json"),
    "sleap-h5": sleap(),
    "npz": written("npz", "a.npz"),
    "openpose": openpose(),
}


@pytest.mark.parametrize("own", MAKERS)
def test_a_file_read_as_another_format_than_it_is_fails_in_words(own, tmp_path):
    path = MAKERS[own](tmp_path)
    for format in set(readers.FORMATS) - {own, "orgcoords-csv"}:
        with pytest.raises(InputError, match=path.name):
            readers.read(path, fps=FPS, format=format)


@pytest.mark.parametrize("format", ["wide-csv", "long-csv", "deeplabcut-csv"])
@pytest.mark.parametrize(
    ("limit", "message"), [("MAX_FRAMES", "has more than 20 rows"), ("MAX_FILE_BYTES", "GB; split")]
)
def test_tables_are_left_where_they_pass_a_limit(format, limit, message, tmp_path, monkeypatch):
    path = written(format, "a.csv")(tmp_path)
    monkeypatch.setattr(text, limit, 20)
    with pytest.raises(InputError, match=message):
        readers.read(path, fps=FPS)


READ_TEN_HOURS = (
    "import sys; from infantjax import formats as readers; assert readers.read(sys.argv[1], fps=30).frames == 1080000"
)


@pytest.mark.slow
def test_ten_hours_of_arrays_are_read_within_a_gigabyte(tmp_path, with_its_peak):
    # The points alone take 330 MB; they are read by a process of its own, whose peak can be measured.
    path = tmp_path / "a.npz"
    keypoints = np.random.default_rng(0).random((1_080_000, 19, 2))
    np.savez(path, keypoints=keypoints, joints=np.array(JOINTS), fps=FPS)
    del keypoints
    assert with_its_peak(READ_TEN_HOURS, path)[1] < 1_000_000_000


@pytest.mark.slow
def test_ten_hours_of_text_are_read_in_bounded_memory(tmp_path, with_its_peak):
    path = table(np.resize(movement(), (3000, len(JOINTS), 2)))(tmp_path)
    header, *rows = path.read_text().splitlines()
    with path.open("w") as stream:
        stream.write(header + "\n")
        for block in range(360):
            stream.writelines(f"{block * 3000 + i},{row.partition(',')[2]}\n" for i, row in enumerate(rows))
    assert with_its_peak(READ_TEN_HOURS, path)[1] < 2_000_000_000


def seeds(folder: Path) -> list[Path]:
    """One good file of each format, small, so that a change of a byte is likely to matter."""
    points = movement(12)[:, [IN_MOTION_19.index(j) for j in MPII_16.joints]]
    confidence = np.full(points.shape[:2], 0.5)
    small = Recording(points, FPS, MPII_16, "a", confidence)
    paths = []
    paths += [mmpose()(folder), sleap()(folder)]
    for format in ("wide-csv", "long-csv", "deeplabcut-csv", "coco", "npz"):
        paths.append(folder / f"{format}{readers.FORMATS[format].suffixes[0]}")
        readers.write(small, paths[-1], format)
    columns = pd.MultiIndex.from_product([["DLC"], MPII_16.joints, ["x", "y", "likelihood"]])
    values = np.concatenate([points, confidence[..., None]], -1).reshape(12, -1)
    paths.append(folder / "table.h5")
    pd.DataFrame(values, columns=columns).to_hdf(paths[-1], key="df_with_missing", format="table", mode="w")
    return paths


WORDS = [*rb"nan 1e400 - Infinity , \" [ } 999999999999999999999999999999 null -1".split(), b"", b"\0", b"\xff" * 8]


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage as it happens (flipped bits, cuts, zeroed or doubled pieces) and as it is made (odd words)."""
    result = bytearray(data)
    start = int(rng.integers(len(result)))
    stop = min(len(result), start + int(rng.integers(1, 300)))
    match int(rng.integers(5)):
        case 0:
            for _ in range(int(rng.integers(1, 4))):
                result[int(rng.integers(len(result)))] ^= 1 << int(rng.integers(8))
        case 1:
            del result[start:]
        case 2:
            result[start:stop] = bytes(stop - start)
        case 3:
            result[start:start] = result[start:stop]
        case _:
            result[start : start + int(rng.integers(0, 8))] = WORDS[int(rng.integers(len(WORDS)))]
    return bytes(result)


def fuzz(folder: Path, seeds: list[Path], count: int, seed: int) -> dict[str, int]:
    """Read damaged files; anything but a recording or an `InputError` in one line fails."""
    rng = np.random.default_rng(seed)
    outcome = {"read": 0, "refused": 0}
    for number in range(count):
        original = seeds[number % len(seeds)]
        path = folder / f"mutated{original.suffix}"
        path.write_bytes(mutate(original.read_bytes(), rng))
        began = time.monotonic()
        try:
            readers.read(path, fps=FPS)
            outcome["read"] += 1
        except InputError as error:
            assert str(error).isprintable()  # noqa: PT017 (that it is one line is the fact)
            outcome["refused"] += 1
        assert time.monotonic() - began < 20, "no file may keep anyone waiting"
    return outcome


@pytest.mark.starts_processes
def test_damaged_files_are_read_or_refused(tmp_path):
    # Each HDF5 file is read by a process of its own, which takes longer than all others together.
    files_ = seeds(tmp_path)
    plain = fuzz(tmp_path, [p for p in files_ if p.suffix != ".h5"], 120, seed=1)
    by_child = fuzz(tmp_path, [p for p in files_ if p.suffix == ".h5"], 6, seed=2)
    assert plain["read"] > 2
    assert plain["refused"] > 50
    assert by_child["refused"] > 1


@pytest.mark.slow
@pytest.mark.starts_processes
def test_5000_damaged_files_are_read_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "TIME_LIMIT", 5.0)
    outcome = fuzz(tmp_path, seeds(tmp_path), 5000, seed=3)
    assert outcome["read"] > 100
    assert outcome["refused"] > 2000
