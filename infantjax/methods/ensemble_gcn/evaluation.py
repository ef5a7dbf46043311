"""The evaluation of the reference implementation, movement-outcome, from the scores of windows."""

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import auc, confusion_counts, youden_threshold
from infantjax.evaluation.intervals import Groups, group_indices


def evaluate_reference(
    logits: ArrayLike,
    labels: ArrayLike,
    ids: Groups,
    *,
    subject: bool = True,
    median_aggregation: bool = True,
    aggregate_binary: bool = False,
    aggregate_binary_threshold: float = 0.5,
    prediction_threshold: float = 0.5,
    auto_threshold: bool = False,
) -> dict[str, float]:
    """Metrics as the reference implementation computes them.

    Args:
        logits: `[window, 2]`; index 1 is CP.
        labels: `[window]`, 0 or 1: the outcome of the window's infant.
        ids: `[window]`: the window's infant.
        subject: evaluate infants; else windows. The AUC of windows gives every infant the same weight; metrics at a
            threshold count windows.
        median_aggregation: an infant's score is the median of its windows' risks; else the mean.
        aggregate_binary: windows are first classified as 0 or 1, at `aggregate_binary_threshold`.
        aggregate_binary_threshold: CP is predicted for a window from this risk on.
        prediction_threshold: CP is predicted from this score on; also the score of an infant with a NaN window.
        auto_threshold: use `youden_threshold` instead, and return it.

    Returns:
        `auc`, `accuracy`, `f1`, `sensitivity`, `specificity`, `ppv`, `npv`, `balanced_accuracy`, and `threshold` with
        `auto_threshold`. Undefined ratios are NaN. The AUC is 0.5 if a window's score is NaN where windows are
        evaluated (and the threshold stays as given); logits above 709 overflow to NaN, as in the reference.

    Raises:
        ValueError: shapes do not fit, labels other than 0 and 1, an infant with two labels, or one class only.
    """
    logits, outcome = np.asarray(logits, np.float64), np.asarray(labels)
    if logits.ndim != 2 or logits.shape[1] != 2 or outcome.shape != logits.shape[:1] or len(ids) != len(logits):
        raise ValueError(
            f"logits [window, 2], labels and ids must fit, got {logits.shape}, {outcome.shape}, {len(ids)}"
        )
    infant, first = group_indices(ids, outcome)
    # Without the usual shift, as in the reference: which scores tie, and so the AUC, depends on the last bit.
    with np.errstate(over="ignore", invalid="ignore"):
        exponentials = np.exp(logits)
        scores = exponentials[:, 1] / exponentials.sum(axis=1)
    if aggregate_binary:
        scores = np.where(np.isnan(scores), np.nan, scores >= aggregate_binary_threshold)
    if subject:
        aggregate = np.median if median_aggregation else np.mean
        scores = np.array([aggregate(scores[infant == i]) for i in range(len(first))])
        scores = np.clip(np.where(np.isnan(scores), prediction_threshold, scores), 0, 1)
        outcome, weights = outcome[first], None
    else:
        windows = np.bincount(infant)
        weights = 1 / windows[infant] / len(windows)
    nan = bool(np.isnan(scores).any())
    threshold = prediction_threshold
    if auto_threshold and not nan:
        threshold = youden_threshold(scores, outcome, weights)
    result = {
        "auc": 0.5 if nan else auc(scores, outcome, weights),
        **confusion_counts(scores >= threshold, outcome, 1).metrics(),
    }
    return result | {"threshold": threshold} if auto_threshold else result
