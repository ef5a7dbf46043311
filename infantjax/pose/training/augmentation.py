"""Random views of annotated images for training: geometry, colors, sharpness, hidden parts; on the device.

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
        translation: largest shift of the crop along each side, as a fraction of it (our choice, as all that follows).
        brightness: largest shift of all color channels, as a fraction of the full scale.
        contrast: differences from the mean are scaled by 1 plus or minus up to this.
        blur: largest standard deviation of a Gaussian blur, pixels.
        occlusion: largest height and width of a gray rectangle over the view, as fractions of its side; points behind
            it are still to be found.

    Raises:
        ValueError: a value out of its range.
    """

    rotation_degrees: Annotated[float, Range(0, 180)] = 45.0
    scale: Annotated[float, Range(0, 0.9)] = 0.25
    flip: Share = 0.5
    color: Share = 0.0
    translation: Annotated[float, Range(0, 0.5)] = 0.0
    brightness: Share = 0.0
    contrast: Share = 0.0
    blur: Annotated[float, Range(0, 5)] = 0.0
    occlusion: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self)


class View(NamedTuple):
    """A random view of an image.

    Attributes:
        angle: `[]` radians; the image turns against the clock.
        zoom: `[2]` of rows and of columns; above 1 shows more, the infant becomes smaller.
        mirrored: `[]` whether left and right change places.
        shift: `[3]` of each color, share of the full scale.
        contrast: `[]` factor of differences from the mean.
        offset: `[2]` of rows and of columns, share of the side; above 0 the infant moves up and to the left.
        blur: `[]` standard deviation, pixels.
        box: `[2, 2]` first and last row, first and last column of a gray rectangle, shares of the side.
    """

    angle: Float[Array, ""]
    zoom: Float[Array, "2"]
    mirrored: Array
    shift: Float[Array, "3"]
    contrast: Float[Array, ""] = np.float32(1)  # type: ignore[assignment]
    offset: Float[Array, "2"] = np.zeros(2, np.float32)  # type: ignore[assignment]
    blur: Float[Array, ""] = np.float32(0)  # type: ignore[assignment]
    box: Float[Array, "2 2"] = np.zeros((2, 2), np.float32)  # type: ignore[assignment]


UNCHANGED: View = jax.tree.map(np.asarray, View(np.float32(0), np.ones(2, np.float32), False, np.zeros(3, np.float32)))  # type: ignore[arg-type]
"""The view that changes nothing."""


def sample_view(key: PRNGKeyArray, augmentation: ImageAugmentation) -> View:
    """A random view; `vmap` over keys for a batch."""
    turn, stretch, side, channel, strength = jax.random.split(key, 5)
    light, middle, size, *others = jax.random.split(jax.random.fold_in(key, 1), 6)
    largest = math.radians(augmentation.rotation_degrees)
    shift = jax.random.uniform(strength, (), minval=-augmentation.color, maxval=augmentation.color)
    centers = jax.random.uniform(middle, (2,))
    sizes = jax.random.uniform(size, (2,), maxval=augmentation.occlusion)

    def around(key: PRNGKeyArray, center: float, width: float, shape: tuple[int, ...] = ()) -> Array:
        return jax.random.uniform(key, shape, minval=center - width, maxval=center + width)

    return View(
        jax.random.uniform(turn, (), minval=-largest, maxval=largest),
        jax.random.uniform(stretch, (2,), minval=1 - augmentation.scale, maxval=1 + augmentation.scale),
        jax.random.uniform(side, ()) < augmentation.flip,
        shift * (jnp.arange(3) == jax.random.randint(channel, (), 0, 3)) + around(light, 0, augmentation.brightness),
        around(others[0], 1, augmentation.contrast),
        around(others[1], 0, augmentation.translation, (2,)),
        jax.random.uniform(others[2], (), maxval=augmentation.blur),
        jnp.stack([centers - sizes / 2, centers + sizes / 2], -1),
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
    read += view.offset * side
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
    """An image of values 0..1 with its contrast scaled and its colors shifted, cut off to 0..1."""
    return jnp.clip(image + (view.contrast - 1) * (image - image.mean()) + view.shift, 0, 1)


def blur_image(image: Image, view: View, largest: float) -> Image:
    """An image after the Gaussian blur of a view; its edge goes on outside.

    Args:
        image: of any scale.
        view: of it.
        largest: deviation of any view, pixels; the kernel has the length for it.
    """
    radius, side = math.ceil(3 * largest), image.shape[0]
    taps = jnp.exp(-0.5 * jnp.square(jnp.arange(-radius, radius + 1) / jnp.maximum(view.blur, 1e-3)))
    taps /= taps.sum()
    for axis in (0, 1):
        padding = [(radius, radius) if axis == other else (0, 0) for other in range(3)]
        padded = jnp.pad(image, padding, "edge")
        shifted = (jax.lax.slice_in_dim(padded, i, i + side, axis=axis) for i in range(2 * radius + 1))
        image = sum(tap * part for tap, part in zip(taps, shifted))
    return image


def cover_image(image: Image, view: View) -> Image:
    """A normalized image with the rectangle of a view in mean gray."""
    at = (jnp.arange(image.shape[0]) + 0.5) / image.shape[0]
    rows, columns = ((first <= at) & (at < last) for first, last in view.box)
    return jnp.where((rows[:, None] & columns)[..., None], 0, image)


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
    shown = (
        jnp.einsum("ji,kj->ki", _turn(view.angle), at - middle - view.offset * side, precision="highest") / view.zoom
        + middle
    )
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
