"""How sure the ensemble is: green, yellow, orange or red, by the paper's rule or by the released one.

| color | meaning | `fraction` (paper), q = share of instances that predict CP | `quartile` (released) |
| --- | --- | --- | --- |
| red | CP, certain | q > 0.75 | risk on the CP side and Q1 > threshold |
| orange | CP, uncertain | 0.50 < q <= 0.75 | risk on the CP side and Q1 <= threshold |
| yellow | no CP, uncertain | 0.25 <= q <= 0.50 | risk on the other side and Q3 >= threshold |
| green | no CP, certain | q < 0.25 | risk on the other side and Q3 < threshold |

Risk and q are different medians, so the color of the bare `fraction` rule can in principle contradict the decision.
For an infant the risk decides here and q only chooses between certain and uncertain; the published table holds no case
in which that makes a difference.

Source: Groos et al., Paper III (`fraction`) and the released program (`quartile`).
"""

from typing import Literal

import numpy as np
from jaxtyping import Float

from infantjax.assessment.result import Color

Rule = Literal["fraction", "quartile"]
RULES: tuple[Rule, ...] = ("fraction", "quartile")


def predicts_cp(risk: np.ndarray | float, threshold: float, rule: Rule) -> np.ndarray | bool:
    """Whether a risk lies on the CP side: above the threshold in the paper, at or above it in the released program."""
    return risk > threshold if rule == "fraction" else risk >= threshold


def fraction_positive(risks: Float[np.ndarray, " instance"], threshold: float, rule: Rule = "fraction") -> float:
    """Share of the instances that predict CP."""
    return float(np.mean(predicts_cp(np.asarray(risks), threshold, rule)))


def fraction_color(fraction: float) -> Color:
    """The paper's four classes of the share of instances that predict CP."""
    if fraction > 0.75:
        return "red"
    if fraction > 0.5:
        return "orange"
    return "yellow" if fraction >= 0.25 else "green"


def color(risk: float, instances: Float[np.ndarray, " instance"], threshold: float, rule: Rule = "fraction") -> Color:
    """Certainty of a decision.

    Args:
        risk: risk of the infant or window; it decides between CP and no CP.
        instances: risks that the instances give.
        threshold: decision threshold.
        rule: `fraction` or `quartile`; see the table above.

    Raises:
        ValueError: unknown rule.
    """
    if rule not in RULES:
        raise ValueError(f"unknown certainty rule {rule!r}; known: {', '.join(RULES)}")
    positive = predicts_cp(risk, threshold, rule)
    if rule == "fraction":
        fraction = fraction_positive(instances, threshold)
        certain = fraction > 0.75 if positive else fraction < 0.25
    else:
        lower, upper = np.percentile(instances, [25, 75])
        certain = lower > threshold if positive else upper < threshold
    if positive:
        return "red" if certain else "orange"
    return "green" if certain else "yellow"
