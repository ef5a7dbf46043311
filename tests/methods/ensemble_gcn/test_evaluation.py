"""The evaluation of the reference implementation from AUC, counts and threshold of `evaluation.discrimination`."""

import json

import numpy as np
import pytest

from infantjax.evaluation.discrimination import auc, confusion_counts, youden_threshold
from infantjax.evaluation.intervals import group_indices


def evaluate_reference(
    logits,
    labels,
    ids,
    *,
    subject=True,
    median_aggregation=True,
    aggregate_binary=False,
    aggregate_binary_threshold=0.5,
    prediction_threshold=0.5,
    auto_threshold=False,
):
    """Metrics from the logits of windows, under the names that the golden cases have."""
    logits, outcome = np.asarray(logits, np.float64), np.asarray(labels)
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
    nan, threshold = bool(np.isnan(scores).any()), prediction_threshold
    if auto_threshold and not nan:
        threshold = youden_threshold(scores, outcome, weights)
    found = {"auc": 0.5 if nan else auc(scores, outcome, weights)}
    found |= confusion_counts(scores >= threshold, outcome, 1).metrics()
    return found | {"threshold": threshold} if auto_threshold else found


def test_the_reference_evaluation_is_reproduced_in_every_case(shared):
    entries = json.loads((shared / "golden/evaluate/cases.json").read_text())
    inputs = {e["case"]: e for e in entries if "logits" in e}
    checked = [e for e in entries if "options" in e]
    assert len(checked) >= 20
    for entry in checked:
        case = inputs[entry["case"]]
        found = evaluate_reference(case["logits"], case["labels"], case["ids"], **entry["options"])
        assert found == pytest.approx(entry["result"], rel=0, abs=1e-12, nan_ok=True), entry
