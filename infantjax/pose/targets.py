"""What pose networks are trained towards: heatmaps, affinity fields, discs and limbs; on the device.

Positions are x and y, NaN where missing; a missing keypoint gives an empty map, which is trained like any other.
"""

from dataclasses import dataclass
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
    _, _, inside, direction = _limb(at, limbs, side, side, width)
    fields = inside[..., None] * direction[..., None, None, :, :]
    return fields.reshape(*fields.shape[:-2], -1)


@dataclass(frozen=True)
class FallOff:
    """How the targets of a regression fall off from keypoints and limbs; the defaults are the paper's words.

    Attributes:
        deviation: of the Gaussian, in radii. Three, read literally, is nearly flat inside of a disc (0.946 to 1); the
            paper may have meant a sharper peak, such as a third.
        truncated: zero outside of the discs and rectangles of detection; else a limb has ends, but no sides.
        direction: of limbs: `across`, from their line, or `along` it, from their middle.

    Raises:
        ValueError: a deviation that is not above 0, or another direction.

    Source: Migliorelli et al. 2021; what else the words can mean is chosen.
    """

    deviation: float = 3.0
    truncated: bool = True
    direction: Literal["across", "along"] = "across"

    def __post_init__(self) -> None:
        if not 0 < self.deviation < np.inf:
            raise ValueError(f"deviation must be above 0, got {self.deviation}")
        if self.direction not in ("across", "along"):
            raise ValueError(f"unknown direction {self.direction!r}; known: across, along")

    def __call__(self, square: Array, radius: float) -> Array:
        """The Gaussian of a squared distance."""
        return jnp.exp(-square / (2 * (self.deviation * radius) ** 2))


def discs(
    positions: Float[Array, "*batch keypoint 2"], height: int, width: int, radius: float, fall_off: FallOff | None
) -> Float[Array, "*batch row column keypoint"]:
    """Discs around the keypoints: 1 inside, or falling off, and 0 outside.

    Args:
        positions: pixels of the map; the disc of a missing one is empty.
        height: of the map.
        width: of the map.
        radius: pixels.
        fall_off: of the targets of a regression; None are the binary ones of detection.

    Source: Migliorelli et al. 2021.
    """
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    x, y = positions[..., 0][..., None, None, :], positions[..., 1][..., None, None, :]
    square = jnp.square(columns - x) + jnp.square(rows - y)
    if fall_off is None:
        return jnp.where(square <= radius**2, 1.0, 0.0)
    shown = square <= (radius**2 if fall_off.truncated else jnp.inf)  # false where a coordinate is NaN
    return jnp.where(shown, fall_off(square, radius), 0.0)


def limb_heatmaps(
    positions: Float[Array, "*batch keypoint 2"],
    limbs: tuple[tuple[int, int], ...],
    height: int,
    width: int,
    radius: float,
    fall_off: FallOff | None,
) -> Float[Array, "*batch row column limb"]:
    """Rectangles of thickness `radius` along the limbs: 1, or falling off as in `discs`.

    Source: Migliorelli et al. 2021.
    """
    reach = radius / 2 if fall_off is None or fall_off.truncated else jnp.inf
    across, along, inside, _ = _limb(positions, limbs, height, width, reach)
    if fall_off is None:
        return inside
    value = fall_off(jnp.square(across if fall_off.direction == "across" else along), radius)
    return jnp.where(inside > 0, value, 0.0)


def _limb(
    at: Array, limbs: tuple[tuple[int, int], ...], height: int, width: int, reach: float | Array
) -> tuple[Array, Array, Array, Array]:
    """Per pixel and limb the distances from its line and its middle and whether it is on it; the limbs' directions."""
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
    return across, along - length[..., None, None, :] / 2, inside.astype(jnp.float32), direction
