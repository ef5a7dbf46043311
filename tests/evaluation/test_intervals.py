"""Intervals: exact ones of proportions, bootstraps over infants and over runs."""

import math

import numpy as np
import pytest

from infantjax.evaluation import intervals


def test_the_exact_interval_by_hand():
    # Of 0 out of n the upper limit solves (1 - p)^n = 0.025.
    assert intervals.clopper_pearson(0, 7) == pytest.approx((0, 1 - 0.025 ** (1 / 7)))
    assert intervals.clopper_pearson(7, 7) == pytest.approx((0.025 ** (1 / 7), 1))
    assert all(math.isnan(x) for x in intervals.clopper_pearson(0, 0))


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_more_successes_than_trials_are_refused(k, n):
    with pytest.raises(ValueError, match="successes must lie between 0 and the total 5"):
        intervals.clopper_pearson(k, n)


def test_resamples_hold_the_infants_of_each_outcome_in_their_number():
    labels, groups = np.array([0, 0, 0, 1, 1]), np.array([7, 8, 8, 9, 3])
    seen = []

    def statistic(weights):
        seen.append(weights)
        return weights[:, 0]

    intervals.bootstrap(statistic, labels, groups, resamples=50)
    (weights,) = seen
    assert weights.shape == (50, 5)
    np.testing.assert_array_equal(weights[:, 0] + weights[:, 1], 2)
    np.testing.assert_array_equal(weights[:, 1], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 3:].sum(axis=1), 2)


def test_the_mean_of_runs_has_the_interval_of_their_resampled_means():
    values = np.array([[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]])
    mean, low, high = intervals.bootstrap_mean(values)
    np.testing.assert_allclose(mean, [3, 0])
    # One resample of 27 is three times the same run, more than 2.5 %.
    np.testing.assert_allclose([low, high], [[1, 0], [6, 0]])


def test_one_run_has_a_mean_and_no_interval():
    mean, low, high = intervals.bootstrap_mean(np.array([[0.5]]))
    assert mean == 0.5
    assert np.isnan([low, high]).all()
    with pytest.raises(ValueError, match="at least one run"):
        intervals.bootstrap_mean(np.empty((0, 3)))
