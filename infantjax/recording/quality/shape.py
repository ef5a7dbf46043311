"""Measures of the body's shape in each frame: bones, trunk, limbs that lie on each other.

Limb lengths that change are a usual sign of wrong keypoints, in pose estimation with bone-length constraints as in the
check of tracked recordings. Seen by one camera a bone only ever looks shorter than it is, so that lengths beyond those
that it commonly reaches are judged.
"""

import numpy as np

from infantjax.recording.quality.body import Body


def excess_length(body: Body) -> np.ndarray:
    """`[time]` the longest bone relative to the length that it commonly reaches on either side; NaN without bones."""
    ratios = [np.full(body.recording.frames, np.nan)]
    for length in body.lengths.values():
        reference = _percentile(length, 90)
        if reference > 0:
            ratios.append(np.fmax(length[:, 0], length[:, 1]) / reference)
    return np.fmax.reduce(ratios)


def asymmetry(body: Body) -> float:
    """Largest ratio between the lengths that a bone commonly reaches on one side and on the other."""
    worst = 1.0
    for length in body.lengths.values():
        right, left = _percentile(length[:, 0], 95), _percentile(length[:, 1], 95)
        if right > 0 and left > 0:
            worst = max(worst, right / left, left / right)
    return worst


def longest_bone(body: Body) -> float:
    """The length that the longest bone commonly reaches, trunk lengths; 0 without bones."""
    return max((_percentile(length, 95) for length in body.lengths.values()), default=0.0)


def trunk_change(body: Body) -> np.ndarray:
    """`[time]` the trunk's length relative to its median, or the inverse where it is shorter."""
    ratio = np.linalg.norm(body.trunk, axis=1) / body.unit
    with np.errstate(divide="ignore"):
        return np.fmax(ratio, 1 / ratio)


def limbs_on_each_other(body: Body, distance: float) -> np.ndarray:
    """`[time]` bool: the two outer joints of both arms or of both legs lie on each other."""
    together = np.zeros(body.recording.frames, dtype=bool)
    for outer, inner in (("wrist", "elbow"), ("hand", "elbow"), ("ankle", "knee"), ("foot", "knee"), ("heel", "knee")):
        if outer in body.limbs and inner in body.limbs:
            both = (np.diff(body.pair(part), axis=1) for part in (outer, inner))
            together |= np.maximum(*(np.linalg.norm(d[:, 0], axis=-1) for d in both)) < distance
    return together


def _percentile(values: np.ndarray, percent: float) -> float:
    known = values[np.isfinite(values)]
    return float(np.percentile(known, percent)) if known.size else 0.0
