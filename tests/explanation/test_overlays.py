"""Overlays on the body: which joints are drawn, where and in which color."""

import numpy as np
import pytest
from PIL import Image

from infantjax.explanation import overlays
from infantjax.skeletons import BABY_MOVES_18, IN_MOTION_19

POINTS = np.random.default_rng(0).uniform(20, 380, (7, 19, 2))


def color_at(image: Image.Image, place) -> tuple[int, int, int]:
    return image.getpixel(tuple(map(round, place)))


def test_joints_are_red_blue_or_white_at_their_place_on_the_image():
    values = np.zeros(19)
    values[[1, 4]] = 2, -2
    points = np.broadcast_to(np.stack([np.arange(19) * 20 + 20, np.full(19, 200)], axis=-1), (3, 19, 2)).astype(float)
    image = overlays.overlay(values, points, IN_MOTION_19, background=Image.new("RGB", (400, 400), "gray"), named=0)
    assert image.size == (400, 400)
    assert color_at(image, points[0, 1]) == (255, 0, 0)
    assert color_at(image, points[0, 4]) == (0, 0, 255)
    assert color_at(image, points[0, 7]) == (255, 255, 255)
    assert color_at(image, (5, 5)) == (128, 128, 128)


def test_unknown_values_and_places_are_not_drawn():
    values, points = np.full(19, np.nan), POINTS.copy()
    values[3] = 1
    points[:, 3] = np.nan
    blank = overlays.overlay(np.full(19, np.nan), points, IN_MOTION_19)
    assert overlays.overlay(values, points, IN_MOTION_19).tobytes() == blank.tobytes()


def test_the_pose_fills_a_blank_canvas_whatever_its_unit():
    small, large = (overlays.overlay(np.ones(19), scale * POINTS, IN_MOTION_19, named=0) for scale in (1e-3, 1e3))
    for image in (small, large):
        drawn = np.argwhere(np.asarray(image).min(axis=-1) < 255)
        assert drawn.min() > 0.1 * 480
        assert np.ptp(drawn, axis=0).max() > 0.55 * 480


def test_labels_name_the_largest():
    values = np.zeros(18)
    values[2] = 1.5
    points = POINTS[:, :18]
    named = overlays.overlay(values, points, BABY_MOVES_18)
    assert named.tobytes() != overlays.overlay(values, points, BABY_MOVES_18, named=0).tobytes()


@pytest.mark.parametrize(
    ("values", "points", "message"),
    [
        (np.ones(18), POINTS, r"values of in-motion-19 must be \[19\], got \(18,\)"),
        (np.ones(19), POINTS[:, :5], r"keypoints must be \[time, 19, 2 or 3\], got \(7, 5, 2\)"),
    ],
)
def test_what_does_not_fit_the_skeleton_is_refused(values, points, message):
    with pytest.raises(ValueError, match=message):
        overlays.overlay(values, points, IN_MOTION_19)
