"""Sequences of MINI-RGBD: twenty-five joints by number, those of images taken."""

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.skeletons import COCO_17, IN_MOTION_19, MINI_RGBD_14


def test_the_twelve_points_of_the_paper_are_read(sequences):
    found = read_annotations(sequences)
    assert found.skeleton is IN_MOTION_19
    assert found.names[:4] == ("01_00000", "01_00001", "01_00002", "02_00000")
    assert found.groups == ("01",) * 3 + ("02",) * 3
    assert np.isfinite(found.points[0]).all(-1).sum() == 12
    for joint, number in {"nose": 24, "upper_neck": 12, "left_wrist": 20, "right_ankle": 8}.items():
        assert found.points[1, IN_MOTION_19.index(joint)].tolist() == [101 + number, 200 + number]
    assert found.paths[0] == sequences / "01" / "rgb" / "syn_00000.png"
    assert found.problems == ()


@pytest.mark.parametrize(
    ("skeleton", "number", "points"),
    [(MINI_RGBD_14, {"head": 15, "left_hand": 20, "right_foot": 8, "left_hip": 1}, 14), (COCO_17, {"left_hip": 1}, 13)],
)
def test_other_sets_take_what_they_have(skeleton, number, points, sequences):
    found = read_annotations(sequences / "01", skeleton)
    assert found.groups is None or set(found.groups) == {"01"}
    assert np.isfinite(found.points[0]).all(-1).sum() == points
    for joint, joint_number in number.items():
        assert found.points[0, skeleton.index(joint), 0] == 100 + joint_number


def test_a_file_that_is_none_is_told(sequences):
    (sequences / "01" / "joints_2Ddep" / "syn_joints_2Ddep_00001.txt").write_text("1 2 3\n")
    with pytest.raises(InputError, match=r"01/syn_joints_2Ddep_00001\.txt: is not x, y, depth and number"):
        read_annotations(sequences)
