"""How certain the decision of an ensemble is: green, yellow, orange or red, by one of two rules.

| level | meaning | `fraction` (paper) | `quartile` (reference implementation) |
| --- | --- | --- | --- |
| red | CP, certain | q > 0.75 | risk on the CP side and Q1 > threshold |
| orange | CP, uncertain | 0.50 < q <= 0.75 | risk on the CP side and Q1 <= threshold |
| yellow | no CP, uncertain | 0.25 <= q <= 0.50 | risk on the other side and Q3 >= threshold |
| green | no CP, certain | q < 0.25 | risk on the other side and Q3 < threshold |

Here q is the fraction of the networks that predict CP. The risk and q are different medians, so the level by q alone
could contradict the decision. Therefore the risk decides between CP and no CP, and q decides between certain and
uncertain. No case of the published table differs.

Source: Groos et al., Paper III (`fraction`) and its reference implementation (`quartile`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from infantjax.report.record import LABELS, Level
from infantjax.settings import require_one_of

Rule = Literal["fraction", "quartile"]
RULES: tuple[Rule, ...] = ("fraction", "quartile")

_REASONS: dict[Rule, dict[Level, str]] = {
    "fraction": {
        "red": "more than three quarters of the networks find a risk above the threshold",
        "orange": "the risk is above the threshold, but no more than three quarters of the networks agree",
        "yellow": "the risk is not above the threshold, but no more than three quarters of the networks agree",
        "green": "fewer than a quarter of the networks find a risk above the threshold",
    },
    "quartile": {
        "red": "the lower quartile of the risks of the networks is above the threshold",
        "orange": "the lower quartile of the risks of the networks is not above the threshold",
        "yellow": "the upper quartile of the risks of the networks is not below the threshold",
        "green": "the upper quartile of the risks of the networks is below the threshold",
    },
}


@dataclass(frozen=True)
class Certainty:
    """How certain a decision is.

    Attributes:
        level: `red`, `orange`, `yellow` or `green`; see the table of this module.
        rule: the rule that gave the level.
        doubted: the quality of the keypoints allows no certain decision, whatever the rule says.
    """

    level: Level
    rule: Rule
    doubted: bool = False

    @property
    def label(self) -> str:
        """The level in words."""
        return LABELS[self.level]

    @property
    def reason(self) -> str:
        """The inequality that gave the level, in words."""
        if self.doubted:
            return "the quality of the tracking allows no certain decision"
        return _REASONS[self.rule][self.level]


def predicts_cp(risk: np.ndarray | float, threshold: float, rule: Rule) -> np.ndarray | bool:
    """Whether a risk means CP: above the threshold in the paper, at or above it in the reference implementation."""
    return risk > threshold if rule == "fraction" else risk >= threshold


def level(risk: float, risks: Float[np.ndarray, " network"], threshold: float, rule: Rule = "fraction") -> Level:
    """Certainty of a decision.

    Args:
        risk: risk of the infant or window; it decides between CP and no CP.
        risks: risks by the networks.
        threshold: decision threshold.
        rule: `fraction` or `quartile`; see the table of this module.

    Raises:
        ValueError: unknown rule.
    """
    require_one_of("rule", rule, RULES)
    positive = predicts_cp(risk, threshold, rule)
    if rule == "fraction":
        fraction = np.mean(np.asarray(risks) > threshold)
        certain = fraction > 0.75 if positive else fraction < 0.25
    else:
        lower, upper = np.percentile(risks, [25, 75])
        certain = lower > threshold if positive else upper < threshold
    if positive:
        return "red" if certain else "orange"
    return "green" if certain else "yellow"
