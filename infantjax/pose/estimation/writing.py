"""Write the keypoints of one source to a file, resumable, and a video that shows them."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from infantjax import formats as readers
from infantjax.assessment.batch import KEYPOINTS
from infantjax.errors import InputError
from infantjax.files import locked, refuse_inputs
from infantjax.pose.estimation.track import Track
from infantjax.progress import Progress
from infantjax.recording.recording import Recording
from infantjax.video.frames import Frames
from infantjax.video.reading import OVERLAY, is_video
from infantjax.video.writing import write_overlay

SUFFIXES = (".csv", ".npz")
"""Endings of the files that are written."""


class KeypointTracker(Protocol):
    """Finder of the keypoints of a source, such as `Tracker`."""

    @property
    def min_confidence(self) -> float:
        """A point with less is missing."""

    def track(self, frames: Frames, folder: Path | None = None, report: Callable[[int], None] = ...) -> Track:
        """Keypoints of every frame; finished chunks are kept in a folder."""

    def recording(self, frames: Frames, found: Track) -> Recording:
        """A recording of the points of a track."""


def overlay_of(frames: Frames, output: Path) -> Path:
    """Where the overlay of a source goes: beside its keypoint file, as a picture for one image."""
    single = not is_video(frames) and frames.path.is_file()
    return output.with_name(f"{output.stem.removesuffix(KEYPOINTS)}{OVERLAY}.{'png' if single else 'mp4'}")


def beside_report(
    tracker: KeypointTracker,
    suffix: str = "csv",
    *,
    overlay: bool = False,
    hide_heads: bool = False,
    quiet: bool = True,
) -> Callable[[Frames, Path], Recording]:
    """A tracker for `assessment.batch`: it keeps keypoint files, overlays and finished parts beside the reports.

    Args:
        tracker: finds the keypoints.
        suffix: of the keypoint files, `csv` or `npz`.
        overlay: write videos that show the keypoints.
        hide_heads: blur the heads in them.
        quiet: show no progress.
    """

    def find(frames: Frames, target: Path) -> Recording:
        output = target.with_name(f"{target.name}{KEYPOINTS}.{suffix}")
        chunks = target.with_name(f".{target.name}.parts")
        shown = overlay_of(frames, output) if overlay else None
        return write_keypoints(frames, tracker, output, shown, chunks, hide_heads=hide_heads, quiet=quiet)

    return find


def write_keypoints(
    frames: Frames,
    tracker: KeypointTracker,
    output: str | Path,
    overlay: str | Path | None = None,
    chunks: Path | None = None,
    *,
    hide_heads: bool = False,
    quiet: bool = True,
) -> Recording:
    """Find the keypoints of a source and write them; an interrupted call is continued by the next one.

    Every `track.CHUNK` frames the finished keypoints are saved in a hidden folder beside the output, until the file is
    written.

    Args:
        frames: the source.
        tracker: finds the keypoints.
        output: keypoint file, `.csv` or `.npz`; replaced if it exists.
        overlay: video, or for one image the image, to write with the keypoints, without smoothing; None writes none.
        chunks: folder of the finished parts, which stay there until another source or setting replaces them; None is
            one beside the output, which is removed at the end.
        hide_heads: blur the heads in the overlay.
        quiet: show no progress.

    Returns:
        The recording that was written.

    Raises:
        InputError: the source cannot be decoded, an output is the source, a file cannot be written, or another
            process writes the same output.
    """
    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(output, "has an ending that names no format to write", f"use {' or '.join(SUFFIXES)}")
    refuse_inputs([output] if overlay is None else [output, overlay], [frames.path])
    kept, chunks = chunks is not None, chunks or output.with_name(f".{output.name}.parts")
    with locked(chunks), Progress(frames.expected, "frames", quiet=quiet) as progress:
        track = tracker.track(frames, chunks, _reporter(progress, frames.expected))
        recording = tracker.recording(frames, track)
        points = track.positions
        points[track.confidence < tracker.min_confidence] = np.nan
        del track
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            readers.write(recording, output)
        except OSError as error:
            raise InputError(output, f"cannot be written ({error.strerror or error})", "make room") from None
        if overlay is not None:
            write_overlay(frames, points, recording.skeleton, overlay, hide_heads=hide_heads)
    if not kept:
        shutil.rmtree(chunks, ignore_errors=True)
    return recording


def _reporter(progress: Progress, expected: int) -> Callable[[int], None]:
    """Report frames per second and the time left, counted from the first frame that this process computes."""
    began, before = time.monotonic(), -1

    def report(done: int) -> None:
        nonlocal before
        before = done if before < 0 else before
        rate = (done - before) / max(time.monotonic() - began, 1e-9)
        left = f", {max(expected - done, 0) / rate:.0f} s left" if rate and expected else ""
        progress.update(done, f"{rate:.1f} frames/s{left}")

    return report
