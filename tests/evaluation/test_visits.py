"""The trend of a score over visits, and the change that exceeds error."""

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation.visits import reliable_change, trend


def test_the_trend_is_that_of_least_squares_with_a_t_interval():
    months, values = np.array([2.0, 5.1, 8.3, 11.0, 12.2]), np.array([20.0, 24.5, 23.0, 31.0, 29.5])
    found = trend(months, values)
    fit = stats.linregress(months, values)
    reach = stats.t.ppf(0.975, 3) * fit.stderr
    np.testing.assert_allclose(found[:3], [fit.slope, fit.slope - reach, fit.slope + reach], rtol=1e-12)
    assert found.visits == 5
    x = months - months.mean()
    slope = x @ values / (x @ x)
    error = np.sqrt(((values - values.mean() - slope * x) ** 2).sum() / 3 / (x @ x))
    np.testing.assert_allclose([found.slope, found.high - found.slope], [slope, 3.182446 * error], rtol=1e-6)


def test_the_interval_covers_the_trend_as_often_as_it_says():
    rng, months = np.random.default_rng(0), np.array([0.0, 1, 3, 6])
    found = [trend(months, 2 * months + rng.normal(0, 3, 4)) for _ in range(400)]
    assert 0.92 < np.mean([t.low < 2 < t.high for t in found]) < 0.98


@pytest.mark.parametrize("months", [[1, 2], [3, 3, 3], []])
def test_too_few_ages_have_no_trend(months):
    assert trend(months, np.ones(len(months))) is None


def test_a_reliable_change_is_the_spread_of_a_difference():
    residuals = np.array([1.0, -1, 3, -3, 5])
    expected = stats.t.ppf(0.975, 3) * np.sqrt(2) * np.std(residuals, ddof=1)
    assert reliable_change(residuals, 4) == pytest.approx(expected)
    assert reliable_change(residuals + 7, 4) == pytest.approx(expected)
    assert np.isnan(reliable_change(residuals, 1))


def test_error_alone_exceeds_it_in_one_of_twenty_cases():
    rng = np.random.default_rng(1)
    limit = reliable_change(rng.normal(0, 4, 5000), 5000)
    changes = rng.normal(0, 4, 20_000) - rng.normal(0, 4, 20_000)
    assert 0.04 < np.mean(np.abs(changes) > limit) < 0.06
