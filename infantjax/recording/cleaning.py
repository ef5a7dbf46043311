"""Cleaning of keypoint series on the host: gaps, outliers, frame rate, smoothing.

Each function takes `[time, ...]` float64 and returns a new array; every series along time is treated on its own. What
a NaN does is said in each docstring: fill gaps first, and only joints that were never seen are NaN afterwards.
"""

import math
import warnings
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float

from infantjax.errors import MissingExtraError

Series = Float[np.ndarray, "time *series"]
Filter = Literal["median5", "butterworth"]


def fill_gaps(keypoints: Float[np.ndarray, "time joint coordinate"]) -> Float[np.ndarray, "time joint coordinate"]:
    """Missing points by interpolation: linear inside the recording, the nearest seen point at its ends.

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
    """The longest run of missing frames of any joint that is seen at least once.

    Args:
        missing: `[time, joint]`, True where the point is missing.

    Returns:
        (frames, joint): its length, 0 if there is none, and the index of the joint.
    """
    longest = (0, 0)
    for joint in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        edges = np.flatnonzero(np.diff(missing[:, joint], prepend=False, append=False))
        longest = max(longest, (int((edges[1::2] - edges[::2]).max()), int(joint)))
    return longest


def resample(series: Series, fps: float, new_fps: float) -> Series:
    """Another frame rate by linear interpolation, as released.

    The sampling positions are 0, q, 2q, ... below the number of frames, with q = fps / new_fps; positions beyond the
    last frame take its value. There is no low-pass filter before a reduction, as in the released program.

    Args:
        series: `[time, ...]`, at least one frame; NaN where a neighbor that the new sample needs is NaN.
        fps: frame rate of the series, hertz.
        new_fps: frame rate to have, hertz.

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
    # The count is rounded up from an exact quotient: 1000 frames at 25 Hz are 1200 at 30 Hz whatever the last bit of q.
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
    # A partition sorts NaN to the end: whether one was there is seen from the sum.
    return np.where(np.isnan(stacked.sum(axis=0)), np.nan, stacked[half])


def butterworth(series: Series, order: int = 8, cutoff: float = 0.5) -> Series:
    """Butterworth low-pass without phase shift, as released: forwards and backwards over time.

    With odd reflection at both ends, of 27 samples at order 8: what SciPy's `sosfiltfilt` does by default.

    Args:
        series: `[time, ...]`; a series that is all NaN stays so.
        order: of the filter (twice that in effect, as it runs twice).
        cutoff: as a share of half the frame rate, between 0 and 1: 0.5 is 7.5 Hz at 30 Hz.

    Returns:
        Same shape, float64.

    Raises:
        ValueError: too few frames, a series with some NaN (fill gaps first: one NaN would become all NaN), a cutoff
            outside 0..1, or an order below 1.

    Source: the released movement-outcome program; the paper has a median filter instead.
    """
    if not 0 < cutoff < 1:
        raise ValueError(f"the cutoff must lie between 0 and 1 times half the frame rate, got {cutoff}")
    if order < 1:
        raise ValueError(f"the order of a filter must be at least 1, got {order}")
    series = np.asarray(series, dtype=np.float64)
    missing = np.isnan(series)
    seen = ~missing.all(axis=0)
    if (missing.any(axis=0) & seen).any():
        raise ValueError("a series with gaps cannot be filtered: fill the gaps first")
    edge = 3 * (order + 1)
    if len(series) <= edge:
        raise ValueError(
            f"{len(series)} frames are too few for a Butterworth filter of order {order}, which needs {edge + 1}"
        )
    rows = series[:, seen].T
    before, after = 2 * rows[:, :1] - rows[:, edge:0:-1], 2 * rows[:, -1:] - rows[:, -2 : -edge - 2 : -1]
    once = np.concatenate([before, rows, after], axis=1)
    low_pass = _butterworth_cascade(order, cutoff)
    for _ in range(2):
        once = _run(low_pass, once)[:, ::-1]
    filtered = np.full_like(series, np.nan)
    filtered[:, seen] = once[:, edge:-edge].T
    return filtered


class _Linear(NamedTuple):
    """A filter of states: `state' = transition @ state + entry * x`, `y = reading @ state + direct * x`."""

    transition: Float[np.ndarray, "state state"]
    entry: Float[np.ndarray, " state"]
    reading: Float[np.ndarray, " state"]
    direct: float

    def then(self, following: "_Linear") -> "_Linear":
        """This filter followed by another one."""
        crossed = np.outer(following.entry, self.reading)
        above = np.zeros((len(self.entry), len(following.entry)))
        return _Linear(
            np.block([[self.transition, above], [crossed, following.transition]]),
            np.concatenate([self.entry, following.entry * self.direct]),
            np.concatenate([following.direct * self.reading, following.reading]),
            following.direct * self.direct,
        )


