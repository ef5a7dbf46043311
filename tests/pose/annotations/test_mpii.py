"""MPII's Matlab file, as scipy writes such structures."""

import zlib

import numpy as np
import pytest
from scipy.io import savemat

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.pose.annotations.mpii import JOINTS
from infantjax.skeletons import MPII_16


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
def file(tmp_path):
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
    release = {
        "annolist": structures(images),
        "img_train": np.array([[1, 1, 1, 1, 0]]),
        "single_person": cells,
        "video_list": videos,
    }
    path = tmp_path / "mpii.mat"
    savemat(path, {"RELEASE": release}, do_compression=True)
    return path


def test_persons_that_stand_apart_are_rows_in_the_order_of_the_skeleton(file):
    found = read_annotations(file)
    assert found.skeleton is MPII_16
    assert found.names == ("015#1", "016#2")
    assert found.groups == ("xyz", "abc")
    assert found.splits == ("train", "train")
    assert found.paths == (file.parent / "images" / "015.jpg", file.parent / "images" / "016.jpg")
    for joint, number in {"head_top": 9, "right_ankle": 0, "left_wrist": 15, "thorax": 7}.items():
        assert found.points[0, MPII_16.index(joint)].tolist() == [10 + number, 20 + number]
    assert np.isfinite(found.points[1]).all(-1).sum() == 5


def test_the_map_of_ids_is_the_published_one():
    assert [JOINTS.index(joint) for joint in MPII_16.joints] == [9, 8, 12, 11, 10, 7, 13, 14, 15, 6, 2, 1, 0, 3, 4, 5]


def test_boxes_scale_centre_and_visibility_come_with_them(file):
    found = read_annotations(file)
    assert found.heads.tolist() == [[1, 1, 2, 2]] * 2
    assert found.scales.tolist() == [2.5, 2.5]
    assert found.centres.tolist() == [[50, 60], [250, 60]]
    visible = found.visible[0]
    assert visible[MPII_16.index("right_knee")] == 1
    assert visible[MPII_16.index("right_ankle")] == 0
    assert np.isnan(visible[MPII_16.index("head_top")])


def test_all_persons_are_rows_if_asked_for(file):
    assert read_annotations(file, persons="all").names == ("015#1", "016#1", "016#2")


def test_pictures_that_are_not_there_are_told_once(file):
    assert read_annotations(file).problems == ("015.jpg, 016.jpg: is not there",)
    (file.parent / "elsewhere").mkdir()
    (file.parent / "elsewhere" / "015.jpg").touch()
    found = read_annotations(file, pictures=file.parent / "elsewhere")
    assert found.pictured().names == ("015#1",)


@pytest.mark.parametrize("kind", ["other", "cut", "noise", "bomb"])
def test_a_damaged_or_crafted_file_gives_one_line(kind, file):
    data = file.read_bytes()
    if kind == "other":
        savemat(file, {"x": 1})
    elif kind == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif kind == "noise":
        file.write_bytes(data[:200] + np.random.default_rng(0).bytes(len(data) - 200))
    else:
        packed = zlib.compress(bytes(400_000_000))
        file.write_bytes(data[:128] + b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(InputError) as caught:
        read_annotations(file)
    assert "\n" not in str(caught.value)
    assert {"other": "no structure RELEASE", "bomb": "would unpack to more than"}.get(kind, "is not") in str(
        caught.value
    )
