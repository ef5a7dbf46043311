"""Cleaning: gaps, frame rate, median and Butterworth filters, each against cases by hand and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from infantjax.recording import cleaning

NAN = np.nan


def points(*x):
    """One joint whose x is given and whose y is twice as large."""
    return np.array(x, np.float64)[:, None, None] * np.array([1.0, 2.0])


def wobble(frames, seed=0, joints=3):
    return np.cumsum(np.random.default_rng(seed).normal(size=(frames, joints, 2)), axis=0)


def test_a_gap_is_filled_linearly_inside_and_by_the_nearest_point_at_the_ends():
    filled = cleaning.fill_gaps(points(NAN, 1, NAN, NAN, 4, NAN))
    np.testing.assert_allclose(filled, points(1, 1, 2, 3, 4, 4), rtol=1e-15)


def test_a_point_with_one_missing_coordinate_is_missing_as_a_whole():
    keypoints = points(0, 5, 2)
    keypoints[1, 0, 0] = NAN
    np.testing.assert_allclose(cleaning.fill_gaps(keypoints), points(0, 1, 2), rtol=1e-15)


def test_a_joint_that_was_never_seen_stays_missing():
    keypoints = np.concatenate([points(1, 2, 3), points(NAN, NAN, NAN)], axis=1)
    filled = cleaning.fill_gaps(keypoints)
    np.testing.assert_array_equal(filled[:, 0], keypoints[:, 0])
    assert np.isnan(filled[:, 1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        *(
            (lambda rate=rate: cleaning.resample(np.zeros(3), rate, 30), "must be a number above 0")
            for rate in (0, NAN)
        ),
        (lambda: cleaning.resample(np.zeros((0, 2)), 25, 30), "without frames"),
        (lambda: cleaning.butterworth(np.where(np.arange(60) == 30, NAN, 1.0)), "fill the gaps first"),
        (lambda: cleaning.smooth(np.zeros((60, 1, 2)), "mean"), "one of median5, butterworth, got .mean."),
    ],
)
def test_what_cannot_be_cleaned_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 0.95))
def test_seen_points_are_kept_and_filled_ones_stay_within_what_was_seen(seed, share):
    keypoints = wobble(40, seed)
    missing = np.random.default_rng(seed + 1).random((40, 3)) < share
    missing[7] = False
    keypoints[missing] = NAN
    filled = cleaning.fill_gaps(keypoints)
    np.testing.assert_array_equal(filled[~missing], keypoints[~missing])
    assert (filled.min(axis=0) >= np.nanmin(keypoints, axis=0) - 1e-9).all()
    assert (filled.max(axis=0) <= np.nanmax(keypoints, axis=0) + 1e-9).all()


def test_the_longest_gap_names_its_length_and_joint():
    missing = np.zeros((10, 4), bool)
    missing[2:5, 0] = missing[6:10, 2] = missing[:, 3] = True  # the last was never seen
    assert cleaning.longest_gap(missing) == (4, 2)


def test_doubling_the_rate_puts_midpoints_between_frames_and_repeats_the_last():
    np.testing.assert_array_equal(cleaning.resample(np.array([0.0, 4, 6]), 10, 20), [0, 2, 4, 5, 6, 6])


def test_a_missing_frame_makes_its_neighbors_missing_but_not_samples_that_need_it_not():
    found = cleaning.resample(np.array([0.0, NAN, 2, 3]), 10, 20)
    np.testing.assert_array_equal(np.isnan(found), [False, True, True, True, False, False, False, False])


@given(frames=st.integers(1, 200), fps=st.sampled_from([10, 24, 25, 29.97, 30, 50, 60, 120, 240]))
def test_resampling_a_straight_line_keeps_it_straight(frames, fps):
    found = cleaning.resample(np.arange(frames) / fps, fps, 30)
    assert len(found) == int(np.ceil(frames * 30 / fps - 1e-9))
    np.testing.assert_allclose(found, np.minimum(np.arange(len(found)) / 30, (frames - 1) / fps), atol=1e-12)


@pytest.mark.parametrize("seconds", [1, 40, 3600])
@pytest.mark.parametrize("fps", [10, 24, 25, 50, 60, 120])
def test_whole_seconds_have_the_new_rate_of_frames_each_whatever_the_rounding(seconds, fps):
    assert len(cleaning.resample(np.zeros(seconds * fps), fps, 30)) == 30 * seconds


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 30))
def test_the_median_equals_the_plain_one_of_each_neighborhood(seed, frames):
    series = wobble(frames, seed)
    padded = np.pad(series, [(2, 2), (0, 0), (0, 0)], mode="edge")
    expected = np.stack([np.median(padded[i : i + 5], axis=0) for i in range(frames)])
    np.testing.assert_array_equal(cleaning.median_filter(series), expected)


def test_the_median_is_missing_wherever_a_value_in_its_width_is():
    series = np.arange(12.0)
    series[6] = NAN
    assert np.flatnonzero(np.isnan(cleaning.median_filter(series))).tolist() == [4, 5, 6, 7, 8]


def test_the_released_low_pass_is_that_of_scipy_to_the_last_digits():
    series = wobble(5400).cumsum(axis=0) + 500
    expected = signal.sosfiltfilt(signal.butter(8, 0.5, output="sos"), series, axis=0)
    np.testing.assert_allclose(cleaning.butterworth(series), expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_the_low_pass_needs_28_frames_at_order_8():
    with pytest.raises(ValueError, match="27 frames are too few for a Butterworth filter of order 8, which needs 28"):
        cleaning.butterworth(wobble(27))
    assert len(cleaning.butterworth(wobble(28))) == 28


# --- smoothing with gaps ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["median5", "butterworth"])
def test_smoothing_keeps_gaps_and_is_the_filter_where_there_are_none(kind):
    keypoints = np.random.default_rng(0).normal(size=(60, 3, 2))
    whole = cleaning.median_filter(keypoints) if kind == "median5" else cleaning.butterworth(keypoints)
    np.testing.assert_array_equal(cleaning.smooth(keypoints, kind), whole)
    gapped = keypoints.copy()
    gapped[10:14, 1, 0] = np.nan
    gapped[:, 2] = np.nan
    found = cleaning.smooth(gapped, kind)
    np.testing.assert_array_equal(found[:, 0], whole[:, 0])
    assert np.isnan(found[10:14, 1]).all()
    assert np.isfinite(np.delete(found[:, 1], range(10, 14), 0)).all()
    assert np.isnan(found[:, 2]).all()
