"""Small functions that several methods need."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from infantjax.assessment.assessment import Quantity
from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc
from infantjax.files import finite_or_none
from infantjax.recording.recording import Recording
from infantjax.training.cohorts import crossval
from infantjax.training.cohorts.crossval import TrainInputs, TrainOutputs
from infantjax.training.cohorts.nested import EpochCurves
from infantjax.training.cohorts.out_of_fold import HeldOut
from infantjax.training.splits import Split
from infantjax.training.state import StackResult

OPTIMISTIC = (
    "Trained on {count} recordings with infantjax. Its metrics come from infants that also selected the epoch of each "
    "network, so they are optimistic; it was never validated on other infants. Research use only."
)
"""Statement of an ensemble whose validation recordings chose the epochs."""


def read_number(recording: Recording, column: str, unit: str) -> float:
    """A number of the recording's metadata.

    Raises:
        InputError: it is missing, or no number.
    """
    text = recording.metadata.get(column)
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(recording.name, _unusable(column, text), f"give {unit} in its table")
    return value


def read_class(recording: Recording, column: str, classes: Mapping[str, float]) -> float:
    """A class of the recording's metadata, as a number.

    Raises:
        InputError: it is missing, or unknown.
    """
    text = recording.metadata.get(column)
    value = classes.get(str(text).strip().lower())
    if value is None:
        raise InputError(recording.name, _unusable(column, text), f"known are {', '.join(classes)}")
    return value


def _unusable(column: str, text: object) -> str:
    return f"has no {column}" if text is None else f'has "{str(text)[:40]}" as {column}'


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """The probability of log-odds, float64."""
    from scipy.special import expit

    return expit(np.asarray(logits, np.float64))


def auc_or_nan(scores: np.ndarray, labels: np.ndarray) -> float:
    """The AUC; NaN where there is one class only, or a score is not finite."""
    return auc(scores, labels) if len(np.unique(labels)) == 2 and np.isfinite(scores).all() else math.nan


def best_epoch_outputs(inputs: TrainInputs, result: StackResult, info: Mapping[str, Any]) -> TrainOutputs:
    """Risks of the validation recordings at the best epoch of each run, or the last one where none has an AUC.

    Args:
        inputs: of the training.
        result: of the training; its history has `auc` and `risks`.
        info: what the use of the ensemble needs beside the settings.
    """
    risks, outcomes = result.validation_outputs(inputs.splits), inputs.cohort.outcomes
    held_out = [
        HeldOut(row, run, float(risk))
        for run, (split, of_run) in enumerate(zip(inputs.splits, risks))
        for row, risk in zip(split.validation, of_run)
    ]
    labels = np.array([outcomes[entry.row] for entry in held_out])
    has_auc = [len({outcomes[row] for row in split.validation}) == 2 for split in inputs.splits]
    statement = OPTIMISTIC if any(has_auc) else crossval.STATEMENT
    return TrainOutputs(
        held_out,
        [finite_or_none({"AUC": auc if known else np.nan}) for auc, known in zip(result.best_score, has_auc)],
        {"AUC": auc_or_nan(np.concatenate(risks), labels)},
        {"statement": statement.format(count=len(inputs.cohort)), **info},
        optimistic=any(has_auc),
        curves=EpochCurves(result.history["auc"], result.history["risks"]) if any(has_auc) else None,
    )


def risk_of_networks(risks: np.ndarray, threshold: float, label: str, classes: tuple[str, str]) -> dict[str, Any]:
    """The risk of a recording and its decision, as fields of a `Prediction`.

    Args:
        risks: by network, all finite; the headline is their median, its interval their middle half.
        threshold: risk from which on the decision is the second class.
        label: of the risk, in words.
        classes: in words.
    """
    risk, (q1, q3) = float(np.median(risks)), np.percentile(risks, [25, 75])
    positive = bool(risk >= threshold)
    return {
        "headline": Quantity("risk", label, risk, float(q1), float(q3), "middle half of the networks"),
        "threshold": threshold,
        "classes": classes,
        "positive": positive,
        "agreement": float(((risks >= threshold) == positive).mean()),
    }


def require_both_outcomes(outcomes: Sequence[float], splits: Sequence[Split]) -> None:
    """Check that every split trains on both outcomes.

    Raises:
        InputError: a split without.
    """
    for number, split in enumerate(splits):
        for outcome in (0, 1):
            if not any(outcomes[row] == outcome for row in split.train):
                raise InputError(
                    "cohort", f"split {number} trains on no recording with outcome {outcome}", "add recordings"
                )
