"""Decisions: predictive values, net benefit, conformal sets."""

import math

import numpy as np
import pytest

from infantjax.evaluation import decision


def test_predictive_values_are_those_of_the_counts_at_their_own_prevalence():
    found = decision.predictive_values(15 / 21, 111 / 118, 21 / 139)
    assert found == pytest.approx((15 / 22, 111 / 117))


def test_a_rare_outcome_makes_most_calls_wrong():
    common, rare = (decision.predictive_values(0.714, 0.941, p) for p in decision.PREVALENCES.values())
    assert common[0] == pytest.approx(0.681, abs=1e-3)
    assert rare[0] < 0.03
    assert math.isnan(decision.predictive_values(0, 1, 0.1)[0])
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        decision.predictive_values(0.7, 0.9, 15)


def test_net_benefit_by_hand():
    found = decision.decision_curve([0.9, 0.6, 0.3, 0.1], [1, 0, 1, 0], [0.2, 0.5])
    np.testing.assert_allclose(found, [[2 / 4 - 0.25 * 1 / 4, 0.5 - 0.25 * 0.5], [1 / 4 - 1 / 4, 0]])
    assert len(decision.decision_curve([0.5], [1])) == 99
    with pytest.raises(ValueError, match="above 0 and below 1"):
        decision.decision_curve([0.5], [1], [1.0])


def test_conformal_sets_hold_the_outcome_as_often_as_asked_within_each_outcome():
    rng = np.random.default_rng(0)
    labels = (np.arange(6000) % 10 == 0).astype(int)
    risks = np.where(labels, rng.beta(4, 2, 6000), rng.beta(2, 5, 6000))
    found = decision.conformal(risks[:3000], labels[:3000]).sets(risks[3000:], 0.1)
    held = found[np.arange(3000), labels[3000:]]
    for outcome in (0, 1):
        assert held[labels[3000:] == outcome].mean() == pytest.approx(0.9, abs=0.045)


def test_conformal_sets_by_hand_and_abstention():
    risks, labels = [0.1, 0.2, 0.3, 0.8, 0.9, 0.95], [0, 0, 0, 1, 1, 1]
    fitted = decision.conformal(risks, labels)
    assert fitted.finest_error == 0.25
    np.testing.assert_allclose(
        fitted.p_values([0.3, 0.31, 0.8, 0.79]), [[0.5, 0.25], [0.25, 0.25], [0.25, 0.5], [0.25, 0.25]]
    )
    assert fitted.decide([0.05, 0.5, 0.99], 0.25) == [0, None, 1]
    np.testing.assert_array_equal(fitted.sets([0.3, 0.5, 0.8], 0.25), [[True, False], [False, False], [False, True]])
    assert fitted.decide([0.0, 1.0], 0.1) == [None, None]
    assert fitted.sets([0.0, 1.0], 0.1).all()
    with pytest.raises(ValueError, match="error"):
        fitted.sets([0.5], 1.0)


def test_a_risk_is_compared_with_those_that_the_same_fold_held_out():
    fitted = decision.conformal([0.1, 0.3, 0.2, 0.6], [0, 0, 1, 1], folds=[0, 1, 0, 1])
    # Of outcome 0: 0.1 in fold 0 and 0.3 in fold 1; of outcome 1: 0.2 and 0.6.
    np.testing.assert_allclose(fitted.p_values([[0.1, 0.5]]), [[2 / 3, 1 / 3]])
    np.testing.assert_allclose(fitted.p_values([[0.25, 0.25]]), [[2 / 3, 2 / 3]])


def test_an_infant_counts_once_however_many_recordings_or_folds_it_has():
    risks, labels = [0.1, 0.3, 0.2, 0.9], [0, 0, 0, 1]
    together = decision.conformal(risks, labels, groups=["a", "a", "b", "c"])
    assert together.finest_error == 0.5
    np.testing.assert_allclose(together.p_values([0.15]), [[1.0, 0.5]])
    apart = decision.conformal(risks, labels, groups=["a", "a", "b", "c"], folds=[0, 1, 0, 0])
    np.testing.assert_allclose(apart.p_values([[0.15, 0.15]]), [[(1 + 0.5 + 1) / 3, 0.5]])


def test_likelihood_ratios_of_the_published_counts():
    # The ensemble of searched networks: 15 of 21 and 7 of 118 positive (Groos et al., external set).
    risks = [0.9] * 15 + [0.1] * 6 + [0.9] * 7 + [0.1] * 111
    row = decision.threshold_table(risks, [1] * 21 + [0] * 118, [0.5]).iloc[0]
    assert row["sensitivity":"sensitivity_high"].tolist() == pytest.approx((0.714, 0.478, 0.887), abs=1e-3)
    assert row["specificity":"specificity_high"].tolist() == pytest.approx((0.941, 0.882, 0.976), abs=1e-3)
    assert row.lr_positive == pytest.approx((15 / 21) / (7 / 118))
    spread = np.sqrt(1 / 15 - 1 / 21 + 1 / 7 - 1 / 118)
    assert row.lr_positive_high == pytest.approx(row.lr_positive * np.exp(1.959964 * spread), rel=1e-6)
    assert row.lr_negative == pytest.approx((6 / 21) / (111 / 118))


def test_ratios_of_one_class_or_of_nobody_are_not_defined():
    cases = decision.threshold_table([0.2, 0.4], [1, 1], [0.3])
    some, nobody = decision.threshold_table([0.2, 0.4], [0, 1], [0.3, 0.9]).itertuples()
    assert cases[["specificity", "lr_positive", "lr_positive_high"]].isna().all(axis=None)
    assert np.isnan([nobody.ppv, nobody.lr_positive]).all()
    assert np.isposinf(some.lr_positive)


def test_pooled_folds_have_a_weaker_bound_than_one_fold():
    labels = [1] * 20 + [0] * 60
    pooled = decision.conformal(np.linspace(0, 1, 80), labels, folds=[i % 7 for i in range(80)])
    assert pooled.miss_bounds(0.1) == pytest.approx((0.2 + 1.8 * 6 / 67, 0.6))
    assert decision.conformal(np.linspace(0, 1, 80), labels).miss_bounds(0.1) == (0.1, 0.1)


def test_a_small_cohort_may_miss_more_than_the_stated_share():
    assert decision.miss_rate_probability(10, 0.1) == pytest.approx(1 - 0.9**10)  # Beta(1, 10): 0.65
    assert decision.miss_rate_probability(8, 0.1) == 1
    # Risks are uniform: the true share below the fourth lowest of 39 is that risk itself.
    fourth = np.sort(np.random.default_rng(0).random((2000, 39)))[:, 3]
    assert decision.miss_rate_probability(39, 0.1) == pytest.approx(np.mean(fourth <= 0.1), abs=0.04)
