"""Later scores, such as Bayley scores at two years, by predicted class: t-tests and a two-way analysis of variance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation.associations import MIN_GROUP, adjusted
from infantjax.evaluation.columns import Column
from infantjax.evaluation.intervals import UNDEFINED, Estimate


class ScoreDifference(NamedTuple):
    """A later score by predicted class.

    Attributes:
        score: name of its column.
        factor: what the comparison is adjusted for or made within; empty for neither.
        entry: of the factor, for a comparison within it.
        n_0: infants predicted 0 that have the score (and the factor); `n_1`: predicted 1.
        mean_0: mean score; `mean_1` likewise.
        difference: mean of those predicted 0 less that of those predicted 1, 95 % interval. In the rows of an analysis
            of variance it is adjusted for the factor (least squares without interaction).
        test: Student's t, or an effect of the two-way analysis of variance (sums of squares of type II).
        df: degrees of freedom: of t, or of the effect.
        residual_df: of the analysis of variance.
    """

    score: str
    factor: str
    entry: str
    n_0: int
    n_1: int
    mean_0: float
    mean_1: float
    difference: Estimate
    test: str
    df: float
    residual_df: float
    statistic: float
    p: float
    holm: float


class Effect(NamedTuple):
    """An effect of an analysis of variance; NaN where it cannot be estimated."""

    f: float
    df: int
    residual_df: int
    p: float


def later_scores(
    scores: Sequence[Column], predicted: ArrayLike, factors: Sequence[Column] = ()
) -> list[ScoreDifference]:
    """Later scores by predicted class: t-test, two-way analysis of variance with each factor, and t-tests within it.

    Args:
        scores: `[infant]` numbers, such as Bayley scores at two years.
        predicted: `[infant]` 0 or 1, the class by the risk.
        factors: `[infant]` each; numbers are left out.

    Raises:
        ValueError: a score that is a category.

    Source: the Baby Moves study. Its type of sums of squares is not stated; type II is our choice.
    """
    predicted, rows = np.asarray(predicted), []
    for score in scores:
        if score.kind != "number":
            raise ValueError(f'column "{score.name}" must be a number to be a score')
        rows.append(_score_row(score, predicted, score.known))
        for factor in (f for f in factors if f.kind == "category"):
            groups = {entry: score.known & (factor.values == entry) for entry in factor.entries}
            large = {e: g for e, g in groups.items() if all((g & (predicted == c)).sum() >= MIN_GROUP for c in (0, 1))}
            used = np.any([*large.values(), np.zeros(len(predicted), bool)], axis=0)
            rows += _anova_rows(score, predicted, factor, used, len(large))
            rows += [_score_row(score, predicted, g, factor.name, e) for e, g in groups.items()]
    return adjusted(rows)


def two_way_anova(values: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[Effect, Effect, Effect]:
    """Two-way analysis of variance with interaction, sums of squares of type II, by least squares.

    Each main effect is what it explains beyond the other; groups may differ in size.

    Args:
        values: `[infant]`.
        first: `[infant]` classes of the first factor.
        second: `[infant]` those of the second.

    Returns:
        The effects of the first factor, of the second, and of their interaction.

    Source: Langsrud 2003 (type II).
    """
    from scipy.stats import f

    y = np.asarray(values, np.float64)
    a, b = _dummies(first), _dummies(second)
    both = (a[:, :, None] * b[:, None, :]).reshape(len(y), -1)
    residual, rank = {}, {}
    for name, parts in {"a": [a], "b": [b], "ab": [a, b], "full": [a, b, both]}.items():
        design = np.hstack([np.ones((len(y), 1)), *parts])
        solution, _, rank[name], _ = np.linalg.lstsq(design, y)
        residual[name] = float(np.square(y - design @ solution).sum())
    left = len(y) - int(rank["full"])

    def effect(smaller: str, larger: str) -> Effect:
        df = int(rank[larger] - rank[smaller])
        # What is left by rounding of values that the groups explain wholly is no variance.
        if df == 0 or left < 1 or residual["full"] <= 1e-20 * np.square(y).sum():
            return Effect(math.nan, df, left, math.nan)
        value = max(0.0, residual[smaller] - residual[larger]) / df / (residual["full"] / left)
        return Effect(value, df, left, float(f.sf(value, df, left)))

    return effect("b", "ab"), effect("a", "ab"), effect("ab", "full")


def _dummies(classes: ArrayLike) -> np.ndarray:
    """`[infant, class]` 0 or 1, without the first class."""
    _, index = np.unique(np.asarray(classes), return_inverse=True)
    return np.eye(index.max() + 1)[index][:, 1:]


def _means(score: Column, factor: str, entry: str, of: Sequence[np.ndarray]) -> ScoreDifference:
    """A row without a test: sizes and means of the scores of each predicted class."""
    first, second = (float(values.mean()) if len(values) else math.nan for values in of)
    nothing = (math.nan,) * 5
    difference = UNDEFINED._replace(value=first - second)
    return ScoreDifference(score.name, factor, entry, len(of[0]), len(of[1]), first, second, difference, "", *nothing)


def _score_row(
    score: Column, predicted: np.ndarray, used: np.ndarray, factor: str = "", entry: str = ""
) -> ScoreDifference:
    """Student's t-test of the infants that are used."""
    from scipy.stats import ttest_ind

    of = [score.values[used & (predicted == c)] for c in (0, 1)]
    row = _means(score, factor, entry, of)
    if min(map(len, of)) < MIN_GROUP:
        return row._replace(test=f"none: a class of fewer than {MIN_GROUP} infants")
    if all(len(np.unique(values)) == 1 for values in of):
        return row._replace(test="none: all values of a class are equal")
    found = ttest_ind(*of)
    interval = found.confidence_interval(0.95)
    return row._replace(
        difference=row.difference._replace(low=float(interval.low), high=float(interval.high)),
        test="t-test",
        df=float(found.df),
        statistic=float(found.statistic),
        p=float(found.pvalue),
    )


def _anova_rows(
    score: Column, predicted: np.ndarray, factor: Column, used: np.ndarray, groups: int
) -> list[ScoreDifference]:
    """The effects of the prediction, of a factor and of both on the score of the infants that are used."""
    row = _means(score, factor.name, "", [score.values[used & (predicted == c)] for c in (0, 1)])
    if groups < 2:
        return [row._replace(test=f"none: no two groups with {MIN_GROUP} infants of each class")]
    y, a, b = score.values[used], predicted[used], factor.values[used].astype(str)
    effects = dict(zip(("prediction", factor.name, "interaction"), two_way_anova(y, a, b)))
    row = row._replace(difference=_adjusted_difference(y, a, b))
    return [
        row._replace(test=f"two-way ANOVA: {name}", df=e.df, residual_df=e.residual_df, statistic=e.f, p=e.p)
        for name, e in effects.items()
    ]


def _adjusted_difference(values: np.ndarray, predicted: np.ndarray, factor: np.ndarray) -> Estimate:
    """Class 0 less class 1 at equal factor, by least squares without interaction."""
    from scipy.stats import t

    design = np.hstack([np.ones((len(values), 1)), _dummies(factor), (predicted == 0)[:, None]])
    solution, _, rank, _ = np.linalg.lstsq(design, values)
    left = len(values) - int(rank)
    variance = float(np.square(values - design @ solution).sum()) / left * np.linalg.pinv(design.T @ design)[-1, -1]
    reach = float(t.isf(0.025, left)) * math.sqrt(variance)
    return Estimate(float(solution[-1]), float(solution[-1]) - reach, float(solution[-1]) + reach)
