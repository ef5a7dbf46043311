"""Nested selection: metrics of every infant by choices that other infants made, beside the optimistic metrics.

Cross-validation gives each infant an out-of-fold risk. But the fold of the infant may have chosen the epoch of that
network, and a threshold or a calibration map that is fitted to all out-of-fold risks has seen the infant too. Here the
infants of a fold get an epoch, a threshold and a map that the other folds chose. No network is trained again.

What still leaks: the networks of the other folds were trained on the infants of this fold, so the curves and risks
that choose are not independent of them. A second cross-validation within each fold would remove that, at many times the
cost.

Source: selection on out-of-fold predictions instead of an inner cross-validation, Tsamardinos et al. 2018 (BBC-CV).
They resample infants; that one fold at a time is left out is our choice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from infantjax.evaluation.discrimination import auc, youden_threshold
from infantjax.evaluation.intervals import group_indices
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.files import finite_or_none
from infantjax.recording.cohort import Cohort
from infantjax.training.cohorts.out_of_fold import HeldOut, infants_of
from infantjax.training.splits import Split

Metrics = dict[str, float]


class EpochCurves(NamedTuple):
    """Scores and risks of the validation recordings after every epoch of every run.

    Attributes:
        scores: `[run, epoch]` by which an epoch is chosen, higher is better; NaN where it is not defined.
        risks: `[run, epoch, recording]` in the order of each split, padded; NaN for epochs that were not run.
    """

    scores: np.ndarray
    risks: np.ndarray


@dataclass(frozen=True, eq=False)
class NestedSelection:
    """Metrics of both kinds, over infants.

    Attributes:
        optimistic: epoch, threshold and calibration map were chosen by the same infants.
        nested: they were chosen by the other folds.
        epochs: chosen for each run by the others, counted from 1, 0 where none could be; None where the method chooses
            no epoch.
        infants: number of infants with a nested risk.
    """

    optimistic: Metrics
    nested: Metrics
    epochs: tuple[int, ...] | None
    infants: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON; None where a metric is not defined."""
        metrics = finite_or_none({"optimistic": self.optimistic, "nested": self.nested})
        return {**metrics, "epochs": None if self.epochs is None else list(self.epochs), "infants": self.infants}


def nested_selection(
    cohort: Cohort, splits: Sequence[Split], held_out: Sequence[HeldOut], curves: EpochCurves | None = None
) -> NestedSelection | None:
    """Metrics of the infants of each fold by choices of the other folds.

    The epoch of a fold has the highest mean score of the other folds, the first one on ties. The threshold is Youden's,
    and the calibration map that of `RiskCalibration`, both from the risks of the other folds at that epoch. An infant
    counts once, with the mean of its risks.

    Args:
        cohort: recordings with outcomes.
        splits: of the runs.
        held_out: risks that the ensemble's networks gave to recordings that they did not train on.
        curves: of runs that chose their epoch by these recordings; None where no epoch was chosen.

    Returns:
        None where outcomes are scores, a recording is held out by several runs, or there is one run.
    """
    rows = [row for split in splits for row in split.validation]
    if cohort.score_range is not None or len(splits) < 2 or len(set(rows)) < len(rows):
        return None
    if any(split.test for split in splits):
        return None
    fold_of_row = np.full(len(cohort), -1)
    for number, split in enumerate(splits):
        fold_of_row[list(split.validation)] = number
    own = np.full((1, len(cohort)), np.nan)
    for entry in held_out:
        own[0, entry.row] = entry.value
    by_epoch = own if curves is None else _by_epoch(len(cohort), splits, curves)

    recording_outcomes = np.asarray(cohort.outcomes, np.int64)
    infant, first = group_indices(infants_of(cohort), recording_outcomes)
    outcomes, fold = recording_outcomes[first], fold_of_row[first]
    chosen, at_epoch = _infant_means(own, infant)[0], _infant_means(by_epoch, infant)
    known = np.isfinite(chosen)
    optimistic = _metrics(chosen, *_decisions(chosen, outcomes, fold, known, known), outcomes, fold)
    epochs = [0] * len(splits) if curves is None else _epochs(curves.scores, at_epoch, fold)
    risks, above, calibrated = np.full((3, len(outcomes)), np.nan)
    for number, epoch in enumerate(epochs):
        if epoch is not None:
            here, given = fold == number, at_epoch[epoch]
            decided = _decisions(given, outcomes, fold, np.isfinite(given) & ~here, here)
            risks[here], above[here], calibrated[here] = (part[here] for part in (given, *decided))
    shown = None if curves is None else tuple(0 if epoch is None else epoch + 1 for epoch in epochs)
    nested = _metrics(risks, above, calibrated, outcomes, fold)
    return NestedSelection(optimistic, nested, shown, int(np.isfinite(risks).sum()))


