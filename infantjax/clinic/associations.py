"""How columns of a cohort go with outcome, risk and tracking quality: the tables of a clinical paper.

The tests are those of SciPy, Holm's method is that of statsmodels. Every table has the columns `test`, `statistic` (or
`rho`), `p` and `holm`: the name of the test (or why there is none), its P value, and that adjusted for all tests of the
table; they are NaN where nothing is tested. A group of fewer than `MIN_GROUP` infants is shown and enters no test. All
P values are two-sided and belong to associations, not to causes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from infantjax.clinic.columns import entries_of
from infantjax.evaluation import comparison

MIN_GROUP = 5
"""Fewest infants of a group that is tested; our choice."""

Test = tuple[str, float, float]
"""The name of a test, its statistic, and its P value."""

_UNTESTED: Test = ("", math.nan, math.nan)
_FEW: Test = (f"none: fewer than {MIN_GROUP} infants", math.nan, math.nan)
_FEW_GROUPS: Test = (f"none: no two groups of {MIN_GROUP}", math.nan, math.nan)
_EQUAL: Test = ("none: all values are equal", math.nan, math.nan)


def characteristics(columns: Sequence[pd.Series], outcomes: ArrayLike) -> pd.DataFrame:
    """Table 1: the columns of a cohort by outcome.

    Args:
        columns: `[infant]` each, see `to_column`.
        outcomes: `[infant]`, 0 or 1.

    Returns:
        A row a column, and a row an `entry` of a category: infants with an entry (`n_0` and `n_1` by outcome) and
        without (`missing_0`, `missing_1`), `outcome_0` and `outcome_1` (count and percentage, or mean (SD), median
        [quartiles]). Numbers are tested by Mann-Whitney; categories by chi-square, by Fisher's exact test if a count of
        fewer than 5 is expected (Monte Carlo with 9999 tables where there are more than two entries).
    """
    outcomes, rows = np.asarray(outcomes), []
    for column in columns:
        of = [column[outcomes == outcome] for outcome in (0, 1)]
        known = [values.dropna() for values in of]
        sizes, missing = [len(values) for values in known], [int(values.isna().sum()) for values in of]
        entries = entries_of(column)
        if entries is None:
            test = compare_groups(known, "Mann-Whitney")
            rows.append(_row(column.name, "", sizes, missing, map(_describe, known), test))
            continue
        counts = np.array([[int((values == entry).sum()) for values in known] for entry in entries]).reshape(-1, 2)
        rows.append(_row(column.name, "", sizes, missing, ("", ""), _compare_counts(counts)))
        for entry, pair in zip(entries, counts.tolist()):
            rows.append(_row(column.name, entry, pair, (0, 0), map(_share, pair, sizes)))
    return adjusted(rows)


def _row(
    column: Any, entry: str, n: Iterable[int], missing: Iterable[int], texts: Iterable[str], test: Test = _UNTESTED
) -> dict[str, Any]:
    """A row of table 1, from what holds for outcome 0 and for outcome 1."""
    pairs = {"n": n, "missing": missing, "outcome": texts}
    cells = {f"{name}_{outcome}": value for name, pair in pairs.items() for outcome, value in enumerate(pair)}
    return {"column": column, "entry": entry} | cells | _tested(test)


def values_by_column(
    values: Mapping[str, ArrayLike],
    columns: Sequence[pd.Series],
    outcomes: ArrayLike | None = None,
    threshold: float | None = None,
) -> pd.DataFrame:
    """Risks, or measures of tracking quality, by the columns of a cohort.

    Args:
        values: `[infant]` by name, NaN where missing.
        columns: `[infant]` each, see `to_column`.
        outcomes: `[infant]`, 0 or 1: also among the infants of each outcome, where only some have it.
        threshold: of a risk, to count positive infants.

    Returns:
        For each `value`, for all `infants` or those of an outcome, a row a `column` and a row an `entry` of a category:
        infants with an entry and a value (`n`) and without (`missing`), `median` and quartiles `low` and `high`, and
        with a threshold how many are `positive`. Two groups are tested by rank-sum, more by Kruskal-Wallis, a number by
        Spearman.
    """
    rows = []
    for name, numbers in values.items():
        numbers = np.asarray(numbers, np.float64)
        for column in columns:
            for infants, within in _strata(column, outcomes):
                of = {"value": name, "infants": infants, "column": column.name}
                rows += [of | row for row in _group_rows(column, numbers, within, threshold)]
    return adjusted(rows)


def _strata(column: pd.Series, outcomes: ArrayLike | None) -> Iterator[tuple[str, np.ndarray]]:
    """All infants, and those of each outcome where the infants with an entry have both."""
    yield "all", np.ones(len(column), bool)
    if outcomes is not None:
        of = [np.asarray(outcomes) == outcome for outcome in (0, 1)]
        if all((column.notna() & each).any() for each in of):
            yield from (("outcome 0", of[0]), ("outcome 1", of[1]))


def _group_rows(
    column: pd.Series, values: np.ndarray, within: np.ndarray, threshold: float | None
) -> Iterator[dict[str, Any]]:
    used, entries = within & column.notna().to_numpy() & np.isfinite(values), entries_of(column)
    masks = {entry: used & (column == entry).to_numpy() for entry in entries or ()}
    test = compare_groups([values[mask] for mask in masks.values()])
    if entries is None:
        test = _correlate(column[used].to_numpy(), values[used])
    for entry, mask in ({"": used} | masks).items():
        n, found = int(mask.sum()), values[mask]
        low, median, high = np.percentile(found, [25, 50, 75]).tolist() if n else [math.nan] * 3
        row = {"entry": entry, "n": n, "missing": 0 if entry else int(within.sum()) - n}
        row |= {"median": median, "low": low, "high": high}
        row["positive"] = None if threshold is None else int((found >= threshold).sum())
        yield row | _tested(_UNTESTED if entry else test)


def contribution_correlations(contributions: Mapping[str, ArrayLike], risks: ArrayLike) -> pd.DataFrame:
    """Spearman's correlation of each keypoint's contribution with the risk, and of the mean of all keypoints.

    Args:
        contributions: keypoint -> `[infant]`, NaN where missing.
        risks: `[infant]`.

    Source: Groos et al., Paper III, whose mean over the keypoints has 0.946.
    """
    points, risks, rows = pd.DataFrame(contributions), np.asarray(risks, np.float64), []
    means = {"mean of keypoints": points.mean(axis=1, skipna=False)} if len(points.columns) else {}
    for name, values in (means | dict(points.items())).items():
        known = values.notna().to_numpy()
        test = _tested(_correlate(values[known].to_numpy(), risks[known]), "rho")
        rows.append({"keypoint": name, "n": int(known.sum())} | test)
    return adjusted(rows)


def compare_groups(groups: Sequence[ArrayLike], of_two: str = "rank-sum") -> Test:
    """Compare groups of at least `MIN_GROUP` infants by ranks: Mann-Whitney for two, Kruskal-Wallis for more.

    Args:
        groups: `[infant]` values of each.
        of_two: name of the test of two groups.
    """
    from scipy.stats import kruskal, mannwhitneyu

    large = [np.asarray(group) for group in groups if len(np.asarray(group)) >= MIN_GROUP]
    if len(large) < 2:
        return _FEW_GROUPS
    if len(np.unique(np.concatenate(large))) == 1:
        return _EQUAL
    found = mannwhitneyu(*large) if len(large) == 2 else kruskal(*large)
    name = of_two if len(large) == 2 else "Kruskal-Wallis"
    name += "" if len(large) == len(groups) else f", {len(large)} of {len(groups)} groups"
    return name, float(found.statistic), float(found.pvalue)


def adjusted(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table of rows with their P values adjusted by Holm's method, in the column `holm`."""
    table = pd.DataFrame(rows)
    return table.assign(holm=comparison.holm(table["p"])) if rows else table


