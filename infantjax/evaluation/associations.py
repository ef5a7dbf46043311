"""How columns of a cohort go with outcome, risk and tracking quality: the tables of a clinical paper.

The tests are those of SciPy. Rows of a table are named tuples whose fields are the columns of its CSV file; `holm` is
the P value adjusted by Holm's method for all tests of that table. A group of fewer than `MIN_GROUP` infants is shown
and enters no test. All P values are two-sided and belong to associations, not to causes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation import comparison
from infantjax.evaluation.columns import Column

MIN_GROUP = 5
"""Fewest infants of a group that is tested; our choice."""

Row = TypeVar("Row", bound=Any)
"""A named tuple with the fields `p` and `holm`."""

_FEW = f"none: fewer than {MIN_GROUP} infants"
_FEW_GROUPS = f"none: no two groups of {MIN_GROUP}"
_EQUAL = "none: all values are equal"


class GroupTest(NamedTuple):
    """A test with its statistic and P value; NaN with the reason as its name where nothing is tested."""

    test: str
    statistic: float = math.nan
    p: float = math.nan
    holm: float = math.nan


class Characteristic(NamedTuple):
    """A row of Table 1: a column, or one entry of a category.

    Attributes:
        column: name.
        entry: of a category; empty in the row of the column, which has the test.
        n_0: infants with an entry whose outcome is 0; `n_1`: whose outcome is 1.
        missing_0: infants without an entry; `missing_1` likewise.
        outcome_0: count and percentage, or mean (SD), median [quartiles]; `outcome_1` likewise.
        test: Mann-Whitney for numbers; chi-square for categories, Fisher's exact test if a count of fewer than 5 is
            expected (Monte Carlo with 9999 tables where there are more than two entries).
    """

    column: str
    entry: str
    n_0: int
    n_1: int
    missing_0: int
    missing_1: int
    outcome_0: str
    outcome_1: str
    test: str
    statistic: float
    p: float
    holm: float


class GroupValue(NamedTuple):
    """Values of the infants of a column, or of one entry of it.

    Attributes:
        value: `risk`, or a measure of tracking quality.
        infants: `all`, `outcome 0` or `outcome 1`.
        column: name.
        entry: of a category; empty in the row of the column, which has the test.
        n: infants with an entry and a value; `missing`: the others.
        median: with the quartiles `low` and `high`.
        positive: infants whose risk is at least the threshold; among outcome 1 over `n` this is the sensitivity.
        test: rank-sum (Mann-Whitney) of two groups, Kruskal-Wallis of more, Spearman of a number.
    """

    value: str
    infants: str
    column: str
    entry: str
    n: int
    missing: int
    median: float
    low: float
    high: float
    positive: int | None
    test: str
    statistic: float
    p: float
    holm: float


class Correlation(NamedTuple):
    """Spearman's correlation of the contribution of a keypoint, or of their mean, with the risk."""

    keypoint: str
    n: int
    test: str
    rho: float
    p: float
    holm: float


def characteristics(columns: Sequence[Column], outcomes: ArrayLike) -> list[Characteristic]:
    """Table 1: the columns of a cohort by outcome.

    Args:
        columns: `[infant]` each.
        outcomes: `[infant]`, 0 or 1.
    """
    outcomes, rows = np.asarray(outcomes), []
    for column in columns:
        of = [column.values[column.known & (outcomes == outcome)] for outcome in (0, 1)]
        n = len(of[0]), len(of[1])
        missing = int((outcomes == 0).sum()) - n[0], int((outcomes == 1).sum()) - n[1]
        if column.kind == "number":
            test = compare_groups(of, "Mann-Whitney")
            rows.append(
                Characteristic(
                    column.name, "", n[0], n[1], missing[0], missing[1], _describe(of[0]), _describe(of[1]), *test
                )
            )
            continue
        counts = np.array([[int((values == entry).sum()) for values in of] for entry in column.entries])
        rows.append(
            Characteristic(column.name, "", n[0], n[1], missing[0], missing[1], "", "", *_compare_counts(counts))
        )
        for entry, (first, second) in zip(column.entries, counts.tolist()):
            a, b = _share(first, n[0]), _share(second, n[1])
            rows.append(Characteristic(column.name, entry, first, second, 0, 0, a, b, *GroupTest("")))
    return adjusted(rows)


def values_by_column(
    values: Mapping[str, ArrayLike],
    columns: Sequence[Column],
    outcomes: ArrayLike | None = None,
    threshold: float | None = None,
) -> list[GroupValue]:
    """Risks, or measures of tracking quality, by the columns of a cohort.

    Args:
        values: `[infant]` by name, NaN where missing.
        columns: `[infant]` each.
        outcomes: `[infant]`, 0 or 1: also among the infants of each outcome, where only some have it.
        threshold: of a risk, to count positive infants.
    """
    rows = []
    for name, numbers in values.items():
        numbers = np.asarray(numbers, np.float64)
        for column in columns:
            for infants, within in _strata(column, outcomes):
                rows += _group_rows(name, infants, column, numbers, within, threshold)
    return adjusted(rows)


