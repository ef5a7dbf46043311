"""Spectra of body parts: a known frequency, still parts, and what has no spectrum."""

import numpy as np
import pytest
from baseline_methods import spectra
from baseline_methods.spectra import PARTS, body_parts

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19

BODY = body_parts(IN_MOTION_19)


def recording(keypoints, fps=25.0) -> Recording:
    return Recording(keypoints, fps, IN_MOTION_19)


def test_a_waving_arm_has_its_frequency_and_the_rest_is_still():
    keypoints = np.zeros((500, 19, 2))
    arm = list(BODY["left_arm"])
    keypoints[:, arm, 1] = np.sin(2 * np.pi * 3 * np.arange(500) / 25)[:, None]
    found = spectra.features(recording(keypoints))
    assert found.shape == (6, 2, 100)
    row = PARTS.index("left_arm")
    assert spectra.FREQUENCIES[np.argmax(found[row, 1])] == 3.0
    still = np.delete(found.reshape(12, 100), 2 * row + 1, axis=0)
    np.testing.assert_allclose(still, -12)


def test_a_part_is_the_mean_of_its_known_points():
    keypoints = np.random.default_rng(0).normal(size=(5, 19, 2))
    elbow, wrist = BODY["right_arm"]
    tracks = spectra.part_tracks(recording(keypoints))
    at = PARTS.index("right_arm")
    np.testing.assert_allclose(tracks[:, at], (keypoints[:, elbow] + keypoints[:, wrist]) / 2)
    unseen = keypoints.copy()
    unseen[:, elbow] = np.nan
    np.testing.assert_allclose(spectra.part_tracks(recording(unseen))[:, at], keypoints[:, wrist])


def test_recordings_without_spectrum_are_refused():
    still = np.zeros((200, 19, 2))
    with pytest.raises(InputError, match=r"lasts 8\.0 s; spectra need 10 s"):
        spectra.features(recording(still))
    with pytest.raises(InputError, match="15 frames per second; spectra up to 10 Hz need 20"):
        spectra.features(recording(still, 15.0))
    legless = still.copy()
    legless[:, BODY["left_leg"]] = np.nan
    with pytest.raises(InputError, match="has no point of the left leg"):
        spectra.features(recording(legless))
