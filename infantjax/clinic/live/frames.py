"""Frames as they come: from a camera, a stream, or a file that is played at its own rate."""

import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infantjax.errors import InputError
from infantjax.video.frames import Frame, Frames, describe_error
from infantjax.video.reading import is_video, open_frames
from infantjax.video.stream import VideoStream

PROTOCOLS = ("rtsp", "rtsps", "rtmp", "srt", "udp", "tcp", "rtp", "http", "https")
"""Beginnings of the addresses of streams that are opened."""
PATIENCE = 10.0
"""A camera or stream that gives no frame for so many seconds has ended."""
WAITING = 8
"""Frames of a camera or stream that wait at most; then the oldest is left out."""
_TICK = 0.1
"""Longest wait after which a stop is noticed, seconds."""
_EARLY = 1e-3
"""A frame of a file comes at most so much too early, seconds."""


class LiveSource(Frames):
    """The frames of a camera, of a stream, or of a file, each at its time; they can be read once.

    Frames of a file wait for their time and for who reads them. Those of a camera do not wait: where they come faster
    than they are read, the oldest of `WAITING` is left out, and a note counts them.

    Args:
        source: a video file; `/dev/video0`, or a device behind the name of its FFmpeg format (`v4l2:/dev/video0`,
            `avfoundation:0`, `dshow:video=NAME`); or the address of a stream (`rtsp://...`).
        fps: frames per second, if the source does not state it; overrules what it states.
        seconds: of the source, after which it is stopped.
        clock: seconds, never going back.
        sleep: waits for so many seconds of the clock.

    Raises:
        InputError: the source cannot be opened, is no video, or states no frame rate.
    """

    def __init__(
        self,
        source: str | Path,
        fps: float | None = None,
        seconds: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._frames = _open(str(source), fps)
        self._seconds, self._clock, self._sleep = seconds, clock, sleep
        self._stopped = threading.Event()
        self._began: float | None = None
        self._remarks: list[str] = []
        self._left_out = 0
        self.path, self.fps, self.provenance = self._frames.path, self._frames.fps, self._frames.provenance
        self.expected = 0

    @property
    def notes(self) -> list[str]:  # type: ignore[override]
        """Notes on the frames so far, with those left out."""
        late = [f"{self._left_out} frames were left out: they came faster than they were read"] * bool(self._left_out)
        return [*self._frames.notes, *late, *self._remarks]

    @property
    def elapsed(self) -> float:
        """Seconds of the clock since the first frame; 0 before it."""
        return 0.0 if self._began is None else self._clock() - self._began

    def stop(self) -> None:
        """End after the frames that were given so far."""
        self._stopped.set()

    def __iter__(self) -> Iterator[Frame]:
        last = 0.0
        try:
            for frame in self._captured() if isinstance(self._frames, _Capture) else self._played():
                if self._stopped.is_set() or frame.time >= self._seconds:
                    self._stopped.set()
                    break
                if self._began is None:
                    self._began = self._clock() - frame.time
                last = frame.time
                yield frame
            if self._stopped.is_set():
                self._remarks.append(f"was stopped after {last:.1f} s")
        finally:
            self._stopped.set()

    def _played(self) -> Iterator[Frame]:
        for frame in self._frames:
            while frame.time - self.elapsed > _EARLY and not self._stopped.is_set():
                self._sleep(min(frame.time - self.elapsed, _TICK))
            yield frame

    def _captured(self) -> Iterator[Frame]:
        waiting: queue.Queue[Frame | Exception | None] = queue.Queue(WAITING)
        threading.Thread(target=self._capture, args=(waiting,), name="capture", daemon=True).start()
        patience = PATIENCE
        while not self._stopped.is_set():
            try:
                item = waiting.get(timeout=_TICK)
            except queue.Empty:
                patience -= _TICK
                if patience > 0:
                    continue
                what = f"gave no frame for {PATIENCE:g} s"
                if self._began is None:
                    raise InputError(self.path, what, "check the camera or stream") from None
                self._remarks.append(f"{what} and was ended")
                return
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            patience = PATIENCE
            yield item

    def _capture(self, waiting: "queue.Queue[Frame | Exception | None]") -> None:
        """Read frames until the source ends or is stopped."""

        def put(item: Frame | Exception | None) -> None:
            if waiting.full():
                with suppress(queue.Empty):  # read in the meantime
                    waiting.get_nowait()
                    self._left_out += 1
            waiting.put(item)

        try:
            for frame in self._frames:
                if self._stopped.is_set():
                    return
                put(frame)
            put(None)
        except Exception as error:
            put(error)


class _Capture(VideoStream):
    """The frames of a camera or stream, which is opened once.

    Args:
        name: for messages and results.
        address: as FFmpeg opens it.
        format: as FFmpeg calls it; None finds it.
        fps: see `VideoStream`.
    """

    def __init__(self, name: Path, address: str, format: str | None, fps: float | None) -> None:
        import av

        try:
            self._container = av.open(address, format=format, timeout=PATIENCE)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            remedy = "check that it is there and that no other program uses it"
            raise InputError(name, f"cannot be opened ({describe_error(error)})", remedy) from None
        self._used = False
        super().__init__(name, fps)

    def _opened(self) -> AbstractContextManager[Any]:
        """The container: left open after the first use, which reads the header only."""
        first, self._used = not self._used, True
        return nullcontext(self._container) if first else self._container


def _open(source: str, fps: float | None) -> Frames:
    """A file's frames without waiting, or those of a camera or stream."""
    path = Path(source)
    if path.is_file():
        frames = open_frames(path, fps)
        if not is_video(frames):
            raise InputError(path, "is an image, which shows no movement", "give a video")
        return frames
    if path.is_char_device():
        return _Capture(path, source, "v4l2", fps)
    scheme, _, rest = source.partition(":")
    if rest.startswith("//"):
        if scheme not in PROTOCOLS:
            raise InputError(f"{scheme}://", "names no protocol of streams", f"known are {', '.join(PROTOCOLS)}")
        # What is shown and written has no password, and no key of a query.
        parts = urlsplit(source)
        return _Capture(Path(_words(f"{parts.hostname} {parts.path}")), source, None, fps)
    if rest and len(scheme) > 1:
        return _Capture(Path(_words(f"{scheme} {rest}")), rest, scheme, fps)
    remedy = "give a video file, a camera (/dev/video0, avfoundation:0) or the address of a stream (rtsp://...)"
    raise InputError(source, "does not exist", remedy)


def _words(text: str) -> str:
    """A text as a file name without ending."""
    return re.sub(r"\W+", "_", text).strip("_") or "stream"
