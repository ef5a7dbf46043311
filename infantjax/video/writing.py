"""Write images as a video, and a video with its keypoints."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.recording.recording import Recording, find_fps_notes
from infantjax.skeletons import Skeleton
from infantjax.video.drawing import draw_skeleton, hide_head
from infantjax.video.frames import Frames
from infantjax.video.images import IMAGE_SUFFIXES, encode_image
from infantjax.video.reading import open_frames


def write_overlay(
    frames: Frames,
    keypoints: Float[np.ndarray, "frame joint 2"],
    skeleton: Skeleton,
    path: str | Path,
    *,
    hide_heads: bool = False,
) -> None:
    """Decode a source again and write it with the skeleton drawn on it: as `write_video` does, or as an image.

    An image, of the first frame, where the path ends like one.

    Args:
        frames: the source of the keypoints.
        keypoints: points of each frame in its pixels; NaN is not drawn.
        skeleton: names and limbs.
        path: the video or image to write; replaced if it exists.
        hide_heads: blur the head, and frames in which it was not found as a whole.

    Raises:
        InputError: it cannot be written.
    """
    path, images = Path(path), _drawn(frames, keypoints, skeleton, hide_heads)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        try:
            return write_atomically(path, encode_image(next(images), path.suffix))
        except OSError as error:
            raise InputError(path, f"cannot be written ({error.strerror or error})", "make room") from None
    write_video(images, frames.fps if not math.isnan(frames.fps) else 1.0, path)


def write_hidden(path: Path, recording: Recording, target: Path) -> None:
    """Write a copy of a video whose heads are blurred (`drawing.hide_head`), without its sound.

    It has a frame for each of the recording, so that both stay in step where the video has no constant frame rate.

    Args:
        path: the video.
        recording: its keypoints, in pixels of its frames.
        target: the copy; replaced if it exists.

    Raises:
        InputError: the video cannot be read, or the copy not be written.
    """
    try:
        frames = open_frames(path, recording.fps if find_fps_notes(recording) else None)
    except InputError:  # without a frame rate of its own
        frames = open_frames(path, recording.fps)

    def images() -> Iterator[np.ndarray]:
        written, size = 0, None
        for frame in frames:
            size = size or (frame.height, frame.width)
            scale = np.array([size[1] / frame.width, size[0] / frame.height])
            last = min(round(frame.time * recording.fps), recording.frames - 1)
            for index in range(written, last + 1):
                points = recording.keypoints[index, :, :2] * scale
                yield hide_head(frame.pixels(*size), points, recording.skeleton)
            written = max(written, last + 1)

    write_video(images(), recording.fps, target)


def write_video(images: Iterable[UInt8[np.ndarray, "height width 3"]], fps: float, path: str | Path) -> None:
    """Write RGB images of one size as a video, whole or not at all, without sound and metadata.

    The codec is H.264 if PyAV has an encoder for it, else MPEG-4. Odd sides get one more row or column.

    Args:
        images: from the first; taken one at a time.
        fps: frames per second.
        path: the video to write; replaced if it exists.

    Raises:
        InputError: it cannot be written.
    """
    import av

    path = Path(path)
    codec = next((name for name in ("libx264", "mpeg4") if name in av.codecs_available), None)
    if codec is None:
        raise InputError(path, "cannot be written: no encoder for H.264 or MPEG-4 here", "install av from its wheel")
    rate = Fraction(fps).limit_denominator(1001)
    try:
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
            temporary = Path(folder) / f"video{path.suffix or '.mp4'}"
            options = {"fflags": "+bitexact"}  # names no program and no time
            with av.open(str(temporary), "w", format=None if path.suffix else "mp4", options=options) as container:
                _encode(container, container.add_stream(codec, rate=rate), images)
            temporary.replace(path)
    except (OSError, av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            path, f"cannot be written ({reason})", "make room, or give another name ending in .mp4"
        ) from None


def _drawn(frames: Frames, keypoints: np.ndarray, skeleton: Skeleton, hide_heads: bool) -> Iterator[np.ndarray]:
    """The frames with the skeleton drawn on them; all get the size of the first."""
    size: tuple[int, int] | None = None
    for frame, points in zip(frames, keypoints):
        size = size or (frame.height, frame.width)
        scale = np.array([size[1] / frame.width, size[0] / frame.height])
        image = frame.pixels(*size)
        if hide_heads:
            image = hide_head(image, points * scale, skeleton)
        yield draw_skeleton(image, points * scale, skeleton)


def _encode(container: Any, stream: Any, images: Iterable[np.ndarray]) -> None:
    import av

    for number, image in enumerate(images):
        height, width = image.shape[:2]
        if number == 0:
            # The encoder needs even sides.
            stream.height, stream.width = height + height % 2, width + width % 2
            stream.pix_fmt = "yuv420p"
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
