"""Errors of predicted scores of subjects with several recordings, and the score of a recording from its windows.

Source: the workshop paper of the SMA CNN, which reports both averages of `subject_errors`. `LinearAggregator` is our
addition and was not validated on infants.
"""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.settings import require_one_of

if TYPE_CHECKING:
    import pandas as pd

Aggregation = Literal["mean", "median", "fence"]
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the predictions of windows, which the linear aggregator reads (our choice)."""
AGGREGATOR = "aggregator"
"""Name of the fitted aggregator in the index of an ensemble."""
_RIDGE = 10.0


def subject_errors(
    predicted: ArrayLike, measured: ArrayLike, subjects: Sequence[Hashable]
) -> tuple["pd.Series[float]", float]:
    """Mean absolute errors in the unit of the score, by both averages that the paper reports.

    Args:
        predicted: `[sample]` of windows or of recordings, each by the run that held its subject out.
        measured: `[sample]`.
        subjects: `[sample]`.

    Returns:
        The mean over the samples of each subject, whose mean counts every subject alike; and the mean over all samples,
        where subjects with more samples count more. The two differ, so give both.

    Raises:
        ValueError: no samples, lengths that differ, or missing values.
    """
    import pandas as pd

    error = np.abs(np.asarray(predicted, np.float64) - np.asarray(measured, np.float64))
    if error.ndim != 1 or not len(error) or len(subjects) != len(error) or not np.isfinite(error).all():
        raise ValueError(f"samples need a score, a prediction and a subject each, got {error.shape}, {len(subjects)}")
    return pd.Series(error).groupby(list(subjects), sort=False).mean(), float(error.mean())


def aggregate(predictions: ArrayLike, how: Aggregation = "mean") -> float:
    """One score of a recording from those of its windows.

    Args:
        predictions: `[window]`.
        how: `mean`, `median`, or `fence`: the mean of those within 1.5 interquartile ranges of the quartiles, both
            ends included (our choice, as is the rule of the quartiles; the paper says "quartile analysis").

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
        low, high = np.quantile(values, [0.25, 0.75])
        reach = 1.5 * (high - low)
        values = values[(values >= low - reach) & (values <= high + reach)]
    return float(values.mean())


class LinearAggregator(NamedTuple):
    """A second layer over windows: the mean plus what a ridge regression on quantiles adds to it (our choice).

    With few recordings the penalty leaves little but the mean and a constant.

    Attributes:
        constant: points.
        weights: of each of `QUANTILES` as its distance from the mean.
    """

    constant: float
    weights: tuple[float, ...]

    @classmethod
    def fit(cls, recordings: Sequence[np.ndarray], scores: ArrayLike) -> Self:
        """Fit to recordings that the first layer did not train on.

        Args:
            recordings: predictions of the windows of each, `[window]`.
            scores: `[recording]`.
        """
        from sklearn.linear_model import Ridge

        means = np.array([values.mean() for values in recordings])
        model = Ridge(alpha=_RIDGE).fit([_shape(values) for values in recordings], np.asarray(scores) - means)
        return cls(float(model.intercept_), tuple(map(float, model.coef_)))

    @classmethod
    def fit_out_of_fold(
        cls, recordings: Sequence[np.ndarray], scores: Sequence[float], subjects: Sequence[Hashable]
    ) -> tuple[Self, list[float]]:
        """The aggregator of all recordings, and the score of each recording by that of the other subjects.

        Args:
            recordings: see `fit`, as `scores`.
            scores: see `fit`.
            subjects: `[recording]`, at least two.
        """
        without = {}
        for subject in dict.fromkeys(subjects):
            rows = [row for row, other in enumerate(subjects) if other != subject]
            without[subject] = cls.fit([recordings[row] for row in rows], [scores[row] for row in rows])
        return cls.fit(recordings, scores), [without[s](values) for s, values in zip(subjects, recordings)]

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """The inverse of `list`, from the index of an ensemble.

        Raises:
            ValueError: it does not hold a number for each quantile and a constant.
        """
        try:
            constant, weights = content
            found = cls(float(constant), tuple(map(float, weights)))
        except TypeError:
            raise ValueError("an aggregator is a constant and a list of weights") from None
        if len(found.weights) != len(QUANTILES) or not np.isfinite([found.constant, *found.weights]).all():
            raise ValueError(f"an aggregator has {len(QUANTILES)} weights, got {found.weights}")
        return found

    def __call__(self, values: np.ndarray) -> float:
        """The score of a recording from the predictions `[window]`."""
        return float(values.mean() + self.constant + _shape(values) @ self.weights)


def _shape(values: np.ndarray) -> Float[np.ndarray, " quantile"]:
    """Quantiles of predictions, from their mean."""
    return np.quantile(values, QUANTILES) - values.mean()
