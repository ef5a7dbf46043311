"""Speed and range of limbs whose movement is known."""

import numpy as np
import pytest

from infantjax import skeletons
from infantjax.recording.movement import limb_movements
from infantjax.recording.recording import Recording

FPS = 25.0
JOINTS = skeletons.IN_MOTION_19.joints


def swinging(right: float, left: float, seconds: float = 20.0) -> Recording:
    """A body of trunk length 100 pixels whose forearms (80 pixels) swing about the elbow, one swing a second."""
    time = np.arange(round(seconds * FPS)) / FPS
    points = np.zeros((len(time), len(JOINTS), 2))
    for joint, (x, y) in {
        "shoulder": (30, 0), "elbow": (100, 0), "hip": (20, 100), "knee": (25, 150), "ankle": (25, 200)
    }.items():  # fmt: skip
        for sign, side in ((-1, "right"), (1, "left")):
            points[:, JOINTS.index(f"{side}_{joint}")] = 300 + sign * x, 200 + y
    for sign, side, reach in ((-1, "right", right), (1, "left", left)):
        angle = np.radians(90 + reach * np.sin(2 * np.pi * time))
        hand = np.stack([sign * -np.cos(angle), np.sin(angle)], axis=1) * 80
        points[:, JOINTS.index(f"{side}_wrist")] = points[:, JOINTS.index(f"{side}_elbow")] + hand
    for joint, y in {"thorax": 0, "pelvis": 100, "nose": -40, "upper_neck": -10, "head_top": -60}.items():
        points[:, JOINTS.index(joint)] = 300, 200 + y
    return Recording(points.astype(np.float32), FPS, skeletons.IN_MOTION_19, "swinging")


def by_limb(found):
    return {(each.limb, each.side): each for each in found}


def test_range_and_speed_follow_the_swing():
    found = by_limb(limb_movements(swinging(40, 20)))
    assert len(found) == 4
    right, left = found["arm", "right"], found["arm", "left"]
    # The 5th to 95th percentile of a sine is 0.988 of its amplitude, in both directions.
    assert right.range == pytest.approx(2 * 40 * 0.988, rel=0.01)
    assert left.range == pytest.approx(2 * 20 * 0.988, rel=0.01)
    # Median and 90th percentile of |cos|, shortened by the displacement over 0.2 s; 0.8 trunk lengths of radius.
    speed = 0.8 * np.radians(40) * 2 * np.pi * np.sin(0.2 * np.pi) / (0.2 * np.pi)
    assert right.speed == pytest.approx(speed * np.cos(np.pi / 4), rel=0.05)
    assert right.fast == pytest.approx(speed * np.cos(np.radians(9)), rel=0.05)
    assert left.speed == pytest.approx(right.speed / 2, rel=0.05)
    assert found["leg", "left"].speed == found["leg", "left"].range == 0


def test_a_body_that_moves_as_a_whole_moves_no_limb():
    still = swinging(0, 0)
    shaken = still.keypoints + np.float32(50) * np.sin(np.arange(still.frames) / 3)[:, None, None].astype(np.float32)
    found = limb_movements(Recording(shaken, FPS, still.skeleton, "shaken"))
    assert max(each.speed for each in found) < 1e-4


def test_size_and_frame_rate_of_the_video_do_not_matter():
    one = swinging(40, 20)
    other = Recording(one.keypoints * 3, FPS, one.skeleton, "larger")
    np.testing.assert_allclose(
        [each[2:] for each in limb_movements(one)], [each[2:] for each in limb_movements(other)], rtol=1e-4, atol=1e-6
    )


def test_seconds_that_are_not_usable_and_limbs_that_are_hardly_seen_are_left_out():
    recording = swinging(40, 20)
    points = recording.keypoints.copy()
    points[:50, JOINTS.index("right_wrist")] += 500 * np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    points[60:, JOINTS.index("left_ankle")] = np.nan
    usable = np.ones(20, bool)
    usable[:2] = False
    clean = by_limb(limb_movements(recording))["arm", "right"]
    found = by_limb(limb_movements(Recording(points, FPS, recording.skeleton, "spoiled"), usable))
    assert found["arm", "right"].fast == pytest.approx(clean.fast, rel=0.02)
    assert ("leg", "left") not in found


def test_a_keypoint_set_without_limbs_has_no_measures():
    joints = skeletons.Skeleton("two", ("a", "b"), ("a", "a"))
    assert limb_movements(Recording(np.zeros((300, 2, 2), np.float32), FPS, joints, "two")) == ()