def _decisions(
    risks: np.ndarray, outcomes: np.ndarray, fold: np.ndarray, choosing: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the risks of some infants reach the threshold, and their calibrated risks; NaN where not known.

    Args:
        risks: `[infant]`, as all arguments and results.
        outcomes: 0 or 1.
        fold: that held each out.
        choosing: mask of the infants that choose threshold and calibration map.
        rows: mask of the infants to decide on.
    """
    above, calibrated = np.full((2, len(risks)), np.nan)
    labels, known = outcomes[choosing], rows & np.isfinite(risks)
    if len(set(labels.tolist())) < 2:
        return above, calibrated
    above[known] = risks[known] >= youden_threshold(risks[choosing], labels)
    names = [str(number) for number in np.flatnonzero(choosing)]
    line = RiskCalibration.fit(risks[choosing].tolist(), labels.tolist(), names, fold[choosing].tolist()).map
    if line is not None:
        calibrated[known] = [0.5 + 0.5 * math.tanh(line.logits(risk)[0] / 2) for risk in risks[known]]
    return above, calibrated


def _metrics(
    risks: np.ndarray, above: np.ndarray, calibrated: np.ndarray, outcomes: np.ndarray, fold: np.ndarray
) -> Metrics:
    """AUC over all infants and the mean of that of each fold, as scales of networks differ; and the rest.

    NaN where an infant with a risk has no decision.
    """

    def area(some: np.ndarray) -> float:
        return auc(risks[some], outcomes[some]) if len(set(outcomes[some].tolist())) == 2 else math.nan

    known = np.isfinite(risks)
    labels, above, calibrated = outcomes[known], above[known], calibrated[known]
    defined = [value for number in np.unique(fold) if math.isfinite(value := area(known & (fold == number)))]
    return {
        "AUC": area(known),
        "mean AUC of folds": float(np.mean(defined)) if defined else math.nan,
        "sensitivity": float(above[labels == 1].mean()) if (labels == 1).any() else math.nan,
        "specificity": float(1 - above[labels == 0].mean()) if (labels == 0).any() else math.nan,
        "Brier score": float(np.square(calibrated - labels).mean()) if len(labels) else math.nan,
    }


def _by_epoch(count: int, splits: Sequence[Split], curves: EpochCurves) -> np.ndarray:
    """`[epoch, recording]` risks of all recordings by the run that held each out."""
    found = np.full((curves.scores.shape[1], count), np.nan)
    for split, risks in zip(splits, curves.risks):
        found[:, list(split.validation)] = risks[:, : len(split.validation)]
    return found


def _infant_means(risks: np.ndarray, infant: np.ndarray) -> np.ndarray:
    """`[epoch, infant]`."""
    return np.stack([risks[:, infant == number].mean(axis=1) for number in range(infant.max() + 1)], axis=1)


def _epochs(scores: np.ndarray, risks: np.ndarray, fold: np.ndarray) -> list[int | None]:
    """For each run the index of the epoch that the others choose; None where there is none that the run has."""
    finished = np.isfinite(scores).any(axis=1)
    chosen: list[int | None] = []
    for number in range(len(scores)):
        others = scores[finished & (np.arange(len(scores)) != number)]
        mean = others.mean(axis=0) if len(others) else np.full(scores.shape[1], np.nan)
        mean = np.where(np.isfinite(risks[:, fold == number]).all(axis=1), mean, np.nan)
        chosen.append(int(np.nanargmax(mean)) if np.isfinite(mean).any() else None)
    return chosen