def _strata(column: Column, outcomes: ArrayLike | None) -> Iterator[tuple[str, np.ndarray]]:
    """All infants, and those of each outcome where the infants with an entry have both."""
    of = [] if outcomes is None else [np.asarray(outcomes) == outcome for outcome in (0, 1)]
    yield "all", np.ones(len(column.values), bool)
    if len(of) == 2 and all((column.known & each).any() for each in of):
        yield from (("outcome 0", of[0]), ("outcome 1", of[1]))


def _group_rows(
    name: str, infants: str, column: Column, values: np.ndarray, within: np.ndarray, threshold: float | None
) -> list[GroupValue]:
    used = within & column.known & np.isfinite(values)
    if column.kind == "number":
        test, masks = _correlate(column.values[used], values[used]), {}
    else:
        masks = {entry: used & (column.values == entry) for entry in column.entries}
        test = compare_groups([values[mask] for mask in masks.values()])
    rows = []
    for entry, mask in ({"": used} | masks).items():
        n, found = int(mask.sum()), values[mask]
        low, median, high = np.percentile(found, [25, 50, 75]).tolist() if n else [math.nan] * 3
        positive = None if threshold is None else int((found >= threshold).sum())
        missing = 0 if entry else int(within.sum()) - n
        tested = GroupTest("") if entry else test
        rows.append(GroupValue(name, infants, column.name, entry, n, missing, median, low, high, positive, *tested))
    return rows


def contribution_correlations(contributions: Mapping[str, ArrayLike], risks: ArrayLike) -> list[Correlation]:
    """Spearman's correlation of each keypoint's contribution with the risk, and of the mean of all keypoints.

    Args:
        contributions: keypoint -> `[infant]`, NaN where missing.
        risks: `[infant]`.

    Source: Groos et al., Paper III, whose mean over the keypoints has 0.946.
    """
    if not contributions:
        return []
    risks, rows = np.asarray(risks, np.float64), []
    points = {name: np.asarray(values, np.float64) for name, values in contributions.items()}
    for name, values in ({"mean of keypoints": np.mean(list(points.values()), axis=0)} | points).items():
        known = np.isfinite(values)
        found = _correlate(values[known], risks[known])
        rows.append(Correlation(name, int(known.sum()), *found))
    return adjusted(rows)


def compare_groups(groups: Sequence[np.ndarray], of_two: str = "rank-sum") -> GroupTest:
    """Compare groups of at least `MIN_GROUP` infants by ranks: Mann-Whitney for two, Kruskal-Wallis for more.

    Args:
        groups: `[infant]` values of each.
        of_two: name of the test of two groups.
    """
    from scipy.stats import kruskal, mannwhitneyu

    large = [group for group in groups if len(group) >= MIN_GROUP]
    if len(large) < 2:
        return GroupTest(_FEW_GROUPS)
    if len(np.unique(np.concatenate(large))) == 1:
        return GroupTest(_EQUAL)
    found = mannwhitneyu(*large) if len(large) == 2 else kruskal(*large)
    name = of_two if len(large) == 2 else "Kruskal-Wallis"
    name += "" if len(large) == len(groups) else f", {len(large)} of {len(groups)} groups"
    return GroupTest(name, float(found.statistic), float(found.pvalue))


def adjusted(rows: Sequence[Row]) -> list[Row]:
    """Rows of a table with their P values adjusted by Holm's method."""
    p_values = comparison.holm({str(number): row.p for number, row in enumerate(rows)})
    return [row._replace(holm=p) for row, p in zip(rows, p_values.values())]


def _correlate(first: np.ndarray, second: np.ndarray) -> GroupTest:
    from scipy.stats import spearmanr

    if len(first) < MIN_GROUP:
        return GroupTest(_FEW)
    if min(len(np.unique(first)), len(np.unique(second))) == 1:
        return GroupTest(_EQUAL)
    found = spearmanr(first, second)
    return GroupTest("Spearman", float(found.statistic), float(found.pvalue))


def _compare_counts(counts: np.ndarray) -> GroupTest:
    """Entries of a category against outcomes, `[entry, outcome]`."""
    from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact

    if min(counts.shape) < 2 or counts.sum(axis=0).min() < MIN_GROUP:
        return GroupTest(_EQUAL if len(counts) == 1 else _FEW_GROUPS)
    found = chi2_contingency(counts)
    if found.expected_freq.min() >= 5:
        return GroupTest("chi-square", float(found.statistic), float(found.pvalue))
    method = None if counts.shape == (2, 2) else MonteCarloMethod(rng=np.random.default_rng(0))
    return GroupTest("Fisher", math.nan, float(fisher_exact(counts, method=method).pvalue))


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.1f} %)" if total else "0"


def _describe(values: np.ndarray) -> str:
    if not len(values):
        return ""
    low, middle, high = np.percentile(values, [25, 50, 75])
    deviation = values.std(ddof=1) if len(values) > 1 else math.nan
    return f"{values.mean():.4g} ({deviation:.3g}), {middle:.4g} [{low:.4g}, {high:.4g}]"
