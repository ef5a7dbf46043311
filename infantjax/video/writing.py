"""Write a video with its keypoints."""

import math
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.skeletons import Skeleton
from infantjax.video.drawing import draw_skeleton
from infantjax.video.frames import Frames


def write_overlay(
    frames: Frames, keypoints: Float[np.ndarray, "frame joint 2"], skeleton: Skeleton, path: str | Path
) -> None:
    """Decode a video again and write it with the skeleton drawn on it, whole or not at all.

    The codec is H.264 if PyAV has an encoder for it, else MPEG-4.

    Args:
        frames: the source of the keypoints.
        keypoints: points of each frame in its pixels; NaN is not drawn.
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
            # The encoder needs even sides. All further frames get the size of the first.
            size = frame.height, frame.width
            stream.height, stream.width = (side + side % 2 for side in size)
            stream.pix_fmt = "yuv420p"
        scale = np.array([size[1] / frame.width, size[0] / frame.height])
        image = draw_skeleton(frame.pixels(*size), points * scale, skeleton)
        image = np.pad(image, ((0, size[0] % 2), (0, size[1] % 2), (0, 0)), mode="edge")
        for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
