"""Confidence maps of keypoints: Gaussians to train towards, and the rules that decode maps to positions.

Maps are `[batch, row, column, keypoint]`; networks give them before upscaling. Positions are x and y as fractions of
the crop's side, NaN where missing. Everything runs on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.settings import require_one_of

Maps = Float[Array, "batch row column keypoint"]
Schedule = tuple[tuple[int, float], ...]
"""(first epoch, value) in order; values in 1/32 of the map's side."""

REAL_TIME_THRESHOLD = 0.3
"""Confidence below which the reference's camera program takes a point for absent."""

_HOURGLASS = (3.5, 3.0, 2.5, 2.0, 1.75, 1.625, 1.5, 1.375, 1.25, 1.125, 1.0, 0.875)
_CROPPED = (2.6667, 2.5833, 2.5, 2.4167, 2.3333, 2.25, 2.1667, 2.0833, 2.0)
_CROPPED_LATER = (1.9333, 1.8667, 1.8, 1.7667, 1.7333, 1.7, 1.6667)

SIGMAS: dict[str, Schedule] = {
    "efficientpose": tuple(zip((0, 2, 6, 14, 22, 30, 38, 46, 54), (3.5, 3.0, 2.5, 2.0, 1.75, 1.625, 1.5, 1.375, 1.25))),
    "hourglass": tuple(zip((0, 2, 6, 10, 17, 25, 33, 44, 55, 67, 79, 92), _HOURGLASS)),
    "hourglass_fine_tuning": tuple(zip((0, 2, 4, 6, 8, 12, 16, 20, 25, 30, 35, 40), _HOURGLASS)),
    "cropped": tuple(zip((0, *range(5, 34, 2)), _CROPPED + _CROPPED_LATER)),
}
"""Schedules of the Gaussians' width by name, as in the reference implementations: EfficientPose, EfficientHourglass
from scratch (100 epochs) and fine-tuned (50 epochs), and gentler ones for images that are cropped to the infant."""


def scheduled(schedule: Schedule, epochs: int) -> Float[np.ndarray, " epoch"]:
    """The values of a schedule for each epoch, in 1/32 of the map's side."""
    values = [[value for first, value in schedule if first <= epoch][-1] for epoch in range(epochs)]
    return np.array(values, np.float32)


class Points(NamedTuple):
    """Decoded keypoints.

    Attributes:
        positions: x and y as fractions of the crop.
        confidence: value of the map at its maximum.
    """

    positions: Float[Array, "batch keypoint 2"]
    confidence: Float[Array, "batch keypoint"]


@dataclass(frozen=True)
class HeatmapCodec:
    """One map per keypoint with a Gaussian peak of height 1.

    Attributes:
        decoder: the rule that decodes, a name of `DECODERS`.

    Raises:
        ValueError: unknown decoder.
    """

    decoder: str = "smoothed"

    def __post_init__(self) -> None:
        require_one_of("decoder", self.decoder, tuple(DECODERS))

    def encode(
        self, positions: Float[Array, "*batch keypoint 2"], side: int, sigma: float | Array, exact: bool = False
    ) -> Float[Array, "*batch row column keypoint"]:
        """Maps with `exp(-distance**2 / sigma**2)`, without the usual factor 2; empty for a missing keypoint.

        Args:
            positions: fractions of the crop.
            side: of the maps, pixels.
            sigma: in 1/32 of the maps' side, see `SIGMAS`.
            exact: the peak lies at the position (our choice), not at the whole pixel below as in the reference.

        Source: Groos et al., Paper I, equation 4.
        """
        at = positions * side - 0.5 if exact else jnp.floor(positions * side)
        pixels = jnp.arange(side)
        # The exponential of a sum is a product: one exponential a row and one a column.
        x, y = (jnp.exp(-jnp.square((pixels - at[..., axis, None]) / (sigma * side / 32))) for axis in (0, 1))
        maps = jnp.einsum("...kr,...kc->...rck", y, x)
        present = jnp.isfinite(positions).all(-1)[..., None, None, :]
        return jnp.where(present, jnp.where(jnp.isfinite(maps), maps, 0), 0)

    def decode(self, maps: Maps, side: int) -> Points:
        """Positions and confidences by the codec's rule.

        Args:
            maps: before upscaling.
            side: of the network's input, pixels.
        """
        return DECODERS[self.decoder](maps, side)


# --- rules -----------------------------------------------------------------------------------------------------------


def smoothed(maps: Maps, side: int) -> Points:
    """The maximum of upscaled, low-passed maps (one pixel): the reference for images and video files.

    Both steps are linear and separable: two small matrix products instead of four passes over large maps.
    """
    return _maximum(_upscale(maps, side, 1.0))


def real_time(maps: Maps, side: int) -> Points:
    """The maximum of upscaled maps: the reference for a camera. A point below 0.3 lies half a pixel outside."""
    points = _maximum(_upscale(maps, side, 0.0))
    absent = points.confidence[..., None] < REAL_TIME_THRESHOLD
    return Points(jnp.where(absent, jnp.float32(-0.5 / side), points.positions), points.confidence)


