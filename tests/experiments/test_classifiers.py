"""Classifiers as baselines: they separate what differs, and test recordings do not leak into the fit."""

import numpy as np
import pytest
from baseline_methods import classifiers

from infantjax.evaluation.discrimination import auc


@pytest.fixture(autouse=True)
def few_penalties(monkeypatch):
    monkeypatch.setattr(classifiers, "PENALTIES", (0.01, 1.0))
    monkeypatch.setattr(classifiers, "TREES", 50)
    monkeypatch.setattr(classifiers, "COMPONENTS", 20)


def cohort(ring=False, n=120):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6))
    signal = np.hypot(x[:, 0], x[:, 1]) - 1.2 if ring else x[:, 0] - x[:, 1]
    return x, (signal + 0.1 * rng.standard_normal(n) > 0).astype(int).tolist()


def classify(x, y, classifier, train=50, **known):
    return classifiers.classify(x, y, range(train), range(train, len(y)), classifier, folds=2, **known)


@pytest.mark.slow
def test_a_ring_is_found_with_a_kernel_only():
    x, y = cohort(ring=True)
    plain, curved = (auc(classify(x[:, :2], y, name, 80), y[80:]) for name in ("logistic", "kernel"))
    assert plain < 0.75 < 0.85 < curved


@pytest.mark.parametrize("classifier", ["logistic", "lda", "svm", "pls", "forest"])
def test_each_classifier_finds_a_linear_difference_in_features_it_never_saw(classifier):
    x, y = cohort(n=80)
    found = classify(x, y, classifier)
    assert ((found > 0) & (found < 1)).all()
    assert auc(found, y[50:]) > 0.9
    changed = x.copy()
    changed[60:] *= 1000
    again = classify(changed, [*y[:50], *[1 - v for v in y[50:]]], classifier)
    np.testing.assert_array_equal(again[:10], found[:10])


def test_more_features_than_infants_can_be_told_apart():
    x, y = cohort(n=60)
    wide = np.concatenate([x, np.random.default_rng(1).standard_normal((60, 100))], axis=1)
    for classifier in ("lda", "pls"):
        assert np.isfinite(classify(wide, y, classifier, 40)).all()


def test_too_few_infants_and_missing_values_are_refused():
    x, y = cohort()
    with pytest.raises(ValueError, match="cannot be split into 2 folds"):
        classify(x, y, "logistic", groups=["one" if v else f"i{i}" for i, v in enumerate(y)])
    x[3, 3] = np.nan
    with pytest.raises(ValueError, match="missing values"):
        classify(x, y, "logistic")


def test_the_fraction_of_positive_windows_separates_recordings():
    rng = np.random.default_rng(0)
    outcomes = [0, 1] * 8
    windows = [rng.normal(size=(rng.integers(3, 9), 5)) + 3 * outcome for outcome in outcomes]
    found = classifiers.window_share(windows, outcomes, range(10), range(10, 16))
    np.testing.assert_array_equal(found > 0.5, np.array(outcomes[10:]) == 1)
    assert ((found >= 0) & (found <= 1)).all()
    with pytest.raises(ValueError, match="one outcome only"):
        classifiers.window_share(windows, outcomes, [0, 2], [1])
    with pytest.raises(ValueError, match="missing values"):
        classifiers.window_share([*windows[:-1], np.full((2, 5), np.nan)], outcomes, range(10), [15])
