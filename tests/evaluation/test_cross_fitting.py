"""Recalibration and conformal sets judged on infants that they were not fitted on."""

from functools import partial

import numpy as np
import pytest

from infantjax.evaluation import calibration, cross_fitting


@pytest.fixture(autouse=True)
def few_parts(monkeypatch):
    """A few parts and halves of the infants, which are random all the same."""
    monkeypatch.setattr(cross_fitting, "cross_fitted", partial(cross_fitting.cross_fitted, repeats=5))
    monkeypatch.setattr(cross_fitting, "conformal_coverage", partial(cross_fitting.conformal_coverage, halves=50))


def cohort(n: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 3 == 0).astype(int)
    return 1 / (1 + np.exp(-(1.5 * labels + rng.normal(size=n)))), labels


def test_cross_fitted_risks_are_those_of_scikit_learn_on_the_same_parts():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    risks, labels = cohort()
    peer = cross_val_predict(
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000),
        calibration.logits(risks)[:, None],
        labels,
        cv=StratifiedKFold(5, shuffle=True, random_state=7),
        method="predict_proba",
    )
    np.testing.assert_allclose(cross_fitting.cross_fitted(risks, labels, repeats=1, seed=7)[0], peer[:, 1], atol=1e-5)


def test_recalibration_repairs_risks_that_are_too_high():
    risks, labels = cohort()
    found = {name: metric.value for name, metric in cross_fitting.cross_fitted_metrics(risks, labels).items()}
    assert found["brier_recalibrated"] < np.square(risks - labels).mean()
    assert found["net_benefit_at_0.2_recalibrated"] >= found["net_benefit_at_0.2"]
    assert 0.8 < found["conformal_coverage_0"] <= 1
    assert 0.8 < found["conformal_coverage_1"] <= 1


def test_an_infant_counts_once():
    risks, labels = cohort()
    once = cross_fitting.cross_fitted_metrics(risks, labels)
    twice = cross_fitting.cross_fitted_metrics(np.tile(risks, 2), np.tile(labels, 2), groups=[*range(60), *range(60)])
    assert {n: m.value for n, m in twice.items()} == pytest.approx({n: m.value for n, m in once.items()})


@pytest.mark.parametrize(("n", "defined"), [(5, False), (15, True)])
def test_too_few_infants_leave_it_undefined(n, defined):
    found = cross_fitting.cross_fitted_metrics(*cohort(n))
    assert np.isfinite(found["brier_recalibrated"].value) == defined
    assert np.isfinite(found["net_benefit_at_0.1"].value)
    with pytest.raises(ValueError, match="at least 5 infants of each outcome"):
        cross_fitting.cross_fitted(*cohort(5))


def test_one_risk_unlike_all_others_gives_no_error():
    risks, labels = np.full(20, 0.4), np.arange(20) % 2
    risks[0] = 0.5
    assert np.isfinite(cross_fitting.cross_fitted(risks, labels)).all()
