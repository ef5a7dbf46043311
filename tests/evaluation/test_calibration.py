"""Calibration: Platt's map against the reference; metrics of risks by hand."""

import numpy as np
import pytest
from scipy.special import expit

from infantjax.evaluation import calibration
from infantjax.evaluation.calibration import Platt


def cohort(n=400, slope=1.0, intercept=0.0, seed=0):
    """Logits whose true risk is `sigmoid(slope * logit + intercept)`, with outcomes drawn by it."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, n)
    return logits, (rng.random(n) < expit(slope * logits + intercept)).astype(int)


def test_the_reference_calibration_is_that_of_the_reference(shared):
    with np.load(shared / "golden" / "baby_moves" / "calibration.npz") as z:
        fitted = calibration.platt_reference(z["prob"], z["label"])
        # The reference's optimizer stops at a gradient of 1e-4.
        assert fitted.slope == pytest.approx(float(z["coef"]), rel=1e-3)
        assert fitted.intercept == pytest.approx(float(z["intercept"]), rel=1e-3)
        np.testing.assert_allclose(fitted(z["query"]), z["calibrated"], atol=1e-4)


def test_platt_finds_how_the_risks_were_distorted():
    logits, labels = cohort(20_000, slope=0.5, intercept=-1.0)
    fitted = calibration.platt(logits, labels)
    assert (fitted.slope, fitted.intercept) == (pytest.approx(0.5, abs=0.04), pytest.approx(-1.0, abs=0.05))
    line = calibration.platt(np.log(fitted(logits) / (1 - fitted(logits))), labels, smooth=False)
    assert line.slope == pytest.approx(1, abs=0.01)


def test_smooth_labels_give_a_finite_map_where_scores_separate_the_outcomes():
    scores, labels = [-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1]
    fitted = calibration.platt(scores, labels)
    assert 0.5 < fitted.slope < 10
    np.testing.assert_allclose(fitted(scores)[::-1], 1 - fitted(scores), atol=1e-9)
    for direction in (labels, labels[::-1]):
        with pytest.raises(ValueError, match="separate the outcomes"):
            calibration.platt(scores, direction, smooth=False)


def test_a_falling_calibration_changes_its_sign_as_in_the_reference():
    logits, labels = cohort(slope=-1.0)
    plain = calibration.platt(expit(logits), labels, balanced=True, smooth=False)
    assert plain.slope < 0
    assert calibration.platt_reference(expit(logits), labels) == Platt(-plain.slope, -plain.intercept)


@pytest.mark.parametrize(("scores", "labels"), [([0.0, 1.0], [1, 1]), ([0.5, 0.5], [0, 1])])
def test_one_outcome_or_equal_scores_cannot_be_calibrated(scores, labels):
    with pytest.raises(ValueError, match="both outcomes and scores that differ"):
        calibration.platt(scores, labels)


def test_reliability_by_hand():
    found = calibration.reliability([0.05, 0.15, 0.15, 1.0], [0, 1, 0, 1])
    np.testing.assert_allclose(found[["risk", "observed", "count"]], [[0.05, 0, 1], [0.15, 0.5, 2], [1, 1, 1]])
    assert calibration.calibration_error(found) == pytest.approx((0.05 + 2 * 0.35) / 4)
    assert found["low"].iloc[1] == pytest.approx(0.0126, abs=1e-4)


def test_few_cases_show_an_error_even_if_calibrated():
    rng = np.random.default_rng(1)
    few, many = rng.random(40), rng.random(4000)
    assert calibration.expected_error_if_calibrated(few) > 3 * calibration.expected_error_if_calibrated(many, draws=50)
    labels = (rng.random(4000) < many).astype(int)
    found = calibration.calibration_error(calibration.reliability(many, labels))
    assert found == pytest.approx(calibration.expected_error_if_calibrated(many, draws=50), rel=0.5)


@pytest.mark.parametrize(("risks", "labels"), [([], []), ([1.2], [1]), ([-0.1], [0])])
def test_risks_outside_their_range_are_refused(risks, labels):
    for evaluate in (calibration.calibration_metrics, calibration.reliability):
        with pytest.raises(ValueError, match=r"within 0\.\.1"):
            evaluate(risks, labels)


def test_the_intervals_of_the_calibration_line_are_those_of_many_cohorts():
    """Wald's interval of the slope is as wide as slopes of new cohorts of the same infants spread."""
    rng = np.random.default_rng(0)
    risks = rng.uniform(0.05, 0.95, 300)
    lines = [calibration.recalibration(risks, (rng.random(300) < risks).astype(int)) for _ in range(40)]
    slopes, errors = [line.slope for line in lines], [np.sqrt(line.covariance[0, 0]) for line in lines]
    assert np.mean(slopes) == pytest.approx(1, abs=0.1)
    assert np.mean(errors) == pytest.approx(np.std(slopes), rel=0.25)
    labels = (rng.random(300) < risks).astype(int)
    found, line = calibration.calibration_metrics(risks, labels, resamples=1), calibration.recalibration(risks, labels)
    reach = 1.959964 * np.sqrt(np.diag(line.covariance))
    assert found["calibration_slope"] == pytest.approx((line.slope, line.slope - reach[0], line.slope + reach[0]))
    assert found["calibration_intercept"].high == pytest.approx(line.intercept + reach[1])


def test_risks_of_0_and_1_enter_the_calibration_line_as_nearly_so():
    labels = [0, 1, 0, 1, 0, 1]
    certain = calibration.calibration_metrics([0.0, 0.4, 0.6, 1.0, 0.2, 0.1], labels, resamples=5)
    nearly = calibration.calibration_metrics([0.001, 0.4, 0.6, 0.999, 0.2, 0.1], labels, resamples=5)
    for name in ("calibration_slope", "calibration_intercept"):
        assert certain[name] == pytest.approx(nearly[name])


def test_risks_that_are_nearly_equal_have_no_calibration_line():
    rng = np.random.default_rng(0)
    labels = np.arange(14) % 2
    risks = 0.5 + 1e-4 * (labels + rng.normal(size=14))
    found = calibration.calibration_metrics(risks, labels, resamples=10)
    assert np.isnan(found["calibration_slope"]).all()
    assert np.isnan(found["calibration_intercept"]).all()
    assert np.isfinite(found["brier"].value)
