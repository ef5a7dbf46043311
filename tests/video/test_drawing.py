"""Skeletons in images."""

import numpy as np
import pytest

from infantjax.skeletons import IN_MOTION_19
from infantjax.video.drawing import LEFT, MIDDLE, RIGHT, draw_skeleton


@pytest.mark.parametrize(("joint", "color"), [("right_knee", RIGHT), ("left_ankle", LEFT), ("nose", MIDDLE)])
def test_joints_have_the_color_of_their_side(joint, color):
    image = np.full((80, 120, 3), 7, np.uint8)
    points = np.full((19, 2), np.nan)
    points[IN_MOTION_19.index(joint)] = 60.4, 30.7
    drawn = draw_skeleton(image, points, IN_MOTION_19)
    assert tuple(drawn[31, 60]) == color
    assert (image == 7).all()
    changed = np.argwhere((drawn != 7).any(axis=-1))
    assert np.abs(changed - (31, 60)).max() <= 4


def test_a_limb_is_a_line_between_its_joints():
    points = np.full((19, 2), np.nan)
    points[IN_MOTION_19.index("right_hip")], points[IN_MOTION_19.index("right_knee")] = (10, 20), (90, 20)
    drawn = draw_skeleton(np.zeros((40, 100, 3), np.uint8), points, IN_MOTION_19)
    assert (drawn[20, 10:90] == RIGHT).all()
    assert (drawn[[5, 35]] == 0).all()


@pytest.mark.parametrize("far", [(-50.0, 20.0), (1e30, 5.0), (np.inf, 5.0)])
def test_what_lies_outside_is_cut_off(far):
    points = np.full((19, 2), np.nan)
    points[IN_MOTION_19.index("left_hip")], points[IN_MOTION_19.index("left_knee")] = (50, 20), far
    drawn = draw_skeleton(np.zeros((40, 100, 3), np.uint8), points, IN_MOTION_19)
    assert tuple(drawn[20, 50]) == LEFT
    assert (tuple(drawn[20, 20]) == LEFT) == (far[0] == -50)
