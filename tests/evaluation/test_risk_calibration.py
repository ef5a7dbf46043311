"""The meaning of a risk by out-of-fold risks: the map, conformal sets, prevalence, and what is stored."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from infantjax.evaluation import calibration
from infantjax.evaluation.intervals import clopper_pearson
from infantjax.evaluation.risk_calibration import RiskCalibration, RiskOptions


def cohort(n: int = 120, seed: int = 0, by_chance: bool = False) -> SimpleNamespace:
    rng = np.random.default_rng(seed)
    outcomes = (rng.random(n) < 1 / 3 if by_chance else np.arange(n) % 3 == 0).astype(int)
    risks = 1 / (1 + np.exp(-(2 * outcomes - 0.5 + rng.normal(size=n))))
    return SimpleNamespace(
        risks=risks.tolist(),
        outcomes=outcomes.tolist(),
        infants=[f"infant {i}" for i in range(n)],
        folds=[i % 4 for i in range(n)],
    )


def fitted(n: int = 120, **options) -> RiskCalibration:
    data = cohort(n)
    return RiskCalibration.fit(data.risks, data.outcomes, data.infants, data.folds, **options)


def everywhere(risk: float) -> dict[int, float]:
    return dict.fromkeys(range(4), risk)


def test_the_map_is_the_logistic_regression_of_scikit_learn_on_the_logit():
    from sklearn.linear_model import LogisticRegression

    data, found = cohort(), fitted()
    scores = calibration.logits(data.risks)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(scores[:, None], data.outcomes)
    for risk in (0.05, 0.5, 0.97):
        given = found.apply(risk, everywhere(risk))
        expected = peer.predict_proba(calibration.logits([risk])[:, None])[0, 1]
        assert given.risk == pytest.approx(np.clip(expected, *found.limits()[:2]), abs=1e-5)
        assert given.low < given.risk < given.high
    assert found.apply(0.5, everywhere(0.5)).prevalence == pytest.approx(1 / 3)


def test_the_interval_of_a_calibrated_risk_is_as_wide_as_maps_of_other_cohorts_spread():
    logits = []
    for seed in range(40):
        data = cohort(seed=seed, by_chance=True)
        found = RiskCalibration.fit(data.risks, data.outcomes, data.infants, data.folds).apply(0.6, everywhere(0.6))
        logits.append([math.log(p / (1 - p)) for p in (found.low, found.risk, found.high)])
    low, middle, high = np.array(logits).T
    assert (high - low).mean() == pytest.approx(2 * 1.96 * middle.std(), rel=0.3)


@pytest.mark.parametrize("cases", [0, 3, 9])
def test_a_small_cohort_has_no_map_and_says_why(cases):
    outcomes = [1] * cases + [0] * 30
    risks = np.linspace(0.9, 0.1, len(outcomes)).tolist()
    found = RiskCalibration.fit(risks, outcomes, [str(i) for i in range(len(outcomes))], [0] * len(outcomes))
    given = found.apply(0.5, {0: 0.5})
    assert math.isnan(given.risk)
    assert given.statement.startswith(f"The risk is no probability: out-of-fold risks of {cases} infants with the")
    assert (given.conformal_set == "") == (cases == 0)
    with pytest.raises(ValueError, match="no calibrated risk to move"):
        found.apply(0.5, {0: 0.5}, RiskOptions(prevalence=0.1))


def test_risks_that_do_not_rise_with_the_outcome_get_no_map():
    data = cohort()
    found = RiskCalibration.fit([1 - r for r in data.risks], data.outcomes, data.infants, data.folds)
    assert found.map is None
    assert "not higher" in found.reason


def test_the_conformal_set_is_said_in_words():
    found = fitted()
    words = [found.apply(risk, everywhere(risk)).conformal_set for risk in (0.02, 0.62, 0.98)]
    assert words == ["below", "cannot tell", "above"]


def test_an_error_that_is_too_fine_is_replaced_by_the_finest_and_told():
    found = fitted(30).apply(0.02, everywhere(0.02), RiskOptions(error=0.01))  # 10 infants with the outcome
    assert found.error == pytest.approx(1 / 11)
    assert found.conformal_set == "below"
    assert (
        "asked for at an error of 0.01; 20 and 10 infants of the two outcomes allow 0.0909 at best" in found.statement
    )
    assert "asked for" not in fitted(30).apply(0.02, everywhere(0.02), RiskOptions(error=0.2)).statement


def test_another_prevalence_moves_the_odds():
    found = fitted()
    here, there = (found.apply(0.7, everywhere(0.7), RiskOptions(prevalence=p)) for p in (None, 0.05))
    odds = [p / (1 - p) for p in (here.risk, there.risk)]
    assert odds[1] / odds[0] == pytest.approx((0.05 / 0.95) / (1 / 2))
    assert there.prevalence == 0.05
    assert "moved from a prevalence of 0.333 to 0.05" in there.statement
    assert there.conformal_set == here.conformal_set
    same = found.apply(0.7, everywhere(0.7), RiskOptions(prevalence=1 / 3))
    assert same.risk == pytest.approx(here.risk)


def test_a_method_that_calibrates_itself_keeps_its_risk():
    given = fitted(own=True).apply(0.3, everywhere(0.3))
    assert given.risk == pytest.approx(0.3)
    assert math.isnan(given.low)
    assert "calibrates its risk itself" in given.statement


def test_an_infant_with_many_recordings_changes_nothing():
    data = cohort()
    again = [0] * 25
    many = RiskCalibration.fit(
        data.risks + [data.risks[0]] * 25,
        data.outcomes + [data.outcomes[0]] * 25,
        data.infants + [data.infants[0]] * 25,
        data.folds + again,
    )
    assert many.map.slope == pytest.approx(fitted().map.slope)
    assert many.map.intercept == pytest.approx(fitted().map.intercept)
    assert many.counts() == (80, 40)
    again, once = many.apply(0.4, everywhere(0.4)), fitted().apply(0.4, everywhere(0.4))
    assert again[:4] == pytest.approx(once[:4])
    assert again[4:] == once[4:]


def test_what_is_stored_is_read_back_to_the_last_bit():
    found = fitted(optimistic=True)
    again = RiskCalibration.from_dict(json.loads(json.dumps(found.to_dict())))
    options = RiskOptions(0.2, 0.1)
    assert again.apply(0.3, everywhere(0.3), options) == found.apply(0.3, everywhere(0.3), options)
    assert "too favorable" in again.apply(0.3, everywhere(0.3)).statement
    assert "infant 1" not in json.dumps(found.to_dict())


def test_the_stored_order_does_not_tell_the_order_of_the_cohort():
    data, order = cohort(), np.random.default_rng(0).permutation(120)
    shuffled = RiskCalibration.fit(*(np.asarray(column)[order].tolist() for column in vars(data).values()))
    assert shuffled.to_dict()["out_of_fold"] == fitted().to_dict()["out_of_fold"]


def entry(column, value):
    return lambda content: content["out_of_fold"][0].__setitem__(column, value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("reason"),
        lambda content: content.update(more=1),
        lambda content: content.update(optimistic="no"),
        lambda content: content.update(out_of_fold=[]),
        lambda content: content.update(out_of_fold=[[1, 0, 0.5]]),
        lambda content: content["map"].update(slope=-1.0),
        lambda content: content["map"].update(slope=math.inf),
        lambda content: content["map"].update(covariance=[1.0]),
        lambda content: content.update(map=None),
        lambda content: content.update(map=None, reason="\x1b[2J"),
        entry(0, 2),
        entry(1, 1e9),
        entry(2, 1.5),
        entry(2, "0.5"),
        entry(3, 0),
    ],
)
def test_anything_else_is_refused(damage):
    content = fitted().to_dict()
    damage(content)
    for wrong in (content, None, [], "calibration"):
        with pytest.raises(ValueError, match="calibration"):
            RiskCalibration.from_dict(wrong)


@pytest.mark.parametrize("options", [{"error": 0.0}, {"error": 1.0}, {"prevalence": 0.0}, {"prevalence": 1.0}])
def test_an_error_or_a_prevalence_outside_its_range_is_refused(options):
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        RiskOptions(**options)


def test_doubtful_tracking_leaves_the_set_open():
    given = fitted().apply(0.02, everywhere(0.02))
    assert given.conformal_set == "below"
    doubted = given.doubted()
    assert (doubted.conformal_set, doubted.risk) == ("cannot tell", given.risk)
    assert "tracking is doubtful" in doubted.statement


def test_a_calibration_is_described_in_one_line():
    words = "calibration map: slope 1.67, intercept -1.45; finest error of conformal sets 0.0244"
    assert fitted().describe() == words
    assert fitted(own=True).describe().startswith("no calibration map is needed: the method calibrates its risk itself")
    few = RiskCalibration.fit([0.1, 0.2], [0, 0], ["a", "b"], [0, 0])
    assert few.describe().endswith(
        "0 infants with the outcome and 2 without are too few for a calibration map, which needs 10 of each"
    )


def test_no_number_of_infants_shows_a_probability_of_nothing():
    found = fitted()
    without, cases = found.counts()
    floor, ceiling, highest_low, lowest_high = found.limits()
    assert (floor, ceiling) == pytest.approx((1 / (without + 2), (cases + 1) / (cases + 2)))
    assert lowest_high == pytest.approx(clopper_pearson(0, without).high)
    assert highest_low == pytest.approx(clopper_pearson(cases, cases).low)
    for risk in np.concatenate([[0, 1e-12, 1 - 1e-12, 1], np.linspace(0.01, 0.99, 50)]):
        given = found.apply(risk, everywhere(risk))
        assert floor - 1e-12 <= given.risk <= ceiling + 1e-12
        assert given.low <= given.risk <= given.high
        assert given.high >= lowest_high - 1e-12
        assert given.low <= highest_low + 1e-12


def test_a_risk_outside_of_all_out_of_fold_risks_is_said_to_be():
    found = fitted()
    risks = found.conformal.risks
    words = "out-of-fold risks, where the map was not fitted"
    assert f"lies below all {words}" in found.apply(risks.min() / 2, everywhere(0.5)).statement
    assert f"lies above all {words}" in found.apply((1 + risks.max()) / 2, everywhere(0.5)).statement
    assert words not in found.apply(float(np.median(risks)), everywhere(0.5)).statement
