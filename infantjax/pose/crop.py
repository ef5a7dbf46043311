"""Square crops of images: which part of an image a network sees, and where its points lie in the image.

Positions in a crop are x and y as fractions of its side.

Source: behavior of the reference implementation, and of the authors' training framework.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.pose.images import Resizing, resize
from infantjax.video.frames import Frame

TRAINING_MARGIN = 0.15
"""Share of the box of all keypoints that the training framework adds on each side of it."""
REFINE_MARGIN = 0.3
"""Share of the box of found keypoints that the framework's trackers add on each side of it."""


class Box(NamedTuple):
    """A part of an image, whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class AffineCrop:
    """The map between an image, or a box in it, and a square crop: resized to fit, with padding around it.

    Attributes:
        side: height and width of the crop, pixels.
        height: of the resized image.
        width: of the resized image.
        top: rows of padding above.
        left: columns of padding to the left.
        box: the part of the image.
    """

    side: int
    height: int
    width: int
    top: int
    left: int
    box: Box

    @classmethod
    def fit(cls, height: int, width: int, side: int, box: Box | None = None) -> "AffineCrop":
        """The largest image that fits, centered; rounded as in the reference: half to even, padding downwards.

        Args:
            height: of the image, pixels.
            width: of the image, pixels.
            side: of the crop, pixels.
            box: the part of the image to take; None takes the whole image.
        """
        box = box or Box(0, 0, height, width)
        scale = side / max(box.height, box.width)
        rows, columns = (max(1, min(side, round(scale * s))) for s in (box.height, box.width))
        return cls(side, rows, columns, int((side - rows) / 2), int((side - columns) / 2), box)

    def to_crop(self, points: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Convert pixels of the image to fractions of the crop, exactly; outside the box they leave 0..1."""
        return ((points - (self.box.left, self.box.top)) * self._scale + (self.left, self.top)) / self.side

    def to_image(self, fractions: Float[np.ndarray, "... 2"]) -> Float[np.ndarray, "... 2"]:
        """Convert fractions of the crop to pixels of the image, the exact inverse of `to_crop`."""
        return (fractions * self.side - (self.left, self.top)) / self._scale + (self.box.left, self.box.top)

    @property
    def _scale(self) -> np.ndarray:
        return np.array([self.width / self.box.width, self.height / self.box.height])


def to_image_coords(
    positions: Float[np.ndarray, "... 2"], height: int, width: int, side: int
) -> Float[np.ndarray, "... 2"]:
    """Convert fractions of the crop of a whole image to pixels of the image, by the formula of the reference.

    The formula ignores that sides and padding are whole pixels (an error of at most half a pixel of the crop). A point
    in the padding before the image comes out half a pixel of the crop outside it, one behind the image at its border.

    Args:
        positions: x and y as fractions of the crop.
        height: of the image, pixels.
        width: of the image, pixels.
        side: of the crop, pixels.
    """
    fractions = np.array(positions, np.float64)
    axis, longer, shorter = (1, width, height) if width > height else (0, height, width)
    if longer > shorter:
        margin = (longer - shorter) / (2 * longer)
        values = (fractions[..., axis] - margin) / (1 - 2 * margin)
        values = np.where(values < 0, -0.5 / side, np.where(values > 1, 1.0, values))
        fractions[..., axis] = np.where(np.isnan(fractions[..., axis]), np.nan, values)
    return fractions * np.array([width, height], np.float64)


def expand_box(
    points: Float[np.ndarray, "keypoint 2"], height: int, width: int, margin: float = TRAINING_MARGIN
) -> Box | None:
    """The part of an image that the training framework crops: nearly a square around all keypoints.

    The box of the keypoints grows by the margin, then its shorter side grows about its center to the longer one, and
    the image's border clips it. Our choice: the box grows to whole pixels.

    Args:
        points: pixels; NaN is missing.
        height: of the image.
        width: of the image.
        margin: share of width and height, on each side.

    Returns:
        None without any point, or without one inside the image.

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


def refine_crop(
    points: Float[np.ndarray, "keypoint 2"], height: int, width: int, margin: float = REFINE_MARGIN
) -> Box | None:
    """The part of an image that the second stage of tracking reads: a square around the points of the first stage.

    The box of the points grows by the margin, the image's border clips it, and its shorter side grows to the longer one
    as far as the image goes. Our choice: whole pixels, and a square that moves where the border is near.

    Args:
        points: pixels; NaN is missing.
        height: of the image.
        width: of the image.
        margin: share of width and height, on each side.

    Returns:
        None for fewer than two points, or when all are in one place.

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


def crop_image(frame: Frame, side: int, resizing: Resizing, box: Box | None = None) -> UInt8[np.ndarray, "side side 3"]:
    """Resize a frame to fit a square, padded with black: a network's input before normalization.

    Args:
        frame: of a video, or an image.
        side: of the crop, pixels.
        resizing: `reference` equals the reference implementation to one gray level; `fast` takes area means by the
            decoder's own scaler.
        box: the part of the frame to take; None takes the whole frame.
    """
    where = AffineCrop.fit(frame.height, frame.width, side, box)
    if box is not None:
        frame = frame.cropped(*box)
    if resizing == "fast":
        small = frame.pixels(where.height, where.width)
    else:
        small = resize(frame.pixels(), where.height, where.width)
    crop = np.zeros((side, side, 3), np.uint8)
    crop[where.top : where.top + where.height, where.left : where.left + where.width] = small
    return crop


def crop_array(
    image: UInt8[np.ndarray, "height width 3"], side: int, resizing: Resizing = "reference"
) -> UInt8[np.ndarray, "side side 3"]:
    """Resize an RGB image to fit a square, padded with black: a network's input before normalization.

    Args:
        image: upright.
        side: of the crop, pixels.
        resizing: as of `crop_image`.
    """
    return crop_image(Frame.from_array(0, 0.0, "", image), side, resizing)


def crop_annotated(
    frame: Frame,
    points: Float[np.ndarray, "keypoint 2"],
    side: int,
    around_keypoints: bool = True,
    resizing: Resizing = "reference",
) -> tuple[UInt8[np.ndarray, "side side 3"], Float[np.ndarray, "keypoint 2"]]:
    """Crop an annotated image for training, and convert its points to fractions of the crop.

    Args:
        frame: the image.
        points: pixels; NaN is missing.
        side: of the crop, pixels.
        around_keypoints: crop to `expand_box`, the framework's default, or take the whole image.
        resizing: see `crop_image`.

    Returns:
        The crop, and the points clipped to 0..1 as in the framework; NaN stays.
    """
    box = expand_box(points, frame.height, frame.width) if around_keypoints else None
    where = AffineCrop.fit(frame.height, frame.width, side, box)
    return crop_image(frame, side, resizing, box), np.clip(where.to_crop(points), 0, 1)
