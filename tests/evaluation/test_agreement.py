"""Agreement: kappa, intraclass correlation, reliable change."""

import math

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation import agreement


def test_kappa_by_hand():
    # Of 50 both say yes to 20 and no to 15; one says yes to 25, the other to 30.
    first = [1] * 25 + [0] * 25
    second = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert agreement.kappa(first, second) == pytest.approx(0.4)
    assert math.isnan(agreement.kappa([2, 2, 2], [2, 2, 2])), "one class only"
    with pytest.raises(ValueError, match="same items"):
        agreement.kappa([0, 1], [0])


def test_icc_is_that_of_the_published_example():
    """Shrout and Fleiss 1979, table 2: six subjects, four judges."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    absolute, consistency = agreement.icc(ratings).to_numpy()
    np.testing.assert_allclose(absolute, [0.290, 0.019, 0.761], atol=5e-4)
    np.testing.assert_allclose(consistency, [0.715, 0.342, 0.946], atol=5e-4)


@pytest.mark.parametrize("ratings", [np.zeros((1, 2)), np.zeros((3, 1)), np.full((3, 2), np.nan)])
def test_icc_of_too_little_is_refused(ratings):
    with pytest.raises(ValueError, match="at least 2 subjects"):
        agreement.icc(ratings)


def test_fleiss_kappa_is_that_of_the_known_example():
    """Ten subjects, fourteen raters, five classes: the worked example that is quoted with Fleiss 1971."""
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    ratings = np.array([np.repeat(np.arange(5), row) for row in counts])
    assert agreement.fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)
    assert math.isnan(agreement.fleiss_kappa(np.ones((3, 2), int)))
    with pytest.raises(ValueError, match="at least 2 raters"):
        agreement.fleiss_kappa(np.ones((3, 1), int))


def test_a_weighted_kappa_forgives_near_answers():
    near, far = [0, 1, 2, 3, 3], [0, 1, 2, 3, 0]
    first = [0, 1, 2, 3, 2]
    assert agreement.kappa(first, near, "quadratic") > agreement.kappa(first, near)
    assert agreement.kappa(first, far, "quadratic") < agreement.kappa(first, near, "quadratic")


def test_a_reliable_change_is_the_spread_of_a_difference():
    residuals = np.array([1.0, -1, 3, -3, 5])
    expected = stats.t.ppf(0.975, 3) * np.sqrt(2) * np.std(residuals, ddof=1)
    assert agreement.reliable_change(residuals, 4) == pytest.approx(expected)
    assert agreement.reliable_change(residuals + 7, 4) == pytest.approx(expected)
    assert np.isnan(agreement.reliable_change(residuals, 1))
