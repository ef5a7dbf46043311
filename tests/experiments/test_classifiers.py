"""Classifiers as baselines: they separate what differs, and test recordings do not leak into the fit."""

import numpy as np
import pytest
from baseline_methods import classifiers

from infantjax.evaluation.discrimination import auc


@pytest.fixture(autouse=True)
def few_penalties(monkeypatch):
    monkeypatch.setattr(classifiers, "PENALTIES", (0.01, 1.0))


def cohort(ring=False, n=120):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 6))
    signal = np.hypot(x[:, 0], x[:, 1]) - 1.2 if ring else x[:, 0] - x[:, 1]
    return x, (signal + 0.1 * rng.standard_normal(n) > 0).astype(int).tolist()


def test_a_linear_difference_is_found():
    x, y = cohort()
    assert auc(classifiers.logistic(x, y, range(80), range(80, 120), folds=2), y[80:]) > 0.9


@pytest.mark.slow
def test_a_ring_is_found_with_a_kernel_only():
    x, y = cohort(ring=True)
    plain, curved = (
        auc(classifiers.logistic(x[:, :2], y, range(80), range(80, 120), kernel=k, components=20, folds=2), y[80:])
        for k in (False, True)
    )
    assert plain < 0.75 < 0.85 < curved


def test_test_recordings_change_no_other_risk():
    x, y = cohort()
    found = classifiers.logistic(x, y, range(80), range(80, 120), folds=2)
    changed = x.copy()
    changed[100:] *= 1000
    again = classifiers.logistic(changed, [*y[:80], *[1 - v for v in y[80:]]], range(80), range(80, 120), folds=2)
    np.testing.assert_array_equal(again[:20], found[:20])


def test_the_unit_of_a_feature_does_not_matter():
    x, y = cohort()
    found = classifiers.logistic(x, y, range(80), range(80, 120), folds=2)
    scaled = classifiers.logistic(x * [1e3, 1, 1e-3, 1, 1, 1] + 7, y, range(80), range(80, 120), folds=2)
    np.testing.assert_allclose(scaled, found, atol=1e-3)


def test_too_few_infants_and_missing_values_are_refused():
    x, y = cohort()
    with pytest.raises(ValueError, match="cannot be split into 5 folds"):
        classifiers.logistic(x, y, range(80), range(80, 120), groups=["one" if v else f"i{i}" for i, v in enumerate(y)])
    x[3, 3] = np.nan
    with pytest.raises(ValueError, match="missing values"):
        classifiers.logistic(x, y, range(80), range(80, 120), folds=2)


@pytest.mark.parametrize("classifier", ["lda", "svm", "pls", "forest"])
def test_each_classifier_finds_a_linear_difference_in_features_it_never_saw(classifier):
    x, y = cohort(n=80)
    found = classifiers.classify(x, y, range(50), range(50, 80), classifier, folds=2)
    assert ((found > 0) & (found < 1)).all()
    assert auc(found, y[50:]) > 0.9
    changed = x.copy()
    changed[60:] *= 1000
    again = classifiers.classify(changed, y, range(50), range(50, 80), classifier, folds=2)
    np.testing.assert_array_equal(again[:10], found[:10])


def test_more_features_than_infants_can_be_told_apart():
    x, y = cohort(n=60)
    wide = np.concatenate([x, np.random.default_rng(1).standard_normal((60, 100))], axis=1)
    for classifier in ("lda", "pls"):
        assert np.isfinite(classifiers.classify(wide, y, range(40), range(40, 60), classifier, folds=2)).all()


def test_an_unknown_classifier_is_refused():
    x, y = cohort()
    with pytest.raises(ValueError, match="known: lda, svm, pls, forest"):
        classifiers.classify(x, y, range(80), range(80, 120), "tree", folds=2)


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
