"""Errors of predicted scores of subjects with several recordings, and the score of a recording from its windows.

Source: the workshop paper of the SMA CNN, which reports both averages of `subject_errors`.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.settings import require_one_of

Aggregation = Literal["mean", "median", "fence"]


@dataclass(frozen=True)
class SubjectErrors:
    """Mean absolute errors, in the unit of the score.

    Attributes:
        subjects: mean over the samples of each subject, which is those of one fold.
        per_subject: mean of these: every subject counts alike.
        overall: mean over all samples: subjects with more samples count more. The two differ, so give both.
    """

    subjects: Mapping[Hashable, float]
    per_subject: float
    overall: float


def subject_errors(predicted: ArrayLike, measured: ArrayLike, subjects: Sequence[Hashable]) -> SubjectErrors:
    """Both averages of the absolute error.

    Args:
        predicted: `[sample]` of windows or of recordings, each by the run that held its subject out.
        measured: `[sample]`.
        subjects: `[sample]`.

    Raises:
        ValueError: no samples, lengths that differ, or missing values.
    """
    error = np.abs(np.asarray(predicted, np.float64) - np.asarray(measured, np.float64))
    if error.ndim != 1 or not len(error) or len(subjects) != len(error) or not np.isfinite(error).all():
        raise ValueError(f"samples need a score, a prediction and a subject each, got {error.shape}, {len(subjects)}")
    names = list(dict.fromkeys(subjects))
    index = np.array([names.index(subject) for subject in subjects])
    means = np.bincount(index, error) / np.bincount(index)
    return SubjectErrors(dict(zip(names, means.tolist())), float(means.mean()), float(error.mean()))


def aggregate(
    predictions: ArrayLike, how: Aggregation = "mean", quartiles: Literal["linear", "hazen"] = "linear"
) -> float:
    """One score of a recording from those of its windows.

    Args:
        predictions: `[window]`.
        how: `mean`, `median`, or `fence`: the mean of those within 1.5 interquartile ranges of the quartiles, both
            ends included (our choice, as is the rule of the quartiles; the paper says "quartile analysis").
        quartiles: how NumPy interpolates them.

    Raises:
        ValueError: no or missing predictions, or an unknown name.
    """
    values: Float[np.ndarray, " window"] = np.asarray(predictions, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"a recording needs the prediction of a window at least, got {values.shape}")
    require_one_of("aggregation", how, get_args(Aggregation))
    if how == "median":
        return float(np.median(values))
    if how == "fence":
        low, high = np.quantile(values, [0.25, 0.75], method=quartiles)
        reach = 1.5 * (high - low)
        values = values[(values >= low - reach) & (values <= high + reach)]
    return float(values.mean())
