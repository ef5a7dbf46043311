"""Tracks of hands and feet: cuts, standardization, windows, correlations."""

import numpy as np
import pytest

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.methods.sma_cnn import preprocessing as limbs
from infantjax.recording.recording import Recording

NAN = np.nan
JOINED = limbs.Preprocessing(join_gaps=True)


def wander(frames, seed=0):
    return np.cumsum(np.random.default_rng(seed).standard_normal((frames, 4, 3)), axis=0)


def at(frames, fps=30.0):
    return np.arange(frames) / fps


@pytest.mark.parametrize(("frames", "count"), [(3600, 55), (900, 1), (899, 0), (950, 2), (949, 1)])
def test_a_recording_gives_its_published_number_of_windows(frames, count):
    found = limbs.windows(wander(frames), at(frames))
    assert found.shape == (count, 12, 900)
    assert found.dtype == np.float32


def test_windows_begin_fifty_frames_apart_and_hold_rows_of_limbs():
    track = wander(1000)
    found = limbs.windows(track, at(1000))
    [standard] = limbs.standardize([track])
    np.testing.assert_allclose(found[2, 7], standard[100:1000, 2, 1], atol=1e-6)


def test_frames_without_a_limb_are_dropped_and_long_steps_cut():
    track = wander(100)
    track[40:42, 2] = NAN  # 0.1 s between its neighbors: kept together
    track[70:73, 0, 1] = NAN
    parts = limbs.kept_frames(track, at(100))
    assert [len(part) for part in parts] == [68, 27]
    assert [len(part) for part in limbs.kept_frames(track, at(100), JOINED)] == [95]
    assert limbs.windows(np.full((5, 4, 3), NAN), at(5)).shape == (0, 12, 900)


def test_no_window_straddles_a_cut_unless_asked_to():
    times = at(1900)
    times[1000:] += 1.0
    track = wander(1900)
    assert len(limbs.windows(track, times)) == 3 + 1
    assert len(limbs.windows(track, times, JOINED)) == 21


def test_standardization_is_of_the_whole_recording():
    track = wander(500)
    track[:, 1, 2] = 7.1
    parts = limbs.standardize([track[:200], track[200:]])
    together = np.concatenate(parts)
    moves = np.delete(together.reshape(500, 12), 5, axis=1)
    np.testing.assert_allclose(moves.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(moves.std(axis=0), 1, rtol=1e-12)
    assert (together[:, 1, 2] == 0).all()


def test_hands_and_feet_of_a_recording():
    skeleton = skeletons.get("in-motion-19")
    keypoints = np.random.default_rng(0).standard_normal((5, 19, 2))
    track = limbs.track(Recording(keypoints, 30.0, skeleton))
    np.testing.assert_array_equal(track[:, 0, :2], keypoints[:, skeleton.index("right_wrist")])
    np.testing.assert_array_equal(track[:, 3, :2], keypoints[:, skeleton.index("left_ankle")])
    assert (track[..., 2] == 0).all()
    baby = skeletons.get("baby-moves-18")
    three = np.random.default_rng(0).standard_normal((5, 18, 3))
    np.testing.assert_array_equal(limbs.track(Recording(three, 30.0, baby))[:, 1], three[:, baby.index("left_hand")])


def test_a_skeleton_without_feet_is_refused():
    upper = skeletons.Skeleton("upper-2", ("right_hand", "left_hand"), ("right_hand", "right_hand"))
    with pytest.raises(InputError, match="no point for the right foot"):
        limbs.track(Recording(np.zeros((2, 2, 2)), 30.0, upper))
