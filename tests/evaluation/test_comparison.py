"""Comparisons: published P values, exact cases, and the libraries' own tests."""

import math

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation import comparison, discrimination


@pytest.mark.parametrize(
    ("counts", "published"),
    [
        ((111, 118, 102, 115), 0.0790),
        ((111, 118, 99, 118), 0.0015),
        ((126, 139, 116, 135), 0.1139),
        ((8, 8, 7, 12), 0.0245),
    ],
)
def test_the_published_rule_gives_the_published_p_values(counts, published):
    assert comparison.published_binomial(*counts) == pytest.approx(published, abs=6e-5)


def test_fishers_p_value_of_the_first_of_them_is_twice_as_large():
    assert stats.fisher_exact([[111, 7], [102, 13]]).pvalue == pytest.approx(0.165452, abs=1e-6)


def test_mcnemar_counts_only_infants_on_whom_methods_differ():
    first = [1] * 8 + [0] * 2 + [1] * 50
    second = [0] * 8 + [1] * 2 + [1] * 50
    found = comparison.mcnemar(first, second)
    assert found == (8, 2, pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10))
    assert comparison.mcnemar(first, first) == (0, 0, 1)


def scores(n=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 4 == 0).astype(int)
    shared_part = rng.normal(size=n) + labels
    return shared_part + rng.normal(size=n), shared_part + 0.5 * rng.normal(size=n), labels


def test_the_paired_test_of_aucs_takes_their_covariance():
    a, b, labels = scores()
    value, low, high, p = comparison.delong(a, b, labels)
    assert value == pytest.approx(discrimination.auc(a, labels) - discrimination.auc(b, labels))
    resampled = []
    rng = np.random.default_rng(1)
    for _ in range(300):
        controls, cases = (rng.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in (0, 1))
        first, second = ((of[cases][:, None] > of[controls]).mean() for of in (a, b))
        resampled.append(first - second)
    assert (high - low) / (2 * 1.96) == pytest.approx(np.std(resampled), rel=0.15)
    assert p == pytest.approx(2 * stats.norm.sf(abs(value) / ((high - low) / 3.92)), rel=1e-3)


def test_methods_that_rank_alike_do_not_differ():
    a, _, labels = scores()
    assert comparison.delong(a, np.exp(a), labels) == (0, 0, 0, 1)


def test_the_interval_of_a_paired_difference_resamples_infants():
    first, second = np.array([1, 1, 1, 0] * 20), np.array([1, 0, 0, 1] * 20)
    alone = comparison.paired_difference(first, second)
    assert alone.low < first.mean() - second.mean() < alone.high
    grouped = comparison.paired_difference(first, second, groups=np.repeat(range(20), 4))
    assert grouped == pytest.approx((0.25, 0.25))


def test_holm_leaves_out_what_has_no_p_value():
    np.testing.assert_allclose(comparison.holm([0.01, 0.04, 0.03, math.nan]), [0.03, 0.06, 0.06, math.nan])
    assert np.isnan(comparison.holm([math.nan])).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: comparison.mcnemar([1, 0], [1]),
        lambda: comparison.published_binomial(5, 4, 1, 2),
        lambda: comparison.delong([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0, 0, 1]),
    ],
)
def test_what_cannot_be_compared_is_refused(call):
    with pytest.raises(ValueError, match=r"got|need"):
        call()
