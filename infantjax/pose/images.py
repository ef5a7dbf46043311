"""Pictures as the networks read them: resized, padded to a square, normalized.

Source: behavior of the released program.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from infantjax.video.reading import Frame

Resizing = Literal["released", "fast"]

NORMALIZATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "lite": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # Blue, green and red minus their means, not divided: chosen, the papers do not say.
    "vgg": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),
}
"""Mean and standard deviation of red, green and blue, of values in 0..1."""


class Box(NamedTuple):
    """A part of a picture, whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Placement:
    """Where a picture, or a part of it, lies in its square.

    Attributes:
        side: of the square, pixels.
        height: of the resized picture.
        width: of the resized picture.
        top: rows of padding above.
        left: columns of padding to the left.
        box: the part of the picture.
    """

    side: int
    height: int
    width: int
    top: int
    left: int
    box: Box

    def squared(self, points: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Points in pixels of the picture as fractions of the square, exactly; outside the box they leave 0..1."""
        scale = np.array([self.width / self.box.width, self.height / self.box.height])
        return ((points - (self.box.left, self.box.top)) * scale + (self.left, self.top)) / self.side

    def pictured(self, fractions: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """The reverse of `squared`, exactly."""
        scale = np.array([self.width / self.box.width, self.height / self.box.height])
        return (fractions * self.side - (self.left, self.top)) / scale + (self.box.left, self.box.top)


def place(height: int, width: int, side: int, box: Box | None = None) -> Placement:
    """The largest fit of a picture into a square, in the middle: the released rounding, half to even, half cut off.

    Args:
        height: of the picture, pixels.
        width: of the picture, pixels.
        side: of the square, pixels.
        box: the part of the picture to take; None is the whole.
    """
    box = box or Box(0, 0, height, width)
    scale = side / max(box.height, box.width)
    rows, columns = (max(1, min(side, round(scale * s))) for s in (box.height, box.width))
    return Placement(side, rows, columns, int((side - rows) / 2), int((side - columns) / 2), box)


CROP_MARGIN = 0.15
"""Share of the box of all keypoints that the infant framework adds on each side of it."""


def surround(
    points: Float[np.ndarray, "keypoint 2"], height: int, width: int, margin: float = CROP_MARGIN
) -> Box | None:
    """The part of a picture that the infant framework trains on: near a square around all keypoints.

    The box of the keypoints is enlarged by the margin, its shorter side about its middle to the longer one, and all is
    cut off at the picture's border. Chosen: the box grows to whole pixels.

    Args:
        points: pixels; NaN is missing.
        height: of the picture.
        width: of the picture.
        margin: share of width and height, on each side.

    Returns:
        None where no point is there, or none inside the picture.

    Source: behavior of the authors' training framework.
    """
    seen = points[np.isfinite(points).all(-1)]
    if not len(seen):
        return None
    low, high = seen.min(0), seen.max(0)
    half = (0.5 + margin) * (high - low)
    middle, half = (low + high) / 2, np.maximum(half, half.max())
    left, top = np.maximum(np.floor(middle - half), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + half), (width, height)).astype(int)
    return Box(int(top), int(left), int(bottom - top), int(right - left)) if bottom > top and right > left else None


SECOND_LOOK = 0.3
"""Share of the box of found keypoints that the infant framework's trackers add on each side of it."""


def look_closer(
    points: Float[np.ndarray, "keypoint 2"], height: int, width: int, margin: float = SECOND_LOOK
) -> Box | None:
    """The part of a picture that a second look takes: a square around the found keypoints, inside the picture.

    The box of the keypoints is enlarged by the margin, cut off at the picture's border, and its shorter side widened to
    the longer one as far as the picture goes. Chosen: whole pixels, and that the square moves where the border is near.

    Args:
        points: pixels; NaN is missing.
        height: of the picture.
        width: of the picture.
        margin: share of width and height, on each side.

    Returns:
        None where fewer than two points are there, or all in one place.

    Source: behavior of the authors' training framework, two-stage tracking.
    """
    seen = points[np.isfinite(points).all(-1)]
    if len(seen) < 2:
        return None
    low, high = seen.min(0), seen.max(0)
    low, high = low - margin * (high - low), high + margin * (high - low)
    low = np.clip(np.floor(low), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(high), 0, (width, height)).astype(int)
    if (high - low).min() < 1:
        return None
    sides = np.minimum((high - low).max(), (width, height))
    left, top = np.clip((low + high - sides) // 2, 0, (width - sides[0], height - sides[1]))
    return Box(int(top), int(left), int(sides[1]), int(sides[0]))


def annotated_square(
    frame: Frame,
    points: Float[np.ndarray, "keypoint 2"],
    side: int,
    crop: bool = True,
    resizing: Resizing = "released",
) -> tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "keypoint 2"]]:
    """An annotated picture as networks are trained on it, and its points as fractions of the square.

    Args:
        frame: the picture.
        points: pixels; NaN is missing.
        side: of the square, pixels.
        crop: take the surroundings of the points (`surround`), the framework's default, or the whole picture.
        resizing: as in `fit`.

    Returns:
        The square, and the points cut off to 0..1 as in the framework; NaN stays.
    """
    box = surround(points, frame.height, frame.width) if crop else None
    where = place(frame.height, frame.width, side, box)
    return fit(frame, side, resizing, box), np.clip(where.squared(points), 0, 1)


