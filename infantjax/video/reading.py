"""Frames of a video file, a picture, or a folder of pictures, one after the other, in bounded memory.

PyAV decodes videos: a consumer as slow as a network then never makes memory grow. Frames come upright, in the order in
which they are shown, with their time; a damaged file is used up to the damage, and `notes` say so. Pillow decodes
pictures: to the gray levels of the reference implementation, from which those of PyAV differ by up to 8 at edges.
"""

import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from infantjax.errors import InputError
from infantjax.files import natural_order

if TYPE_CHECKING:
    import av

MIN_SIDE, MAX_SIDE = 32, 16_384
"""Shortest and longest side of a frame that is read, pixels."""
MIN_FPS = 5.0
"""Fewest frames per second of a video whose movement can be assessed."""
GAP_SECONDS = 0.5
"""Longest time between two frames that is no gap."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the files of a folder that are taken for pictures."""

_SHORT_SECONDS = 0.5
_MAX_BOXES = 1000
_CUT = "give a whole file"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        index: 0, 1, 2, ... in the order of time.
        time: seconds since the first frame.
        height: of the upright frame, pixels.
        width: of the upright frame, pixels.
        name: file name, where each frame is a file.
    """

    index: int
    time: float
    height: int
    width: int
    name: str
    _native: "av.VideoFrame" = field(repr=False)
    _turns: int = field(repr=False, default=0)

    def pixels(self, height: int | None = None, width: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """The upright frame in RGB, 8 bit, resized if sides are given (area means, by the decoder's own scaler)."""
        height, width = height or self.height, width or self.width
        sides = (width, height) if self._turns % 2 == 0 else (height, width)
        if sides == (self._native.width, self._native.height):
            picture = self._native.to_ndarray(format="rgb24")
        else:
            scaled = self._native.reformat(width=sides[0], height=sides[1], format="rgb24", interpolation="AREA")
            picture = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, self._turns)) if self._turns else picture

    def cropped(self, top: int, left: int, height: int, width: int) -> "Frame":
        """A part of the upright frame as a frame of its own.

        Raises:
            ValueError: the part does not lie in the frame, or is empty.
        """
        import av

        if min(top, left) < 0 or min(height, width) < 1 or top + height > self.height or left + width > self.width:
            raise ValueError(f"{width}x{height} pixels at {left}, {top} do not lie in {self.width}x{self.height}")
        part = np.ascontiguousarray(self.pixels()[top : top + height, left : left + width])
        native = av.VideoFrame.from_ndarray(part, format="rgb24")
        return Frame(self.index, self.time, height, width, self.name, native)


