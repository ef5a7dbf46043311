"""Discrimination: published metrics, properties of the AUC, intervals, bad input."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infantjax.evaluation import discrimination, intervals
from infantjax.evaluation.discrimination import Counts

METRICS = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
# TP, FP, TN, FN of four methods on 139 external infants (GMA: 135); `METRICS` as printed, in percent: value, interval.
PUBLISHED = {
    "gma": (
        (14, 13, 102, 6),
        ((70.0, 45.7, 88.1), (88.7, 81.5, 93.8), (51.9, 32.0, 71.3), (94.4, 88.3, 97.9), (85.9, 78.9, 91.3)),
    ),
    "cima": (
        (15, 32, 86, 6),
        ((71.4, 47.8, 88.7), (72.9, 63.9, 80.7), (31.9, 19.1, 47.1), (93.5, 86.3, 97.6), (72.7, 64.5, 79.9)),
    ),
    "st-gcn": (
        (15, 19, 99, 6),
        ((71.4, 47.8, 88.7), (83.9, 76.0, 90.0), (44.1, 27.2, 62.1), (94.3, 88.0, 97.9), (82.0, 74.6, 88.0)),
    ),
    "ensemble": (
        (15, 7, 111, 6),
        ((71.4, 47.8, 88.7), (94.1, 88.2, 97.6), (68.2, 45.1, 86.1), (94.9, 89.2, 98.1), (90.6, 84.5, 94.9)),
    ),
}


@st.composite
def scored_infants(draw):
    """Scores with ties and labels of both classes."""
    size = draw(st.integers(4, 40))
    labels = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    assume(0 < labels.sum() < size)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, 6, size) / 8, labels


def two_normals(rng, cases=21, controls=118, shift=1.2):
    labels = np.repeat([1, 0], [cases, controls])
    return rng.normal(size=len(labels)) + shift * labels, labels


@pytest.mark.parametrize("method", PUBLISHED)
def test_published_metrics_and_intervals_follow_from_the_counts(method):
    numbers, printed = PUBLISHED[method]
    found = Counts(*numbers)
    for name, (value, low, high) in zip(METRICS, printed, strict=True):
        assert 100 * found.metrics()[name] == pytest.approx(value, abs=0.051)
        interval = intervals.clopper_pearson(*found.fractions[name])
        # Half of the last printed digit; two printed limits are rounded up from 81.445 and 31.949.
        assert 100 * interval.low == pytest.approx(low, abs=0.056)
        assert 100 * interval.high == pytest.approx(high, abs=0.056)


@given(infants=scored_infants())
def test_the_auc_is_the_share_of_ordered_pairs(infants):
    scores, labels = infants
    difference = scores[labels == 1][:, None] - scores[labels == 0]
    assert discrimination.auc(scores, labels) == pytest.approx(((difference > 0) + (difference == 0) / 2).mean())


@given(infants=scored_infants())
def test_the_auc_depends_on_the_order_only_and_mirrors_with_it(infants):
    scores, labels = infants
    area = discrimination.auc(scores, labels)
    assert discrimination.auc(np.exp(3 * scores) - 7, labels) == pytest.approx(area)
    assert discrimination.auc(-scores, labels) == pytest.approx(1 - area)
    assert discrimination.auc(scores, 1 - labels) == pytest.approx(1 - area)


def test_a_weight_of_two_is_the_infant_twice():
    scores, labels = np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 1, 0, 1])
    twice = np.array([0, 1, 1, 2, 3])
    assert discrimination.auc(scores, labels, [1, 2, 1, 1]) == pytest.approx(
        discrimination.auc(scores[twice], labels[twice])
    )


@given(infants=scored_infants())
def test_each_point_of_the_roc_curve_is_what_its_threshold_gives(infants):
    scores, labels = infants
    for sensitivity, specificity, threshold in zip(*discrimination.roc_curve(scores, labels), strict=True):
        found = discrimination.confusion_counts(scores, labels, threshold).metrics()
        assert (found["sensitivity"], found["specificity"]) == pytest.approx((sensitivity, specificity))


def test_a_metric_without_denominator_is_nan():
    found = Counts(0, 0, 5, 0).metrics()
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {"sensitivity", "ppv", "balanced_accuracy", "f1"}


def test_delongs_variance_is_that_of_the_placements_by_hand():
    scores, labels = [3, 1, 2, 0], [1, 1, 0, 0]
    # Cases 3 and 1 lie above 2 and 1 of 2 controls; controls 2 and 0 lie below 1 and 2 of 2 cases.
    spread = math.sqrt(np.var([1, 0.5], ddof=1) / 2 + np.var([0.5, 1], ddof=1) / 2)
    found = discrimination.auc_interval(scores, labels)
    assert found == pytest.approx((max(0, 0.75 - 1.959964 * spread), min(1, 0.75 + 1.959964 * spread)))


def test_bootstrap_and_delong_agree_on_many_infants():
    assert discrimination.auc_interval([1, 2, 3, 4], [0, 0, 1, 1]) == (1, 1), "separated: no variance to estimate from"
    scores, labels = two_normals(np.random.default_rng(1), 200, 300)
    delong = discrimination.auc_interval(scores, labels)
    bootstrap = discrimination.auc_interval(scores, labels, "bootstrap", resamples=1000)
    # A tenth of the interval's width: the error of percentiles over 1000 resamples is about half of that.
    assert bootstrap == pytest.approx(delong, abs=0.1 * (delong.high - delong.low))


@given(infants=scored_infants())
def test_no_threshold_beats_youdens_and_none_above_it_equals_it(infants):
    scores, labels = infants
    sensitivity, specificity, thresholds = discrimination.roc_curve(scores, labels)
    best = discrimination.youden_threshold(scores, labels)
    total = dict(zip(thresholds, sensitivity + specificity, strict=True))
    assert total[best] == pytest.approx(max(total.values()))
    assert all(value < total[best] - 1e-12 for threshold, value in total.items() if threshold > best)


@given(infants=scored_infants(), target=st.floats(0, 1))
def test_the_threshold_at_a_sensitivity_is_the_highest_that_reaches_it(infants, target):
    scores, labels = infants
    found = discrimination.threshold_at_sensitivity(scores, labels, target)
    assert discrimination.confusion_counts(scores, labels, found).metrics()["sensitivity"] >= target - 1e-9
    for threshold in np.unique(scores[scores > found]):
        assert discrimination.confusion_counts(scores, labels, threshold).metrics()["sensitivity"] < target


def test_each_metric_lies_inside_its_interval():
    scores, labels = two_normals(np.random.default_rng(4))
    found = discrimination.discrimination_metrics(scores, labels, 0.8, resamples=200)
    assert list(found) == ["auc", *METRICS, "balanced_accuracy", "f1"]
    for name, metric in found.items():
        assert metric.low < metric.value < metric.high, name
    assert found["auc"].value == discrimination.auc(scores, labels)


def test_of_one_class_only_some_metrics_are_defined():
    found = discrimination.discrimination_metrics([0.2, 0.7, 0.1], [0, 0, 0], 0.5)
    assert found["specificity"].value == pytest.approx(2 / 3)
    for name in ("auc", "sensitivity", "balanced_accuracy"):
        assert all(math.isnan(x) for x in found[name]), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1, np.nan], [0, 1]), "1 of 2 scores are NaN"),
        (([0.1, 0.2], [0, 2]), "labels must be 0"),
        (([0.1, 0.2], [0, 1, 1]), "one length"),
        (([[0.1, 0.2]], [[0, 1]]), "one row"),
        (([], []), "one class only .there are no labels"),
        (([0.1, 0.2], [1, 1]), "not defined: one class only .all labels are 1"),
        (([0.1, 0.2], [0, 1], [1, 0]), "one class only"),
        *((([0.1, 0.2], [0, 1], [1, weight]), "weights must be numbers") for weight in (-1, np.nan, np.inf)),
    ],
)
def test_scores_that_cannot_be_evaluated_are_refused(arguments, message):
    for function in (discrimination.auc, discrimination.roc_curve):
        with pytest.raises(ValueError, match=message):
            function(*arguments)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 0, 0, 1], {}, "at least two infants of each class, got 1 cases and 3 controls"),
        ([0, 1, 0, 1], {"groups": [0, 1, 2, 3]}, "use method='bootstrap' with groups"),
        (
            [0, 1, 0, 1],
            {"method": "bootstrap", "groups": ["a", "b", "b", "c"]},
            'infant "b" has rows with outcome 0 and with outcome 1',
        ),
    ],
)
def test_intervals_that_cannot_be_computed_are_refused(labels, options, message):
    with pytest.raises(ValueError, match=message):
        discrimination.auc_interval([1, 2, 3, 4], labels, **options)
