"""How far two raters, or a method and a rater, agree: kappa, intraclass correlation, limits of agreement."""

import math
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

Weighting = Literal["linear", "quadratic"]
"""How far apart two classes of a scale count in a weighted kappa."""


def kappa(first: ArrayLike, second: ArrayLike, weights: Weighting | None = None) -> float:
    """Cohen's kappa, by scikit-learn: agreement beyond that of chance, 1 for perfect, 0 for chance.

    Args:
        first: `[item]` classes by one rater.
        second: `[item]` classes by the other.
        weights: of disagreement on a scale; None counts every one alike.

    Returns:
        NaN where both raters gave all items one and the same class: chance alone would agree.

    Raises:
        ValueError: lengths that differ, or no items.

    Source: Cohen 1960.
    """
    from sklearn.metrics import cohen_kappa_score

    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(f"two raters must rate the same items, got {first.shape} and {second.shape}")
    if len(np.unique(np.concatenate([first, second]))) == 1:
        return math.nan
    return float(cohen_kappa_score(first, second, weights=weights))


def fleiss_kappa(ratings: Int[np.ndarray, "item rater"]) -> float:
    """Fleiss' kappa: agreement of several raters beyond that of chance.

    Args:
        ratings: classes.

    Returns:
        NaN where all ratings are one and the same class.

    Raises:
        ValueError: no items, or fewer than two raters.

    Source: Fleiss 1971.
    """
    items, raters = ratings.shape
    if not items or raters < 2:
        raise ValueError(f"needs items and at least 2 raters, got {items} and {raters}")
    counts = np.stack([(ratings == each).sum(axis=1) for each in np.unique(ratings)], axis=1)
    by_chance = float(np.square(counts.sum(axis=0) / counts.sum()).sum())
    agreed = float(((np.square(counts).sum(axis=1) - raters) / (raters * (raters - 1))).mean())
    return math.nan if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)


class IntraclassCorrelation(NamedTuple):
    """An intraclass correlation with its 95 % interval."""

    value: float
    low: float
    high: float


def icc(ratings: Float[np.ndarray, "subject rater"]) -> tuple[IntraclassCorrelation, IntraclassCorrelation]:
    """Intraclass correlations of single ratings in the two-way model: ICC(A,1) and ICC(C,1).

    In the paper of EfficientHourglass the subjects are the keypoints; the two raters are a network's mean error and the
    annotators' spread.

    Args:
        ratings: at least two subjects and two raters, no NaN.

    Returns:
        Absolute agreement, and consistency.

    Raises:
        ValueError: too few subjects or raters, or missing values.

    Source: McGraw and Wong 1996; Shrout and Fleiss 1979.
    """
    from scipy.stats import f

    n, k = ratings.shape
    if min(n, k) < 2 or not np.isfinite(ratings).all():
        raise ValueError(f"needs at least 2 subjects and 2 raters without missing values, got {n} and {k}")
    grand = ratings.mean()
    rows = k * np.square(ratings.mean(1) - grand).sum() / (n - 1)
    columns = n * np.square(ratings.mean(0) - grand).sum() / (k - 1)
    rest = np.square(ratings - ratings.mean(1, keepdims=True) - ratings.mean(0) + grand).sum() / ((n - 1) * (k - 1))

    def quantile(a: float, b: float) -> float:
        return float(f.ppf(0.975, a, b))

    ratio = rows / rest
    low = ratio / quantile(n - 1, (n - 1) * (k - 1))
    high = ratio * quantile((n - 1) * (k - 1), n - 1)
    consistency = IntraclassCorrelation(
        float((rows - rest) / (rows + (k - 1) * rest)),
        float((low - 1) / (low + k - 1)),
        float((high - 1) / (high + k - 1)),
    )
    value = (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    v = (a * columns + b * rest) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / ((n - 1) * (k - 1)))
    lower, upper = quantile(n - 1, v), quantile(v, n - 1)
    mixed = k * columns + (k * n - k - n) * rest
    agreement = IntraclassCorrelation(
        float(value),
        float(n * (rows - lower * rest) / (lower * mixed + n * rows)),
        float(n * (upper * rows - rest) / (mixed + n * upper * rows)),
    )
    return agreement, consistency


class AgreementLimits(NamedTuple):
    """Bland-Altman limits of agreement.

    Attributes:
        bias: mean difference.
        low: bias less 1.96 standard deviations of the differences.
        high: bias plus as much.
    """

    bias: float
    low: float
    high: float


def limits_of_agreement(predicted: ArrayLike, measured: ArrayLike) -> AgreementLimits:
    """The limits that hold 95 % of the differences if these are normally distributed.

    Args:
        predicted: `[item]` scores of a method.
        measured: `[item]` scores of a rater.

    Raises:
        ValueError: lengths that differ, or fewer than two items.

    Source: Bland and Altman 1986.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(measured, np.float64)
    if difference.ndim != 1 or len(difference) < 2:
        raise ValueError(f"limits of agreement need at least two items, got {difference.shape}")
    bias, reach = float(difference.mean()), 1.96 * float(difference.std(ddof=1))
    return AgreementLimits(bias, bias - reach, bias + reach)
