"""Whether two methods differ. In float64; every P value is two-sided.

Methods on the same infants are compared infant by infant: `mcnemar` for predictions, `delong` for AUCs. For methods on
different infants SciPy has Fisher's exact test. `published_binomial` reproduces the P values of the Groos papers and
says why it should not be used.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import placements
from infantjax.evaluation.intervals import Groups, Interval, bootstrap, check_scores, tail_probability


class McNemar(NamedTuple):
    """The infants on whom exactly one of two methods is right.

    Attributes:
        first_only: infants that only the first method has right.
        second_only: infants that only the second has right.
        p: exact; 1 where they never differ.
    """

    first_only: int
    second_only: int
    p: float


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """McNemar's exact test: among the infants on whom two methods differ, is one right as often as the other?

    Among infants with outcome 1 it compares sensitivities, among the others specificities, among all accuracies.

    Args:
        first_right: `[infant]` whether the first method is right.
        second_right: `[infant]` whether the second is, same infants.

    Raises:
        ValueError: lengths that differ.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"both methods must be evaluated on the same infants, got {first.shape} and {second.shape}")
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    return McNemar(a, b, float(binomtest(a, a + b, 0.5).pvalue) if a + b else 1.0)


def published_binomial(successes: int, total: int, other_successes: int, other_total: int) -> float:
    """The P value of the Groos papers: one method's count against the other's proportion *as if that were known*.

    Derived by recomputing the published values; the text does not say so. It overstates significance: the other
    proportion comes from as few infants, and those are the same infants, and the rule ignores both. Where the published
    value is 0.079 (111 of 118 against 102 of 115), Fisher's exact test gives 0.165. Use `mcnemar`.

    Args:
        successes: of the method.
        total: infants of the method.
        other_successes: of the other.
        other_total: infants of the other.

    Raises:
        ValueError: more successes than infants, or no infants.
    """
    from scipy.stats import binomtest

    if not (0 <= successes <= total and 0 <= other_successes <= other_total and total and other_total):
        raise ValueError(
            f"successes must lie within the infants, got {successes} of {total} and {other_successes} of {other_total}"
        )
    return float(binomtest(successes, total, other_successes / other_total).pvalue)


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
        A P value of 1 where both scores rank the infants in the same order; NaN where they differ without variance.

    Raises:
        ValueError: fewer than two infants of a class, NaN scores, lengths that differ.

    Source: DeLong, DeLong and Clarke-Pearson 1988.
    """
    from scipy.stats import norm

    tail = tail_probability(level)
    (first, labels, _), (second, _, _) = check_scores(first, labels), check_scores(second, labels)
    case, control = (a - b for a, b in zip(placements(first, labels), placements(second, labels)))
    difference = float(case.mean())
    deviation = math.sqrt(case.var(ddof=1) / len(case) + control.var(ddof=1) / len(control))
    if deviation == 0:
        return Difference(difference, difference, difference, 1.0 if difference == 0 else math.nan)
    reach = float(norm.isf(tail)) * deviation
    p = 2 * float(norm.sf(abs(difference) / deviation))
    return Difference(difference, difference - reach, difference + reach, p)


def paired_difference(
    first_right: ArrayLike,
    second_right: ArrayLike,
    groups: Groups | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of the difference of two shares on the same infants, first less second, by bootstrap over infants.

    Args:
        first_right: `[recording]` whether the first method is right.
        second_right: `[recording]` whether the second is.
        groups: None if every recording is an infant of its own.
        level: of the interval.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: lengths that differ.
    """
    difference = np.asarray(first_right, np.float64) - np.asarray(second_right, np.float64)
    labels = np.zeros(len(difference), int)
    return bootstrap(lambda w: w @ difference / w.sum(axis=1), labels, groups, level, resamples, seed)


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

    A t-test takes the repeats as independent and is far too optimistic; here the variance of the mean has the factor
    `1 / repeats + test / train` in place of `1 / repeats`.

    Args:
        differences: `[repeat]` of a metric between two methods.
        train: infants of the training set of a repeat.
        test: infants of its test set.

    Raises:
        ValueError: fewer than two repeats, or a set without infants.

    Source: Nadeau and Bengio 2003.
    """
    from scipy.stats import t

    differences = np.asarray(differences, np.float64)
    if differences.ndim != 1 or len(differences) < 2 or min(train, test) < 1:
        raise ValueError(f"at least two repeats with infants in both sets, got {differences.shape}, {train}, {test}")
    variance = float(differences.var(ddof=1)) * (1 / len(differences) + test / train)
    if variance == 0:
        return 1.0 if differences.mean() == 0 else 0.0
    return 2 * float(t.sf(abs(differences.mean()) / math.sqrt(variance), len(differences) - 1))
