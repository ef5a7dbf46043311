"""From the clips of a video to where its fidgety movements are, and how much of it they fill.

Everything runs on the host in float64.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation.agreement import kappa
from infantjax.evaluation.intervals import tail_probability


class Frequency(NamedTuple):
    """The share of a video's clips that are fidgety, and between which values that of a longer video may lie."""

    value: float
    low: float
    high: float


def intervals(
    probabilities: ArrayLike, starts: ArrayLike, clip: int, fps: float, threshold: float = 0.5
) -> Float[np.ndarray, "interval 2"]:
    """Seconds from and to which clips are fidgety; clips that overlap or touch are merged.

    Args:
        probabilities: `[clip]` of fidgety movements.
        starts: `[clip]` first frames, ascending.
        clip: frames of a clip.
        fps: frames per second.
        threshold: a clip above it is fidgety.

    Raises:
        ValueError: another number of starts than clips.
    """
    p, at = _clips(probabilities, starts)
    found: list[list[float]] = []
    for start in at[p > threshold]:
        if found and start <= found[-1][1]:
            found[-1][1] = start + clip
        else:
            found.append([start, start + clip])
    return np.array(found, np.float64).reshape(-1, 2) / fps


def frequency(
    probabilities: ArrayLike, starts: ArrayLike, clip: int, threshold: float = 0.5, level: float = 0.95
) -> Frequency:
    """The FMs frequency: the share of a video's clips that are fidgety.

    The interval is our choice, none is published. It is Clopper-Pearson's for as many independent clips as fit into the
    video side by side: clips that overlap say little new. It tells how far a longer video of the same kind might
    differ, and nothing of wrong clips.

    Args:
        probabilities: `[clip]` of fidgety movements.
        starts: `[clip]` first frames, ascending.
        clip: frames of a clip.
        threshold: a clip above it is fidgety.
        level: confidence.

    Returns:
        NaN throughout for no clips.

    Raises:
        ValueError: another number of starts than clips, or a level not between 0 and 1.

    Source: Gao, Yao, Tian et al. 2023 (MAM), "quantitative GMA".
    """
    from scipy import stats

    p, at = _clips(probabilities, starts)
    tail = tail_probability(level)
    if not len(p):
        return Frequency(math.nan, math.nan, math.nan)
    share, independent = float((p > threshold).mean()), (np.minimum(np.diff(at), clip).sum() + clip) / clip
    some, others = share * independent, (1 - share) * independent
    low = stats.beta.ppf(tail, some, others + 1) if some > 0 else 0.0
    high = stats.beta.ppf(1 - tail, some + 1, others) if others > 0 else 1.0
    return Frequency(share, float(low), float(high))


OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Temporal overlaps of the published average precisions."""


def average_precision(
    found: Sequence[Float[np.ndarray, "interval 2"]],
    scores: Sequence[Float[np.ndarray, " interval"]],
    truth: Sequence[Float[np.ndarray, "interval 2"]],
    overlap: float,
) -> float:
    """How well intervals of videos are found: the mean precision over the shares of annotated ones that are found.

    Found intervals of all videos are taken by falling score. Each is right if it overlaps an annotated interval of its
    video, that none before it has taken, by enough of what both cover together; of several the one with most. Precision
    at a share found is the highest at that share or a larger one.

    Args:
        found: of each video, for example `intervals`.
        scores: of each interval of each video, for example the mean probability of its clips.
        truth: annotated ones of each video, in the same unit.
        overlap: intersection over union from which on two intervals agree, see `OVERLAPS`.

    Returns:
        0..1; NaN where nothing is annotated.

    Raises:
        ValueError: numbers that do not fit, or an overlap not above 0 and at most 1.

    Source: Luo et al. 2022 (WO-GMA), who detect abnormal segments.
    """
    if not len(found) == len(scores) == len(truth) or any(len(a) != len(b) for a, b in zip(found, scores)):
        raise ValueError("every video needs its intervals, their scores and its annotated intervals")
    if not 0 < overlap <= 1:
        raise ValueError(f"an overlap must be above 0 and at most 1, got {overlap}")
    if not (wanted := sum(map(len, truth))):
        return math.nan
    ranked = sorted(
        ((float(score), video, row) for video, of_one in enumerate(scores) for row, score in enumerate(of_one)),
        key=lambda item: -item[0],
    )
    free = [np.ones(len(annotated), bool) for annotated in truth]
    right = np.zeros(len(ranked))
    for place, (_, video, row) in enumerate(ranked):
        shared = np.where(free[video], _overlaps(found[video][row], truth[video]), 0)
        if shared.size and shared.max() >= overlap:
            free[video][shared.argmax()], right[place] = False, 1
    precision = np.cumsum(right) / np.arange(1, len(ranked) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * right).sum() / wanted)


class MedianKappa(NamedTuple):
    """Kappa of each recording and their median.

    Attributes:
        median: over the recordings where it is defined; NaN if there are none.
        recordings: `[recording]`.
        undefined: recordings whose clips are all of one class for both raters; left out of the median.
    """

    median: float
    recordings: Float[np.ndarray, " recording"]
    undefined: int


def median_kappa(first: Sequence[ArrayLike], second: Sequence[ArrayLike]) -> MedianKappa:
    """Kappa over the clips of each recording, then the median over the recordings.

    Overlapping clips are not independent: no interval is given.

    Args:
        first: for each recording the classes of its clips by one rater.
        second: the same by the other.

    Raises:
        ValueError: as `kappa`, or another number of recordings.

    Source: Gao, Yao, Tian et al. 2023.
    """
    values = np.array([kappa(a, b) for a, b in zip(first, second, strict=True)])
    undefined = int(np.isnan(values).sum())
    return MedianKappa(float(np.nanmedian(values)) if undefined < len(values) else math.nan, values, undefined)


def _overlaps(one: Float[np.ndarray, "2"], others: Float[np.ndarray, "interval 2"]) -> Float[np.ndarray, " interval"]:
    """Intersection over union."""
    others = np.asarray(others, np.float64).reshape(-1, 2)
    both = (np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0])).clip(min=0)
    either = one[1] - one[0] + others[:, 1] - others[:, 0] - both
    return np.divide(both, either, out=np.zeros(len(others)), where=either > 0)


def _clips(probabilities: ArrayLike, starts: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    p, at = np.asarray(probabilities, np.float64), np.asarray(starts)
    if p.shape != at.shape or p.ndim != 1:
        raise ValueError(f"every clip needs a start, got {p.shape} and {at.shape}")
    return p, at
