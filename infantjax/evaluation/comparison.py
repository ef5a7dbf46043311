"""Whether two methods differ. In float64; every P value is two-sided.

Methods on the same infants are compared infant by infant: `mcnemar` for predictions, `delong` for AUCs. For methods on
different infants SciPy has Fisher's exact test. `published_binomial` reproduces the P values of the Groos papers and
says why it should not be used.
"""

import math

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation.discrimination import mean_and_error, placements
from infantjax.evaluation.intervals import TAILS, check_scores


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> tuple[int, int, float]:
    """McNemar's exact test, by statsmodels: where two methods differ, is one right as often as the other?

    Among infants with outcome 1 it compares sensitivities, among the others specificities, among all accuracies.

    Args:
        first_right: `[infant]` whether the first method is right.
        second_right: `[infant]` whether the second is, same infants.

    Returns:
        Infants that only the first method has right, those that only the second has, and the P value: 1 where they
        never differ.

    Raises:
        ValueError: lengths that differ.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact

    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"both methods must be evaluated on the same infants, got {first.shape} and {second.shape}")
    a, b = int((first & ~second).sum()), int((second & ~first).sum())
    return a, b, float(exact([[0, a], [b, 0]], exact=True).pvalue)


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


def delong(first: ArrayLike, second: ArrayLike, labels: ArrayLike) -> tuple[float, float, float, float]:
    """The difference of two AUCs on the same infants, first less second, by DeLong's paired test.

    Our own, as no library that we use has it.

    Args:
        first: `[infant]` scores of the first method.
        second: `[infant]` scores of the second.
        labels: `[infant]`, 0 or 1.

    Returns:
        The difference, the ends of its 95 % interval, and the P value: 1 where both scores rank the infants in the same
        order; NaN where they differ without variance.

    Raises:
        ValueError: fewer than two infants of a class, NaN scores, lengths that differ.

    Source: DeLong, DeLong and Clarke-Pearson 1988.
    """
    from scipy.stats import norm

    (first, labels, _), (second, _, _) = check_scores(first, labels), check_scores(second, labels)
    difference, deviation = mean_and_error(
        *(a - b for a, b in zip(placements(first, labels), placements(second, labels)))
    )
    if deviation == 0:
        return difference, difference, difference, 1.0 if difference == 0 else math.nan
    reach = float(norm.isf(TAILS[0])) * deviation
    return difference, difference - reach, difference + reach, 2 * float(norm.sf(abs(difference) / deviation))


def holm(p_values: ArrayLike) -> Float[np.ndarray, " test"]:
    """P values adjusted for several comparisons by Holm's method, by statsmodels; NaN stays and does not count.

    Args:
        p_values: `[test]`.
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p_values, np.float64)
    known = ~np.isnan(adjusted)
    if known.any():
        adjusted[known] = multipletests(adjusted[known], method="holm")[1]
    return adjusted
