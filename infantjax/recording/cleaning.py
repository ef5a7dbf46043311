"""Cleaning of keypoint series on the host: gaps, outliers, frame rate, smoothing.

Each function takes `[time, ...]` float64 and returns a new array; it processes each series along time on its own. Each
docstring states the effect of NaN. After `fill_gaps` only joints that were never seen are NaN.
"""

import math
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from infantjax.settings import require_one_of

Series = Float[np.ndarray, "time *series"]
Filter = Literal["median5", "butterworth"]


def fill_gaps(keypoints: Float[np.ndarray, "time joint coordinate"]) -> Float[np.ndarray, "time joint coordinate"]:
    """Interpolate missing points: linearly inside the recording, with the nearest seen point at its ends.

    Args:
        keypoints: `[time, joint, 2|3]`; a point is missing if any of its coordinates is NaN.

    Returns:
        Same shape, float64; a joint that was never seen stays NaN, all others have no NaN.
    """
    filled = np.array(keypoints, dtype=np.float64)
    missing = np.asarray(np.isnan(filled).any(axis=-1))
    frames = np.arange(len(filled))
    for joint in np.flatnonzero(missing.any(axis=0)):
        gap = missing[:, joint]
        if gap.all():
            filled[:, joint] = np.nan
            continue
        for series in filled[:, joint].T:
            series[gap] = np.interp(frames[gap], frames[~gap], series[~gap])
    return filled


def longest_gap(missing: Bool[np.ndarray, "time joint"]) -> tuple[int, int]:
    """Find the longest run of missing frames of any joint that is seen at least once.

    Args:
        missing: `[time, joint]`, True where the point is missing.

    Returns:
        (frames, joint): the length of the run, 0 if there is none, and the index of the joint.
    """
    longest = (0, 0)
    for joint in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        edges = np.flatnonzero(np.diff(missing[:, joint], prepend=False, append=False))
        longest = max(longest, (int((edges[1::2] - edges[::2]).max()), int(joint)))
    return longest


def resample(series: Series, fps: float, new_fps: float) -> Float[np.ndarray, " new_time *series"]:
    """Resample to another frame rate by linear interpolation, as in the reference implementation.

    The sampling positions are 0, q, 2q, ... below the number of frames, with q = fps / new_fps; positions beyond the
    last frame take its value. No low-pass filter precedes a reduction.

    Args:
        series: `[time, ...]`, at least one frame; NaN where a neighbor that the new sample needs is NaN.
        fps: frame rate of the series, hertz.
        new_fps: new frame rate, hertz.

    Returns:
        `[time', ...]` with time' = time * new_fps / fps, rounded up.

    Raises:
        ValueError: a frame rate is not a number above 0, or there is no frame.
    """
    for rate in (fps, new_fps):
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"a frame rate must be a number above 0, got {rate}")
    series = np.asarray(series, dtype=np.float64)
    frames = len(series)
    if frames == 0:
        raise ValueError("cannot resample a recording without frames")
    if fps == new_fps:
        return series.copy()
    # The margin keeps rounding errors of the quotient from adding a frame: 1000 frames at 25 Hz are 1200 at 30 Hz.
    position = np.arange(math.ceil(frames * new_fps / fps - 1e-9)) * (fps / new_fps)
    before = np.minimum(position.astype(np.int64), frames - 1)
    after = np.minimum(before + 1, frames - 1)
    weight = np.where(after > before, position - before, 0.0).reshape(-1, *[1] * (series.ndim - 1))
    blended = series[before] + weight * (series[after] - series[before])
    return np.where(weight == 0, series[before], blended)


def median_filter(series: Series) -> Series:
    """Running median over five frames; at the ends the first and the last value are repeated.

    Args:
        series: `[time, ...]`; NaN wherever a value inside the width is NaN.

    Returns:
        Same shape, float64.

    Source: Groos et al., Paper III: 5 frames per coordinate series; the ends are not stated.
    """
    series = np.asarray(series, dtype=np.float64)
    if len(series) == 0:
        return series.copy()
    padded = np.pad(series, [(2, 2)] + [(0, 0)] * (series.ndim - 1), mode="edge")
    stacked = np.stack([padded[i : i + len(series)] for i in range(5)])
    stacked.partition(2, axis=0)
    # A partition sorts NaN to the end; a sum of NaN shows that there was one.
    return np.where(np.isnan(stacked.sum(axis=0)), np.nan, stacked[2])


def butterworth(series: Series) -> Series:
    """Butterworth low-pass without phase shift, forwards and backwards over time, as in the reference implementation.

    Of order 8 (twice that in effect, as it runs twice), with a cutoff of half of half the frame rate: 7.5 Hz at 30 Hz.
    SciPy's `sosfiltfilt` with its default padding: odd reflection at both ends, of 27 samples at order 8.

    Args:
        series: `[time, ...]`; a series that is all NaN stays so.

    Returns:
        Same shape, float64.

    Raises:
        ValueError: too few frames, or a series with some NaN (fill gaps first: one NaN would become all NaN).

    Source: the reference implementation of movement outcome; the paper has a median filter instead.
    """
    from scipy.signal import butter, sosfiltfilt

    series = np.asarray(series, dtype=np.float64)
    missing = np.isnan(series)
    seen = ~missing.all(axis=0)
    if (missing.any(axis=0) & seen).any():
        raise ValueError("a series with gaps cannot be filtered: fill the gaps first")
    padding = 27
    if len(series) <= padding:
        raise ValueError(
            f"{len(series)} frames are too few for a Butterworth filter of order 8, which needs {padding + 1}"
        )
    filtered = np.full_like(series, np.nan)
    filtered[:, seen] = sosfiltfilt(butter(8, 0.5, output="sos"), series[:, seen], axis=0)
    return filtered


def smooth(
    keypoints: Float[np.ndarray, "time joint coordinate"], kind: Filter
) -> Float[np.ndarray, "time joint coordinate"]:
    """Filter keypoints over time and keep gaps: they are filled for the filter (`fill_gaps`) and reopened after it.

    Args:
        keypoints: `[time, joint, 2|3]`; NaN is missing.
        kind: `median5`, five frames, or `butterworth`, order 8 at a quarter of the frame rate.

    Returns:
        Same shape, float64, NaN exactly where the keypoints have one.

    Raises:
        ValueError: unknown filter, or too few frames for it.
    """
    require_one_of("filter", kind, get_args(Filter))
    filled = fill_gaps(keypoints)
    smoothed = median_filter(filled) if kind == "median5" else butterworth(filled)
    return np.where(np.isnan(keypoints).any(axis=-1, keepdims=True), np.nan, smoothed)
