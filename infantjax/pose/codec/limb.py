"""Maps of limbs: the affinity fields of EfficientPose and OpenPose, and the discs and rectangles of babyPose.

Positions are x and y, NaN where missing; a missing keypoint gives an empty map, which is trained like any other.
Encoding runs on the device, decoding on the host (`pose.codec.linking`).
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from infantjax.pose.codec import linking
from infantjax.pose.codec.heatmap import Schedule
from infantjax.settings import Positive, check_fields

AFFINITY_WIDTHS: Schedule = tuple(
    zip((0, 2, 6, 14, 22, 30, 38, 46, 54), (1.75, 1.5, 1.25, 1.0, 0.9, 0.875, 0.85, 0.825, 0.8))
)
"""Half widths of the affinity fields' limbs, in 1/32 of the map's side, as in the reference of EfficientPose."""

_ROUNDING = 1e-4

Limbs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class FallOff:
    """How the targets of a regression decrease from keypoints and limbs; the defaults follow the paper's text.

    Attributes:
        deviation: of the Gaussian, in radii. Three, read literally, is nearly flat inside of a disc (0.946 to 1); the
            paper may have meant a sharper peak, such as a third.

    Raises:
        ValueError: a deviation that is not above 0.

    Source: Migliorelli et al. 2021; the interpretation where the text is ambiguous is our choice.
    """

    deviation: Positive = 3.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, squared_distance: Array, radius: float) -> Array:
        """The Gaussian of a squared distance."""
        return jnp.exp(-squared_distance / (2 * (self.deviation * radius) ** 2))


@dataclass(frozen=True)
class DiscCodec:
    """Discs at the joints and rectangles along their connections.

    Attributes:
        connections: (from, to) by index.
        radius: of the discs and thickness of the rectangles, pixels.
        fall_off: of the targets of a regression; None gives the binary targets of a detection.

    Source: Migliorelli et al. 2021.
    """

    connections: Limbs
    radius: float = 6.0
    fall_off: FallOff | None = None

    def encode(
        self, positions: Float[Array, "*batch keypoint 2"], height: int, width: int
    ) -> Float[Array, "*batch row column map"]:
        """Maps of the joints, then of the connections.

        Args:
            positions: pixels of the maps.
            height: of the maps.
            width: of the maps.
        """
        joints = discs(positions, height, width, self.radius, self.fall_off)
        limbs = limb_heatmaps(positions, self.connections, height, width, self.radius, self.fall_off)
        return jnp.concatenate([joints, limbs], -1)

    def decode(self, maps: Float[np.ndarray, "row column map"]) -> Float[np.ndarray, "joint 2"]:
        """Joints of one infant in pixels of the maps, NaN without a candidate; see `linking.link`."""
        joints = maps.shape[-1] - len(self.connections)
        return linking.link(maps[..., :joints], maps[..., joints:], self.connections, self.radius)


def affinity_fields(
    positions: Float[Array, "*batch keypoint 2"], limbs: Limbs, side: int, width: float | Array
) -> Float[Array, "*batch row column field"]:
    """Two maps per limb, x and y of the unit vector from its first to its second joint, on the pixels near it.

    Args:
        positions: fractions of the crop.
        limbs: (from, to) by index, those of a skeleton are its `segments`.
        side: of the maps, pixels.
        width: largest distance from the limb's line, pixels of the map; see `AFFINITY_WIDTHS`.

    Returns:
        Fields, their channels x, y, x, y, ...

    Source: Groos et al., Paper I; Cao et al. 2017.
    """
    _, inside, direction = _limb_distances(jnp.floor(positions * side), limbs, side, side, width)
    return rearrange(inside[..., None] * direction[..., None, None, :, :], "... limb xy -> ... (limb xy)")


def discs(
    positions: Float[Array, "*batch keypoint 2"], height: int, width: int, radius: float, fall_off: FallOff | None
) -> Float[Array, "*batch row column keypoint"]:
    """Discs around the keypoints: 1 inside, or decreasing, and 0 outside; empty for a missing keypoint."""
    rows, columns = jnp.arange(height)[:, None, None], jnp.arange(width)[:, None]
    x, y = positions[..., 0][..., None, None, :], positions[..., 1][..., None, None, :]
    squared = jnp.square(columns - x) + jnp.square(rows - y)
    value = 1.0 if fall_off is None else fall_off(squared, radius)
    return jnp.where(squared <= radius**2, value, 0.0)  # false where a coordinate is NaN


def limb_heatmaps(
    positions: Float[Array, "*batch keypoint 2"],
    limbs: Limbs,
    height: int,
    width: int,
    radius: float,
    fall_off: FallOff | None,
) -> Float[Array, "*batch row column limb"]:
    """Rectangles of thickness `radius` along the limbs: 1, or decreasing as in `discs`."""
    across, inside, _ = _limb_distances(positions, limbs, height, width, radius / 2)
    return inside if fall_off is None else jnp.where(inside > 0, fall_off(jnp.square(across), radius), 0.0)


def _limb_distances(
    at: Array, limbs: Limbs, height: int, width: int, reach: float | Array
) -> tuple[Array, Array, Array]:
    """Per pixel and limb the distance from its line and whether it is on it; the limbs' directions."""
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