def _tested(test: Test, statistic: str = "statistic") -> dict[str, Any]:
    return dict(zip(("test", statistic, "p"), test))


def _correlate(first: np.ndarray, second: np.ndarray) -> Test:
    from scipy.stats import spearmanr

    if len(first) < MIN_GROUP:
        return _FEW
    if min(len(np.unique(first)), len(np.unique(second))) == 1:
        return _EQUAL
    found = spearmanr(first, second)
    return "Spearman", float(found.statistic), float(found.pvalue)


def _compare_counts(counts: np.ndarray) -> Test:
    """Entries of a category against outcomes, `[entry, outcome]`."""
    from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact

    if min(counts.shape) < 2 or counts.sum(axis=0).min() < MIN_GROUP:
        return _EQUAL if len(counts) == 1 else _FEW_GROUPS
    found = chi2_contingency(counts)
    if found.expected_freq.min() >= 5:
        return "chi-square", float(found.statistic), float(found.pvalue)
    method = None if counts.shape == (2, 2) else MonteCarloMethod(rng=np.random.default_rng(0))
    return "Fisher", math.nan, float(fisher_exact(counts, method=method).pvalue)


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.1f} %)" if total else "0"


def _describe(values: pd.Series) -> str:
    if values.empty:
        return ""
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    return f"{values.mean():.4g} ({values.std():.3g}), {middle:.4g} [{low:.4g}, {high:.4g}]"
