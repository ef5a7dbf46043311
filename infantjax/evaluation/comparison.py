"""Whether two methods, or two groups, differ. On the host, in float64; every P value is two-sided.

Methods judged on the same infants are compared infant by infant: `mcnemar` for calls, `delong` for AUCs. Others are
compared by `fisher`. `published_binomial` reproduces the P values of the Groos papers and says why it should not be
used.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import Interval, bootstrap, checked, placements, tail_of


class McNemar(NamedTuple):
    """The infants on whom two methods differ, and how likely so uneven a split would be by chance.

    Attributes:
        first_only: infants that the first method has right and the second wrong.
        second_only: the other way round.
        p: exact; 1 where they never differ.
    """

    first_only: int
    second_only: int
    p: float


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """McNemar's exact test: among the infants on whom two methods differ, is one right as often as the other?

    Among infants with CP it compares sensitivities, among those without specificities, among all accuracies.

    Args:
        first_right: `[infant]` whether the first method has each right.
        second_right: `[infant]` the same of the second, same infants.

    Raises:
        ValueError: lengths that differ.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"both methods must judge the same infants, got {first.shape} and {second.shape}")
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(a, b, float(binomtest(a, a + b, 0.5).pvalue) if a + b else 1.0)


def published_binomial(successes: int, total: int, other_successes: int, other_total: int) -> float:
    """The P value of the Groos papers: one method's count against the other's proportion *as if that were known*.

    Found by recomputing the published figures; the text does not say so. It overstates significance: the other
    proportion comes from as few infants, and those are the same infants, which this ignores twice over. Where the
    published value is 0.079 (111 of 118 against 102 of 115), Fisher's exact test gives 0.165. Use `mcnemar`.

    Args:
        successes: of the method.
        total: infants it judged.
        other_successes: of the other.
        other_total: infants the other judged.

    Raises:
        ValueError: more successes than infants, or none judged.
    """
    from scipy.stats import binomtest

    _require_counts(successes, total, other_successes, other_total)
    return float(binomtest(successes, total, other_successes / other_total).pvalue)


def fisher(successes: int, total: int, other_successes: int, other_total: int) -> float:
    """P value of Fisher's exact test, for methods judged on different infants.

    Args and Raises: as `published_binomial`.
    """
    from scipy.stats import fisher_exact

    _require_counts(successes, total, other_successes, other_total)
    table = [[successes, total - successes], [other_successes, other_total - other_successes]]
    return float(fisher_exact(table).pvalue)


class Difference(NamedTuple):
    """A difference with its confidence interval and P value."""

    value: float
    low: float
    high: float
    p: float


def delong(first: ArrayLike, second: ArrayLike, labels: ArrayLike, level: float = 0.95) -> Difference:
    """The difference of two AUCs on the same infants, first less second, by DeLong's paired test.

    Args:
        first: `[infant]` scores of the first method.
        second: `[infant]` scores of the second.
        labels: `[infant]`, 0 or 1.
        level: of the interval.

    Returns:
        A P value of 1 where the scores rank all infants alike; NaN where they differ without any variance.

    Raises:
        ValueError: fewer than two infants of a class, NaN scores, lengths that differ.

    Source: DeLong, DeLong and Clarke-Pearson 1988.
    """
    from scipy import stats

    tail = tail_of(level)
    (first, labels, _), (second, _, _) = checked(first, labels, None), checked(second, labels, None)
    case, control = (a - b for a, b in zip(placements(first, labels), placements(second, labels)))
    difference = float(case.mean())
    spread = math.sqrt(case.var(ddof=1) / len(case) + control.var(ddof=1) / len(control))
    if spread == 0:
        return Difference(difference, difference, difference, 1.0 if difference == 0 else math.nan)
    reach = float(stats.norm.isf(tail)) * spread
    p = 2 * float(stats.norm.sf(abs(difference) / spread))
    return Difference(difference, difference - reach, difference + reach, p)


def paired_difference(
    first_right: ArrayLike,
    second_right: ArrayLike,
    groups: Sequence | np.ndarray | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the difference of two shares on the same infants, first less second, by bootstrap over infants.

    Args:
        first_right: `[recording]` whether the first method has each right.
        second_right: `[recording]` the same of the second.
        groups: `[recording]` the infant of each, None if every recording is an infant of its own.
        level: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths that differ.
    """
    difference = np.asarray(first_right, np.float64) - np.asarray(second_right, np.float64)

    def mean(weights: np.ndarray) -> float:
        return float(weights @ difference / weights.sum())

    return bootstrap(mean, np.zeros(len(difference), int), groups, tail_of(level), resamples, seed)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values adjusted for several comparisons by Holm's method, in the given order; NaN stays and does not count.

    Args:
        p_values: of each comparison by name.
    """
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    adjusted, largest = dict(p_values), 0.0
    for done, (p, name) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - done)))
        adjusted[name] = largest
    return adjusted


def corrected_resampled_t(differences: ArrayLike, train: int, test: int) -> float:
    """P value of a mean difference over repeats of a random split, whose training and test sets overlap.

    A t-test over repeats takes them as independent and is far too optimistic; here the variance of the mean has the
    factor `1 / repeats + test / train` in place of `1 / repeats`.

    Args:
        differences: `[repeat]` of a figure between two methods.
        train: infants that a repeat trains on.
        test: infants that it tests on.

    Raises:
        ValueError: fewer than two repeats, or a side without infants.

    Source: Nadeau and Bengio 2003.
    """
    from scipy import stats

    differences = np.asarray(differences, np.float64)
    if differences.ndim != 1 or len(differences) < 2 or min(train, test) < 1:
        raise ValueError(f"at least two repeats with infants on both sides, got {differences.shape}, {train}, {test}")
    variance = float(differences.var(ddof=1)) * (1 / len(differences) + test / train)
    if variance == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    return 2 * float(stats.t.sf(abs(differences.mean()) / math.sqrt(variance), len(differences) - 1))


def rank_sum(first: ArrayLike, second: ArrayLike, exact: bool = False) -> float:
    """P value of the Wilcoxon rank-sum test between two groups.

    Args:
        first: `[infant]` scores of one group.
        second: `[infant]` scores of the other.
        exact: the exact distribution of Mann and Whitney instead of the normal approximation without corrections,
            which the papers presumably used. Takes no account of ties.

    Raises:
        ValueError: a group without infants.
    """
    from scipy import stats

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not (len(first) and len(second)):
        raise ValueError("both groups need infants")
    test = stats.mannwhitneyu(first, second, method="exact") if exact else stats.ranksums(first, second)
    return float(test.pvalue)


class RankCorrelation(NamedTuple):
    """Spearman's rank correlation with its P value; NaN where all of one are equal."""

    value: float
    p: float


def spearman(first: ArrayLike, second: ArrayLike) -> RankCorrelation:
    """Spearman's rank correlation of two quantities of the same infants.

    Args:
        first: `[infant]`.
        second: `[infant]`.

    Raises:
        ValueError: lengths that differ, or fewer than two infants.
    """
    from scipy import stats

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"two rows of one length of at least 2 are needed, got {first.shape} and {second.shape}")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return RankCorrelation(math.nan, math.nan)
    result = stats.spearmanr(first, second)
    return RankCorrelation(float(result.statistic), float(result.pvalue))


def _require_counts(successes: int, total: int, other_successes: int, other_total: int) -> None:
    if not (0 <= successes <= total and 0 <= other_successes <= other_total and total and other_total):
        raise ValueError(
            f"successes must lie within the infants, got {successes} of {total} and {other_successes} of {other_total}"
        )
