"""From live frames to keypoints, with the values of windows as they come."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from infantjax import formats
from infantjax.assessment.batch import KEYPOINTS
from infantjax.clinic.live.assessor import LiveAssessor, LiveUpdate, context_start
from infantjax.clinic.live.frames import LiveSource
from infantjax.errors import InputError
from infantjax.pose.estimation import track
from infantjax.pose.estimation.track import Track
from infantjax.pose.estimation.tracker import Tracker
from infantjax.recording.recording import Recording

INTERVAL = 1.0
"""Seconds of video between two updates."""


def follow(
    frames: LiveSource, tracker: Tracker, live: LiveAssessor, report: Callable[[LiveUpdate], None] = lambda update: None
) -> Recording:
    """Find keypoints until the source ends, and report the values of windows in the meantime.

    The network of the tracker and the ensemble are compiled before the first frame. Windows are computed while further
    frames are tracked, at most `INTERVAL` seconds of them.

    Memory: as many frames as the tracker has in work, and the keypoints, 23 MB an hour at 30 frames a second.

    Args:
        frames: the source.
        tracker: finds the keypoints; its batches should be small, as each is waited for.
        live: gives the values.
        report: called about every `INTERVAL` seconds of video.

    Returns:
        All keypoints, the same as of a file with these frames (`Tracker.track`).

    Raises:
        InputError: the source cannot be decoded, or ended before its first frame.
    """
    # Before the first frame, as compiling takes seconds.
    tracker.find(np.zeros((1, tracker.network.side, tracker.network.side, 3), np.uint8))
    live.assessor.compile()

    def update(recent: Recording, start: float) -> None:
        report(live.update(recent, start))

    seconds: list[Track] = []
    pending: list[Track] = []
    with ThreadPoolExecutor(1, "assessing") as pool:
        running: Future[None] | None = None
        for part in tracker.parts(frames):
            pending.append(part)
            if part.times[-1] - pending[0].times[0] < INTERVAL:
                continue
            seconds.append(track.join(pending))
            pending = []
            if running is not None:
                running.result()
            running = pool.submit(update, *_recent(frames, tracker, seconds))
        if running is not None:
            running.result()
    if not seconds + pending:
        raise InputError(frames.path, "was stopped before its first frame")
    return tracker.recording(frames, track.join(seconds + pending))


def _recent(frames: LiveSource, tracker: Tracker, seconds: Sequence[Track]) -> tuple[Recording, float]:
    """The keypoints that an update needs, and the second at which they begin."""
    start = context_start(float(seconds[-1].times[-1]))
    recent = track.join(each for each in seconds if each.times[-1] >= start)
    first = int((recent.times < start - 0.5 / frames.fps).sum())
    recent = Track(*(leaf[first:] for leaf in recent))
    return tracker.recording(frames, recent._replace(times=recent.times - start)), start


def live_beside_report(
    tracker: Tracker,
    live: LiveAssessor,
    report: Callable[[LiveUpdate], None],
    suffix: str = "csv",
    *,
    overwrite: bool = False,
) -> Callable[[LiveSource, Path], Recording]:
    """A tracker for `assessment.batch` that follows a live source and keeps its keypoints beside the report.

    Args:
        tracker: see `follow`.
        live: see `follow`.
        report: see `follow`.
        suffix: of the keypoint file, `csv` or `npz`.
        overwrite: replace earlier results; else they are refused before the first frame.
    """

    def find(frames: LiveSource, target: Path) -> Recording:
        output = target.with_name(f"{target.name}{KEYPOINTS}.{suffix}")
        for path in (output, target.with_name(f"{target.name}.json")):
            if path.exists() and not overwrite:
                raise InputError(path, "exists", "use --overwrite or another folder")
        recording = follow(frames, tracker, live, report)
        try:
            formats.write(recording, output)
        except OSError as error:
            raise InputError(output, f"cannot be written ({error.strerror or error})", "make room") from None
        return recording

    return find
