"""Multivariate empirical mode decomposition: modes of several tracks at once, which line up in frequency across them.

Source: Rehman and Mandic 2010. Published: the tracks are projected on directions that cover a sphere; the extrema of
each projection give an envelope of all tracks by cubic splines; the mean of the envelopes is taken away again and
again until it is small. The rule that ends this is that of Rilling et al. 2003, with its published numbers. Our choice:
directions from a Halton sequence through the normal distribution, in place of angles from a Hammersley sequence;
maxima and minima of half as many directions, which is the same as maxima of opposite ones; extrema are mirrored at the
ends. In float64.
"""

import numpy as np
from jaxtyping import Float

DIRECTIONS = 32
"""Number of directions, each with both extrema."""
SMALL, LARGE, TOLERANCE = 0.075, 0.75, 0.075
"""A mode is done if its mean is below `SMALL` of its amplitude, but for `TOLERANCE` of the time, and below `LARGE`."""
MOST_SIFTINGS = 50
_MIRRORED = 3
"""Number of extrema that are mirrored at each end."""

Tracks = Float[np.ndarray, "time track"]


def decompose(tracks: Tracks, modes: int, directions: int = DIRECTIONS) -> Float[np.ndarray, "mode time track"]:
    """Modes from the fastest on, and the residual as the last row; they sum to the tracks.

    Args:
        tracks: no NaN.
        modes: largest number of modes; modes that do not exist are 0.
        directions: of the projections.
    """
    found = np.zeros((modes + 1, *tracks.shape))
    sphere, rest = _directions(tracks.shape[1], directions), tracks.astype(np.float64)
    for number in range(modes):
        mode = _sift(rest, sphere)
        if mode is None:
            break
        found[number], rest = mode, rest - mode
    found[-1] = rest
    return found


def _directions(tracks: int, count: int) -> Float[np.ndarray, "direction track"]:
    """Unit vectors that cover the sphere evenly; the same in every call."""
    from scipy.stats import norm, qmc

    # The first point of the sequence is 0, which the normal distribution sends to infinity.
    points = norm.ppf(qmc.Halton(tracks, scramble=False).random(count + 1)[1:])
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points[length[:, 0] > 0] / length[length[:, 0] > 0]


def _sift(rest: Tracks, sphere: np.ndarray) -> Tracks | None:
    """The fastest mode of what is left; None where no projection has enough extrema."""
    mode = rest
    for _ in range(MOST_SIFTINGS):
        envelopes = _mean_envelope(mode, sphere)
        if envelopes is None:
            return None if mode is rest else mode
        mean, amplitude = envelopes
        ratio = np.linalg.norm(mean, axis=1) / np.maximum(amplitude, np.finfo(float).tiny)
        if (ratio > SMALL).mean() <= TOLERANCE and not (ratio > LARGE).any():
            return mode
        mode = mode - mean
    return mode


def _mean_envelope(mode: Tracks, sphere: np.ndarray) -> tuple[Tracks, Float[np.ndarray, " time"]] | None:
    """Mean over the directions of the middle between both envelopes, and of half of their distance."""
    from scipy.interpolate import CubicSpline

    time, total, amplitude, count = np.arange(len(mode)), np.zeros_like(mode), np.zeros(len(mode)), 0
    for direction in sphere:
        projection = mode @ direction
        places = [_extrema(sign * projection) for sign in (1, -1)]
        if min(map(len, places)) < 2:
            continue
        upper, lower = (CubicSpline(*_mirrored(place, mode))(time) for place in places)
        total += (upper + lower) / 2
        amplitude += np.linalg.norm(upper - lower, axis=1) / 2
        count += 1
    return (total / count, amplitude / count) if count else None


def _extrema(series: Float[np.ndarray, " time"]) -> np.ndarray:
    """Inner maxima; of a flat top its middle."""
    from scipy.signal import find_peaks

    return find_peaks(series)[0]


def _mirrored(place: np.ndarray, mode: Tracks) -> tuple[np.ndarray, np.ndarray]:
    """Times and values of extrema, continued beyond both ends."""
    first, last = place[:_MIRRORED][::-1], place[-_MIRRORED:][::-1]
    times = np.concatenate([-first, place, 2 * (len(mode) - 1) - last])
    return times, mode[np.concatenate([first, place, last])]
