"""Expected widths of intervals: against simulated cohorts and the published example."""

import math

import numpy as np
import pytest

from infantjax.evaluation import discrimination
from infantjax.evaluation.calibration import calibration_metrics
from infantjax.evaluation.sample_size import precision


def cohort(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    risks = 1 / (1 + np.exp(-rng.normal(-1.5, 1.0, n)))
    return risks, (rng.random(n) < risks).astype(int)


def test_widths_are_those_of_the_intervals_of_the_same_infants():
    risks, labels = cohort(2000)
    found = precision(risks, labels)["width"]
    slope = calibration_metrics(risks, labels, resamples=2)["calibration_slope"]
    assert found["calibration_slope"] == pytest.approx(slope.high - slope.low, rel=0.1)
    low, high = discrimination.auc_interval(risks, labels)
    assert found["auc"] == pytest.approx(high - low, rel=0.15)
    ratio = np.log([cohort(2000, seed)[1].sum() / cohort(2000, seed)[0].sum() for seed in range(200)])
    assert found["observed_to_expected"] == pytest.approx(2 * 1.96 * ratio.std(), rel=0.25)


def test_observed_to_expected_is_the_published_example():
    # Riley et al. 2021: a prevalence of 0.5 and a standard error of 0.051, a width of 0.2, take 385 infants.
    found = precision(np.linspace(0.1, 0.9, 20), [0, 1] * 10)
    assert found["infants"]["observed_to_expected"] == pytest.approx(385, abs=5)


def test_the_number_of_infants_gives_the_target():
    risks, labels = cohort(300)
    found = precision(risks, labels)
    assert (found["width"] > found["target"]).all()
    assert (found["infants"] > 300).all()
    # The same infants again and again, as many as are needed.
    times = math.ceil(found["infants"]["auc"] / 300)
    assert precision(np.tile(risks, times), np.tile(labels, times))["width"]["auc"] <= found["target"]["auc"]


@pytest.mark.parametrize(("risks", "labels"), [([0.1, 0.2], [0, 0]), ([0.5, 0.5], [0, 1])])
def test_one_outcome_or_equal_risks_have_no_width(risks, labels):
    assert precision(risks, labels)["width"].isna().all()
