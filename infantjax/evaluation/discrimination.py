"""How well a score separates the two outcomes: AUC, metrics at a threshold, and their intervals. In float64.

Labels are 0 and 1; a higher score means outcome 1. The unit is the infant: pass one score per infant, or `groups` where
an infant has several recordings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import (
    TAILS,
    UNDEFINED,
    AucMethod,
    Estimate,
    Groups,
    Interval,
    bootstrap,
    check_scores,
    clopper_pearson,
)

Weights = Float[np.ndarray, "resample infant"]


@dataclass(frozen=True)
class Counts:
    """True and false predictions at a threshold: numbers, or arrays of them."""

    tp: Any
    fp: Any
    tn: Any
    fn: Any

    @property
    def fractions(self) -> dict[str, tuple[Any, Any]]:
        """(numerator, denominator) of each metric that is a proportion."""
        return {
            "sensitivity": (self.tp, self.tp + self.fn),
            "specificity": (self.tn, self.tn + self.fp),
            "ppv": (self.tp, self.tp + self.fp),
            "npv": (self.tn, self.tn + self.fn),
            "accuracy": (self.tp + self.tn, self.tp + self.fp + self.tn + self.fn),
        }

    def metrics(self) -> dict[str, Any]:
        """Sensitivity, specificity, PPV, NPV, accuracy, balanced accuracy (mean of the first two) and F1.

        NaN where the denominator is zero.
        """
        fractions = {**self.fractions, "f1": (2 * self.tp, 2 * self.tp + self.fp + self.fn)}
        with np.errstate(invalid="ignore"):
            found = {name: np.true_divide(*fraction) for name, fraction in fractions.items()}
        f1 = found.pop("f1")
        return {**found, "balanced_accuracy": (found["sensitivity"] + found["specificity"]) / 2, "f1": f1}


def auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that an infant with outcome 1 has the higher score, ties counted half.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        weights: `[infant]`, at least 0; None for all equal.

    Returns:
        0..1.

    Raises:
        ValueError: one class only (or only with weight 0), NaN scores, other labels than 0 and 1, or lengths differ.
    """
    from sklearn.metrics import roc_auc_score

    scores, labels, weights = check_scores(scores, labels, weights)
    _require_two_classes(labels, weights)
    return float(roc_auc_score(labels, scores, sample_weight=weights))


