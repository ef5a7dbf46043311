"""Features like those of CIMA: modes whose frequency is known, and what cannot be decomposed."""

import dataclasses

import numpy as np
import pytest
from baseline_methods import cima
from baseline_methods.spectra import PARTS, body_parts

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19

FPS = 30.0
SECONDS = np.arange(600) / FPS


@pytest.fixture
def recording():
    """The left arm sways at 3 and at 0.4 Hz along x; all else stands still."""
    points = np.zeros((len(SECONDS), 19, 2))
    sway = np.sin(2 * np.pi * 3 * SECONDS) + 4 * np.sin(2 * np.pi * 0.4 * SECONDS)
    points[:, list(body_parts(IN_MOTION_19)["left_arm"]), 0] = sway[:, None]
    return Recording(points, FPS, IN_MOTION_19, name="one")


def test_modes_have_the_frequencies_and_amplitudes_of_the_movement(recording):
    found = cima.features(recording).reshape(4, len(PARTS), 2, cima.MODES, 3)
    arm = found[1:3, PARTS.index("left_arm"), 0]
    np.testing.assert_allclose(arm[:, 0, 2], 3, atol=0.1)
    np.testing.assert_allclose(arm[:, 1, 2], 0.4, atol=0.1)
    np.testing.assert_allclose(arm[:, :2, 0], np.log10([[1, 4]] * 2), atol=0.1)
    still = np.delete(found, PARTS.index("left_arm"), axis=1)
    np.testing.assert_allclose(still[..., 0], -6, atol=1e-9)
    np.testing.assert_allclose(still[..., 1:], 0, atol=1e-9)


def test_a_recording_shorter_than_a_window_is_refused(recording):
    with pytest.raises(InputError, match=r"one: lasts 4\.\d s; windows need 5 s"):
        cima.features(dataclasses.replace(recording, keypoints=recording.keypoints[:140]))
