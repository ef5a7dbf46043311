"""Evaluation of predicted scores, such as motor scores: errors, correlation, and agreement with the measured ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation.agreement import icc
from infantjax.evaluation.intervals import UNDEFINED, Estimate, Groups, bootstrap
from infantjax.evaluation.risk import metric_lines, metric_table
from infantjax.files import finite_or_none

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 1.96
"""Standard deviations from the bias to a limit of agreement."""


@dataclass(frozen=True, eq=False)
class ScoreEvaluation:
    """Predicted scores of a set of recordings.

    Attributes:
        recordings: their number.
        infants: number of infants, where some have several recordings; else 0.
        metrics: a row a metric, see `evaluate`: `value` with its 95 % interval, `low` and `high`; NaN where it is not
            defined.
        subgroups: the same of the recordings of each group, by name.
    """

    recordings: int
    infants: int
    metrics: "pd.DataFrame"
    subgroups: Mapping[str, "ScoreEvaluation"] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the counts, and metrics as `[value, low, high]`; null for NaN."""
        found = dict(zip(self.metrics.index, self.metrics.to_numpy().tolist()))
        groups = {name: group.to_dict() for name, group in self.subgroups.items()}
        counts = {"recordings": self.recordings} | ({"infants": self.infants} if self.infants else {})
        return {**counts, **finite_or_none(found)} | ({"subgroups": groups} if groups else {})

    def lines(self) -> list[str]:
        """As lines of text; `nan` where a metric is not defined, no interval where none was computed."""
        infants = f" of {self.infants} infants" if self.infants else ""
        lines = [f"{self.recordings} recordings{infants}, errors in points of the score", *metric_lines(self.metrics)]
        for name, group in self.subgroups.items():
            lines += ["", f"{name}: {group.lines()[0]}", *group.lines()[1:]]
        return lines


def evaluate(
    predicted: ArrayLike,
    measured: ArrayLike,
    groups: Groups | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> ScoreEvaluation:
    """Errors of predicted scores beside those of the mean score, correlation, and agreement.

    Args:
        predicted: `[recording]`.
        measured: `[recording]`.
        groups: `[recording]` the infant of each, where infants have several.
        resamples: of the bootstraps.
        seed: of the bootstraps.

    Returns:
        `mean_absolute_error` and `rmse`, and both `_of_mean`: of predicting for each recording the mean score of the
        other infants; `pearson_r` (Fisher's interval) and `icc`, the ICC(2,1) (by F), which take recordings as
        independent; `bias`, predicted less measured, with the limits of agreement `limit_low` and `limit_high`, 1.96
        standard deviations around it. Other intervals are bootstraps over infants, too narrow for few.

    Raises:
        ValueError: no recordings, missing values, or lengths that differ.

    Source: Bland and Altman 1986.
    """
    import pandas as pd

    predicted, measured = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    infants = pd.Series(range(len(measured)) if groups is None else list(groups))
    if predicted.ndim != 1 or not len(predicted) or not predicted.shape == measured.shape == infants.shape:
        raise ValueError(f"recordings need a predicted and a measured score each, got {predicted.shape}")
    if not np.isfinite([predicted, measured]).all():
        raise ValueError("scores must be given and finite; leave recordings without one out")
    scores, labels = pd.Series(measured).groupby(infants), np.zeros(len(measured), int)
    with np.errstate(invalid="ignore"):
        of_others = (measured.sum() - scores.transform("sum")) / (len(measured) - scores.transform("size"))

    def estimate(statistic: Callable[[np.ndarray, np.ndarray], np.ndarray], errors: np.ndarray) -> Estimate:
        value = float(statistic(np.ones((1, len(errors))), errors)[0])
        if not math.isfinite(value) or infants.nunique() < 2:
            return UNDEFINED._replace(value=value)
        return Estimate(value, *bootstrap(lambda w: statistic(w, errors), labels, list(infants), resamples, seed))

    metrics, errors = {}, predicted - measured
    for name, of in (("", errors), ("_of_mean", of_others.to_numpy() - measured)):
        metrics[f"mean_absolute_error{name}"] = estimate(_mean, np.abs(of))
        metrics[f"rmse{name}"] = estimate(lambda w, e: np.sqrt(_mean(w, e**2)), of)
    metrics |= _correlations(predicted, measured)
    metrics["bias"] = estimate(_mean, errors)
    metrics["limit_low"] = estimate(lambda w, e: _mean(w, e) - LIMIT * _deviation(w, e), errors)
    metrics["limit_high"] = estimate(lambda w, e: _mean(w, e) + LIMIT * _deviation(w, e), errors)
    return ScoreEvaluation(len(measured), 0 if groups is None else infants.nunique(), metric_table(metrics))


def evaluate_subgroups(
    predicted: ArrayLike, measured: ArrayLike, subgroups: Sequence[str], groups: Groups | None = None
) -> dict[str, ScoreEvaluation]:
    """The same of the recordings of each subgroup, by name in alphabetical order.

    Args:
        predicted: see `evaluate`, as `measured` and `groups`.
        measured: see `evaluate`.
        subgroups: `[recording]` names.
        groups: see `evaluate`.
    """
    import pandas as pd

    rows = pd.DataFrame({"predicted": predicted, "measured": measured, "infant": groups})
    return {
        str(name): evaluate(part["predicted"], part["measured"], None if groups is None else part["infant"].tolist())
        for name, part in rows.groupby(list(subgroups))
    }


def _correlations(predicted: np.ndarray, measured: np.ndarray) -> dict[str, Estimate]:
    """Pearson's correlation and ICC(2,1); not defined of two recordings or where all scores of a kind are equal."""
    from scipy.stats import pearsonr

    if len(measured) < 3 or not np.ptp(predicted) or not np.ptp(measured):
        return {"pearson_r": UNDEFINED, "icc": UNDEFINED}
    r = pearsonr(predicted, measured)
    with np.errstate(all="ignore"):
        absolute = icc(np.stack([predicted, measured], axis=1)).loc["ICC(A,1)"]
    interval = map(float, r.confidence_interval())
    return {"pearson_r": Estimate(float(r.statistic), *interval), "icc": Estimate(*absolute.tolist())}


def _mean(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[resample]` means."""
    return weights @ rows / weights.sum(axis=1)


def _deviation(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`[resample]` standard deviations."""
    count = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(np.maximum(_mean(weights, rows**2) - _mean(weights, rows) ** 2, 0) * count / (count - 1))
