"""How far two raters, or a method and a rater, agree: kappa, intraclass correlation, reliable change."""

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd

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
    """Fleiss' kappa, by statsmodels: agreement of several raters beyond that of chance.

    Args:
        ratings: classes.

    Returns:
        NaN where all ratings are one and the same class.

    Raises:
        ValueError: no items, or fewer than two raters.

    Source: Fleiss 1971.
    """
    from statsmodels.stats import inter_rater

    items, raters = ratings.shape
    if not items or raters < 2:
        raise ValueError(f"needs items and at least 2 raters, got {items} and {raters}")
    if np.ptp(ratings) == 0:
        return math.nan
    return float(inter_rater.fleiss_kappa(inter_rater.aggregate_raters(ratings)[0]))


def icc(ratings: Float[np.ndarray, "subject rater"]) -> "pd.DataFrame":
    """Intraclass correlations of single ratings in the two-way model, with 95 % intervals by F.

    The mean squares are those of statsmodels' analysis of variance; no library of ours has the intervals. In the paper
    of EfficientHourglass the subjects are the keypoints; the two raters are a network's mean error and the annotators'
    spread.

    Args:
        ratings: at least two subjects and two raters, no NaN.

    Returns:
        Rows `ICC(A,1)` (absolute agreement) and `ICC(C,1)` (consistency), columns `value`, `low` and `high`.

    Raises:
        ValueError: too few subjects or raters, or missing values.

    Source: McGraw and Wong 1996; Shrout and Fleiss 1979.
    """
    import pandas as pd
    from scipy.stats import f
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    n, k = ratings.shape
    if min(n, k) < 2 or not np.isfinite(ratings).all():
        raise ValueError(f"needs at least 2 subjects and 2 raters without missing values, got {n} and {k}")
    long = (
        pd.DataFrame(ratings)
        .melt(var_name="rater", value_name="rating", ignore_index=False)
        .reset_index(names="subject")
    )
    rows, columns, rest = anova_lm(ols("rating ~ C(subject) + C(rater)", long).fit())["mean_sq"]
    left = (n - 1) * (k - 1)
    low, high = rows / rest / f.ppf(0.975, n - 1, left), rows / rest * f.ppf(0.975, left, n - 1)
    consistency = (rows - rest) / (rows + (k - 1) * rest), (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)
    value = (rows - rest) / (rows + (k - 1) * rest + k * (columns - rest) / n)
    a, b = k * value / (n * (1 - value)), 1 + k * value * (n - 1) / (n * (1 - value))
    v = (a * columns + b * rest) ** 2 / ((a * columns) ** 2 / (k - 1) + (b * rest) ** 2 / left)
    lower, upper = f.ppf(0.975, n - 1, v), f.ppf(0.975, v, n - 1)
    mixed = k * columns + (k * n - k - n) * rest
    agreement = (
        value,
        n * (rows - lower * rest) / (lower * mixed + n * rows),
        n * (upper * rows - rest) / (mixed + n * upper * rows),
    )
    return pd.DataFrame([agreement, consistency], ["ICC(A,1)", "ICC(C,1)"], ["value", "low", "high"])


RELIABLE_CHANGE = "reliable_change"
"""Name of the quantity of a record that a change between visits is compared with."""


def reliable_change(residuals: Float[np.ndarray, " recording"], infants: int) -> float:
    """The change between two visits that error alone exceeds in 5 % of cases (Jacobson and Truax 1991).

    The quantile of t has one degree of freedom less than there are infants, whose recordings are not independent. A
    constant error of an infant cancels in a change but is part of the spread: the value is rather too large. Our
    choice, as the paper of the SMA CNN follows no infant over time; not validated on infants.

    Args:
        residuals: predicted minus measured score of held-out recordings.
        infants: that the recordings are of.

    Returns:
        In points; NaN of fewer than two infants.
    """
    from scipy import stats

    if infants < 2:
        return math.nan
    return float(stats.t.ppf(0.975, infants - 1) * math.sqrt(2) * np.std(residuals, ddof=1))
