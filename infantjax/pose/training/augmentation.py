"""Random views of annotated images for training: color, rotation, two scales, mirror image; on the device.

Points are x and y as fractions of the crop, NaN where missing; the center of row and column 0 lies half a pixel inside
the crop.

Source: Groos et al., Paper I (Section 3.4); the training framework, for what the paper does not say.
"""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from infantjax.settings import Range, Share, check_fields

Image = Float[Array, "side side 3"]
Points = Float[Array, "keypoint 2"]


@dataclass(frozen=True)
class ImageAugmentation:
    """How far an image may be changed; the defaults are the published ones.

    Attributes:
        rotation_degrees: largest rotation to either side.
        scale: height and width are each scaled by 1 plus or minus up to this.
        flip: fraction of mirrored images.
        color: largest shift of one color channel, as a fraction of the full scale.

    Raises:
        ValueError: a value out of its range.
    """

    rotation_degrees: Annotated[float, Range(0, 180)] = 45.0
    scale: Annotated[float, Range(0, 0.9)] = 0.25
    flip: Share = 0.5
    color: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


class View(NamedTuple):
    """A random view of an image.

    Attributes:
        angle: `[]` radians; the image turns against the clock.
        zoom: `[2]` of rows and of columns; above 1 shows more, the infant becomes smaller.
        mirrored: `[]` whether left and right change places.
        shift: `[3]` of each color, share of the full scale.
    """

    angle: Float[Array, ""]
    zoom: Float[Array, "2"]
    mirrored: Array
    shift: Float[Array, "3"]


UNCHANGED: View = jax.tree.map(np.asarray, View(np.float32(0), np.ones(2, np.float32), False, np.zeros(3, np.float32)))  # type: ignore[arg-type]
"""The view that changes nothing."""


def sample_view(key: PRNGKeyArray, augmentation: ImageAugmentation) -> View:
    """A random view; `vmap` over keys for a batch."""
    turn, stretch, side, channel, strength = jax.random.split(key, 5)
    largest = math.radians(augmentation.rotation_degrees)
    shift = jax.random.uniform(strength, (), minval=-augmentation.color, maxval=augmentation.color)
    return View(
        jax.random.uniform(turn, (), minval=-largest, maxval=largest),
        jax.random.uniform(stretch, (2,), minval=1 - augmentation.scale, maxval=1 + augmentation.scale),
        jax.random.uniform(side, ()) < augmentation.flip,
        shift * (jnp.arange(3) == jax.random.randint(channel, (), 0, 3)),
    )


def view_image(image: Image, view: View) -> Image:
    """An image as the view shows it, by linear interpolation.

    What lies outside the image becomes 0, and so mean gray when the image is normalized before, as it is in the
    framework; the padding around an image stays what it was.

    Args:
        image: normalized.
        view: of it; its colors are not applied here, see `shift_colors`.
    """
    side = image.shape[0]
    rows, columns = jnp.meshgrid(jnp.arange(side), jnp.arange(side), indexing="ij")
    columns = jnp.where(view.mirrored, side - 1 - columns, columns)
    middle = _middle(side)
    read = jnp.stack([rows, columns], -1) - middle
    read = jnp.einsum("ij,rcj->rci", _turn(view.angle) * view.zoom, read, precision="highest") + middle
    below = jnp.floor(read)
    share = read - below
    result = jnp.zeros_like(image)
    for row in (0, 1):
        for column in (0, 1):
            at = below + jnp.array([row, column])
            weight = jnp.abs(1 - row - share[..., 0]) * jnp.abs(1 - column - share[..., 1])
            inside = ((at >= 0) & (at < side)).all(-1)
            index = jnp.clip(at, 0, side - 1).astype(jnp.int32)
            result += jnp.where(inside, weight, 0)[..., None] * image[index[..., 0], index[..., 1]]
    return result


def shift_colors(image: Image, view: View) -> Image:
    """An image of values 0..1 with its colors shifted, cut off to 0..1."""
    return jnp.clip(image + view.shift, 0, 1)


def view_points(points: Points, view: View, mirror: np.ndarray, side: int) -> Points:
    """Where the view shows the points; NaN outside of the image.

    Args:
        points: fractions of the crop.
        view: of the image.
        mirror: `[keypoint]` the index of each keypoint's mirror image, of the skeleton.
        side: of the image, pixels.
    """
    middle = _middle(side)
    at = points[:, ::-1] * side - 0.5
    shown = jnp.einsum("ji,kj->ki", _turn(view.angle), at - middle, precision="highest") / view.zoom + middle
    found = (shown[:, ::-1] + 0.5) / side
    found = jnp.where(view.mirrored, jnp.stack([1 - found[:, 0], found[:, 1]], -1)[mirror], found)
    inside = ((found >= 0) & (found < 1)).all(-1, keepdims=True)
    return jnp.where(inside, found, jnp.nan)


def _middle(side: int) -> float:
    """Row and column about which the framework turns: half a pixel after the center of the image."""
    return side / 2 + 0.5


def _turn(angle: Array) -> Float[Array, "2 2"]:
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
