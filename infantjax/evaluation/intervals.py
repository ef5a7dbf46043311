"""Confidence intervals: exact ones of proportions, and bootstraps over infants. In float64.

SciPy's bootstrap resamples rows. Here the infants of each outcome are resampled in their number, with all their
recordings, and a statistic is computed for many resamples at once from how often each row occurs.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

Groups = Sequence[Hashable] | np.ndarray
"""`[row]` the infant of each row."""

AucMethod = Literal["delong", "bootstrap"]
"""Intervals of an AUC."""

TAILS = (0.025, 0.975)
"""Probabilities below the ends of a 95 % interval, which all intervals are."""


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A value with its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


def clopper_pearson(successes: int, total: int) -> Interval:
    """Exact interval of a proportion; (NaN, NaN) for 0 of 0.

    Raises:
        ValueError: not 0 <= successes <= total.
    """
    from scipy.stats import binomtest

    if not 0 <= successes <= total:
        raise ValueError(f"successes must lie between 0 and the total {total}, got {successes}")
    if total == 0:
        return Interval(math.nan, math.nan)
    found = binomtest(successes, total).proportion_ci(method="exact")
    return Interval(float(found.low), float(found.high))


def bootstrap(
    statistic: Callable[[Float[np.ndarray, "resample row"]], Float[np.ndarray, " resample"]],
    labels: Int[np.ndarray, " row"],
    groups: Groups | None = None,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentiles of a statistic over resamples of the infants, those of each outcome in their number.

    Args:
        statistic: of how often each row occurs in each resample; NaN where it is not defined, which is left out.
        labels: 0 or 1.
        groups: the infant of each row, None if every row is an infant of its own.
        resamples: how many.
        seed: of the resamples.

    Raises:
        ValueError: no resamples, or an infant with two labels.
    """
    if resamples < 1:
        raise ValueError(f"a bootstrap needs at least one resample, got {resamples}")
    values = statistic(_resampled_weights(labels, groups, resamples, seed))
    return Interval(*np.nanquantile(values, TAILS).tolist())


def bootstrap_mean(
    values: Shaped[np.ndarray, " run *rest"], resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean over independent runs, with percentiles of the means of resampled runs; too narrow for few runs.

    Args:
        values: one row per run; a NaN makes the mean of its column NaN.
        resamples: how many.
        seed: of the resamples.

    Returns:
        (mean, low, high) `[*rest]`; low and high are NaN for one run.

    Raises:
        ValueError: no runs.
    """
    values = np.asarray(values, np.float64)
    if not len(values):
        raise ValueError("a mean needs at least one run")
    mean = values.mean(axis=0)
    if len(values) == 1:
        return mean, np.full_like(mean, math.nan), np.full_like(mean, math.nan)
    weights = _draw_counts(np.random.default_rng(seed), len(values), resamples) / len(values)
    low, high = np.quantile(np.tensordot(weights, values, 1), TAILS, axis=0)
    return mean, low, high


def check_scores(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Scores, labels and weights as arrays.

    Args:
        scores: numbers.
        labels: 0 or 1.
        weights: at least 0; None for all equal.

    Raises:
        ValueError: NaN scores, other labels, or lengths that differ.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    weights = np.ones(len(labels) if labels.ndim else 0) if weights is None else np.asarray(weights, np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape or scores.shape != weights.shape:
        raise ValueError(
            f"scores, labels and weights must be one row of one length, got {scores.shape}, {labels.shape}, "
            f"{weights.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN; leave these infants out")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 or 1")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("weights must be numbers of at least 0")
    return scores, labels.astype(np.int64), weights


def check_risks(risks: ArrayLike, labels: ArrayLike) -> tuple[Float[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Risks and labels as arrays.

    Raises:
        ValueError: as `check_scores`; no infants, or risks outside 0..1.
    """
    risks, labels, _ = check_scores(risks, labels)
    if not len(risks) or risks.min() < 0 or risks.max() > 1:
        raise ValueError("risks must be given and lie within 0..1")
    return risks, labels


def group_indices(groups: Groups, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """For each row the number of its group (in order of appearance), and for each group its first row.

    Raises:
        ValueError: rows of one group have different labels.
    """
    labels, number = np.asarray(labels), dict[Hashable, int]()
    index = np.array([number.setdefault(g, len(number)) for g in groups], np.int64)
    _, first = np.unique(index, return_index=True)
    differing = labels != labels[first][index]
    if differing.any():
        name = list(number)[index[np.argmax(differing)]]
        raise ValueError(f'infant "{name}" has rows with outcome 0 and with outcome 1')
    return index, first


def _resampled_weights(
    labels: np.ndarray, groups: Groups | None, resamples: int, seed: int
) -> Float[np.ndarray, "resample row"]:
    """How often each row occurs in each resample."""
    rows = np.arange(len(labels)) if groups is None else groups
    if len(rows) != len(labels):
        raise ValueError(f"groups must name the infant of each of the {len(labels)} rows, got {len(rows)}")
    index, first = group_indices(rows, labels)
    rng, counts = np.random.default_rng(seed), np.zeros((resamples, len(first)))
    for outcome in (0, 1):
        stratum = np.flatnonzero(labels[first] == outcome)
        if len(stratum):
            counts[:, stratum] = _draw_counts(rng, len(stratum), resamples)
    return counts[:, index]


def _draw_counts(rng: np.random.Generator, size: int, resamples: int) -> Int[np.ndarray, "resample size"]:
    """How often each of several items is drawn, in as many draws with replacement as there are items."""
    return rng.multinomial(size, np.full(size, 1 / size), resamples)
