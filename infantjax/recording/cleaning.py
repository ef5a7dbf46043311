"""Cleaning of keypoint series on the host: gaps, outliers, frame rate, smoothing.

Each function takes `[time, ...]` float64 and returns a new array; it processes each series along time on its own. Each
docstring states the effect of NaN. After `fill_gaps` only joints that were never seen are NaN.
"""

import math
import warnings
from typing import Literal, get_args

import numpy as np
from einops import rearrange
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


def median_filter(series: Series, width: int = 5) -> Series:
    """Running median over time; at the ends the first and the last value are repeated.

    Args:
        series: `[time, ...]`; NaN wherever a value inside the width is NaN.
        width: frames, odd.

    Returns:
        Same shape, float64.

    Raises:
        ValueError: an even width, or below 1.

    Source: Groos et al., Paper III: 5 frames per coordinate series; the ends are not stated.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"the width of a median filter must be odd and at least 1 frame, got {width}")
    series = np.asarray(series, dtype=np.float64)
    if len(series) == 0:
        return series.copy()
    half = width // 2
    padded = np.pad(series, [(half, half)] + [(0, 0)] * (series.ndim - 1), mode="edge")
    stacked = np.stack([padded[i : i + len(series)] for i in range(width)])
    stacked.partition(half, axis=0)
    # A partition sorts NaN to the end; a sum of NaN shows that there was one.
    return np.where(np.isnan(stacked.sum(axis=0)), np.nan, stacked[half])


def butterworth(series: Series, order: int = 8, cutoff: float = 0.5) -> Series:
    """Butterworth low-pass without phase shift, forwards and backwards over time, as in the reference implementation.

    SciPy's `sosfiltfilt` with its default padding: odd reflection at both ends, of 27 samples at order 8.

    Args:
        series: `[time, ...]`; a series that is all NaN stays so.
        order: of the filter (twice that in effect, as it runs twice).
        cutoff: as a share of half the frame rate, between 0 and 1: 0.5 is 7.5 Hz at 30 Hz.

    Returns:
        Same shape, float64.

    Raises:
        ValueError: too few frames, a series with some NaN (fill gaps first: one NaN would become all NaN), a cutoff
            outside 0..1, or an order below 1.

    Source: the reference implementation of movement outcome; the paper has a median filter instead.
    """
    from scipy.signal import butter, sosfiltfilt

    if not 0 < cutoff < 1:
        raise ValueError(f"the cutoff must lie between 0 and 1 times half the frame rate, got {cutoff}")
    if order < 1:
        raise ValueError(f"the order of a filter must be at least 1, got {order}")
    series = np.asarray(series, dtype=np.float64)
    missing = np.isnan(series)
    seen = ~missing.all(axis=0)
    if (missing.any(axis=0) & seen).any():
        raise ValueError("a series with gaps cannot be filtered: fill the gaps first")
    padding = 3 * (order + 1)
    if len(series) <= padding:
        raise ValueError(
            f"{len(series)} frames are too few for a Butterworth filter of order {order}, which needs {padding + 1}"
        )
    filtered = np.full_like(series, np.nan)
    filtered[:, seen] = sosfiltfilt(butter(order, cutoff, output="sos"), series[:, seen], axis=0)
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


def interpolate_forwards(series: Series, limit: int = 5) -> Series:
    """Interpolate at most the first `limit` frames of every gap linearly.

    The remaining frames of a longer gap stay missing. After the last value, the value is repeated for at most `limit`
    frames. A gap at the beginning stays.

    Args:
        series: `[time, ...]`; NaN is missing.
        limit: frames.

    Returns:
        Same shape, float64.

    Source: Baby Moves (Passmore et al.), reference implementation; the paper leaves long gaps as they are.
    """
    series = np.asarray(series, dtype=np.float64)
    frames = np.arange(len(series)).reshape(-1, *[1] * (series.ndim - 1))
    seen = ~np.isnan(series)
    last = np.maximum.accumulate(np.where(seen, frames, -1))
    fill = ~seen & (last >= 0) & (frames - last <= limit)
    return np.where(fill, _interpolated(series), series)


def fill_short_gaps(series: Series, limit: int = 5) -> Series:
    """Interpolate gaps of at most `limit` frames between two values linearly; other gaps stay.

    Args:
        series: `[time, ...]`; NaN is missing.
        limit: frames.

    Returns:
        Same shape, float64.
    """
    series = np.asarray(series, dtype=np.float64)
    frames = np.arange(len(series)).reshape(-1, *[1] * (series.ndim - 1))
    seen = ~np.isnan(series)
    last = np.maximum.accumulate(np.where(seen, frames, -1))
    following = np.minimum.accumulate(np.where(seen, frames, len(series))[::-1])[::-1]
    fill = ~seen & (last >= 0) & (following < len(series)) & (following - last - 1 <= limit)
    return np.where(fill, _interpolated(series), series)


def _interpolated(series: Series) -> Series:
    """Interpolate all gaps linearly, with the nearest value at the ends; a series without values stays NaN."""
    filled = rearrange(series, "time ... -> time (...)").copy()
    frames = np.arange(len(filled))
    for column in filled.T:
        seen = ~np.isnan(column)
        if seen.any():
            column[~seen] = np.interp(frames[~seen], frames[seen], column[seen])
    return filled.reshape(series.shape)


def weighted_mean(series: Series, weights: Float[np.ndarray, " width"], min_count: int = 1) -> Series:
    """Running weighted mean over the values that are present.

    The mean of frame i covers the frames from `i - (width - 1) + (width - 1) // 2` to `i + (width - 1) // 2`: an even
    width reaches one frame further back. Frames that are missing or beyond the ends are left out of both sums.

    Args:
        series: `[time, ...]`; NaN is missing.
        weights: of the frames, from the first to the last.
        min_count: lowest number of present values.

    Returns:
        Same shape, float64; NaN where fewer values are present, so that a gap may shrink or grow.

    Raises:
        ValueError: no weights.
    """
    if not len(weights):
        raise ValueError("a mean needs at least one weight")
    series = np.asarray(series, dtype=np.float64)
    columns = rearrange(series, "time ... -> time (...)")
    seen = ~np.isnan(columns)
    first = (len(weights) - 1) // 2

    def sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.array([np.convolve(v, weights[::-1])[first : first + len(v)] for v in values.T]).T

    present = np.rint(sums(seen.astype(np.float64), np.ones(len(weights))))
    total = sums(seen.astype(np.float64), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums(np.where(seen, columns, 0), weights) / total
    return np.where(present >= min_count, mean, np.nan).reshape(series.shape)


def impute(series: Series, rounds: int = 30) -> Series:
    """Fill missing values by chained regressions: each series is predicted from all others.

    scikit-learn's `IterativeImputer` with its defaults: Bayesian ridge regressions, the series with fewest missing
    values first, starting from the means, until convergence or `rounds`. Takes minutes for a recording of 36 series
    with many missing values.

    Args:
        series: `[time, ...]`; NaN is missing.
        rounds: highest number of rounds.

    Returns:
        Same shape, float64; present values do not change. A series without values stays NaN and is no predictor.

    Raises:
    Source: van Buuren and Oudshoorn 2007, as used by Baby Moves (Passmore et al.).
    """
    series = np.array(series, dtype=np.float64)
    columns = rearrange(series, "time ... -> time (...)")
    seen = ~np.isnan(columns)
    known = seen.any(axis=0)
    if seen[:, known].all():
        return series
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer
    from threadpoolctl import threadpool_limits

    # Threads slow down many small regressions.
    with warnings.catch_warnings(), threadpool_limits(1):
        # The number of rounds is part of the method, so that a lack of convergence is no warning.
        warnings.simplefilter("ignore", ConvergenceWarning)
        columns[:, known] = IterativeImputer(max_iter=rounds, random_state=0).fit_transform(columns[:, known])
    return columns.reshape(series.shape)


def stretch(series: Series, frames: int) -> Float[np.ndarray, " new_time *series"]:
    """Resample to another number of frames by a cubic spline (not-a-knot); first and last frame stay.

    Args:
        series: `[time, ...]`, at least four frames; a series with a NaN becomes NaN.
        frames: new number of frames.

    Returns:
        `[frames, ...]`, float64.

    Raises:
        ValueError: fewer than four frames, or `frames` below 1.
    """
    from scipy.interpolate import CubicSpline

    series = np.asarray(series, dtype=np.float64)
    if len(series) < 4 or frames < 1:
        raise ValueError(f"a cubic spline needs at least 4 frames, got {len(series)}; asked for {frames}")
    columns = rearrange(series, "time ... -> time (...)")
    seen = ~np.isnan(columns).any(axis=0)
    stretched = np.full((frames, columns.shape[1]), np.nan)
    positions = np.linspace(0, len(series) - 1, frames)
    stretched[:, seen] = CubicSpline(np.arange(len(series)), columns[:, seen])(positions)
    return stretched.reshape(frames, *series.shape[1:])


def remove_outside(
    keypoints: Float[np.ndarray, "time joint 2"],
    center: Float[np.ndarray, "..."],
    semi_axes: tuple[float, float],
) -> Float[np.ndarray, "time joint 2"]:
    """Set points outside of an ellipse to NaN.

    Args:
        keypoints: `[time, joint, 2]`; NaN is missing.
        center: center of the ellipse; broadcasts to the keypoints. No point is removed where it is NaN.
        semi_axes: along x and along y.

    Returns:
        Same shape, float64.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    outside = np.square((keypoints - center) / np.asarray(semi_axes)).sum(axis=-1) > 1
    return np.where(outside[..., None], np.nan, keypoints)
