"""The colors at the borders of both rules, and what holds for any risks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.assessment import certainty

unit = st.floats(0, 1, width=32)
ORDER = ("green", "yellow", "orange", "red")


def networks(positive: int, count: int = 70) -> np.ndarray:
    """So many of the networks above a threshold of 0.5, the others below."""
    return np.repeat([0.9, 0.1], [positive, count - positive])


@pytest.mark.parametrize(
    ("positive", "color"),
    list(zip((0, 17, 18, 35, 36, 52, 53, 70), np.repeat(ORDER, 2).tolist())),
)
def test_of_seventy_networks_the_published_numbers_give_the_colors(positive, color):
    risks = networks(positive)
    # The median of 35 above and 35 below lies on the threshold, which is not above it.
    assert certainty.level(float(np.median(risks)), risks, 0.5) == color


def test_a_risk_on_the_threshold_is_cp_as_released_and_not_in_the_paper():
    assert certainty.predicts_cp(0.5, 0.5, "quartile")
    assert not certainty.predicts_cp(0.5, 0.5, "fraction")


# Five networks: the 25th and 75th percentile are the second and the fourth.
@pytest.mark.parametrize(
    ("risk", "risks", "color"),
    [
        (0.5, [0.1, 0.51, 0.6, 0.7, 0.8], "red"),
        (0.5, [0.1, 0.50, 0.6, 0.7, 0.8], "orange"),
        (0.6, [0.1, 0.49, 0.6, 0.7, 0.8], "orange"),
        (0.49, [0.1, 0.2, 0.3, 0.50, 0.9], "yellow"),
        (0.49, [0.1, 0.2, 0.3, 0.51, 0.9], "yellow"),
        (0.49, [0.1, 0.2, 0.3, 0.49, 0.9], "green"),
    ],
)
def test_a_quartile_on_the_threshold_is_uncertain_as_released(risk, risks, color):
    assert certainty.level(risk, np.array(risks), 0.5, "quartile") == color


def test_quartiles_are_interpolated_linearly():
    # The 25th percentile of four is a quarter of the way back from the second: 0.4 + 0.75 * 0.2 = 0.55.
    risks = np.array([0.4, 0.6, 0.7, 0.8])
    assert certainty.level(0.65, risks, 0.549, "quartile") == "red"
    assert certainty.level(0.65, risks, 0.551, "quartile") == "orange"


def test_the_two_rules_differ_for_ten_of_fourteen():
    risks = np.repeat([0.9, 0.49], [10, 4])
    assert certainty.level(0.9, risks, 0.5, "fraction") == "orange"
    # The lower quartile of fourteen is a quarter of the way from the fourth smallest to the fifth.
    assert certainty.level(0.9, risks, 0.5, "quartile") == "red"


@given(unit, st.lists(unit, min_size=1, max_size=20), unit, st.sampled_from(certainty.RULES))
def test_the_color_never_contradicts_the_decision(risk, risks, threshold, rule):
    positive = bool(certainty.predicts_cp(risk, threshold, rule))
    assert (certainty.level(risk, np.array(risks), threshold, rule) in ("orange", "red")) == positive


@given(st.lists(unit, min_size=1, max_size=20), unit, st.sampled_from(certainty.RULES))
def test_the_median_risk_with_all_networks_on_its_side_is_certain(risks, threshold, rule):
    risks, risk = np.array(risks), float(np.median(risks))
    if (risks > threshold).all():
        assert certainty.level(risk, risks, threshold, rule) == "red"
    if (risks < threshold).all():
        assert certainty.level(risk, risks, threshold, rule) == "green"


@given(st.lists(unit, min_size=1, max_size=20), unit, unit, st.sampled_from(certainty.RULES))
def test_a_higher_threshold_never_makes_the_color_worse(risks, one, other, rule):
    risks, risk = np.array(risks), float(np.median(risks))
    colors = [ORDER.index(certainty.level(risk, risks, t, rule)) for t in sorted((one, other))]
    assert colors[0] >= colors[1]


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="rule must be one of fraction, quartile, got 'majority'"):
        certainty.level(0.5, np.array([0.5]), 0.5, "majority")