class Frames(ABC):
    """An iterator over the frames of one source.

    Attributes:
        path: the file or folder.
        fps: frames per second as stated or as the time stamps give; NaN for one picture.
        expected: how many frames there should be; 0 where nobody says.
        notes: what a reader of the results should know; complete after the last frame.
        provenance: who decoded.

    Raises:
        InputError: while iterating, for a source without a usable frame, or one whose frames are too small or too
            large.
    """

    path: Path
    fps: float
    expected: int
    notes: list[str]
    provenance: str

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first."""


def open_frames(path: str | Path, fps: float | None = None) -> Frames:
    """The frames of a video, of a picture, or of a folder of pictures in the order of their names.

    Args:
        path: a file or folder.
        fps: frames per second, where the source does not say; it overrules what a video says.

    Raises:
        InputError: no such file, not readable, no video or picture, or the frame rate is nowhere stated.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        what = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise InputError(path, what, "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    if stat.S_ISDIR(mode):
        return _Pictures(path, fps)
    if not stat.S_ISREG(mode):
        raise InputError(path, "is no regular file", "give a video file, a picture, or a folder of pictures")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty", _CUT)
    return _Pictures(path, fps) if _is_picture(path) else _Video(path, fps)


def is_frames(path: str | Path) -> bool:
    """Whether a file may hold a video or a picture, by its first bytes: no text, JSON, HDF5 or archive."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return False
    if head.startswith((b"\x89HDF", b"PK", b"{", b"[")):
        return False
    return b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def is_video(frames: Frames) -> bool:
    """Whether frames come from a video, not from pictures."""
    return isinstance(frames, _Video)


class _Video(Frames):
    def __init__(self, path: Path, fps: float | None) -> None:
        import av

        self.path, self.notes = path, []
        self.provenance = f"PyAV {av.__version__}"
        with _opened(path) as container:
            stream = _stream(container, path)
            rate = stream.average_rate or stream.guessed_rate
            self._duration = _duration(container, stream)
            self.fps = fps or (float(rate) if rate else math.nan)
            if math.isnan(self.fps):
                raise InputError(path, "does not say how many frames a second it has", "give --fps")
            if len(container.streams.video) > 1:
                self.notes.append(f"has {len(container.streams.video)} video streams; the first was read")
            shape = stream.sample_aspect_ratio
            if shape and shape != 1:
                self.notes.append(f"has pixels that are {shape} as wide as high; positions are in stored pixels")
            self._stated = tuple(self.notes)
            # In these containers the index holds the time of every frame, in others it is rounded or guessed.
            self._exact = "mp4" in container.format.name
            self._timed = fps is None
            self.expected = round(self._duration * self.fps)

    def __iter__(self) -> Iterator[Frame]:
        import av

        self.notes = list(self._stated)
        index, last, first, step, size, damage = 0, -math.inf, 0.0, 0.0, None, ""
        with _opened(self.path) as container:
            stream = _stream(container, self.path)
            stream.thread_type = "AUTO"
            decoded = container.decode(stream)
            while True:
                try:
                    native = next(decoded)
                except StopIteration:
                    break
                except (av.error.FFmpegError, OSError) as error:
                    damage = _words(error)
                    break
                turns = round(native.rotation / 90) % 4
                height, width = (native.height, native.width) if turns % 2 == 0 else (native.width, native.height)
                _require_sides(self.path, height, width)
                if self._timed:
                    time = native.time
                    if time is None:
                        raise InputError(self.path, "has frames without a time", "give --fps")
                    if time < 0:  # players do not show these: an edit list, or frames before the start
                        continue
                    if time <= last:
                        self._note(f"has frames with the same time, or that go back, near {time:.1f} s; left out")
                        continue
                    if index == 0:
                        first = time
                    elif time - last > max(GAP_SECONDS, 1.5 / self.fps):
                        self._note(f"has no frame between {last - first:.1f} and {time - first:.1f} s")
                    step = time - last if index else 0.0
                    last = time
                else:
                    first, last = 0.0, index / self.fps
                    time = last
                if size not in (None, (height, width)):
                    self._note(f"changes its frames from {size[1]}x{size[0]} to {width}x{height} pixels")
                size = height, width
                yield Frame(index, time - first, height, width, self.path.name, native, turns)
                index += 1
        self._finish(index, last - first, step, damage)

    def _finish(self, frames: int, seconds: float, step: float, damage: str) -> None:
        if not frames:
            raise InputError(self.path, f"holds no frame that can be decoded{damage and f' ({damage})'}", _CUT)
        if damage:
            self._note(f"is damaged after {seconds:.1f} s ({damage}); used up to there")
        elif self._duration - seconds > max(2.5 / self.fps, 2.5 * step, 0 if self._exact else _SHORT_SECONDS):
            self._note(f"ends at {seconds:.1f} of {self._duration:.1f} s")

    def _note(self, text: str) -> None:
        # The first of its kind is enough: a broken file may give one for every frame.
        if not any(note.split()[:3] == text.split()[:3] for note in self.notes):
            self.notes.append(text)


class _Pictures(Frames):
    """A picture, or a folder of them."""

    def __init__(self, path: Path, fps: float | None) -> None:
        import PIL

        self.path, self.notes = path, []
        self.provenance = f"Pillow {PIL.__version__}"
        self._files = sorted(self._found(), key=natural_order) if path.is_dir() else [path]
        if fps is None and path.is_dir():
            raise InputError(path, "is a folder of pictures, which have no time", "give --fps")
        self.fps, self.expected = fps or math.nan, len(self._files)

    def _found(self) -> list[Path]:
        path = self.path
        try:
            found = [p for p in path.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})", "check the folder") from None
        if not found:
            raise InputError(path, "holds no pictures", f"give a folder of {', '.join(PICTURES)} files")
        return found

    def __iter__(self) -> Iterator[Frame]:
        self.notes, sizes = [], set()
        for index, file in enumerate(self._files):
            native = _decoded(file)
            sizes.add((native.height, native.width))
            time = 0.0 if math.isnan(self.fps) else index / self.fps
            yield Frame(index, time, native.height, native.width, file.name, native)
        if len(sizes) > 1:
            self.notes.append(f"holds pictures of {len(sizes)} sizes")


_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the file") from None
    return head.startswith(_SIGNATURES) or (head.startswith(b"RIFF") and head[8:] == b"WEBP")


def picture_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an upright picture, from its header alone.

    Raises:
        InputError: no picture that can be read.
    """
    from PIL import Image

    turned = 5  # from this Exif orientation on, rows and columns change places
    try:
        with Image.open(path) as picture:
            height, width = picture.height, picture.width
            return (width, height) if picture.getexif().get(0x0112, 1) >= turned else (height, width)
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise InputError(path, f"is no picture that can be read ({_words(error)})", _CUT) from None


def _decoded(path: Path) -> "av.VideoFrame":
    """A picture as a frame: upright, without transparency."""
    import av
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            _require_sides(path, picture.height, picture.width)
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        return av.VideoFrame.from_ndarray(np.asarray(upright), format="rgb24")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(path, f"is no picture that can be read ({_words(error)})", _CUT) from None


def _opened(path: Path) -> Any:
    import av

    try:
        return av.open(str(path.resolve()))  # absolute: a name is never taken for an option or a protocol
    except (av.error.FFmpegError, UnicodeDecodeError, ValueError, OSError) as error:
        if _lacks_index(path):
            raise InputError(path, "is incomplete: its index is missing", _CUT) from None
        raise InputError(path, f"is no video or picture that can be read ({_words(error)})", _CUT) from None


def _lacks_index(path: Path) -> bool:
    """Whether a file begins as MP4 or MOV and has no whole box `moov`: a recording that was cut off."""
    length, at = path.stat().st_size, 0
    kinds: list[bytes] = []
    with path.open("rb") as stream:
        while at + 8 <= length and len(kinds) < _MAX_BOXES:
            stream.seek(at)
            head = stream.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:  # the size follows, in eight bytes
                size = int.from_bytes(head[8:], "big")
            at += max(size, 8) if size else length
            if at <= length or head[4:8] == b"ftyp":
                kinds.append(head[4:8])
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise InputError(path, "has no video stream", "give a video")
    stream = container.streams.video[0]
    if stream.codec_context is None or stream.codec_context.name is None:
        raise InputError(path, "holds a video of a kind that cannot be decoded here", "convert it to H.264")
    return stream


def _duration(container: Any, stream: Any) -> float:
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # Of a cut file FFmpeg gives the duration of what is left; the header has that of the whole.
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else 0.0


def _require_sides(path: Path, height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise InputError(path, f"has frames of {width}x{height} pixels, too small", f"give at least {MIN_SIDE}")
    if max(height, width) > MAX_SIDE:
        raise InputError(path, f"has frames of {width}x{height} pixels, too large", f"give at most {MAX_SIDE}")


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:100].rstrip(".").lower()
