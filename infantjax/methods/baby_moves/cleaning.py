"""Cleaning of the keypoints of phone videos: gaps, smoothing, imputation, number of frames, outliers.

Each function takes `[time, ...]` float64 and returns a new array; NaN is missing.
"""

import warnings
from typing import TYPE_CHECKING

import numpy as np
from einops import rearrange
from jaxtyping import Float

if TYPE_CHECKING:
    from pandas import DataFrame

Series = Float[np.ndarray, "time *series"]


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
    return _columns(series).interpolate(limit=limit).to_numpy().reshape(series.shape)


def fill_short_gaps(series: Series, limit: int = 5) -> Series:
    """Interpolate gaps of at most `limit` frames between two values linearly; other gaps stay.

    Args:
        series: `[time, ...]`; NaN is missing.
        limit: frames.

    Returns:
        Same shape, float64.
    """
    columns = _columns(series)
    lengths = columns.apply(lambda column: column.isna().groupby(column.notna().cumsum()).transform("sum"))
    filled = columns.interpolate(limit_area="inside").where(lengths <= limit, columns)
    return filled.to_numpy().reshape(series.shape)


def blackman_mean(series: Series, width: int, min_count: int = 5) -> Series:
    """Running mean with Blackman weights over the values that are present.

    An even width reaches one frame further back than forwards. Frames that are missing or beyond the ends are left out.

    Args:
        series: `[time, ...]`; NaN is missing.
        width: frames.
        min_count: lowest number of present values.

    Returns:
        Same shape, float64; NaN where fewer values are present, so that a gap may shrink or grow.
    """
    windows = _columns(series).rolling(width, win_type="blackman", center=True, min_periods=min(min_count, width))
    return windows.mean().to_numpy().reshape(series.shape)


def _columns(series: Series) -> "DataFrame":
    """A table `[time, series]`."""
    from pandas import DataFrame

    return DataFrame(rearrange(np.asarray(series, dtype=np.float64), "time ... -> time (...)"))


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
