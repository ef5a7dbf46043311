"""Decisions from a risk: net benefit, predictive values at other prevalences, and when to abstain. In float64."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import check_scores

PREVALENCES = {"high-risk cohort": 0.15, "all births": 0.002}
"""Prevalences of CP that the papers name."""


class PredictiveValues(NamedTuple):
    """Probability of the outcome if it is predicted, and of its absence if that is; NaN where neither is."""

    ppv: float
    npv: float


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> PredictiveValues:
    """Predictive values at another prevalence, by Bayes' rule, if sensitivity and specificity are the same there.

    Args:
        sensitivity: 0..1.
        specificity: 0..1.
        prevalence: 0..1, see `PREVALENCES`.

    Raises:
        ValueError: a value outside 0..1.
    """
    if not all(0 <= value <= 1 for value in (sensitivity, specificity, prevalence)):
        raise ValueError(f"shares must lie within 0..1, got {sensitivity}, {specificity}, {prevalence}")
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    clear, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return PredictiveValues(
        right / (right + wrong) if right + wrong else math.nan,
        clear / (clear + missed) if clear + missed else math.nan,
    )


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit against the risk from which one would act.

    Attributes:
        thresholds: `[threshold]`, within 0..1.
        method: `[threshold]` of acting on the risk.
        treat_all: `[threshold]` of acting on all infants; acting on none has 0.
    """

    thresholds: Float[np.ndarray, " threshold"]
    method: Float[np.ndarray, " threshold"]
    treat_all: Float[np.ndarray, " threshold"]


def decision_curve(risks: ArrayLike, labels: ArrayLike, thresholds: ArrayLike | None = None) -> DecisionCurve:
    """Net benefit per infant: true positives less false positives weighted by the odds of the threshold.

    Args:
        risks: `[infant]`, calibrated.
        labels: `[infant]`, 0 or 1.
        thresholds: above 0 and below 1; None for 0.01, 0.02, ... 0.99.

    Raises:
        ValueError: no infants, labels other than 0 and 1, or a threshold outside its range.

    Source: Vickers and Elkin 2006.
    """
    risks, labels, _ = check_scores(risks, labels)
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, np.float64)
    if not len(risks) or not ((at > 0) & (at < 1)).all():
        raise ValueError("a decision curve needs infants, and thresholds above 0 and below 1")
    predicted = risks >= at[:, None]
    odds = at / (1 - at)
    right, wrong = (predicted & (labels == 1)).mean(axis=1), (predicted & (labels == 0)).mean(axis=1)
    prevalence = labels.mean()
    return DecisionCurve(at, right - odds * wrong, prevalence - odds * (1 - prevalence))


@dataclass(frozen=True)
class Conformal:
    """Split-conformal sets of outcomes: the true one is in the set with at least the stated chance.

    Attributes:
        limits: largest risk of the other outcome, of infants without and with CP, that still admits the outcome.
        coverage: as asked for.
    """

    limits: tuple[float, float]
    coverage: float

    def sets(self, risks: ArrayLike) -> Bool[np.ndarray, "infant 2"]:
        """Whether each infant's set holds `no CP` and `CP`."""
        risks = np.asarray(risks, np.float64)
        return np.stack([risks <= self.limits[0], 1 - risks <= self.limits[1]], axis=-1)

    def decide(self, risks: ArrayLike) -> list[int | None]:
        """1 or 0 where the set holds that outcome alone; None, abstain, where it holds both or neither."""
        return [int(with_cp) if with_cp != without else None for without, with_cp in self.sets(risks)]


def conformal(risks: ArrayLike, labels: ArrayLike, coverage: float = 0.9) -> Conformal:
    """Limits from infants that did not train the network, for each outcome on its own.

    With n infants of an outcome its limit is the `ceil((n + 1) * coverage)`-th smallest of their risks of the other; it
    is infinite, and the outcome never excluded, where n is too small for that.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        coverage: chance that the set holds the true outcome, within each outcome, over infants exchangeable with these.

    Raises:
        ValueError: a coverage outside 0..1, risks or labels as `check_scores`.

    Source: Vovk 2012 (class-conditional); Angelopoulos and Bates 2023.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"the coverage must lie between 0 and 1, got {coverage}")
    risks, labels, _ = check_scores(risks, labels)

    def limit(strangeness: np.ndarray) -> float:
        rank = math.ceil((len(strangeness) + 1) * coverage - 1e-9)
        return float(np.sort(strangeness)[rank - 1]) if rank <= len(strangeness) else math.inf

    return Conformal((limit(risks[labels == 0]), limit(1 - risks[labels == 1])), coverage)
