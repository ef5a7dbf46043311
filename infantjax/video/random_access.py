"""Frames of a video by number, by decord with PyAV as fallback.

decord seeks to a frame without decoding all frames before it. It gives wrong frames for some files without an error, so
that its answers are checked, and it is used only where its pixels equal those of PyAV. Streams are read by PyAV
(`open_frames`), since decord decodes ahead of a slow consumer without bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.video.frames import Frame, Frames
from infantjax.video.reading import open_frames
from infantjax.video.stream import VideoStream

_CONTAINERS = ("mp4", "matroska", "avi")
"""Containers with one size of frames and usable time stamps. MPEG streams have neither."""
_PIXEL_FORMATS = ("yuv420p", "yuvj420p")
"""8-bit formats that decord and PyAV convert to equal RGB; other formats differ by 2.8 gray levels on average."""
_MAX_SIDE = 3840
"""Longest side, pixels. decord takes four times the memory of PyAV for larger frames."""
_MAX_SECONDS = 1e9
_BATCH = 32


@dataclass(frozen=True)
class FrameBatch:
    """Some frames of a source.

    Attributes:
        frames: in the order of the indices that were asked for.
        decoder: name and version of the decoder.
        fallback: why decord was not used; empty if it was.
    """

    frames: tuple[Frame, ...]
    decoder: str
    fallback: str = ""


class _CannotUseDecord(Exception):
    """decord cannot read a file, or gives frames that fail a check; the message says why."""


def read_frames(path: str | Path, indices: Sequence[int]) -> FrameBatch:
    """Read frames by number, for example for training images, stills or thumbnails.

    Args:
        path: a video, an image, or a folder of images.
        indices: numbers of frames, from 0, in any order; frames are counted as `open_frames` counts them.

    Returns:
        The frames as `open_frames` gives them.

    Raises:
        InputError: the source cannot be read, or has no frame of such a number.
        ValueError: a negative index.
    """
    if any(index < 0 for index in indices):
        raise ValueError(f"frame numbers must be at least 0, got {min(indices)}")
    source = open_frames(path, None if Path(path).is_file() else 1.0)
    if not isinstance(source, VideoStream):
        return _read_stream(source, indices, "not a video")
    try:
        return _read_decord(source, indices)
    except _CannotUseDecord as reason:
        return _read_stream(source, indices, str(reason))


def _read_stream(source: Frames, indices: Sequence[int], fallback: str) -> FrameBatch:
    wanted, found = set(indices), {}
    for frame in source:
        if frame.index in wanted:
            found[frame.index] = frame
        if len(found) == len(wanted):
            break
    else:
        _check_count(source.path, max(wanted), frame.index + 1)
    return FrameBatch(tuple(found[index] for index in indices), source.provenance, fallback)


def _check_count(path: Path, index: int, count: int) -> None:
    if index >= count:
        raise InputError(path, f"has no frame {index}: it has {count}", "count frames from 0")


def _read_decord(source: VideoStream, indices: Sequence[int]) -> FrameBatch:
    if not any(name in source.container for name in _CONTAINERS):
        raise _CannotUseDecord(f"container {source.container}")
    if source.pixel_format not in _PIXEL_FORMATS:
        raise _CannotUseDecord(f"pixel format {source.pixel_format}")
    if max(source.size) > _MAX_SIDE:
        raise _CannotUseDecord(f"frames of {source.size[1]}x{source.size[0]} pixels")
    if next(iter(source)).interlaced:
        raise _CannotUseDecord("interlaced frames")
    try:
        import decord
    except ImportError:
        raise _CannotUseDecord("decord is not installed") from None
    decord.logging.set_level(decord.logging.QUIET)
    try:
        # More threads lose frames of some files and take eight times the memory.
        reader = decord.VideoReader(str(source.path.resolve()), num_threads=1)
        times = _check_times(np.asarray(reader.get_frame_timestamp(np.arange(len(reader))), dtype=np.float64)[:, 0])
        _check_count(source.path, max(indices, default=-1), len(times))
        images = _decode(reader, np.asarray(indices, dtype=np.int64))
    except (decord.DECORDError, RuntimeError, IndexError):  # Its messages are places in its C++ code.
        raise _CannotUseDecord("decord cannot decode it") from None
    frames = [Frame.from_array(i, times[i] - times[0], source.path.name, image) for i, image in zip(indices, images)]
    return FrameBatch(tuple(frames), f"decord {decord.__version__}")


def _check_times(times: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " frame"]:
    if not np.isfinite(times).all() or np.abs(times).max(initial=0) > _MAX_SECONDS:
        raise _CannotUseDecord("time stamps are not finite")
    if (np.diff(times) <= 0).any():  # Equal ones at the end: the file declares more frames than it holds.
        raise _CannotUseDecord("time stamps do not increase")
    if (times < 0).any():  # Players do not show these frames, and decord returns other frames than asked for.
        raise _CannotUseDecord("frames before the start")
    return times


def _decode(reader: Any, indices: np.ndarray) -> list[np.ndarray]:
    images: list[np.ndarray] = []
    for start in range(0, len(indices), _BATCH):
        batch = reader.get_batch(indices[start : start + _BATCH]).asnumpy()
        if batch.ndim != 4 or batch.shape[-1] != 3:
            raise _CannotUseDecord(f"frames of shape {batch.shape[1:]}")
        images.extend(batch)
    return images
