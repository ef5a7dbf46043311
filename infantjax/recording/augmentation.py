"""Random views for training: rotation, scaling, translation, the mirror image; warps of a clip's size and pace.

Pure JAX. Of a window of positions, `[..., time, joint, 2]`, all frames and joints get one draw, and NaN stays NaN; the
warps take series, `[..., time, channel]`, and change them by a smooth curve over time.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from infantjax.skeletons import Skeleton


@dataclass(frozen=True)
class Augmentation:
    """How far a training window may be changed; the defaults are the released ones.

    Attributes:
        rotation_degrees: angles lie within plus or minus this, about the origin.
        scale: factors lie within 1 plus or minus this.
        translation: shifts of x and of y lie within plus or minus this, in standardized units (not scaled).
        discrete: draw from the released grids (whole degrees, hundredths), each value equally likely; else uniformly
            from the whole ranges.

    Raises:
        ValueError: a range is negative or not finite, a scale of 1 or more, or off the grid when discrete.

    Source: Groos et al., Paper III with supplement; the released movement-outcome program.
    """

    rotation_degrees: float = 45
    scale: float = 0.3
    translation: float = 0.3
    discrete: bool = True

    def __post_init__(self) -> None:
        for name, step in (("rotation_degrees", 1), ("scale", 0.01), ("translation", 0.01)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}")
            if self.discrete and not math.isclose(value / step, round(value / step), abs_tol=1e-9):
                raise ValueError(
                    f"{name} must be a multiple of {step} when discrete, got {value}; or set discrete=False"
                )
        if self.scale >= 1:
            raise ValueError(f"scale must be below 1, got {self.scale}: a factor of 1 - scale must stay above 0")


class AffineParams(NamedTuple):
    """What was drawn for each window; all of the same shape, the leading axes of the windows.

    Attributes:
        angle: degrees; counted as the released program counts, so a positive angle turns clockwise when y is up.
        scale: factor.
        dx: shift along x, standardized units.
        dy: shift along y.
    """

    angle: Float[Array, "*batch"]
    scale: Float[Array, "*batch"]
    dx: Float[Array, "*batch"]
    dy: Float[Array, "*batch"]


def sample_params(key: PRNGKeyArray, augmentation: Augmentation, shape: tuple[int, ...] = ()) -> AffineParams:
    """A random draw for one window, or for windows of the given leading axes.

    Args:
        key: a JAX key.
        augmentation: the ranges.
        shape: leading axes of the windows.

    Returns:
        float32 angle, scale, dx, dy, each of `shape`.
    """
    return sample_from_bits(jax.random.bits(key, (*shape, len(AffineParams._fields))), augmentation)


def sample_from_bits(bits: UInt32[Array, "*batch 4"], augmentation: Augmentation) -> AffineParams:
    """The draw that random bits stand for, see `sample_params`.

    A random generator is a hundred small kernels for every shape that it fills, which take a second to compile: whoever
    needs other numbers too draws the bits of all at once.

    Args:
        bits: uniform 32-bit numbers; of n equally likely values none gets more than n / 2**32 too much.
        augmentation: the ranges.
    """
    middles, limits, steps_per_unit = zip(
        (0, augmentation.rotation_degrees, 1),
        (1, augmentation.scale, 100),
        (0, augmentation.translation, 100),
        (0, augmentation.translation, 100),
    )
    if not augmentation.discrete:
        share = (bits >> 8).astype(jnp.float32) * np.float32(2**-24)  # all 24 bits of a float32, below 1
        return AffineParams(*(m + n * (2 * share[..., i] - 1) for i, (m, n) in enumerate(zip(middles, limits))))
    # From tables, so that each value is the float32 nearest to its decimal, which a compiled division is not.
    steps = [round(limit * per_unit) for limit, per_unit in zip(limits, steps_per_unit)]
    chosen = bits % np.array([2 * n + 1 for n in steps], np.uint32)
    grids = [
        np.arange(middle * per_unit - n, middle * per_unit + n + 1) / per_unit
        for middle, n, per_unit in zip(middles, steps, steps_per_unit)
    ]
    return AffineParams(*(jnp.asarray(grid, jnp.float32)[chosen[..., i]] for i, grid in enumerate(grids)))


def apply(positions: Float[Array, "*batch time joint 2"], draw: AffineParams) -> Float[Array, "*batch time joint 2"]:
    """Rotate about the origin, scale, then translate each window by its draw.

    Args:
        positions: `[..., time, joint, 2]` standardized positions.
        draw: one value for each window (or one for all: its shape broadcasts against the leading axes).

    Returns:
        Same shape and dtype; `(x cos - y sin, x sin + y cos) * scale + (dx, dy)` with the angle `-angle` degrees.
    """
    positions = jnp.asarray(positions)
    angle, scale, dx, dy = (jnp.asarray(v, positions.dtype)[..., None, None] for v in draw)
    turn = -angle * (math.pi / 180)
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    x, y = positions[..., 0], positions[..., 1]
    return jnp.stack([(x * cosine - y * sine) * scale + dx, (x * sine + y * cosine) * scale + dy], axis=-1)


def augment(
    key: PRNGKeyArray, positions: Float[Array, "*batch time joint 2"], augmentation: Augmentation
) -> Float[Array, "*batch time joint 2"]:
    """A random view of each window: `sample_params` for its leading axes, then `apply`.

    Args:
        key: a JAX key; the draws of a batch depend on the batch's shape, so give each window its own key under `vmap`
            where a window's view must not depend on its neighbors.
        positions: `[..., time, joint, 2]` standardized positions.
        augmentation: the ranges.

    Returns:
        Same shape and dtype.
    """
    return apply(positions, sample_params(key, augmentation, jnp.shape(positions)[:-3]))


def mirror(positions: Float[Array, "*batch time joint 2"], skeleton: Skeleton) -> Float[Array, "*batch time joint 2"]:
    """The mirror image: x changes sign, and right and left joints change places.

    No published system trains with it; it is not part of `augment`.

    Args:
        positions: `[..., time, joint, 2]`, x = 0 on the mirror's line (standardized positions are).
        skeleton: gives the mirror pairs.

    Returns:
        Same shape and dtype.
    """
    flipped = jnp.asarray(positions)[..., np.array(skeleton.mirror), :]
    return flipped.at[..., 0].multiply(-1)


# --- warps of a clip's series ----------------------------------------------------------------------------------------


def smooth_curves(
    key: PRNGKeyArray, count: int, frames: int = 128, inner: tuple[int, int] = (3, 14), sigma: float = 1.0
) -> Float[Array, "curve time"]:
    """Random smooth curves: cubic splines through a few normal numbers.

    Each has `k + 2` knots, equally spaced from the first frame to the last, k uniform within `inner`; their values are
    normal with mean 1. The spline is not-a-knot, and linear in its values: one matrix for each k, made on the host.

    Args:
        key: a JAX key.
        count: of curves.
        frames: of each.
        inner: fewest and most inner knots.
        sigma: standard deviation of the values.

    Source: Baby Moves (Passmore et al.), the released program; the paper has up to 15 knots.
    """
    matrices = jnp.asarray(_spline_matrices(frames, *inner), jnp.float32)
    kinds, values = jax.random.split(key)
    kind = jax.random.randint(kinds, (count,), 0, len(matrices))
    knots = 1 + sigma * jax.random.normal(values, (count, matrices.shape[-1]))

    # In parts: a matrix for each of ten thousand curves would be 80 MB.
    return jax.lax.map(lambda one: matrices[one[0]] @ one[1], (kind, knots), batch_size=256)


@lru_cache(maxsize=8)
def _spline_matrices(frames: int, fewest: int, most: int) -> Float[np.ndarray, "kind time knot"]:
    """For each number of inner knots the map from the values at the knots to the frames, padded with zeros."""
    from scipy.interpolate import CubicSpline

    matrices = np.zeros((most - fewest + 1, frames, most + 2))
    for matrix, inner in zip(matrices, range(fewest, most + 1)):
        knots = inner + 2
        spline = CubicSpline(np.linspace(0, frames - 1, knots), np.eye(knots))
        matrix[:, :knots] = spline(np.arange(frames))
    return matrices


def magnitude_warp(
    series: Float[Array, "*batch time channel"], curve: Float[Array, "*batch time"]
) -> Float[Array, "*batch time channel"]:
    """Scale each frame of a clip, all channels alike, by `exp((c - mean(c)) / (max(c) - min(c)))`.

    Args:
        series: `[..., time, channel]`; NaN stays NaN.
        curve: `[..., time]`, not constant.

    Source: Baby Moves (Passmore et al.), the released program; the paper multiplies by a curve of mean 1.
    """
    centered = curve - curve.mean(axis=-1, keepdims=True)
    spread = curve.max(axis=-1, keepdims=True) - curve.min(axis=-1, keepdims=True)
    return series * jnp.exp(centered / spread)[..., None]


def time_warp(
    series: Float[Array, "*batch time channel"], curve: Float[Array, "*batch time"]
) -> Float[Array, "*batch time channel"]:
    """Run a clip faster and slower: frames move to times whose steps are the curve above its minimum.

    The times begin at the first step and end at the last frame; the clip is read at whole frames by linear
    interpolation, before the first time its first value.

    Args:
        series: `[..., time, channel]`; NaN spreads to the frames between.
        curve: `[..., time]`, not constant.

    Source: Baby Moves (Passmore et al.), the released program.
    """
    frames = series.shape[-2]
    times = jnp.cumsum(curve - curve.min(axis=-1, keepdims=True), axis=-1)
    times = times / times[..., -1:] * (frames - 1)
    read = jnp.vectorize(partial(jnp.interp, jnp.arange(frames, dtype=series.dtype)), signature="(t),(t)->(t)")
    return jnp.moveaxis(read(times[..., None, :], jnp.moveaxis(series, -1, -2)), -1, -2)
