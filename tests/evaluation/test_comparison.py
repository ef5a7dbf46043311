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
    assert comparison.delong(a, np.exp(a), labels) == (0, 0, 0, 1), "methods that rank alike"
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
