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
    assert found[:2] == (8, 2)
    assert found.p == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)
    assert comparison.mcnemar(first, first).p == 1


def scores(n=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 4 == 0).astype(int)
    shared_part = rng.normal(size=n) + labels
    return shared_part + rng.normal(size=n), shared_part + 0.5 * rng.normal(size=n), labels


def test_the_paired_test_of_aucs_takes_their_covariance():
    a, b, labels = scores()
    found = comparison.delong(a, b, labels)
    assert found.value == pytest.approx(discrimination.auc(a, labels) - discrimination.auc(b, labels))
    resampled = []
    rng = np.random.default_rng(1)
    for _ in range(300):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in (0, 1)])
        resampled.append(discrimination.auc(a[rows], labels[rows]) - discrimination.auc(b[rows], labels[rows]))
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.std(resampled), rel=0.15)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.value) / ((found.high - found.low) / 3.92)), rel=1e-3)


def test_methods_that_rank_alike_do_not_differ():
    a, _, labels = scores()
    assert comparison.delong(a, np.exp(a), labels) == (0, 0, 0, 1)


def test_the_interval_of_a_paired_difference_resamples_infants():
    first, second = np.array([1, 1, 1, 0] * 20), np.array([1, 0, 0, 1] * 20)
    alone = comparison.paired_difference(first, second)
    assert alone.low < first.mean() - second.mean() < alone.high
    grouped = comparison.paired_difference(first, second, groups=np.repeat(range(20), 4))
    assert grouped == pytest.approx((0.25, 0.25))


def test_holm_by_hand():
    found = comparison.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan})
    assert (found["a"], found["c"], found["b"]) == pytest.approx((0.03, 0.06, 0.06))
    assert math.isnan(found["d"])
    assert list(found) == ["a", "b", "c", "d"]
    assert comparison.holm({"a": 0.7, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_overlapping_repeats_are_worth_less_than_independent_ones():
    differences = np.random.default_rng(0).normal(0.02, 0.05, 25)
    naive = stats.ttest_1samp(differences, 0).pvalue
    assert comparison.corrected_resampled_t(differences, 340, 73) > naive
    t = differences.mean() / math.sqrt(differences.var(ddof=1) * (1 / 25 + 73 / 340))
    assert comparison.corrected_resampled_t(differences, 340, 73) == pytest.approx(2 * stats.t.sf(abs(t), 24))
    assert comparison.corrected_resampled_t([0.0, 0.0], 2, 1) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: comparison.mcnemar([1, 0], [1]),
        lambda: comparison.published_binomial(5, 4, 1, 2),
        lambda: comparison.corrected_resampled_t([0.1], 10, 2),
        lambda: comparison.delong([0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0, 0, 1]),
    ],
)
def test_what_cannot_be_compared_is_refused(call):
    with pytest.raises(ValueError, match=r"got|need"):
        call()
