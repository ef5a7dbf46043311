"""`assess --live`: options, what is shown while frames come, and the stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from infantjax.cli.options import common
from infantjax.cli.options.video import VideoOptions
from infantjax.clinic.live import frames
from infantjax.clinic.live.assessor import LiveUpdate
from infantjax.errors import InputError, printable

_INTERVAL = 10.0
"""Seconds of video between two lines on the keypoints."""


@dataclass(frozen=True)
class LiveOptions:
    """A source that is assessed while it comes."""

    live: Annotated[str | None, arg(metavar="SOURCE")] = None
    """In place of inputs a camera (/dev/video0, avfoundation:0), stream (rtsp://...) or file, assessed as it plays."""
    seconds: float = 3600.0
    """Longest duration of a live source; Ctrl-C ends it earlier, with a complete report."""

    def open(self, fps: float | None, video: VideoOptions, excluded: dict[str, bool]) -> "frames.LiveSource | None":
        """The source; None where none is asked for.

        Args:
            fps: frames per second, where the source does not say.
            video: how its keypoints are found.
            excluded: option -> whether it is given: those that a live source does not go with.

        Raises:
            InputError: the source cannot be opened, or an option does not go with it.
        """
        if self.live is None:
            return None
        for option, given in {**excluded, "--overlay": video.overlay}.items():
            if given:
                raise InputError(option, "cannot be given with --live", "leave it out")
        if not self.seconds > 0:
            raise InputError("--seconds", f"is {self.seconds:g}, must be above 0")
        return frames.LiveSource(self.live, fps, self.seconds)


class Report:
    """Prints the value of each window, and now and then how good the keypoints are.

    Args:
        source: knows how late the results come.
        quiet: print the values only.
    """

    def __init__(self, source: "frames.LiveSource", *, quiet: bool) -> None:
        self.source, self.quiet = source, quiet
        self._due = 0.0

    def __call__(self, update: "LiveUpdate") -> None:
        """Print what is new."""
        for window in update.windows:
            if window.usable:
                values = f"{window.median:.2f} ({window.q1:.2f} to {window.q3:.2f})"
            else:
                values = "left out: tracking faults"
            level = f", {window.certainty}" if window.certainty else ""
            print(printable(f"{window.start:.1f} to {window.end:.1f} s  {update.label}: {values}{level}"), flush=True)
        if update.seconds >= self._due and not self.quiet:
            self._due = update.seconds + _INTERVAL
            common.say(f"{update.seconds:.0f} s: {self._state(update)}")

    def _state(self, update: "LiveUpdate") -> str:
        recent = update.recent
        newest = recent.missing[-max(1, round(recent.fps)) :]
        seen = int((~newest.all(0)).sum())
        parts = [f"{seen} of {newest.shape[1]} points seen in the last second"]
        if update.quality is not None and update.quality.usable.size:
            parts.append(f"{update.quality.usable.mean():.0%} of the last {recent.duration:.0f} s usable")
        parts.append(f"{max(0.0, self.source.elapsed - update.seconds):.1f} s late")
        return ", ".join(parts) + (f"; no value now: {update.problem}" if update.problem else "")


@contextmanager
def stopped_by_signals(source: "frames.LiveSource | None") -> Iterator[None]:
    """Let the first Ctrl-C, or a request to terminate, stop the source; a second one acts as usual."""
    if source is None:
        yield
        return

    def stop(number: int, frame: object) -> None:
        source.stop()
        signal.signal(number, before[signal.Signals(number)])
        common.say("stopping; the report follows")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
