"""Decisions from a risk: net benefit, predictive values at other prevalences, and when to abstain. In float64."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import confusion_counts
from infantjax.evaluation.intervals import UNDEFINED, Groups, check_risks, check_scores, clopper_pearson, group_indices

if TYPE_CHECKING:
    import pandas as pd

PREVALENCES = {"high-risk cohort": 0.15, "all births": 0.002}
"""Prevalences of CP that the papers name."""


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float, float]:
    """Predictive values at another prevalence, by Bayes' rule, if sensitivity and specificity are the same there.

    Args:
        sensitivity: 0..1, or NaN.
        specificity: 0..1, or NaN.
        prevalence: 0..1, see `PREVALENCES`.

    Returns:
        Probability of the outcome if it is predicted, and of its absence if that is; NaN where neither is.

    Raises:
        ValueError: a value outside 0..1.
    """
    if any(value < 0 or value > 1 for value in (sensitivity, specificity, prevalence)):
        raise ValueError(f"shares must lie within 0..1, got {sensitivity}, {specificity}, {prevalence}")
    right, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    clear, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return (
        right / (right + wrong) if right + wrong else math.nan,
        clear / (clear + missed) if clear + missed else math.nan,
    )


def decision_curve(risks: ArrayLike, labels: ArrayLike, thresholds: ArrayLike | None = None) -> "pd.DataFrame":
    """Net benefit per infant: true positives less false positives weighted by the odds of the threshold.

    Args:
        risks: `[infant]`, calibrated.
        labels: `[infant]`, 0 or 1.
        thresholds: above 0 and below 1; None for 0.01, 0.02, ... 0.99.

    Returns:
        A row a `threshold`, with the net benefits of the `method` (acting on the risk) and of `treat_all`; acting on
        none has 0.

    Raises:
        ValueError: no infants, labels other than 0 and 1, or a threshold outside its range.

    Source: Vickers and Elkin 2006.
    """
    import pandas as pd

    risks, labels, _ = check_scores(risks, labels)
    at = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, np.float64)
    if not len(risks) or not ((at > 0) & (at < 1)).all():
        raise ValueError("a decision curve needs infants, and thresholds above 0 and below 1")
    predicted, odds, prevalence = risks >= at[:, None], at / (1 - at), labels.mean()
    right, wrong = (predicted & (labels == 1)).mean(axis=1), (predicted & (labels == 0)).mean(axis=1)
    curves = {"method": right - odds * wrong, "treat_all": prevalence - odds * (1 - prevalence)}
    return pd.DataFrame(curves, pd.Index(at, name="threshold"))


def threshold_table(risks: ArrayLike, outcomes: ArrayLike, thresholds: Sequence[float]) -> "pd.DataFrame":
    """Sensitivity, specificity, predictive values and likelihood ratios at several thresholds.

    Args:
        risks: `[infant]`.
        outcomes: `[infant]`, 0 or 1.
        thresholds: outcome 1 is predicted from each on.

    Returns:
        A row a threshold: how many are `positive`, and `sensitivity`, `specificity`, `ppv`, `npv`, `lr_positive` and
        `lr_negative`, each followed by the ends of its 95 % interval (`_low`, `_high`): Clopper-Pearson of shares, Katz
        (logarithm) of likelihood ratios. Ratios are NaN where they are not defined, infinite where nobody without the
        outcome is positive.

    Raises:
        ValueError: as `check_scores`.
    """
    import pandas as pd

    risks, labels, _ = check_scores(risks, outcomes)
    rows = []
    for threshold in thresholds:
        counts = confusion_counts(risks, labels, threshold)
        cases, others = counts.tp + counts.fn, counts.tn + counts.fp
        estimates = {
            name: (k / n if n else math.nan, *clopper_pearson(k, n))
            for name, (k, n) in counts.fractions.items()
            if name != "accuracy"
        }
        estimates["lr_positive"] = _ratio(counts.tp, cases, counts.fp, others)
        estimates["lr_negative"] = _ratio(counts.fn, cases, counts.tn, others)
        row = {"threshold": float(threshold), "positive": counts.tp + counts.fp}
        for name, estimate in estimates.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), estimate))
        rows.append(row)
    return pd.DataFrame(rows)


def _ratio(first: int, cases: int, second: int, others: int) -> tuple[float, float, float]:
    """Share of the cases over share of the others, with its interval."""
    from scipy.stats.contingency import relative_risk

    if not (cases and others):
        return UNDEFINED
    found = relative_risk(first, cases, second, others)
    interval = found.confidence_interval(0.95)
    return float(found.relative_risk), float(interval.low), float(interval.high)


@dataclass(frozen=True, eq=False)
class Conformal:
    """Class-conditional conformal sets of outcomes, from risks that are held out in one or more folds.

    The set of a new infant holds an outcome unless its risk is stranger than nearly all risks of infants with that
    outcome. With one fold it misses the true one with at most the stated chance, within each outcome, over infants
    exchangeable with these. With several folds a new infant's risk by the networks of a fold is compared with the risks
    that this fold held out; the chance is near the stated one in practice, but `miss_bounds` is all that is proved.

    Our own, as neither crepes nor MAPIE pools folds whose networks differ, or counts an infant once.

    Attributes:
        risks: `[row]` held-out risks, 0..1.
        outcomes: `[row]` 0 or 1.
        folds: `[row]` the fold of each, from 0.
        weights: `[row]` those of one infant sum to 1, so that each infant counts once.

    Source: Vovk 2012 (class-conditional); Vovk 2015 (several folds); Vovk et al. 2018 (their bound).
    """

    risks: Float[np.ndarray, " row"]
    outcomes: Int[np.ndarray, " row"]
    folds: Int[np.ndarray, " row"]
    weights: Float[np.ndarray, " row"]

    @property
    def finest_error(self) -> float:
        """The least error at which both outcomes can be excluded: `1 / (k + 1)` with k infants of the rarer one."""
        return 1 / (min(self._count(0), self._count(1)) + 1)

    def miss_bounds(self, error: float) -> tuple[float, float]:
        """The proved bounds of the chance that a set misses the true outcome, for infants without and with it.

        With one fold the bound is the error itself. With K folds of equal size and n infants of the outcome it is
        `2 error + 2 (1 - error) (K - 1) / (n + K)`: 0.60 for 20 infants, 7 folds and an error of 0.1. Both are averages
        over cohorts like this one, see `miss_rate_probability` for a single cohort.

        Args:
            error: as in `sets`.
        """
        folds = len(np.unique(self.folds))
        if folds == 1:
            return error, error
        without, cases = (2 * error + 2 * (1 - error) * (folds - 1) / (self._count(c) + folds) for c in (0, 1))
        return min(1.0, without), min(1.0, cases)

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


def miss_rate_probability(infants: int, error: float) -> float:
    """The probability that sets from a cohort miss the true outcome in at most the stated share of new infants.

    Over cohorts the true share follows `Beta(l, k + 1 - l)` with k infants of the outcome and
    `l = floor(error (k + 1))`. This is exact for one fold and risks without ties; several folds have no such law.

    Args:
        infants: of the outcome.
        error: stated chance of a miss, above 0 and below 1.

    Returns:
        1 where the error is too fine for an outcome ever to be excluded.

    Source: Vovk 2012.
    """
    from scipy.stats import beta

    excluded = math.floor(error * (infants + 1) + 1e-9)
    return float(beta.cdf(error, excluded, infants + 1 - excluded)) if excluded else 1.0


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

    Returns:
        The rows in an order that reveals nothing of the cohort's.

    Raises:
        ValueError: risks or labels as `check_risks`, or an infant with two labels.
    """
    rows = held_out_risks(risks, labels, groups, folds).sort_values(["outcome", "fold", "risk", "weight"])
    return Conformal(*(rows[name].to_numpy() for name in ("risk", "outcome", "fold", "weight")))


def held_out_risks(
    risks: ArrayLike, labels: ArrayLike, groups: Groups | None = None, folds: Sequence[int] | None = None
) -> "pd.DataFrame":
    """Mean `risk` and `outcome` of each `infant` in each `fold`, with a `weight`; arguments as `conformal`."""
    import pandas as pd

    risks, labels = check_risks(risks, labels)
    infant, _ = group_indices(range(len(labels)) if groups is None else groups, labels)
    fold = np.zeros(len(labels), np.int64) if folds is None else np.asarray(folds, np.int64)
    rows = pd.DataFrame({"infant": infant, "fold": fold, "outcome": labels, "risk": risks})
    rows = rows.groupby(["infant", "fold", "outcome"], as_index=False).mean()
    return rows.assign(weight=1 / rows.groupby("infant")["fold"].transform("size"))
