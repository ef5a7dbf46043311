"""Images as the networks read them: resized as in the reference implementation, and normalized."""

from functools import lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, UInt8

Resizing = Literal["reference", "fast"]
Normalization = Literal["imagenet", "lite", "vgg"]

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "lite": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # Red, green and blue minus their means, not divided: our choice, the papers do not say.
    "vgg": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),
}
"""Mean and standard deviation of red, green and blue, of values in 0..1."""


def resize(
    image: UInt8[np.ndarray, "height width 3"], height: int, width: int
) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """Resize as the reference: a Gaussian low-pass where it shrinks, linear interpolation, truncation to 8 bits.

    Neither Pillow nor OpenCV has this filter. Both steps are linear and separable, so each axis is one sparse product.
    """
    values = image.astype(np.float32) / np.float32(255)
    low, high = values.min(), values.max()
    rows, columns = _resize_matrix(image.shape[0], height), _resize_matrix(image.shape[1], width)
    half = rearrange(rows @ rearrange(values, "y x c -> y (x c)"), "y (x c) -> x (y c)", c=3)
    whole = rearrange(columns @ half, "x (y c) -> y x c", c=3)
    return (np.float32(255) * np.clip(whole, low, high)).astype(np.uint8)


@lru_cache(maxsize=16)
def _resize_matrix(old: int, new: int) -> Any:
    """The resizing of one axis as a sparse matrix `[new, old]`."""
    from scipy import ndimage, sparse

    factor, unit = old / new, np.eye(old)
    if factor > 1:
        unit = ndimage.gaussian_filter1d(unit, (factor - 1) / 2, axis=0, mode="mirror", truncate=4)
    positions = np.clip((np.arange(new) + 0.5) * factor - 0.5, -(old - 1), 2 * (old - 1))
    positions = np.abs(positions)  # the mirror does not repeat the edge pixel
    positions = np.minimum(positions, 2 * (old - 1) - positions)
    before = np.clip(np.floor(positions).astype(int), 0, max(old - 2, 0))
    share = (positions - before)[:, None]
    matrix = (1 - share) * unit[before] + share * unit[np.minimum(before + 1, old - 1)]
    return sparse.csr_matrix(matrix.astype(np.float32))


def normalize(
    images: UInt8[Array, "*batch height width 3"], kind: Normalization
) -> Float[Array, "*batch height width 3"]:
    """Normalize padded crops; the padding is black, which is not zero at the network's input.

    Args:
        images: RGB, 8 bit.
        kind: a name of `NORMALIZATIONS`, that of the network's entry.
    """
    mean, deviation = (jnp.asarray(v, jnp.float32) for v in NORMALIZATIONS[kind])
    return (jax.lax.convert_element_type(images, jnp.float32) / 255 - mean) / deviation
