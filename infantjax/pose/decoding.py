"""From confidence maps to positions, on the device, by the names of the rules.

Maps come as the network gives them before upscaling, `[batch, row, column, keypoint]`; positions are x and y as
fractions of the square, confidences the value at the maximum. The first maximum in row-major order wins a tie.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

Maps = Float[Array, "batch row column keypoint"]

REAL_TIME_THRESHOLD = 0.3
"""Below it the released camera program takes a point for absent."""


class Points(NamedTuple):
    """Decoded keypoints.

    Attributes:
        positions: x and y as fractions of the square.
        confidence: value of the map at its maximum.
    """

    positions: Float[Array, "batch keypoint 2"]
    confidence: Float[Array, "batch keypoint"]


def smoothed(maps: Maps, side: int) -> Points:
    """As released for pictures and video files: upscaled, low-passed (one pixel), the maximum.

    Both steps are linear and separable, so they are two small matrix products instead of four passes over large maps.

    Args:
        maps: before upscaling.
        side: of the picture, pixels.
    """
    return _largest(_scaled(maps, side, 1.0))


def real_time(maps: Maps, side: int) -> Points:
    """As released for a camera: upscaled, the maximum; a point below 0.3 lies half a pixel outside, i.e. nowhere."""
    points = _largest(_scaled(maps, side, 0.0))
    absent = points.confidence[..., None] < REAL_TIME_THRESHOLD
    return Points(jnp.where(absent, jnp.float32(-0.5 / side), points.positions), points.confidence)


def weighted(maps: Maps, side: int, reach: int = 4, upscale: bool = True) -> Points:
    """As in the infant framework: mean position around the maximum with weights exp(9 value).

    Args:
        maps: before upscaling.
        side: of the picture, pixels.
        reach: half the window's side in 1/32 of the map's; 4 in evaluation, 2 in the video trackers.
        upscale: bring the maps to the side of the picture first.
    """
    if upscale:
        maps = _scaled(maps, side, 0.0)
    height, width = maps.shape[1:3]
    peak, confidence = _peak(maps)
    radius = round(reach * width / 32)
    rows = jnp.abs(jnp.arange(height) - peak[..., 1, None]) <= radius  # [batch, keypoint, row]
    columns = jnp.abs(jnp.arange(width) - peak[..., 0, None]) <= radius
    inside = jnp.einsum("bkh,bkw->bhwk", rows.astype(maps.dtype), columns.astype(maps.dtype))
    weights = inside * jnp.exp(9 * (maps - confidence[:, None, None]))
    total = weights.sum((1, 2))
    x = (weights.sum(1) * jnp.arange(width)[:, None]).sum(1) / total
    y = (weights.sum(2) * jnp.arange(height)[:, None]).sum(1) / total
    found = jnp.stack([(x + 0.5) / width, (y + 0.5) / height], -1)
    return Points(jnp.where(confidence[..., None] < 1e-4, 0, found), confidence)


def quarter(maps: Maps, side: int) -> Points:
    """The maximum of the small maps, moved a quarter of a pixel towards the larger neighbor on each axis."""
    peak, confidence = _peak(maps)
    step = 0.25 * jnp.sign(_slope(maps, peak))
    return _refined(maps, peak, step, confidence)


def dark(maps: Maps, side: int) -> Points:
    """The maximum of a Gaussian through the logarithm of the low-passed small maps around theirs.

    Source: Zhang et al. 2020, "Distribution-aware coordinate representation for human pose estimation".
    """
    logarithm = jnp.log(jnp.maximum(_scaled(maps, maps.shape[1], 1.0), 1e-10))
    peak, confidence = _peak(maps)
    slope = _slope(logarithm, peak)
    curvature_x, curvature_y, mixed = _curvature(logarithm, peak)
    determinant = curvature_x * curvature_y - mixed**2
    step = -jnp.stack(
        [
            curvature_y * slope[..., 0] - mixed * slope[..., 1],
            curvature_x * slope[..., 1] - mixed * slope[..., 0],
        ],
        -1,
    )
    # Only at a real peak; at the border, or on a ridge, the maximum itself.
    sound = (determinant > 1e-6) & (curvature_x < 0)
    step = jnp.where(sound[..., None], step / jnp.where(sound, determinant, 1)[..., None], 0)
    return _refined(maps, peak, jnp.clip(step, -1, 1), confidence)


def soft_argmax(maps: Maps, side: int) -> Points:
    """Mean position over the whole small map with weights exp(value / 0.02): chosen, to be sharp for these maps."""
    height, width = maps.shape[1:3]
    _, confidence = _peak(maps)
    weights = jnp.exp((maps - confidence[:, None, None]) / 0.02)
    total = weights.sum((1, 2))
    x = (weights.sum(1) * (jnp.arange(width) + 0.5)[:, None]).sum(1) / total / width
    y = (weights.sum(2) * (jnp.arange(height) + 0.5)[:, None]).sum(1) / total / height
    return Points(jnp.stack([x, y], -1), confidence)


Decoder = Callable[[Maps, int], Points]

DECODERS: dict[str, Decoder] = {
    "smoothed": smoothed,
    "real_time": real_time,
    "weighted": weighted,
    "weighted_video": partial(weighted, reach=2),
    "quarter": quarter,
    "dark": dark,
    "soft_argmax": soft_argmax,
}
"""`smoothed` and `real_time` as released; `weighted` and `weighted_video` of the infant framework."""


@lru_cache(maxsize=16)
def _operator(small: int, side: int, deviation: float) -> np.ndarray:
    """Doublings from `small` to `side` and a low-pass along one axis, as one matrix `[side, small]`."""
    matrix = np.eye(small)
    while len(matrix) < side:
        padded = np.pad(matrix, ((1, 1), (0, 0)))
        pair = [0.75 * matrix + 0.25 * padded[:-2], 0.75 * matrix + 0.25 * padded[2:]]
        matrix = np.stack(pair, 1).reshape(2 * len(matrix), small)
    if deviation:
        from scipy import ndimage

        matrix = ndimage.gaussian_filter1d(matrix, deviation, axis=0, mode="reflect", truncate=4)
    return matrix.astype(np.float32)


def _scaled(maps: Maps, side: int, deviation: float) -> Maps:
    rows, columns = (jnp.asarray(_operator(small, side, deviation)) for small in maps.shape[1:3])
    half = jnp.einsum("yh,bhwk->bywk", rows, maps, precision="highest")
    return jnp.einsum("xw,bywk->byxk", columns, half, precision="highest")


def _peak(maps: Maps) -> tuple[Int[Array, "batch keypoint 2"], Float[Array, "batch keypoint"]]:
    """Column and row of the first maximum, and its value."""
    # The largest value of a row first: an index over a whole map costs far more than a maximum.
    rows = maps.max(2)
    row = rows.argmax(1)
    line = jnp.take_along_axis(maps, row[:, None, None], 1)[:, 0]
    return jnp.stack([line.argmax(1), row], -1), rows.max(1)


def _largest(maps: Maps) -> Points:
    peak, confidence = _peak(maps)
    return Points((peak + 0.5) / jnp.asarray(maps.shape[2:0:-1], jnp.float32), confidence)


def _at(maps: Maps, peak: Array, dx: int, dy: int) -> Array:
    """Values beside the peaks; zero beyond the border."""
    padded = jnp.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0))).transpose(0, 3, 1, 2)
    pick = jax.vmap(jax.vmap(lambda map, at: map[at[1] + 1 + dy, at[0] + 1 + dx]))
    return pick(padded, peak)


def _slope(maps: Maps, peak: Array) -> Float[Array, "batch keypoint 2"]:
    """Half the difference of the neighbors on each axis; 0 at the border."""
    height, width = maps.shape[1:3]
    x = (_at(maps, peak, 1, 0) - _at(maps, peak, -1, 0)) / 2
    y = (_at(maps, peak, 0, 1) - _at(maps, peak, 0, -1)) / 2
    inner_x = (peak[..., 0] > 0) & (peak[..., 0] < width - 1)
    inner_y = (peak[..., 1] > 0) & (peak[..., 1] < height - 1)
    return jnp.stack([jnp.where(inner_x, x, 0), jnp.where(inner_y, y, 0)], -1)


def _curvature(maps: Maps, peak: Array) -> tuple[Array, Array, Array]:
    """Second differences along x, along y, and mixed; zero at the border."""
    height, width = maps.shape[1:3]
    here = _at(maps, peak, 0, 0)
    x = _at(maps, peak, 1, 0) - 2 * here + _at(maps, peak, -1, 0)
    y = _at(maps, peak, 0, 1) - 2 * here + _at(maps, peak, 0, -1)
    corners = _at(maps, peak, 1, 1) - _at(maps, peak, -1, 1) - _at(maps, peak, 1, -1) + _at(maps, peak, -1, -1)
    inner = ((peak > 0) & (peak < jnp.asarray([width - 1, height - 1]))).all(-1)
    zero = jnp.zeros_like(here)
    return tuple(lax.select(inner, value, zero) for value in (x, y, corners / 4))  # type: ignore[return-value]


def _refined(maps: Maps, peak: Array, step: Array, confidence: Array) -> Points:
    return Points((peak + 0.5 + step) / jnp.asarray(maps.shape[2:0:-1], jnp.float32), confidence)