def fit(frame: Frame, side: int, resizing: Resizing, box: Box | None = None) -> UInt8[np.ndarray, "side side 3"]:
    """A frame as the networks read it but for the normalization: resized to fit a square, zeros around it.

    Args:
        frame: of a video, or a picture.
        side: of the square, pixels.
        resizing: `released` low-passes and samples exactly as the released program does (to one gray level); `fast`
            takes area means by the decoder's own scaler.
        box: the part of the frame to take; None is the whole.
    """
    where = place(frame.height, frame.width, side, box)
    if box is not None:
        frame = frame.cropped(*box)
    if resizing == "fast":
        small = frame.pixels(where.height, where.width)
    else:
        small = resize(frame.pixels(), where.height, where.width)
    square = np.zeros((side, side, 3), np.uint8)
    square[where.top : where.top + where.height, where.left : where.left + where.width] = small
    return square


def resize(
    picture: UInt8[np.ndarray, "height width 3"], height: int, width: int
) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """The released resizing: a low-pass where it shrinks, linear interpolation, cut off to whole gray levels."""
    values = picture.astype(np.float32) / np.float32(255)
    low, high = values.min(), values.max()
    rows, columns = _operator(picture.shape[0], height), _operator(picture.shape[1], width)
    half = (rows @ values.reshape(len(values), -1)).reshape(height, *values.shape[1:])
    whole = (columns @ half.transpose(1, 0, 2).reshape(values.shape[1], -1)).reshape(width, height, 3)
    return (np.float32(255) * np.clip(whole.transpose(1, 0, 2), low, high)).astype(np.uint8)


@lru_cache(maxsize=16)
def _operator(old: int, new: int) -> Any:
    """The resizing of one axis as a sparse matrix `[new, old]`: both its steps are linear."""
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
    pixels: UInt8[Array, "*batch height width 3"], kind: Literal["imagenet", "lite", "vgg"]
) -> Float[Array, "*batch height width 3"]:
    """A network's input of a padded picture; the padding is black, not zero, at the network's input.

    Args:
        pixels: RGB, 8 bit.
        kind: a name of `NORMALIZATIONS`, that of the network's entry.
    """
    mean, deviation = (jnp.asarray(v, jnp.float32) for v in NORMALIZATIONS[kind])
    return (jax.lax.convert_element_type(pixels, jnp.float32) / 255 - mean) / deviation


def unplace(positions: Float[np.ndarray, "... 2"], height: int, width: int, side: int) -> Float[np.ndarray, "... 2"]:
    """Positions in the square as positions in the picture, pixels.

    By the released formula, which ignores that sides and padding are whole pixels (at most half a pixel of the square):
    below the picture becomes half a pixel of the square outside it, beyond it its border.

    Args:
        positions: x and y as fractions of the square.
        height: of the picture, pixels.
        width: of the picture, pixels.
        side: of the square, pixels.
    """
    fractions = np.array(positions, np.float64)
    axis, longer, shorter = (1, width, height) if width > height else (0, height, width)
    if longer > shorter:
        margin = (longer - shorter) / (2 * longer)
        values = (fractions[..., axis] - margin) / (1 - 2 * margin)
        values = np.where(values < 0, -0.5 / side, np.where(values > 1, 1.0, values))
        fractions[..., axis] = np.where(np.isnan(fractions[..., axis]), np.nan, values)
    return fractions * np.array([width, height], np.float64)