def weighted(maps: Maps, side: int, reach: int = 4, upscale: bool = True) -> Points:
    """The mean position around the maximum with weights exp(9 value), as in the training framework.

    Args:
        maps: before upscaling.
        side: of the network's input, pixels.
        reach: half the window's side in 1/32 of the map's; 4 in evaluation, 2 in the video trackers.
        upscale: bring the maps to the side of the input first.
    """
    if upscale:
        maps = _upscale(maps, side, 0.0)
    height, width = maps.shape[1:3]
    peak, confidence = _peak(maps)
    radius = round(reach * width / 32)
    rows = jnp.abs(jnp.arange(height) - peak[..., 1, None]) <= radius  # [batch, keypoint, row]
    columns = jnp.abs(jnp.arange(width) - peak[..., 0, None]) <= radius
    inside = jnp.einsum("bkh,bkw->bhwk", rows.astype(maps.dtype), columns.astype(maps.dtype))
    weights = inside * jnp.exp(9 * (maps - confidence[:, None, None]))
    found = _mean_position(weights, jnp.arange(height), jnp.arange(width)) + 0.5
    found = found / jnp.array([width, height])
    return Points(jnp.where(confidence[..., None] < 1e-4, 0, found), confidence)


def quarter(maps: Maps, side: int) -> Points:
    """The maximum of the small maps, moved a quarter of a pixel towards the larger neighbor on each axis."""
    peak, confidence = _peak(maps)
    return _refined(maps, peak, 0.25 * jnp.sign(_slope(maps, peak)), confidence)


def dark(maps: Maps, side: int) -> Points:
    """The maximum of a Gaussian through the logarithm of the low-passed small maps around their maximum.

    Source: Zhang et al. 2020, "Distribution-aware coordinate representation for human pose estimation".
    """
    logarithm = jnp.log(jnp.maximum(_upscale(maps, maps.shape[1], 1.0), 1e-10))
    peak, confidence = _peak(maps)
    slope = _slope(logarithm, peak)
    curvature_x, curvature_y, mixed = _curvature(logarithm, peak)
    determinant = curvature_x * curvature_y - mixed**2
    x = curvature_y * slope[..., 0] - mixed * slope[..., 1]
    y = curvature_x * slope[..., 1] - mixed * slope[..., 0]
    # Only at a real peak; at the border, or on a ridge, the maximum itself.
    sound = (determinant > 1e-6) & (curvature_x < 0)
    step = -jnp.stack([x, y], -1) / jnp.where(sound, determinant, 1)[..., None]
    return _refined(maps, peak, jnp.clip(jnp.where(sound[..., None], step, 0), -1, 1), confidence)


def soft_argmax(maps: Maps, side: int) -> Points:
    """The mean position over the whole small map with weights exp(value / 0.02): our choice, sharp for these maps."""
    height, width = maps.shape[1:3]
    _, confidence = _peak(maps)
    weights = jnp.exp((maps - confidence[:, None, None]) / 0.02)
    found = _mean_position(weights, jnp.arange(height) + 0.5, jnp.arange(width) + 0.5)
    return Points(found / jnp.array([width, height]), confidence)


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
"""`smoothed` and `real_time` of the reference implementation; `weighted` and `weighted_video` of the framework.

The first maximum in row-major order wins a tie."""


# --- parts of the rules ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _upscale_matrix(small: int, side: int, deviation: float) -> np.ndarray:
    """Doublings from `small` to `side` and a low-pass along one axis, as one matrix `[side, small]`."""
    matrix = np.eye(small)
    while len(matrix) < side:
        padded = np.pad(matrix, ((1, 1), (0, 0)))
        pair = [0.75 * matrix + 0.25 * padded[:-2], 0.75 * matrix + 0.25 * padded[2:]]
        matrix = rearrange(pair, "two row small -> (row two) small")
    if deviation:
        from scipy import ndimage

        matrix = ndimage.gaussian_filter1d(matrix, deviation, axis=0, mode="reflect", truncate=4)
    return matrix.astype(np.float32)


def _upscale(maps: Maps, side: int, deviation: float) -> Maps:
    rows, columns = (jnp.asarray(_upscale_matrix(small, side, deviation)) for small in maps.shape[1:3])
    half = jnp.einsum("yh,bhwk->bywk", rows, maps, precision="highest")
    return jnp.einsum("xw,bywk->byxk", columns, half, precision="highest")


def _peak(maps: Maps) -> tuple[Int[Array, "batch keypoint 2"], Float[Array, "batch keypoint"]]:
    """Column and row of the first maximum, and its value."""
    # The largest value of a row first: an index over a whole map costs far more than a maximum.
    rows = maps.max(2)
    row = rows.argmax(1)
    line = jnp.take_along_axis(maps, row[:, None, None], 1)[:, 0]
    return jnp.stack([line.argmax(1), row], -1), rows.max(1)


def _maximum(maps: Maps) -> Points:
    peak, confidence = _peak(maps)
    return Points((peak + 0.5) / jnp.asarray(maps.shape[2:0:-1], jnp.float32), confidence)


def _mean_position(weights: Maps, rows: Array, columns: Array) -> Float[Array, "batch keypoint 2"]:
    """Weighted mean of x and y."""
    total = weights.sum((1, 2))
    x = (weights.sum(1) * columns[:, None]).sum(1) / total
    y = (weights.sum(2) * rows[:, None]).sum(1) / total
    return jnp.stack([x, y], -1)


def _at(maps: Maps, peak: Array, dx: int, dy: int) -> Array:
    """Values beside the peaks; zero beyond the border."""
    padded = rearrange(jnp.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0))), "b row column k -> b k row column")
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
