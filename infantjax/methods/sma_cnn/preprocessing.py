"""Tracks of hands and feet for the SMA CNN: gaps, standardization, windows, and the features of its baselines.

A track is `[time, limb, axis]`: limbs in the order of `LIMBS`, axes head to toe, across the body, up from the surface.
On the host, in float64.

Source: the workshop paper of the SMA CNN. Our choice, where it is silent: the longest step between frames, that windows
do not straddle a cut, and that a row or correlation without variance is zero.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.recording.recording import Recording, require_movement
from infantjax.settings import Count, Positive, Range, check_fields
from infantjax.skeletons import LIMBS_4

LIMBS = LIMBS_4.joints
WINDOW, STEP = 900, 50
"""Frames of a window and between the starts of two: 30 s and 1.7 s at 30 Hz."""
LONGEST_STEP = 0.1
"""Seconds between two frames beyond which a recording is cut: three frame periods (our choice)."""

RATE = 30.0
"""Frames per second of the published camera, about."""

_JOINTS = {"hand": ("hand", "wrist"), "foot": ("foot", "ankle", "heel")}

Track = Float[np.ndarray, "time limb axis"]


@dataclass(frozen=True)
class Preprocessing:
    """How a recording is cut into windows; the defaults are the published ones.

    Attributes:
        window: frames of a window.
        step: frames between the starts of two windows.
        longest_step: a recording is cut where two frames are more seconds apart (our choice).
        join_gaps: let windows cross cuts.

    Raises:
        ValueError: a value out of range.
    """

    window: Annotated[int, Range(108)] = WINDOW
    step: Count = STEP
    longest_step: Positive = LONGEST_STEP
    join_gaps: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


PUBLISHED = Preprocessing()
"""The published windows."""


def recording_windows(
    recording: Recording, preprocessing: Preprocessing = PUBLISHED
) -> Float[np.ndarray, "window row frame"]:
    """All windows of a recording.

    Raises:
        InputError: a limb that is missing, never seen, or never moves; no window without a gap.
    """
    require_limbs(recording)
    found = windows(track(recording), np.arange(recording.frames) / recording.fps, preprocessing)
    if not len(found):
        seconds = preprocessing.window / recording.fps
        what = f"has no {preprocessing.window} frames ({seconds:.1f} s) in which all four limbs are seen"
        raise InputError(recording.name, what, "give a longer recording, or one with fewer gaps")
    return found


def require_limbs(recording: Recording) -> None:
    """Check that all four limbs are seen and move.

    Raises:
        InputError: a limb that is missing, never seen, or never moves.
    """
    require_movement(recording)
    limbs = track(recording)
    for number, limb in enumerate(LIMBS):
        positions = limbs[~np.isnan(limbs[:, number]).any(axis=-1), number]
        name = limb.replace("_", " ")
        if not len(positions):
            raise InputError(recording.name, f"never shows the {name}", "all four limbs are needed")
        if (positions == positions[0]).all():
            raise InputError(recording.name, f"has the {name} at one place in all frames", "check its tracking")


def window_starts(recording: Recording, preprocessing: Preprocessing) -> Float[np.ndarray, " window"]:
    """Seconds at which the windows of a recording start."""
    times = np.arange(recording.frames) / recording.fps
    parts = kept_frames(track(recording), times, preprocessing)
    return np.array([times[part[start]] for part in parts for start in _starts(len(part), preprocessing)])


def track(recording: Recording) -> Track:
    """The hands and feet of a recording; its wrists and ankles (or heels) where it has no points of that name.

    Two-dimensional keypoints get a third axis of zeros, which standardization leaves at zero.

    Raises:
        InputError: a limb has no point in its skeleton.
    """
    columns = []
    for limb in LIMBS:
        side, _, part = limb.partition("_")
        named = [f"{side}_{name}" for name in _JOINTS[part] if f"{side}_{name}" in recording.skeleton.joints]
        if not named:
            raise InputError(recording.name, f"has no point for the {limb.replace('_', ' ')}", "its skeleton lacks it")
        columns.append(recording.skeleton.index(named[0]))
    points = recording.keypoints[:, columns]
    return np.pad(points, ((0, 0), (0, 0), (0, 3 - points.shape[-1])))


def kept_frames(
    track: Track, times: Float[np.ndarray, " time"], preprocessing: Preprocessing = PUBLISHED
) -> list[np.ndarray]:
    """The frames in which no limb is missing, cut where time jumps.

    Args:
        track: NaN is missing.
        times: of its frames, seconds, rising.
        preprocessing: how long a step is no cut, or that there are none.

    Returns:
        Frames of each stretch, in order; none if no frame has all limbs.
    """
    kept = np.flatnonzero(~np.isnan(track).any(axis=(1, 2)))
    jumps = np.flatnonzero(np.diff(np.asarray(times)[kept]) > preprocessing.longest_step + 1e-9)
    parts = [kept] if preprocessing.join_gaps else np.split(kept, jumps + 1)
    return [part for part in parts if len(part)]


def standardize(parts: list[Track]) -> list[Track]:
    """Each limb's each axis with mean 0 and standard deviation 1 over all parts of a recording; one that stands is 0.

    Args:
        parts: stretches of one recording.
    """
    if not parts:
        return []
    together = np.concatenate(parts)
    mean, deviation = together.mean(axis=0), together.std(axis=0)
    moves = deviation > 1e-9 * np.abs(together).max(axis=0)
    return [np.where(moves, (part - mean) / np.where(moves, deviation, 1), 0) for part in parts]


def windows(
    track: Track, times: Float[np.ndarray, " time"], preprocessing: Preprocessing = PUBLISHED
) -> Float[np.ndarray, "window row frame"]:
    """All windows of a recording, as the network reads them.

    A stretch of M frames gives `(M - window) // step + 1` of them, or none if it is shorter.

    Args:
        track: of the recording; NaN is missing.
        times: of its frames, seconds, rising.
        preprocessing: cuts and windows.

    Returns:
        `[window, row, frame]` float32; rows are x, y, z of each limb. None if the recording is too short.
    """
    window = preprocessing.window
    found = [
        part[start : start + window].reshape(window, -1).T
        for part in standardize([track[frames] for frames in kept_frames(track, times, preprocessing)])
        for start in _starts(len(part), preprocessing)
    ]
    return np.array(found, np.float32).reshape(-1, track.shape[1] * track.shape[2], window)


def _starts(frames: int, preprocessing: Preprocessing) -> range:
    return range(0, frames - preprocessing.window + 1, preprocessing.step)
