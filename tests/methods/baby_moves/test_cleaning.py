"""Baby Moves, cleaning: gaps, smoothing, imputation, number of frames, outliers, against cases by hand."""

import numpy as np
import pytest

from infantjax.methods.baby_moves import cleaning

NAN = np.nan


def test_interpolation_forwards_fills_the_first_frames_of_every_gap():
    series = np.array([NAN, 0, NAN, NAN, 3, NAN, NAN, NAN])
    np.testing.assert_allclose(cleaning.interpolate_forwards(series, 2), [NAN, 0, 1, 2, 3, 3, 3, NAN])
    np.testing.assert_allclose(cleaning.interpolate_forwards(series, 1), [NAN, 0, 1, NAN, 3, 3, NAN, NAN])


def test_short_gaps_are_filled_whole_or_not_at_all():
    series = np.array([NAN, 0, NAN, NAN, 3, NAN, 5, NAN])
    np.testing.assert_allclose(cleaning.fill_short_gaps(series, 2), [NAN, 0, 1, 2, 3, 4, 5, NAN])
    np.testing.assert_allclose(cleaning.fill_short_gaps(series, 1), [NAN, 0, NAN, NAN, 3, 4, 5, NAN])


@pytest.mark.parametrize("width", [4, 5, 30])
def test_a_smoothed_frame_is_the_weighted_mean_of_the_present_ones(width):
    series = np.random.default_rng(5).normal(size=(40, 2, 2))
    series[np.random.default_rng(6).random(series.shape) < 0.4] = NAN
    found = cleaning.blackman_mean(series, width, min_count=3)
    half = (width - 1) // 2
    for i in range(40):
        frames = [t for t in range(i + half - width + 1, i + half + 1) if 0 <= t < 40]
        w = np.array([np.blackman(width)[t - (i + half - width + 1)] for t in frames])[:, None, None]
        there = ~np.isnan(series[frames])
        with np.errstate(invalid="ignore"):
            mean = np.where(there, w * series[frames], 0).sum(0) / np.where(there, w, 0).sum(0)
        np.testing.assert_allclose(found[i], np.where(there.sum(0) >= 3, mean, NAN), rtol=1e-9)


def test_imputation_finds_a_linear_relation_and_keeps_what_is_present():
    a = np.random.default_rng(0).normal(size=(80, 2))
    series = np.column_stack([a, a @ [2.0, -1.0] + 3, np.full(80, NAN)])
    gaps = series.copy()
    gaps[20:30, 2] = NAN
    filled = cleaning.impute(gaps)
    np.testing.assert_allclose(filled[:, 2], series[:, 2], atol=1e-3)
    assert np.isnan(filled[:, 3]).all()
    np.testing.assert_array_equal(filled[:, :2], a)


def test_stretching_a_cubic_gives_it_at_other_frames():
    t = np.linspace(0, 1, 11)
    found = cleaning.stretch(np.stack([t**3 - t, np.where(t > 0.5, NAN, t)], -1), 101)
    fine = np.linspace(0, 1, 101)
    np.testing.assert_allclose(found[:, 0], fine**3 - fine, atol=1e-12)
    assert np.isnan(found[:, 1]).all()
    with pytest.raises(ValueError, match="at least 4 frames"):
        cleaning.stretch(t[:3], 10)


def test_points_outside_an_ellipse_are_removed_whole():
    keypoints = np.array([[[1.9, 0.0], [0.0, 1.1], [2.0, 0.0]]])
    kept = cleaning.remove_outside(keypoints, np.zeros(2), (2, 1))
    np.testing.assert_array_equal(kept, [[[1.9, 0.0], [NAN, NAN], [2.0, 0.0]]])
    np.testing.assert_array_equal(cleaning.remove_outside(keypoints, np.full(2, NAN), (2, 1)), keypoints)
