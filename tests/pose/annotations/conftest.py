"""Small sets of annotated images, one of each format that is no single JSON."""

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from infantjax.skeletons import BABYPOSE_12, IN_MOTION_19


def structures(rows):
    """An array of Matlab structures."""
    array = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        array[0, i] = tuple(row.values())
    return array


def person(shift, points=16, box=True):
    marks = [
        {
            "x": 10.0 + i + shift,
            "y": 20.0 + i,
            "id": i,
            "is_visible": ("1" if i % 2 else 0) if i < 8 else np.zeros((0, 0)),
        }
        for i in range(points)
    ]
    return {
        "scale": 2.5,
        "objpos": {"x": 50.0 + shift, "y": 60.0},
        "annopoints": {"point": structures(marks)} if points else np.zeros((0, 0)),
        **({f"{axis}{end}": 1.0 * end for end in (1, 2) for axis in "xy"} if box else {}),
    }


@pytest.fixture
def release(tmp_path):
    images = [
        {"image": {"name": "015.jpg"}, "annorect": structures([person(0)]), "vididx": 2},
        {"image": {"name": "016.jpg"}, "annorect": structures([person(100), person(200, 5)]), "vididx": 1},
        {"image": {"name": "017.jpg"}, "annorect": structures([person(0, 0)]), "vididx": 1},
        {"image": {"name": "018.jpg"}, "annorect": np.zeros((0, 0)), "vididx": 1},
        {"image": {"name": "019.jpg"}, "annorect": structures([person(0)]), "vididx": 1},
    ]
    cells = np.empty((5, 1), object)
    cells[:, 0] = [1, np.array([[2]]), 1, np.zeros((0, 0)), 1]
    videos = np.empty((1, 2), object)
    videos[0] = ["abc", "xyz"]
    structure = {
        "annolist": structures(images),
        "img_train": np.array([[1, 1, 1, 1, 0]]),
        "single_person": cells,
        "video_list": videos,
    }
    path = tmp_path / "mpii.mat"
    savemat(path, {"RELEASE": structure}, do_compression=True)
    return path


def image(path, height=50, width=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


@pytest.fixture
def raw(tmp_path):
    """Three images of two infants, one without annotation, and the table."""
    folder = tmp_path / "raw"
    for name in ("anna_001.png", "anna_002.png", "ben_001.png"):
        image(folder / "images" / name)
    (folder / "annotations").mkdir()
    cells = [f'"({0.01 * (i + 1):g}, 0.5)"' for i in range(19)]
    cells[3] = '"(0, 0)"'
    rows = [
        ",".join(["", "image", *IN_MOTION_19.joints]),
        ",".join(["0", "images/anna_001.png", *cells]),
        ",".join(["1", "images\\ben_001.png", *cells]),
        ",".join(["2", "anna_002.png", *[""] * 19]),
    ]
    (folder / "annotations" / "annotations.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def processed(tmp_path):
    folder = tmp_path / "processed"
    for split, names in (("train", ("anna_001", "anna_002")), ("test", ("ben_001",))):
        (folder / split / "points").mkdir(parents=True)
        for name in names:
            lines = [f"{0.01 * (i + 1):.6f} 0.500000" for i in range(16)]
            lines[2] = "0.000000 0.000000"
            (folder / split / "points" / f"{name}.txt").write_text("\n".join(lines))
            for side in (64, 128):
                image(folder / split / f"images_{side}x{side}" / f"{name}.png", side, side)
    return folder


@pytest.fixture
def sequences(tmp_path):
    for sequence in ("01", "02"):
        for kind in ("joints_2Ddep", "rgb"):
            (tmp_path / sequence / kind).mkdir(parents=True)
        for frame in range(3):
            lines = [f"{100 + i + frame} {200 + i} 800 {i}" for i in range(25)]
            (tmp_path / sequence / "joints_2Ddep" / f"syn_joints_2Ddep_{frame:05d}.txt").write_text("\n".join(lines))
            (tmp_path / sequence / "rgb" / f"syn_{frame:05d}.png").touch()
    return tmp_path


@pytest.fixture
def infants(tmp_path):
    for infant in ("pz1", "pz2"):
        for bits in ("8_bit", "16_bit"):
            folder = tmp_path / infant / bits
            folder.mkdir(parents=True)
            for frame in range(3):
                Image.fromarray(np.full((48, 64), 900, np.uint16)).save(folder / f"{frame:06d}.png")
        header = ["frame", *(f"{joint}_{axis}" for joint in BABYPOSE_12.joints for axis in "xy")]
        rows = [[frame, *(v for i in range(12) for v in (10 + i + frame, 20 + i))] for frame in range(3)]
        rows[0][1:3] = -1, -1
        rows[1][3:5] = 0, 0
        text = "\n".join(";".join(map(str, row)) for row in [header, *rows])
        (tmp_path / infant / "joints.csv").write_text(text)
    return tmp_path
