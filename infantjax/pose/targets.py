"""What pose networks are trained towards: heatmaps, affinity fields, discs and limbs; on the device.

Positions are x and y, NaN where missing; a missing keypoint gives an empty map, which is trained like any other.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_EPOCHS = (0, 2, 6, 14, 22, 30, 38, 46, 54)
SIGMA_EFFICIENTPOSE = tuple(zip(_EPOCHS, (3.5, 3.0, 2.5, 2.0, 1.75, 1.625, 1.5, 1.375, 1.25)))
"""(first epoch, sigma) in 1/32 of the map's side, as released for EfficientPose."""

WIDTH_EFFICIENTPOSE = tuple(zip(_EPOCHS, (1.75, 1.5, 1.25, 1.0, 0.9, 0.875, 0.85, 0.825, 0.8)))
"""(first epoch, half width of a limb) in 1/32 of the map's side, as released for EfficientPose."""

_HOURGLASS = (3.5, 3.0, 2.5, 2.0, 1.75, 1.625, 1.5, 1.375, 1.25, 1.125, 1.0, 0.875)
SIGMA_HOURGLASS = tuple(zip((0, 2, 6, 10, 17, 25, 33, 44, 55, 67, 79, 92), _HOURGLASS))
"""(first epoch, sigma) in 1/32 of the map's side, as released for EfficientHourglass from scratch (100 epochs)."""

SIGMA_HOURGLASS_FINE_TUNING = tuple(zip((0, 2, 4, 6, 8, 12, 16, 20, 25, 30, 35, 40), _HOURGLASS))
"""The same for fine-tuning (50 epochs)."""

_CROPPED = (2.6667, 2.5833, 2.5, 2.4167, 2.3333, 2.25, 2.1667, 2.0833, 2.0)
_CROPPED_LATER = (1.9333, 1.8667, 1.8, 1.7667, 1.7333, 1.7, 1.6667)
SIGMA_CROPPED = tuple(zip((0, *range(5, 34, 2)), _CROPPED + _CROPPED_LATER))
"""The same, gentler, for pictures that are cropped to the infant."""

_ROUNDING = 1e-4

Steps = tuple[tuple[int, float], ...]

SIGMAS: dict[str, Steps] = {
    "efficientpose": SIGMA_EFFICIENTPOSE,
    "hourglass": SIGMA_HOURGLASS,
    "hourglass_fine_tuning": SIGMA_HOURGLASS_FINE_TUNING,
    "cropped": SIGMA_CROPPED,
}
"""Schedules of the heatmaps' width by name."""


def at_epoch(steps: Steps, epoch: int, side: int) -> float:
    """The value of a schedule in pixels of a map.

    Args:
        steps: (first epoch, value in 1/32 of the side), in order.
        epoch: from 0.
        side: of the map, pixels.
    """
    return [value for first, value in steps if first <= epoch][-1] * side / 32


def heatmaps(
    positions: Float[Array, "*batch keypoint 2"], side: int, sigma: float | Array
) -> Float[Array, "*batch row column keypoint"]:
    """A peak of height 1 at each keypoint: `exp(-distance**2 / sigma**2)`, without the usual factor 2.

    Args:
        positions: fractions of the square; the peak lies at the whole pixel below, as released.
        side: of the map, pixels.
        sigma: pixels of the map.

    Source: Groos et al., Paper I, equation 4.
    """
    at = jnp.floor(positions * side)
    pixels = jnp.arange(side)
    # The exponential of a sum is a product: one exponential a row and one a column.
    x, y = (jnp.exp(-jnp.square((pixels - at[..., axis, None]) / sigma)) for axis in (0, 1))
    maps = jnp.einsum("...kr,...kc->...rck", y, x)
    present = jnp.isfinite(positions).all(-1)[..., None, None, :]
    return jnp.where(present, jnp.where(jnp.isfinite(maps), maps, 0), 0)


def affinity_fields(
    positions: Float[Array, "*batch keypoint 2"], limbs: tuple[tuple[int, int], ...], side: int, width: float | Array
) -> Float[Array, "*batch row column field"]:
    """Unit vectors from the first to the second point of a limb, on the pixels near it; channels x, y, x, y, ...

    Args:
        positions: fractions of the square.
        limbs: (from, to) by index; `skeletons.segments`.
        side: of the map, pixels.
        width: largest distance from the limb's line, pixels of the map.

    Source: Groos et al., Paper I; Cao et al. 2017.
    """
    at = jnp.floor(positions * side)
    _, inside, direction = _limb(at, limbs, side, side, width)
    fields = inside[..., None] * direction[..., None, None, :, :]
    return fields.reshape(*fields.shape[:-2], -1)


def discs(
    positions: Float[Array, "*batch keypoint 2"],
    height: int,
    width: int,
    radius: float,
    kind: Literal["binary", "gaussian"],
) -> Float[Array, "*batch row column keypoint"]:
    """Discs around the keypoints: 1 inside, or falling off with a deviation of three radii, 0 outside.

    Args:
        positions: pixels of the map.
        height: of the map.
        width: of the map.
        radius: pixels.
        kind: `binary` for detection; `gaussian` for regression, read literally, which is nearly flat (0.946 to 1); the
            paper may have meant a sharper peak.

    Source: Migliorelli et al. 2021.
    """
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    x, y = positions[..., 0][..., None, None, :], positions[..., 1][..., None, None, :]
    square = jnp.square(columns - x) + jnp.square(rows - y)
    inside = square <= radius**2  # false where a coordinate is NaN
    value = 1.0 if kind == "binary" else jnp.exp(-square / (2 * (3 * radius) ** 2))
    return jnp.where(inside, value, 0.0)


def limb_masks(
    positions: Float[Array, "*batch keypoint 2"],
    limbs: tuple[tuple[int, int], ...],
    height: int,
    width: int,
    radius: float,
    kind: Literal["binary", "gaussian"],
) -> Float[Array, "*batch row column limb"]:
    """Rectangles of thickness `radius` along the limbs: 1, or falling off from the limb's line as in `discs`.

    Source: Migliorelli et al. 2021.
    """
    across, inside, _ = _limb(positions, limbs, height, width, radius / 2)
    value = 1.0 if kind == "binary" else jnp.exp(-jnp.square(across) / (2 * (3 * radius) ** 2))
    return jnp.where(inside > 0, value, 0.0)


def _limb(
    at: Array, limbs: tuple[tuple[int, int], ...], height: int, width: int, reach: float | Array
) -> tuple[Array, Array, Array]:
    """Per pixel and limb the distance from its line and whether it is on it; and the limbs' directions."""
    starts, ends = (np.array([limb[i] for limb in limbs]) for i in (0, 1))
    a, b = at[..., starts, :], at[..., ends, :]
    difference = b - a
    length = jnp.sqrt(jnp.square(difference).sum(-1))
    direction = difference / jnp.where(length > 0, length, 1)[..., None]
    direction = jnp.where(jnp.isfinite(direction), direction, 0)
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    x, y = (columns - a[..., 0][..., None, None, :]), (rows - a[..., 1][..., None, None, :])
    dx, dy = (direction[..., i][..., None, None, :] for i in (0, 1))
    along, across = x * dx + y * dy, x * dy - y * dx
    # The ends belong to it, whatever single precision makes of them.
    inside = (along >= -_ROUNDING) & (along <= length[..., None, None, :] + _ROUNDING)
    inside &= jnp.abs(across) <= reach + _ROUNDING
    return across, inside.astype(jnp.float32), direction