def confusion_counts(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Counts:
    """True and false predictions at a threshold.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        threshold: outcome 1 is predicted where the score is at least this, as in the reference implementation.

    Raises:
        ValueError: NaN scores, other labels than 0 and 1, or lengths differ.
    """
    scores, labels, _ = check_scores(scores, labels)
    return Counts(*(int(cell.sum()) for cell in _cells(scores >= threshold, labels)))


def auc_interval(
    scores: ArrayLike,
    labels: ArrayLike,
    method: AucMethod = "delong",
    groups: Groups | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Confidence interval of the AUC.

    `delong`: normal approximation with DeLong's variance, cut to 0..1; no library of ours has it. `bootstrap`:
    percentiles over resampled infants. When the classes are fully separated both shrink to [1, 1], which is not
    certainty: there is no variance to estimate from.

    Args:
        scores: `[recording]`.
        labels: `[recording]`, 0 or 1.
        method: the interval.
        groups: bootstrap only; None if every recording is an infant of its own.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: as `auc`; fewer than two of a class for `delong`; groups with `delong`; an infant with two labels.

    Source: DeLong, DeLong and Clarke-Pearson 1988, with placements by ranks as Sun and Xu 2014.
    """
    scores, labels, weights = check_scores(scores, labels)
    _require_two_classes(labels, weights)
    if method == "delong":
        if groups is not None:
            raise ValueError("DeLong's interval takes recordings as independent; use method='bootstrap' with groups")
        from scipy.stats import norm

        area, error = mean_and_error(*placements(scores, labels))
        reach = float(norm.isf(TAILS[0])) * error
        return Interval(max(0.0, area - reach), min(1.0, area + reach))
    return bootstrap(_auc_of_weights(scores, labels), labels, groups, resamples, seed)


def youden_threshold(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The threshold with the largest sensitivity + specificity; the highest one on ties.

    Args and Raises: as `auc`.
    """
    sensitivity, specificity, thresholds = roc_curve(scores, labels, weights)
    total = sensitivity + specificity
    # Equal sums differ in their last bits.
    return float(thresholds[np.argmax(total >= total.max() - 1e-12)])


def threshold_at_sensitivity(scores: ArrayLike, labels: ArrayLike, target: float) -> float:
    """The highest threshold whose sensitivity is at least a target: the rule behind the published metrics.

    A threshold selected on the infants of an evaluation is optimistic; for use, select it on others.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.
        target: 0..1.

    Raises:
        ValueError: as `auc`; a target outside 0..1.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"the target sensitivity must lie between 0 and 1, got {target}")
    sensitivity, _, thresholds = roc_curve(scores, labels)
    return float(thresholds[np.argmax(sensitivity >= target - 1e-12)])


def roc_curve(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """The ROC curve with a point for every different score, by scikit-learn.

    Args and Raises: as `auc`.

    Returns:
        Sensitivity, rising; specificity, falling; thresholds, falling, the first infinite.
    """
    from sklearn import metrics

    scores, labels, weights = check_scores(scores, labels, weights)
    _require_two_classes(labels, weights)
    false_positives, true_positives, thresholds = metrics.roc_curve(
        labels, scores, sample_weight=weights, drop_intermediate=False
    )
    return true_positives, 1 - false_positives, thresholds


def discrimination_metrics(
    scores: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    groups: Groups | None = None,
    resamples: int = 2000,
    seed: int = 0,
    auc_method: AucMethod = "delong",
) -> dict[str, Estimate]:
    """AUC and the metrics at a threshold, each with its interval.

    Proportions have Clopper-Pearson intervals and the AUC has DeLong's, which take recordings as independent. Balanced
    accuracy and F1 are no proportions: they have a bootstrap interval. With `groups` every interval is a bootstrap over
    infants; that of a proportion of 0 or 1 then has no width, which is not certainty.

    Args:
        scores: `[recording]`.
        labels: `[recording]`, 0 or 1.
        threshold: as `confusion_counts`.
        groups: None if every recording is an infant of its own.
        resamples: of the bootstraps.
        seed: of the bootstraps.
        auc_method: of the AUC's interval without `groups`.

    Returns:
        `auc`, `sensitivity`, `specificity`, `ppv`, `npv`, `accuracy`, `balanced_accuracy`, `f1`; NaN where one class
        leaves a metric undefined.

    Raises:
        ValueError: NaN scores, other labels than 0 and 1, lengths differ, or an infant with two labels.
    """
    scores, labels, _ = check_scores(scores, labels)
    predicted, estimates = scores >= threshold, {"auc": UNDEFINED}
    if smallest := min((labels == 0).sum(), (labels == 1).sum()):
        interval = Interval(math.nan, math.nan)
        if groups is not None:
            interval = auc_interval(scores, labels, "bootstrap", groups, resamples, seed)
        elif smallest > 1:
            interval = auc_interval(scores, labels, auc_method, None, resamples, seed)
        estimates["auc"] = Estimate(auc(scores, labels), *interval)
    cells = _cells(predicted, labels)
    found = Counts(*(int(cell.sum()) for cell in cells))
    for name, value in found.metrics().items():

        def metric(weights: Weights, name: str = name) -> np.ndarray:
            return Counts(*(weights @ cell for cell in cells)).metrics()[name]

        if groups is None and name in found.fractions:
            interval = clopper_pearson(*found.fractions[name])
        elif math.isnan(value):
            interval = Interval(math.nan, math.nan)
        else:
            interval = bootstrap(metric, labels, groups, resamples, seed)
        estimates[name] = Estimate(float(value), *interval)
    return estimates


def placements(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The share of controls below each case, and of cases above each control; ties count half.

    Both have the AUC as their mean; DeLong's variance is that of their means.

    Args:
        scores: `[infant]`.
        labels: `[infant]`, 0 or 1.

    Raises:
        ValueError: fewer than two of a class.
    """
    from scipy.stats import rankdata

    cases, controls = scores[labels == 1], scores[labels == 0]
    m, n = len(cases), len(controls)
    if min(m, n) < 2:
        raise ValueError(f"DeLong's interval needs at least two infants of each class, got {m} cases and {n} controls")
    # The placement of a case is the share of controls below it: its rank among all less its rank among the cases.
    together = rankdata(np.concatenate([cases, controls]))
    return (together[:m] - rankdata(cases)) / n, 1 - (together[m:] - rankdata(controls)) / m


def _cells(predicted: Bool[np.ndarray, " n"], labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Which infants are true and false positives, true and false negatives: the order of `Counts`."""
    positive = labels == 1
    return predicted & positive, predicted & ~positive, ~predicted & ~positive, ~predicted & positive


def mean_and_error(cases: np.ndarray, controls: np.ndarray) -> tuple[float, float]:
    """The mean of placements (or of their differences), which is an AUC, and DeLong's standard error of it."""
    variance = cases.var(ddof=1) / len(cases) + controls.var(ddof=1) / len(controls)
    return float(cases.mean()), math.sqrt(variance)


def _require_two_classes(labels: np.ndarray, weights: np.ndarray) -> None:
    present = np.unique(labels[weights > 0])
    if len(present) < 2:
        found = f"all labels are {present[0]}" if len(present) else "there are no labels"
        raise ValueError(f"AUC and ROC are not defined: one class only ({found})")


def _auc_of_weights(scores: np.ndarray, labels: np.ndarray) -> Callable[[Weights], np.ndarray]:
    """The AUC as a function of how often each infant occurs, for many resamples at once."""
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    positive = labels[order]

    def statistic(weights: Weights) -> np.ndarray:
        ordered = weights[:, order]
        cases = np.add.reduceat(ordered * positive, starts, axis=1)
        controls = np.add.reduceat(ordered * (1 - positive), starts, axis=1)
        below = np.cumsum(controls, axis=1) - controls / 2
        return (cases * below).sum(axis=1) / (cases.sum(axis=1) * controls.sum(axis=1))

    return statistic
