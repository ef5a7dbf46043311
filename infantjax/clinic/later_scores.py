"""Later scores, such as Bayley scores at two years, by predicted class: t-tests and a two-way analysis of variance."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from infantjax.clinic.associations import MIN_GROUP, adjusted
from infantjax.clinic.columns import entries_of

_UNTESTED = {"difference_low": math.nan, "difference_high": math.nan, "test": ""} | dict.fromkeys(
    ("df", "residual_df", "statistic", "p"), math.nan
)


def later_scores(scores: Sequence[pd.Series], predicted: ArrayLike, factors: Sequence[pd.Series] = ()) -> pd.DataFrame:
    """Later scores by predicted class: t-test, two-way analysis of variance with each factor, and t-tests within it.

    Args:
        scores: `[infant]` numbers, such as Bayley scores at two years, see `to_column`.
        predicted: `[infant]` 0 or 1, the class by the risk.
        factors: `[infant]` each; numbers are left out.

    Returns:
        For each `score` a row without a factor, then for each `factor` rows of the effects of an analysis of variance
        (type II sums of squares, by statsmodels) and a row an `entry`: `n_0`, `n_1`, `mean_0` and `mean_1` of infants
        by predicted class that have the score (and the factor); `difference` of the means, class 0 less class 1, with
        its 95 % interval (in rows of an analysis of variance adjusted for the factor, by least squares without
        interaction); the test with its degrees of freedom, and P values as in `associations`.

    Raises:
        ValueError: a score that is a category.

    Source: the Baby Moves study. Its type of sums of squares is not stated; type II is our choice.
    """
    rows, predicted = [], np.asarray(predicted)
    for score in scores:
        if entries_of(score) is not None:
            raise ValueError(f'column "{score.name}" must be a number to be a score')
        known = pd.DataFrame({"score": score.to_numpy(), "predicted": predicted}).dropna()
        rows.append(_t_row(score.name, known))
        for factor in factors:
            entries = entries_of(factor)
            if entries is None:
                continue
            groups = {entry: known[factor.to_numpy()[known.index] == entry].assign(factor=entry) for entry in entries}
            rows += _anova_rows(score.name, factor.name, list(groups.values()))
            rows += [_t_row(score.name, group, factor.name, entry) for entry, group in groups.items()]
    return adjusted(rows)


def _means(score: Any, factor: Any, entry: str, used: pd.DataFrame) -> dict[str, Any]:
    """A row without a test: sizes and means of the scores of each predicted class."""
    of = [used["score"][used["predicted"] == outcome] for outcome in (0, 1)]
    row = {"score": score, "factor": factor, "entry": entry, "n_0": len(of[0]), "n_1": len(of[1])}
    means = {"mean_0": of[0].mean(), "mean_1": of[1].mean(), "difference": of[0].mean() - of[1].mean()}
    return row | means | _UNTESTED


def _t_row(score: Any, used: pd.DataFrame, factor: Any = "", entry: str = "") -> dict[str, Any]:
    """Student's t-test of the infants that are used."""
    from scipy.stats import ttest_ind

    row = _means(score, factor, entry, used)
    of = [used["score"][used["predicted"] == outcome] for outcome in (0, 1)]
    if min(map(len, of)) < MIN_GROUP:
        return row | {"test": f"none: a class of fewer than {MIN_GROUP} infants"}
    if all(values.nunique() == 1 for values in of):
        return row | {"test": "none: all values of a class are equal"}
    found = ttest_ind(*of)
    low, high = found.confidence_interval(0.95)
    test = {"test": "t-test", "df": found.df, "statistic": found.statistic, "p": found.pvalue}
    return row | {"difference_low": low, "difference_high": high} | test


def _anova_rows(score: Any, factor: Any, groups: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """The effects of the prediction, of a factor and of both on the score; groups without both classes are left out."""
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    large = [g for g in groups if all((g["predicted"] == outcome).sum() >= MIN_GROUP for outcome in (0, 1))]
    used = pd.concat(large) if large else pd.DataFrame({"score": [], "predicted": []})
    row = _means(score, factor, "", used)
    if len(large) < 2:
        return [row | {"test": f"none: no two groups with {MIN_GROUP} infants of each class"}]
    additive = ols("score ~ C(factor) + C(predicted)", used).fit()
    low, high = additive.conf_int().iloc[-1]
    row |= {"difference": -additive.params.iloc[-1], "difference_low": -high, "difference_high": -low}
    full = ols("score ~ C(predicted) * C(factor)", used).fit()
    table = anova_lm(full, typ=2)
    # What is left by rounding of values that the groups explain wholly is no variance.
    exact = full.ssr <= 1e-20 * np.square(used["score"]).sum()
    return [
        row
        | {"test": f"two-way ANOVA: {name}", "df": effect["df"], "residual_df": full.df_resid}
        | ({} if exact else {"statistic": effect["F"], "p": effect["PR(>F)"]})
        for name, (_, effect) in zip(("prediction", factor, "interaction"), table.iterrows())
    ]
