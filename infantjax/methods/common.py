"""Small functions that several methods need."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc
from infantjax.recording.recording import Recording
from infantjax.training.splits import Split


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


def finite_or_none(metrics: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics as JSON holds them: None where one is not defined."""
    return {name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}


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
