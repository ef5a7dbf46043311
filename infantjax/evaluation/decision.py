"""Decisions from a risk: net benefit, predictive values at other prevalences, and when to abstain. In float64."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import confusion_counts
from infantjax.evaluation.intervals import UNDEFINED, Estimate, Groups, check_scores, clopper_pearson, group_indices

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


class ThresholdRow(NamedTuple):
    """A threshold with 95 % intervals: Clopper-Pearson of shares, Katz (logarithm) of likelihood ratios."""

    threshold: float
    positive: int
    sensitivity: Estimate
    specificity: Estimate
    ppv: Estimate
    npv: Estimate
    lr_positive: Estimate
    lr_negative: Estimate


def threshold_table(risks: ArrayLike, outcomes: ArrayLike, thresholds: Sequence[float]) -> list[ThresholdRow]:
    """Sensitivity, specificity, predictive values and likelihood ratios at several thresholds.

    Args:
        risks: `[infant]`.
        outcomes: `[infant]`, 0 or 1.
        thresholds: outcome 1 is predicted from each on.

    Returns:
        Likelihood ratios are NaN where they are not defined, infinite where nobody without the outcome is positive.

    Raises:
        ValueError: as `check_scores`.
    """
    risks, labels, _ = check_scores(risks, outcomes)
    rows = []
    for threshold in thresholds:
        counts = confusion_counts(risks, labels, threshold)
        shares = [_proportion(*counts.fractions[name]) for name in ("sensitivity", "specificity", "ppv", "npv")]
        cases, others = counts.tp + counts.fn, counts.tn + counts.fp
        ratios = [_ratio(counts.tp, cases, counts.fp, others), _ratio(counts.fn, cases, counts.tn, others)]
        rows.append(ThresholdRow(float(threshold), counts.tp + counts.fp, *shares, *ratios))
    return rows


def _proportion(successes: int, total: int) -> Estimate:
    return Estimate(successes / total if total else math.nan, *clopper_pearson(successes, total))


def _ratio(first: int, cases: int, second: int, others: int) -> Estimate:
    """Share of the cases over share of the others."""
    from scipy.stats.contingency import relative_risk

    if not (cases and others):
        return UNDEFINED
    found = relative_risk(first, cases, second, others)
    interval = found.confidence_interval(0.95)
    return Estimate(float(found.relative_risk), float(interval.low), float(interval.high))


@dataclass(frozen=True, eq=False)
class Conformal:
    """Class-conditional conformal sets of outcomes, from risks that are held out in one or more folds.

    The set of a new infant holds an outcome unless its risk is stranger than nearly all risks of infants with that
    outcome. It misses the true one with at most the stated chance, within each outcome, over infants exchangeable with
    these. With several folds a new infant's risk by the networks of a fold is compared with the risks that this fold
    held out; the chance is then at most twice the stated one, and near it in practice.

    Attributes:
        risks: `[row]` held-out risks, 0..1.
        outcomes: `[row]` 0 or 1.
        folds: `[row]` the fold of each, from 0.
        weights: `[row]` those of one infant sum to 1, so that each infant counts once.

    Source: Vovk 2012 (class-conditional); Vovk 2015 (several folds); Barber et al. 2021 (twice the stated chance).
    """

    risks: Float[np.ndarray, " row"]
    outcomes: Int[np.ndarray, " row"]
    folds: Int[np.ndarray, " row"]
    weights: Float[np.ndarray, " row"]

    @property
    def finest_error(self) -> float:
        """The least error at which both outcomes can be excluded: `1 / (k + 1)` with k infants of the rarer one."""
        return 1 / (min(self._count(0), self._count(1)) + 1)

    def p_values(self, risks: ArrayLike) -> Float[np.ndarray, "infant 2"]:
        """How strange risks are for infants without and with the outcome: small is strange.

        Args:
            risks: `[infant, fold]` by the networks of every fold; `[infant]` where there is one fold.
        """
        new = np.asarray(risks, np.float64)
        new = new[:, None] if new.ndim == 1 else new
        gap = self.risks - new[:, self.folds]
        stranger = [(gap >= 0) & (self.outcomes == 0), (gap <= 0) & (self.outcomes == 1)]
        return np.stack([(1 + s @ self.weights) / (1 + self._count(c)) for c, s in enumerate(stranger)], axis=-1)

    def sets(self, risks: ArrayLike, error: float = 0.1) -> Bool[np.ndarray, "infant 2"]:
        """Whether each infant's set holds `no CP` and `CP`.

        Args:
            risks: as `p_values`.
            error: chance that the set misses the true outcome; below `finest_error` an outcome is never excluded.

        Raises:
            ValueError: an error outside 0..1.
        """
        if not 0 < error < 1:
            raise ValueError(f"the error must lie between 0 and 1, got {error}")
        # Sums of weights differ from whole numbers in their last bits.
        return self.p_values(risks) > error + 1e-9

    def decide(self, risks: ArrayLike, error: float = 0.1) -> list[int | None]:
        """1 or 0 where the set holds that outcome alone; None, abstain, where it holds both or neither."""
        return [int(with_cp) if with_cp != without else None for without, with_cp in self.sets(risks, error)]

    def _count(self, outcome: int) -> float:
        return float(self.weights[self.outcomes == outcome].sum())


def conformal(
    risks: ArrayLike, labels: ArrayLike, groups: Groups | None = None, folds: Sequence[int] | None = None
) -> Conformal:
    """Conformal sets from infants that did not train the networks which gave their risks.

    An infant with several risks in a fold counts there with their mean; one that several folds held out counts in each
    with an equal part.

    Args:
        risks: `[row]`, 0..1.
        labels: `[row]`, 0 or 1.
        groups: `[row]` the infant of each; None if every row is an infant of its own.
        folds: `[row]` the fold that held each out, from 0; None for one fold.

    Raises:
        ValueError: risks or labels as `check_scores`, or an infant with two labels.
    """
    risks, labels, _ = check_scores(risks, labels)
    infant, _ = group_indices(range(len(labels)) if groups is None else groups, labels)
    fold = np.zeros(len(labels), np.int64) if folds is None else np.asarray(folds, np.int64)
    _, first, entry = np.unique(np.stack([infant, fold]), axis=1, return_index=True, return_inverse=True)
    means = np.bincount(entry.ravel(), risks) / np.bincount(entry.ravel())
    weights = 1 / np.bincount(infant[first])[infant[first]]
    return Conformal(means, labels[first], fold[first], weights)
