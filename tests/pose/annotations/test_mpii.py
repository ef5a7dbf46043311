"""MPII's Matlab file, as scipy writes such structures."""

import zlib

import numpy as np
import pytest
from scipy.io import savemat

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.pose.annotations.mpii import JOINTS
from infantjax.skeletons import MPII_16


def test_persons_that_stand_apart_are_rows_in_the_order_of_the_skeleton(release):
    found = read_annotations(release)
    assert found.skeleton is MPII_16
    assert found.names == ("015#1", "016#2")
    assert found.groups == ("xyz", "abc")
    assert found.splits == ("train", "train")
    assert found.paths == (release.parent / "images" / "015.jpg", release.parent / "images" / "016.jpg")
    for joint, number in {"head_top": 9, "right_ankle": 0, "left_wrist": 15, "thorax": 7}.items():
        assert found.points[0, MPII_16.index(joint)].tolist() == [10 + number, 20 + number]
    assert np.isfinite(found.points[1]).all(-1).sum() == 5


def test_the_map_of_ids_is_the_published_one():
    assert [JOINTS.index(joint) for joint in MPII_16.joints] == [9, 8, 12, 11, 10, 7, 13, 14, 15, 6, 2, 1, 0, 3, 4, 5]


def test_boxes_of_heads_come_with_them(release):
    assert read_annotations(release).heads.tolist() == [[1, 1, 2, 2]] * 2


def test_images_that_are_not_there_are_told_once(release):
    assert read_annotations(release).problems == ("015.jpg, 016.jpg: is not there",)
    (release.parent / "elsewhere").mkdir()
    (release.parent / "elsewhere" / "015.jpg").touch()
    found = read_annotations(release, image_dir=release.parent / "elsewhere")
    assert found.with_images().names == ("015#1",)


@pytest.mark.parametrize("kind", ["other", "cut", "noise", "bomb"])
def test_a_damaged_or_crafted_file_gives_one_line(kind, release):
    data = release.read_bytes()
    if kind == "other":
        savemat(release, {"x": 1})
    elif kind == "cut":
        release.write_bytes(data[: len(data) // 2])
    elif kind == "noise":
        release.write_bytes(data[:200] + np.random.default_rng(0).bytes(len(data) - 200))
    else:
        packed = zlib.compress(bytes(60_000_000))
        release.write_bytes(data[:128] + b"\x0f\0\0\0" + len(packed).to_bytes(4, "little") + packed)
    with pytest.raises(InputError) as caught:
        read_annotations(release)
    assert "\n" not in str(caught.value)
    assert {"other": "no structure RELEASE", "bomb": "would unpack to more than"}.get(kind, "is not") in str(
        caught.value
    )
