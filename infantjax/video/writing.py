"""A video with its keypoints drawn into it."""

import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.errors import InputError
from infantjax.skeletons import Skeleton, segments
from infantjax.video.reading import Frames

RIGHT, LEFT, MIDDLE = (230, 120, 30), (40, 110, 220), (60, 170, 90)
"""Colors of the infant's right, its left, and what is neither."""


def write_overlay(
    frames: Frames, keypoints: Float[np.ndarray, "frame joint 2"], skeleton: Skeleton, path: str | Path
) -> None:
    """Decode a video again and write it with the skeleton over it, H.264 where available, whole or not at all.

    Args:
        frames: the source of the keypoints.
        keypoints: for each frame the points in its pixels; NaN is not drawn.
        skeleton: names and limbs.
        path: the video to write; replaced if it exists.

    Raises:
        InputError: it cannot be written.
    """
    import av

    path = Path(path)
    codec = next((name for name in ("libx264", "mpeg4") if name in av.codecs_available), None)
    if codec is None:
        raise InputError(path, "cannot be written: no encoder for H.264 or MPEG-4 here", "install av from its wheel")
    rate = Fraction(frames.fps if not math.isnan(frames.fps) else 1.0).limit_denominator(1001)
    try:
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
            temporary = Path(folder) / f"overlay{path.suffix or '.mp4'}"
            with av.open(str(temporary), "w", format=None if path.suffix else "mp4") as container:
                _encode(container, container.add_stream(codec, rate=rate), frames, keypoints, skeleton)
            temporary.replace(path)
    except (OSError, av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            path, f"cannot be written ({reason})", "make room, or give another name ending in .mp4"
        ) from None


def _encode(container: Any, stream: Any, frames: Frames, keypoints: np.ndarray, skeleton: Skeleton) -> None:
    import av

    size: tuple[int, int] | None = None
    for frame, points in zip(frames, keypoints):
        if size is None:
            # The encoder needs even sides; every further frame is brought to the size of the first.
            size = frame.height, frame.width
            stream.height, stream.width = (side + side % 2 for side in size)
            stream.pix_fmt = "yuv420p"
        scale = np.array([size[1] / frame.width, size[0] / frame.height])
        picture = frame.pixels(*size)
        draw(picture, points * scale, skeleton)
        picture = np.pad(picture, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)


def draw(
    picture: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "joint 2"], skeleton: Skeleton
) -> None:
    """Draw limbs and points into a picture, in place.

    Args:
        picture: RGB.
        points: in its pixels; NaN is not drawn, and what lies outside is cut off.
        skeleton: names and limbs.
    """
    width = max(2.0, max(picture.shape[:2]) / 200)
    for a, b in segments(skeleton):
        _stroke(picture, points[a], points[b], width / 2, _color(skeleton.joints[b]))
    for joint, point in zip(skeleton.joints, points):
        _stroke(picture, point, point, width, _color(joint))


def _color(joint: str) -> tuple[int, int, int]:
    return RIGHT if joint.startswith("right") else LEFT if joint.startswith("left") else MIDDLE


def _stroke(picture: np.ndarray, a: np.ndarray, b: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    """Every pixel within a radius of a segment."""
    if not np.isfinite([*a, *b]).all():
        return
    low = np.floor(np.minimum(a, b) - radius - 1)
    high = np.ceil(np.maximum(a, b) + radius + 2)
    sides = picture.shape[1::-1]
    (left, top), (right, bottom) = (np.clip(edge, 0, sides).astype(int) for edge in (low, high))
    if left >= right or top >= bottom:
        return
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    along = b - a
    t = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(float(along @ along), 1e-9)
    t = np.clip(t, 0, 1)
    distance = np.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])
    picture[top:bottom, left:right][distance <= radius] = color