def _butterworth_cascade(order: int, cutoff: float) -> _Linear:
    """A digital Butterworth low-pass, by the bilinear transform: a section for each pair of poles, one for a real one.

    SciPy designs and runs the same filter, but `scipy.signal` takes longer to import than all else that an assessment
    needs.
    """
    corner = np.tan(np.pi * cutoff / 2)
    cascade = _Linear(np.zeros((0, 0)), np.zeros(0), np.zeros(0), 1.0)
    for i in range(1, order + 1, 2):
        analogue = corner * np.exp(0.5j * np.pi * (1 + i / order))
        pole, alone = (1 + analogue) / (1 - analogue), i == order
        a = np.array([-pole.real]) if alone else np.array([-2 * pole.real, abs(pole) ** 2])
        b = (1 + a.sum()) / 2 ** len(a) * np.array([1.0, 1.0] if alone else [1.0, 2.0, 1.0])
        transition = np.eye(len(a), k=1)
        transition[:, 0] -= a
        cascade = cascade.then(_Linear(transition, b[1:] - a * b[0], np.eye(len(a))[0], b[0]))
    return cascade


_BLOCK = 32


def _run(filtering: _Linear, rows: Float[np.ndarray, "series time"]) -> Float[np.ndarray, "series time"]:
    """Filter each row, from the state that its first value would have led to had it been there for ever.

    Block by block: within a block outputs are a product of its inputs and of the state at its beginning, so that Python
    steps over blocks and not over frames. Rows are multiplied one by one, which makes each independent of the others.
    """
    transition, entry, reading, direct = filtering
    powers = [np.eye(len(entry))]
    for _ in range(_BLOCK):
        powers.append(transition @ powers[-1])
    response = np.array([direct, *(reading @ power @ entry for power in powers[: _BLOCK - 1])])
    lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    within = np.where(lag >= 0, response[lag], 0)
    from_state = np.array([reading @ power for power in powers[:_BLOCK]])
    to_state = np.array([power @ entry for power in powers[:_BLOCK]][::-1]).T

    series, frames = rows.shape
    blocks = -(-frames // _BLOCK)
    inputs = np.zeros((series, blocks * _BLOCK))
    inputs[:, :frames] = rows
    inputs = inputs.reshape(series, blocks, _BLOCK).transpose(0, 2, 1)
    entering = np.matmul(to_state, inputs)
    states = np.empty((series, len(entry), blocks))
    state = np.linalg.solve(powers[0] - transition, entry) * rows[:, :1]
    for block in range(blocks):
        states[..., block] = state
        state = (powers[-1] * state[:, None, :]).sum(-1) + entering[..., block]
    outputs = np.matmul(within, inputs) + np.matmul(from_state, states)
    return outputs.transpose(0, 2, 1).reshape(series, -1)[:, :frames]


def smooth(
    keypoints: Float[np.ndarray, "time joint coordinate"], kind: Filter
) -> Float[np.ndarray, "time joint coordinate"]:
    """A filter over time that leaves gaps as gaps: they are filled for it (`fill_gaps`) and open again behind it.

    Args:
        keypoints: `[time, joint, 2|3]`; NaN is missing.
        kind: `median5`, five frames, or `butterworth`, order 8 at a quarter of the frame rate.

    Returns:
        Same shape, float64, NaN exactly where the keypoints have one.

    Raises:
        ValueError: unknown filter, or too few frames for it.
    """
    if kind not in get_args(Filter):
        raise ValueError(f"unknown filter {kind!r}; known: {', '.join(get_args(Filter))}")
    filled = fill_gaps(keypoints)
    smoothed = median_filter(filled) if kind == "median5" else butterworth(filled)
    return np.where(np.isnan(keypoints).any(axis=-1, keepdims=True), np.nan, smoothed)


def interpolate_forwards(series: Series, limit: int = 5) -> Series:
    """Linear interpolation of at most the first frames of every gap.

    A longer gap keeps its remaining frames missing. Behind the last value it is repeated, for at most `limit` frames
    too; a gap at the beginning stays.

    Args:
        series: `[time, ...]`; NaN is missing.
        limit: frames.

    Returns:
        Same shape, float64.

    Source: Baby Moves (Passmore et al.), the released program, which fills long gaps in part; the paper does not.
    """
    series = np.asarray(series, dtype=np.float64)
    frames = np.arange(len(series)).reshape(-1, *[1] * (series.ndim - 1))
    seen = ~np.isnan(series)
    last = np.maximum.accumulate(np.where(seen, frames, -1))
    fill = ~seen & (last >= 0) & (frames - last <= limit)
    return np.where(fill, _interpolated(series), series)


def fill_short_gaps(series: Series, limit: int = 5) -> Series:
    """Linear interpolation of the gaps of at most `limit` frames between two values; all others stay.

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
    """Every value by linear interpolation, the nearest one at the ends; a series without any stays missing."""
    filled = series.reshape(len(series), -1).copy()
    frames = np.arange(len(filled))
    for column in filled.T:
        seen = ~np.isnan(column)
        if seen.any():
            column[~seen] = np.interp(frames[~seen], frames[seen], column[seen])
    return filled.reshape(series.shape)


def weighted_mean(series: Series, weights: Float[np.ndarray, " width"], least: int = 1) -> Series:
    """Running weighted mean over the values that are there.

    The mean of frame i covers the frames from `i - (width - 1) + (width - 1) // 2` to `i + (width - 1) // 2`: an even
    width reaches one frame further back. Frames that are missing, or beyond the ends, count in neither sum.

    Args:
        series: `[time, ...]`; NaN is missing.
        weights: of the frames, from the first to the last.
        least: values that must be there.

    Returns:
        Same shape, float64; NaN where fewer values are there, so a gap may close or open.

    Raises:
        ValueError: no weights.
    """
    if not len(weights):
        raise ValueError("a mean needs at least one weight")
    series = np.asarray(series, dtype=np.float64)
    columns = series.reshape(len(series), -1)
    seen = ~np.isnan(columns)
    first = (len(weights) - 1) // 2

    def sums(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.array([np.convolve(v, weights[::-1])[first : first + len(v)] for v in values.T]).T

    present = np.rint(sums(seen.astype(np.float64), np.ones(len(weights))))
    total = sums(seen.astype(np.float64), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums(np.where(seen, columns, 0), weights) / total
    return np.where(present >= least, mean, np.nan).reshape(series.shape)


def impute(series: Series, rounds: int = 30) -> Series:
    """Fill what is missing from the other series, each in turn predicted from all others (chained regressions).

    scikit-learn's `IterativeImputer` with its defaults: Bayesian ridge regressions in the order of missing values,
    beginning from the means, until they change no more or `rounds` are done. Runs on the host; minutes for a recording
    of 36 series with much missing.

    Args:
        series: `[time, ...]`; NaN is missing.
        rounds: at most.

    Returns:
        Same shape, float64; present values as they were. A series without any value stays NaN and predicts nothing.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Source: van Buuren and Oudshoorn 2007, as used by Baby Moves (Passmore et al.).
    """
    series = np.array(series, dtype=np.float64)
    columns = series.reshape(len(series), -1)
    seen = ~np.isnan(columns)
    known = seen.any(axis=0)
    if seen[:, known].all():
        return series
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise MissingExtraError("scikit-learn", "analysis") from None
    # The regressions are many and small: threads only wait for each other.
    with warnings.catch_warnings(), threadpool_limits(1):
        # The number of rounds is part of the method, converged or not.
        warnings.simplefilter("ignore", ConvergenceWarning)
        columns[:, known] = IterativeImputer(max_iter=rounds, random_state=0).fit_transform(columns[:, known])
    return columns.reshape(series.shape)


def stretch(series: Series, frames: int) -> Series:
    """Another number of frames between the first and the last, by a cubic spline (not-a-knot).

    Args:
        series: `[time, ...]`, at least four frames; a series with a NaN becomes NaN.
        frames: number to have.

    Returns:
        `[frames, ...]`, float64.

    Raises:
        ValueError: fewer than four frames, or none to have.
    """
    from scipy.interpolate import CubicSpline

    series = np.asarray(series, dtype=np.float64)
    if len(series) < 4 or frames < 1:
        raise ValueError(f"a cubic spline needs at least 4 frames, got {len(series)}; asked for {frames}")
    columns = series.reshape(len(series), -1)
    seen = ~np.isnan(columns).any(axis=0)
    stretched = np.full((frames, columns.shape[1]), np.nan)
    positions = np.linspace(0, len(series) - 1, frames)
    stretched[:, seen] = CubicSpline(np.arange(len(series)), columns[:, seen])(positions)
    return stretched.reshape(frames, *series.shape[1:])


def remove_outside(
    keypoints: Float[np.ndarray, "time joint 2"],
    center: Float[np.ndarray, "time joint 2"],
    semi_axes: tuple[float, float],
) -> Float[np.ndarray, "time joint 2"]:
    """Points outside of an ellipse become missing.

    Args:
        keypoints: `[time, joint, 2]`; NaN is missing.
        center: of the ellipse; anything that broadcasts to the keypoints. Where it is NaN nothing is removed.
        semi_axes: along x and along y.

    Returns:
        Same shape, float64.
    """
    keypoints = np.asarray(keypoints, dtype=np.float64)
    outside = np.square((keypoints - center) / np.asarray(semi_axes)).sum(axis=-1) > 1
    return np.where(outside[..., None], np.nan, keypoints)
