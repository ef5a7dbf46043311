"""Testing at several scales: the mean of a network's maps over versions of an image, larger and smaller.

Source: Groos et al., Paper I (tables 3 to 9), as the authors' training framework does it; the scales are not printed.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from infantjax.pose.codec.heatmap import Maps

Predict = Callable[[Float[Array, "batch side side 3"]], Maps]

MIN_SCALE, MAX_SCALE = 0.25, 1.75
"""A scale of 2 would leave nothing of the image."""


def mean_maps(predict: Predict, crops: UInt8[Array, "batch side side 3"], scales: Sequence[float]) -> Maps:
    """Mean of the maps over scales.

    Args:
        predict: maps of images in gray levels 0..255, not normalized.
        crops: images, resized and padded.
        scales: below 1 the image is padded with black and appears smaller, above 1 it loses its border and appears
            larger; 1 is the image as it is.
    """
    first, *others = (at_scale(predict, crops, scale) for scale in scales)
    return sum(others, first) / len(scales)


def at_scale(predict: Predict, crops: UInt8[Array, "batch side side 3"], scale: float) -> Maps:
    """Maps of an image that is shown smaller or larger, mapped back to its coordinates.

    With `S` the side of the maps, `R` of the image and `b = int((S - S * scale) / 2)`: padded (`b` above 0) or cut by
    `b * R / S` pixels on each side, resized to `R`; the maps are resized to `S + 2 * b` and `b` pixels of them cut off
    or padded. Resizing is linear, with a low-pass where it shrinks.

    Args:
        predict: as in `mean_maps`.
        crops: as in `mean_maps`.
        scale: within `MIN_SCALE` and `MAX_SCALE`.
    """
    images = jnp.asarray(crops, jnp.float32)
    if scale == 1:
        return predict(images)
    side = images.shape[1]
    maps = jax.eval_shape(predict, images).shape[1]
    border = int((maps - maps * scale) / 2)
    if border == 0:
        return predict(images)
    padded = _bordered(images, border * side // maps)
    found = predict(_resized(padded, side))
    return _bordered(_resized(found, maps + 2 * border), -border)


def _bordered(x: Array, border: int) -> Array:
    """Zeros around images, or, below 0, images without their border."""
    if border < 0:
        return x[:, -border:border, -border:border]
    return jnp.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))


def _resized(x: Array, side: int) -> Array:
    return jax.image.resize(x, (x.shape[0], side, side, x.shape[3]), "linear")
