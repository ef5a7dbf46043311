"""Preparation for STAM: what turning, moving and resizing the infant must not change."""

import numpy as np
import pytest
from stam import model as network
from stam import preprocessing as stam

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import OPENPOSE_18


def infant(frames=40) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 5, (1, 18, 2)) + np.cumsum(rng.normal(0, 0.3, (frames, 18, 2)), axis=0)
    for name, place in {"shoulder": (30, -60), "hip": (20, 60)}.items():
        for side, sign in {"right": -1, "left": 1}.items():
            points[:, OPENPOSE_18.index(f"{side}_{name}")] += (sign * place[0], place[1])
    return points


def recording(points: np.ndarray) -> Recording:
    return Recording(points, 20.0, OPENPOSE_18)


def test_each_half_has_its_origin_and_axis():
    found = stam.prepare(recording(infant()))
    for name in ("shoulder", "hip"):
        right, left = (found[:, OPENPOSE_18.index(f"{side}_{name}")] for side in ("right", "left"))
        np.testing.assert_allclose(right + left, 0, atol=1e-12)
        assert (left[:, 0] > 0).all()
        np.testing.assert_allclose(left[:, 1], 0, atol=1e-12)


def test_place_size_and_direction_of_the_infant_do_not_matter():
    points, angle = infant(), 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = stam.prepare(recording(points))
    # The running median is of each axis alone, so turning by a right angle alone is exact.
    np.testing.assert_allclose(stam.prepare(recording(points * 3 + 100)), expected, atol=1e-9)
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    np.testing.assert_allclose(stam.prepare(recording(points @ quarter.T)), expected, atol=1e-9)
    np.testing.assert_allclose(stam.prepare(recording(points @ turn.T)), expected, atol=0.05)


def test_channels_of_a_point_that_flies_evenly():
    points = np.arange(6.0)[:, None, None] * [[[3.0, 4.0]]] / 10
    found = stam.channels(points, 10.0)
    assert found.shape == (6, 1, len(network.CHANNELS))
    np.testing.assert_allclose(found[:, 0, 2:4], [[3.0, 4.0]] * 6)
    np.testing.assert_allclose(found[:, 0, 4:6], 0, atol=1e-12)
    np.testing.assert_allclose(found[:, 0, 6], [0, 5, 5, 5, 5, 5])


def test_bad_recordings_are_refused():
    points = infant()
    points[:, OPENPOSE_18.index("left_ear")] = np.nan
    with pytest.raises(InputError, match="has no left_ear in any frame"):
        stam.prepare(recording(points))
    with pytest.raises(InputError, match="shoulders and hips in one place"):
        stam.prepare(recording(np.zeros((40, 18, 2))))
    with pytest.raises(ValueError, match="at least 2 frames"):
        stam.channels(points[:1], 10.0)
