"""Optical flow: a texture whose velocity is known, and what its statistics say of it."""

import sys

import numpy as np
import pytest
from baseline_methods import flow
from baseline_methods.protocol import Clip

from infantjax.errors import MissingExtraError

FPS, SIDE = 10.0, 32


def drifting(speed: float, frames: int = 4) -> Clip:
    """A texture of two waves that drifts along x, image sides per second."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    images = []
    for time in range(frames):
        at = x - speed / FPS * SIDE * time
        images.append(127 + 50 * np.sin(2 * np.pi * at / 16) + 50 * np.sin(2 * np.pi * (at + 2 * y) / 32))
    return Clip(np.round(images).astype(np.uint8), FPS)


def test_the_velocity_of_a_drift_is_found_in_image_sides_per_second():
    pytest.importorskip("skimage")
    inner = flow.flow(drifting(0.2))[:, 8:-8, 8:-8]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1, 2)), [0.2, 0], atol=0.02)


def test_a_faster_drift_raises_the_speed_and_a_drift_has_one_direction():
    pytest.importorskip("skimage")
    slow, fast = (flow.features(drifting(speed)) for speed in (0.1, 0.3))
    assert len(slow) == 9 + 2 * flow.OCTAVES
    assert fast[0] > 2 * slow[0]
    assert min(slow[8], fast[8]) > 0.9
    np.testing.assert_allclose(flow.features(drifting(0.0)), 0, atol=1e-6)


def test_points_of_the_grid_go_with_the_flow():
    """Left half: still. Right half: to the left, a quarter of the image in a second."""
    field = np.zeros((20, SIDE, SIDE, 2))
    field[:, :, SIDE // 2 :, 0] = -0.25
    found = flow.follow(field, FPS).reshape(20, flow.GRID, flow.GRID, 2)
    assert not found[:, :, : flow.GRID // 2].any()
    # The point in the middle of the fifth column is 1/16 from the still half: after three steps it has arrived.
    np.testing.assert_array_equal(found[:, 0, flow.GRID // 2, 0] < 0, np.arange(20) < 3)


def test_an_oscillation_lies_in_its_octave():
    time = np.arange(100) / FPS
    velocities = np.zeros((100, 2, 2))
    velocities[:, 0, 0] = np.sin(2 * np.pi * 2 * time)
    # Octaves end at 0.625, 1.25, 2.5 and 5 Hz.
    np.testing.assert_allclose(flow.octaves(velocities, FPS), [[0, 0, 1, 0], [0, 0, 0, 0]], atol=1e-12)


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    with pytest.raises(MissingExtraError, match="this needs scikit-image: pip install"):
        flow.flow(drifting(0.1))
