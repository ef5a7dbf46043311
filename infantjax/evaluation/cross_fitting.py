"""Recalibration and conformal sets as they would be on new infants, from those of an evaluation. In float64.

The maps and sets of each infant were fitted on others: cross-fitting. An infant counts once, with the mean of its
risks.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation import calibration, decision
from infantjax.evaluation.intervals import UNDEFINED, Estimate, Groups, check_risks, group_indices

FOLDS = 5
"""Parts of the infants of which each is recalibrated by a map from the others."""

THRESHOLDS = (0.1, 0.15, 0.2)
"""Risks from which one might act, for net benefits: our choice around the prevalence of high-risk cohorts."""


def cross_fitted(
    risks: ArrayLike, labels: ArrayLike, repeats: int = 50, seed: int = 0
) -> Float[np.ndarray, "repeat infant"]:
    """Recalibrated risks of each infant by maps that were fitted on other infants, in stratified folds.

    Where the others all have the same risk, the prevalence among them.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        repeats: how often the infants are parted anew.
        seed: of the parts.

    Raises:
        ValueError: fewer than `FOLDS` infants of an outcome; risks or labels as `check_risks`.
    """
    from sklearn.model_selection import StratifiedKFold

    known, outcomes = check_risks(risks, labels)
    if min(np.bincount(outcomes, minlength=2)) < FOLDS:
        raise ValueError(f"cross-fitting needs at least {FOLDS} infants of each outcome")
    scores, found = calibration.logits(known), np.empty((repeats, len(known)))
    for repeat in range(repeats):
        parts = StratifiedKFold(FOLDS, shuffle=True, random_state=seed + repeat)
        for train, test in parts.split(scores, outcomes):
            if np.ptp(known[train]) == 0:
                found[repeat, test] = outcomes[train].mean()
                continue
            found[repeat, test] = calibration.recalibration(known[train], outcomes[train])(scores[test])
    return found


def conformal_coverage(
    risks: ArrayLike, labels: ArrayLike, error: float = 0.1, halves: int = 200, seed: int = 0
) -> tuple[float, float, float]:
    """How often conformal sets from one half of the infants hold the outcome of the other half.

    Args:
        risks: `[infant]`, 0..1.
        labels: `[infant]`, 0 or 1.
        error: of the sets; where a half is too small for it, the finest that it allows.
        halves: random halves of the infants, each outcome halved.
        seed: of the halves.

    Returns:
        Coverage of infants with outcome 0, with outcome 1, and the share of all infants whose set holds one outcome.

    Raises:
        ValueError: fewer than two infants of an outcome; risks or labels as `check_risks`.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    known, outcomes = check_risks(risks, labels)
    found = []
    for fit, test in StratifiedShuffleSplit(halves, test_size=0.5, random_state=seed).split(known, outcomes):
        sets = decision.Conformal(known[fit], outcomes[fit], np.zeros(len(fit), int), np.ones(len(fit)))
        held, truth = sets.sets(known[test], max(error, sets.finest_error)), outcomes[test]
        right = held[np.arange(len(test)), truth]
        found.append([right[truth == 0].mean(), right[truth == 1].mean(), (held.sum(axis=1) == 1).mean()])
    without, cases, one = np.mean(found, axis=0).tolist()
    return without, cases, one


def cross_fitted_metrics(
    risks: ArrayLike, labels: ArrayLike, groups: Groups | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """Metrics of recalibrated risks and of conformal sets, and net benefits, without intervals.

    Args:
        risks: `[recording]`, 0..1.
        labels: `[recording]`, 0 or 1.
        groups: the infant of each recording, None if every one is of its own.
        seed: of the parts and halves.

    Returns:
        `brier_recalibrated`; `net_benefit_at_0.1` and its like, the same with `_recalibrated` and with `_treat_all`
        (treating none has 0); `conformal_coverage_0` and `_1`, `conformal_one_outcome` at 10 % error. NaN with too few
        infants.

    Raises:
        ValueError: risks or labels as `check_risks`, or an infant with two labels.
    """
    known, outcomes = check_risks(risks, labels)
    if groups is not None:
        infant, first = group_indices(groups, outcomes)
        known, outcomes = np.bincount(infant, known) / np.bincount(infant), outcomes[first]
    brier, benefit, coverage = np.nan, np.full(len(THRESHOLDS), np.nan), (np.nan, np.nan, np.nan)
    rarer = min(np.bincount(outcomes, minlength=2))
    if rarer >= FOLDS and np.ptp(known) > 0:
        fitted = cross_fitted(known, outcomes, seed=seed)
        brier = np.square(fitted - outcomes).mean()
        benefit = np.mean([decision.decision_curve(row, outcomes, THRESHOLDS)["method"] for row in fitted], axis=0)
    if rarer >= 2:
        coverage = conformal_coverage(known, outcomes, seed=seed)
    values = {"brier_recalibrated": brier}
    raw = decision.decision_curve(known, outcomes, THRESHOLDS).assign(recalibrated=benefit)
    for row in raw.itertuples():
        name = f"net_benefit_at_{row.Index:g}"
        values |= {name: row.method, f"{name}_recalibrated": row.recalibrated, f"{name}_treat_all": row.treat_all}
    values |= dict(zip(("conformal_coverage_0", "conformal_coverage_1", "conformal_one_outcome"), coverage))
    return {name: UNDEFINED._replace(value=float(value)) for name, value in values.items()}
