"""Frames of a video one after the other in bounded memory, by PyAV.

Frames are upright and in the order of time. A damaged file is read up to the damage, and `notes` say so.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infantjax.errors import InputError
from infantjax.recording.recording import fps_notes
from infantjax.video.frames import GAP_SECONDS, WHOLE_FILE, Frame, Frames, check_sides, describe_error

if TYPE_CHECKING:
    import av

_SHORT_SECONDS = 0.5
_MAX_BOXES = 1000


class VideoStream(Frames):
    """The frames of the first video stream of a file.

    Attributes:
        container: name of the container format, as FFmpeg calls it.
        pixel_format: name of the pixel format, as FFmpeg calls it.
        size: height and width of the stored frames, pixels.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        import av

        self.path, self.notes = path, []
        self.provenance = f"PyAV {av.__version__}"
        with self._opened() as container:
            stream = _first_stream(container, path)
            self.container, self.pixel_format = container.format.name, stream.codec_context.pix_fmt
            self.size = stream.codec_context.height, stream.codec_context.width
            rate = stream.average_rate or stream.guessed_rate
            self._duration = _duration(container, stream)
            self.fps = fps or (float(rate) if rate else math.nan)
            # A stream without a length has no rate either; FFmpeg then guesses one.
            self.notes += fps_notes(float(rate) if rate and self._duration else None, fps)
            if math.isnan(self.fps):
                raise InputError(path, "does not state a frame rate", "give --fps")
            if len(container.streams.video) > 1:
                self.notes.append(f"has {len(container.streams.video)} video streams; the first was read")
            shape = stream.sample_aspect_ratio
            if shape and shape != 1:
                self.notes.append(f"has pixels that are {shape} as wide as high; positions are in stored pixels")
        self._header_notes = tuple(self.notes)
        self._stated_fps = fps
        self.expected = round(self._duration * self.fps)

    def __iter__(self) -> Iterator[Frame]:
        self.notes = list(self._header_notes)
        with self._opened() as container:
            decoder = _Decoder(container, _first_stream(container, self.path))
            size, count, first, last, step = None, 0, 0.0, -math.inf, 0.0
            for native in decoder:
                turns = round(native.rotation / 90) % 4
                height, width = (native.height, native.width) if turns % 2 == 0 else (native.width, native.height)
                check_sides(self.path, height, width)
                time = self._time_of(native, count)
                if time < 0:  # Players do not show these frames: an edit list, or frames before the start.
                    continue
                if time <= last:
                    self._note(f"has frames with the same time, or that go back, near {time:.1f} s; left out")
                    continue
                if count == 0:
                    first = time
                elif time - last > max(GAP_SECONDS, 1.5 / self.fps):
                    self._note(f"has no frame between {last - first:.1f} and {time - first:.1f} s")
                step, last = (time - last if count else 0.0), time
                if size not in (None, (height, width)):
                    self._note(f"changes its frames from {size[1]}x{size[0]} to {width}x{height} pixels")
                size = height, width
                yield Frame(count, time - first, height, width, self.path.name, native, turns)
                count += 1
        self._check_end(count, last - first, step, decoder.damage)

    def _opened(self) -> Any:
        """The container, to be closed after use."""
        return _open(self.path)

    def _time_of(self, native: "av.VideoFrame", index: int) -> float:
        """Seconds of a frame: its time stamp, or its index over the frame rate that the user states."""
        if self._stated_fps is not None:
            return index / self.fps
        if native.time is None:
            raise InputError(self.path, "has frames without a time", "give --fps")
        return native.time

    def _check_end(self, frames: int, seconds: float, step: float, damage: str) -> None:
        if not frames:
            what = f"holds no frame that can be decoded{damage and f' ({damage})'}"
            raise InputError(self.path, what, WHOLE_FILE)
        # The index of an MP4 holds the time of every frame; other containers round or guess the duration.
        tolerance = 0 if "mp4" in self.container else _SHORT_SECONDS
        if damage:
            self._note(f"is damaged after {seconds:.1f} s ({damage}); used up to there")
        elif self._duration - seconds > max(2.5 / self.fps, 2.5 * step, tolerance):
            self._note(f"ends at {seconds:.1f} of {self._duration:.1f} s")

    def _note(self, text: str) -> None:
        # A damaged file may give one note for every frame: the first of its kind is enough.
        if not any(note.split()[:3] == text.split()[:3] for note in self.notes):
            self.notes.append(text)


class _Decoder:
    """Decoded frames up to the first damage; then `damage` says what it is."""

    def __init__(self, container: Any, stream: Any) -> None:
        stream.thread_type = "AUTO"
        self._frames = container.decode(stream)
        self.damage = ""

    def __iter__(self) -> Iterator["av.VideoFrame"]:
        import av

        while True:
            try:
                frame = next(self._frames)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                self.damage = describe_error(error)
                return
            yield frame


def _open(path: Path) -> Any:
    import av

    try:
        return av.open(str(path.resolve()))  # An absolute path is never taken for an option or a protocol.
    except (av.error.FFmpegError, UnicodeDecodeError, ValueError, OSError) as error:
        if _is_cut_off(path):
            raise InputError(path, "is incomplete: its index is missing", WHOLE_FILE) from None
        what = f"is no video or image that can be read ({describe_error(error)})"
        raise InputError(path, what, WHOLE_FILE) from None


def _is_cut_off(path: Path) -> bool:
    """Whether a file begins as MP4 or MOV and has no whole box `moov`: the recording was cut off."""
    length, at = path.stat().st_size, 0
    kinds: list[bytes] = []
    with path.open("rb") as stream:
        while at + 8 <= length and len(kinds) < _MAX_BOXES:
            stream.seek(at)
            head = stream.read(16)
            size = int.from_bytes(head[:4], "big")
            if size == 1:  # The size follows in eight bytes.
                size = int.from_bytes(head[8:], "big")
            at += max(size, 8) if size else length
            if at <= length or head[4:8] == b"ftyp":
                kinds.append(head[4:8])
    return kinds[:1] == [b"ftyp"] and b"moov" not in kinds


def _first_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise InputError(path, "has no video stream", "give a video")
    stream = container.streams.video[0]
    if stream.codec_context is None or stream.codec_context.name is None:
        raise InputError(path, "holds a video of a kind that cannot be decoded here", "convert it to H.264")
    return stream


def _duration(container: Any, stream: Any) -> float:
    """Declared duration in seconds; 0 if there is none."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        # FFmpeg gives the duration of what is left of a cut file; the header has that of the whole.
        return float(stream.frames / stream.average_rate)
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else 0.0
