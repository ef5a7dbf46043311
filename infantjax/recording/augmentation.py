"""Augmentation for training: rotation, scaling and translation of windows; warps of clips.

Pure JAX. All frames and joints of a window of positions, `[..., time, joint, 2]`, share one transformation. Warps take
series, `[..., time, channel]`, and change their magnitude or their pace by a smooth curve over time. NaN stays NaN.
"""

import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from infantjax.recording.augmentation_config import Augmentation
from infantjax.recording.windows import AnyArray


class AffineParams(NamedTuple):
    """A rotation, scaling and translation for each window; all fields have the leading axes of the windows as shape.

    Attributes:
        angle: degrees; positive is clockwise when y points up, the sign of the reference implementation.
        scale: factor.
        dx: shift along x, standardized units.
        dy: shift along y.
    """

    angle: Float[Array, "*batch"]
    scale: Float[Array, "*batch"]
    dx: Float[Array, "*batch"]
    dy: Float[Array, "*batch"]


def sample_from_bits(bits: UInt32[AnyArray, "*batch 4"], augmentation: Augmentation) -> AffineParams:
    """Map random bits to a transformation for each window.

    XLA compiles a random generator to about a hundred small kernels for every output shape, which takes a second.
    A caller that needs other random numbers too generates all bits at once and passes a part of them here.

    Args:
        bits: uniform 32-bit numbers. Each of n equally likely values has a bias of at most n / 2**32.
        augmentation: the ranges.

    Returns:
        float32 angle, scale, dx, dy, each of shape `[*batch]`.
    """
    middles, limits, steps_per_unit = zip(
        (0, augmentation.rotation_degrees, 1),
        (1, augmentation.scale, 100),
        (0, augmentation.translation, 100),
        (0, augmentation.translation, 100),
    )
    if not augmentation.discrete:
        share = (bits >> 8).astype(jnp.float32) * np.float32(2**-24)  # all 24 bits of a float32, below 1
        params: Any = (m + n * (2 * share[..., i] - 1) for i, (m, n) in enumerate(zip(middles, limits)))
        return AffineParams(*params)
    # A table holds the float32 nearest to each decimal; a compiled division does not always give it.
    steps = [round(limit * per_unit) for limit, per_unit in zip(limits, steps_per_unit)]
    row = bits % np.array([2 * n + 1 for n in steps], np.uint32)
    grids = [
        np.arange(middle * per_unit - n, middle * per_unit + n + 1) / per_unit
        for middle, n, per_unit in zip(middles, steps, steps_per_unit)
    ]
    return AffineParams(*(jnp.asarray(grid, jnp.float32)[row[..., i]] for i, grid in enumerate(grids)))


def apply(
    positions: Float[AnyArray, "*batch time joint 2"], params: AffineParams
) -> Float[Array, "*batch time joint 2"]:
    """Rotate each window about the origin, scale it, then translate it.

    Args:
        positions: `[..., time, joint, 2]` standardized positions.
        params: one transformation a window; shapes broadcast against the leading axes of the positions.

    Returns:
        Same shape and dtype; `(x cos - y sin, x sin + y cos) * scale + (dx, dy)` with the angle `-angle` degrees.
    """
    positions = jnp.asarray(positions)
    angle, scale, dx, dy = (jnp.asarray(v, positions.dtype)[..., None, None] for v in params)
    turn = -angle * (math.pi / 180)
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    x, y = positions[..., 0], positions[..., 1]
    return jnp.stack([(x * cosine - y * sine) * scale + dx, (x * sine + y * cosine) * scale + dy], axis=-1)


# --- warps of a clip's series ----------------------------------------------------------------------------------------


def smooth_curves(
    key: PRNGKeyArray, count: int, frames: int = 128, inner: tuple[int, int] = (3, 14), sigma: float = 1.0
) -> Float[Array, "curve time"]:
    """Sample smooth curves: cubic splines through a few normal numbers.

    Each curve has `k + 2` knots, equally spaced from the first frame to the last, with k uniform within `inner`. The
    values at the knots are normal with mean 1. The spline (not-a-knot) is linear in these values, so that the host
    computes one matrix for each k.

    Args:
        key: a JAX key.
        count: number of curves.
        frames: frames of each curve.
        inner: lowest and highest number of inner knots.
        sigma: standard deviation of the values.

    Source: Baby Moves (Passmore et al.), the reference implementation; the paper has up to 15 knots.
    """
    matrices = jnp.asarray(_spline_matrices(frames, *inner), jnp.float32)
    kinds, values = jax.random.split(key)
    kind = jax.random.randint(kinds, (count,), 0, len(matrices))
    knots = 1 + sigma * jax.random.normal(values, (count, matrices.shape[-1]))

    # In batches: one matrix for each of ten thousand curves would take 80 MB.
    return jax.lax.map(lambda one: matrices[one[0]] @ one[1], (kind, knots), batch_size=256)


@lru_cache(maxsize=8)
def _spline_matrices(frames: int, fewest: int, most: int) -> Float[np.ndarray, "kind time knot"]:
    """For each number of inner knots the linear map from knot values to frames, padded with zeros."""
    from scipy.interpolate import CubicSpline

    matrices = np.zeros((most - fewest + 1, frames, most + 2))
    for matrix, inner in zip(matrices, range(fewest, most + 1)):
        knots = inner + 2
        spline = CubicSpline(np.linspace(0, frames - 1, knots), np.eye(knots))
        matrix[:, :knots] = spline(np.arange(frames))
    return matrices


def magnitude_warp(
    series: Float[AnyArray, "*batch time channel"], curve: Float[AnyArray, "*batch time"]
) -> Float[Array, "*batch time channel"]:
    """Scale all channels of each frame by `exp((c - mean(c)) / (max(c) - min(c)))`.

    Args:
        series: `[..., time, channel]`; NaN stays NaN.
        curve: `[..., time]`, not constant.

    Source: Baby Moves (Passmore et al.), the reference implementation; the paper multiplies by a curve of mean 1.
    """
    centered = curve - curve.mean(axis=-1, keepdims=True)
    spread = curve.max(axis=-1, keepdims=True) - curve.min(axis=-1, keepdims=True)
    return jnp.asarray(series) * jnp.exp(centered / spread)[..., None]


def time_warp(
    series: Float[AnyArray, "*batch time channel"], curve: Float[AnyArray, "*batch time"]
) -> Float[Array, "*batch time channel"]:
    """Speed a clip up and down: the time step after each frame is the curve minus its minimum.

    The warped times begin with the first step and end at the last frame. Linear interpolation resamples the clip at
    whole frames; frames before the first time get the first value, the last frame keeps its value.

    Args:
        series: `[..., time, channel]`; NaN spreads to the frames between.
        curve: `[..., time]`, not constant.

    Source: Baby Moves (Passmore et al.), the reference implementation.
    """
    frames = series.shape[-2]
    times = jnp.cumsum(curve - curve.min(axis=-1, keepdims=True), axis=-1)
    times = times / times[..., -1:] * (frames - 1)
    read = jnp.vectorize(partial(jnp.interp, jnp.arange(frames, dtype=series.dtype)), signature="(t),(t)->(t)")
    warped = read(times[..., None, :], rearrange(series, "... time channel -> ... channel time"))
    # Where the minimum is last, the last two times are equal, and interpolation may take the value of either.
    warped = rearrange(warped, "... channel time -> ... time channel")
    return warped.at[..., -1, :].set(series[..., -1, :])
