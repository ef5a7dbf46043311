"""Frame rate and frame numbers of a file, from what it states, from its time stamps, or from the caller."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FPS
from infantjax.recording.recording import fps_notes

if TYPE_CHECKING:
    from infantjax.formats.tracks import Tracks


def check_fps(where: str | Path, fps: Any) -> float:
    """A frame rate that a file or a user states.

    Raises:
        InputError: not a number, not above 0, or above 1000 Hz.
    """
    try:
        value = float(fps)
    except (TypeError, ValueError):
        raise InputError(where, f'frame rate "{fps}" is not a number', "give it in hertz with --fps") from None
    if not (np.isfinite(value) and 0 < value <= MAX_FPS):
        raise InputError(
            where,
            f"frame rate {value:g} is not above 0 and at most {MAX_FPS:g} Hz",
            "give the frames per second of the video with --fps",
        )
    return value


def find_timing(
    path: Path, tracks: "Tracks", given: float | None
) -> tuple[float, str, np.ndarray | None, np.ndarray, list[str]]:
    """Frame rate, its source in words, frame number per row, order of rows by time, notes."""
    rows = len(tracks.keypoints)
    given = None if given is None else check_fps(path, given)
    try:
        stated = None if tracks.fps is None else check_fps(path, tracks.fps)
    except InputError:
        if given is None:
            raise
        stated = None  # what is given replaces what cannot be
    frames = None if tracks.frames is None else _whole_frames(path, tracks)
    notes = []
    if tracks.times is not None:
        timed, frames, note = _from_times(path, tracks, frames, given)
        notes += note
        stated = stated or timed
    order = np.arange(rows) if frames is None else np.argsort(frames, kind="stable")
    if given is not None:
        return given, "given by the caller", frames, order, notes + fps_notes(stated, given)
    if stated is None:
        raise InputError(path, "states no frame rate", "give the frames per second of the video with --fps")
    return stated, "from the file", frames, order, notes


def _whole_frames(path: Path, tracks: "Tracks") -> np.ndarray:
    frames = np.asarray(tracks.frames, dtype=np.float64)
    bad = np.flatnonzero(~(np.abs(frames) < 2**53) | (frames != np.floor(frames)))
    if len(bad):
        raise InputError(
            path,
            f"{tracks.where(int(bad[0]))}: frame number {frames[bad[0]]:g} is not a whole number",
            "number the frames 0, 1, 2, ..., or remove the column",
        )
    return frames.astype(np.int64)


def _from_times(
    path: Path, tracks: "Tracks", frames: np.ndarray | None, given: float | None
) -> tuple[float | None, np.ndarray | None, list[str]]:
    """Frame rate and frame numbers from time stamps, which are often rounded to milliseconds."""
    times = np.asarray(tracks.times, dtype=np.float64)
    if not np.isfinite(times).all():
        row = int(np.flatnonzero(~np.isfinite(times))[0])
        raise InputError(path, f"{tracks.where(row)}: the time stamp is missing", "fill it in, or remove the column")
    order = np.argsort(times if frames is None else frames, kind="stable")
    ordered = times[order]
    steps = np.diff(ordered)
    if not len(steps):
        return None, frames, []
    if (steps <= 0).any():
        row = int(order[int(np.flatnonzero(steps <= 0)[0]) + 1])
        what = "occurs twice" if frames is None else "does not grow with the frame number"
        raise InputError(path, f"{tracks.where(row)}: time stamp {times[row]:g} {what}", "repair or remove the column")
    counts = np.diff(frames[order]) if frames is not None else np.rint(steps / np.median(steps))
    unit = np.median(steps / np.maximum(counts, 1))
    uneven = np.abs(steps / unit - counts) > (0.3 if frames is None else 0.5)
    if uneven.any():
        if given is not None:
            return None, frames, ["time stamps are uneven and were ignored: frames are taken as equally spaced"]
        row = int(order[int(np.flatnonzero(uneven)[0]) + 1])
        raise InputError(
            path,
            f"{tracks.where(row)}: time stamps are uneven ({steps.min():.4g} to {steps.max():.4g} s apart)",
            "resample to a constant rate, or give --fps to take the frames as equally spaced",
        )
    ticks = np.concatenate([[0], np.cumsum(counts)])
    rate = float(ticks[-1] / (ordered[-1] - ordered[0]))
    if rate < 1 and given is None:
        raise InputError(
            path,
            f"time stamps are {unit:g} s apart, which looks like milliseconds",
            "name the column time_ms, or give --fps",
        )
    if frames is None:
        frames = np.empty(len(times), dtype=np.int64)
        frames[order] = ticks
    return _tidy_rate(rate, ordered - ordered[0], ticks), frames, []


def _tidy_rate(rate: float, times: np.ndarray, ticks: np.ndarray) -> float:
    """The whole number that a measured rate stands for, where rounded time stamps cannot tell the two apart."""
    noise = 1e-9 * max(1.0, times[-1])
    whole = max(1, round(rate))
    if np.abs(times - ticks / whole).max() <= noise:
        return float(whole)
    if np.abs(times - ticks / rate).max() <= noise:
        return round(rate, 9)  # the stamps are exact
    decimals = next((d for d in range(1, 8) if np.abs(times - np.round(times, d)).max() <= noise), None)
    fits = decimals is not None and np.abs(times - ticks / whole).max() <= 1.1 * 10.0**-decimals
    return float(whole) if fits else rate
