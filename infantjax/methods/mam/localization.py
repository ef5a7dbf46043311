"""From the clips of a video to where its fidgety movements are, and how much of it they fill.

Everything runs on the host in float64.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.evaluation.intervals import TAILS


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
    """
    p, at = np.asarray(probabilities, np.float64), np.asarray(starts)
    found: list[list[float]] = []
    for start in at[p > threshold]:
        if found and start <= found[-1][1]:
            found[-1][1] = start + clip
        else:
            found.append([start, start + clip])
    return np.array(found, np.float64).reshape(-1, 2) / fps


def frequency(
    probabilities: ArrayLike, starts: ArrayLike, clip: int, threshold: float = 0.5
) -> tuple[float, float, float]:
    """The FMs frequency: the share of a video's clips that are fidgety.

    The interval is our choice, none is published. It is Clopper-Pearson's for as many independent clips as fit into the
    video side by side: clips that overlap say little new. It tells how far a longer video of the same kind might
    differ, and nothing of wrong clips.

    Args:
        probabilities: `[clip]` of fidgety movements.
        starts: `[clip]` first frames, ascending.
        clip: frames of a clip.
        threshold: a clip above it is fidgety.

    Returns:
        The share, and the ends of its interval.

    Source: Gao, Yao, Tian et al. 2023 (MAM), "quantitative GMA".
    """
    from scipy import stats

    p, at = np.asarray(probabilities, np.float64), np.asarray(starts)
    share, independent = float((p > threshold).mean()), (np.minimum(np.diff(at), clip).sum() + clip) / clip
    some, others = share * independent, (1 - share) * independent
    low = stats.beta.ppf(TAILS[0], some, others + 1) if some > 0 else 0.0
    high = stats.beta.ppf(TAILS[1], some + 1, others) if others > 0 else 1.0
    return share, float(low), float(high)
