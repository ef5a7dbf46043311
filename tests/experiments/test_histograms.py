"""Histograms of direction and displacement: by hand, and what turning the infant must not change."""

import numpy as np
import pytest
from baseline_methods import histograms

from infantjax.errors import InputError
from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19, OPENPOSE_25


def test_a_bone_between_two_bins_is_shared():
    angle = np.pi / 8  # half-way between the first two of 8 bins, from +y towards +x
    points = np.zeros((1, 2, 2))
    points[0, 1] = 3 * np.sin(angle), 3 * np.cos(angle)
    np.testing.assert_allclose(histograms.orientations(points, 1, 0), [0.5, 0.5, 0, 0, 0, 0, 0, 0], atol=1e-12)


def test_a_bone_along_a_bin_is_that_bin_s_and_frames_are_counted():
    points = np.zeros((5, 2, 2))
    points[:, 1] = [[0, 1], [0, 2], [1, 0], [0, 0], [np.nan, 1]]
    np.testing.assert_allclose(histograms.orientations(points, 1, 0, 4), [2 / 3, 1 / 3, 0, 0], atol=1e-12)


def test_displacements_by_hand():
    track = np.zeros((21, 1, 2))
    track[5:, 0, 0] += 1  # a step of 1, one of 3, none, and one of 100
    track[10:, 0, 1] += 3
    track[20:, 0, 0] += 100
    np.testing.assert_allclose(histograms.displacements(track, 0), [0.5, 0.25, 0, 0, 0, 0, 0, 0.25])


@pytest.fixture(scope="module")
def infant() -> Recording:
    found = simulate(5, InfantConfig(duration=4.0), name="infant")
    return Recording(fill_gaps(found.keypoints), found.fps, found.skeleton)


def test_a_turned_infant_has_the_same_histograms(infant):
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = Recording(infant.keypoints @ turn.T + 7, infant.fps, infant.skeleton)
    found = histograms.features(infant, width=0.01)
    assert found.shape == (128,)
    np.testing.assert_allclose(found.reshape(16, 8).sum(axis=1), 1)
    np.testing.assert_allclose(histograms.features(turned, width=0.01), found, atol=1e-9)


def test_frames_of_low_confidence_do_not_count(infant):
    confidence = np.full(infant.keypoints.shape[:2], 0.9)
    spoilt = infant.keypoints.copy()
    wrist = infant.skeleton.index("right_wrist")
    spoilt[20, wrist] += 1000
    confidence[20, wrist] = 0.1
    found = histograms.prepare(Recording(spoilt, infant.fps, infant.skeleton, confidence=confidence))
    assert np.abs(found[:, wrist] - histograms.prepare(infant)[:, wrist]).max() < 10


def test_recordings_without_histogram_are_refused():
    unseen = np.full((9, 25, 2), np.nan)
    with pytest.raises(InputError, match="right_hip: is seen in 0 frames"):
        histograms.prepare(Recording(unseen, 25.0, OPENPOSE_25))
    with pytest.raises(InputError, match="neck and hips in one place"):
        histograms.prepare(Recording(np.zeros((9, 19, 2)), 25.0, IN_MOTION_19))
    with pytest.raises(ValueError, match="a length in no frame"):
        histograms.orientations(unseen, 0, 1)
    with pytest.raises(ValueError, match="no two frames 5 apart"):
        histograms.displacements(unseen, 0)


def turning(angles):
    """A bone of length 2 that points at these angles, from +y towards +x."""
    points = np.zeros((len(angles), 2, 2))
    points[:, 1] = 2 * np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return points


@pytest.mark.parametrize(("rate", "band"), [(0.005, 0), (0.05, 2), (0.2, 5), (0.49, 7)])
def test_a_bone_that_sways_at_one_frequency_is_in_one_band(rate, band):
    # Band i ends at ((i + 1) / 8)^2 of half the frame rate: 0.0078, 0.03, 0.07 ... of the frame rate.
    sway = 0.5 * np.sin(2 * np.pi * rate * np.arange(400))
    np.testing.assert_allclose(histograms.angle_spectrum(turning(sway), 1, 0), np.eye(8)[band], atol=1e-9)


def test_spectral_features_are_as_many_as_histograms_and_do_not_turn(infant):
    found = histograms.spectral_features(infant, 4)
    assert (found.shape, np.isfinite(found).all()) == ((2 * 4 * 8,), True)
    np.testing.assert_allclose(found.reshape(16, 4).sum(axis=1), 1)
    turned = Recording(infant.keypoints @ np.array([[0.6, -0.8], [0.8, 0.6]]), infant.fps, infant.skeleton)
    np.testing.assert_allclose(histograms.spectral_features(turned, 4)[32:], found[32:], atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: histograms.speed_spectrum(p[:20], 1), "8 bands need 128 frames"),
        (lambda p: histograms.angle_spectrum(np.zeros_like(p), 1, 0), "no direction in some frame"),
    ],
)
def test_recordings_without_spectrum_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(turning(np.linspace(0, 1, 200)))
