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


def recording_windows(
    recording: Recording, preprocessing: Preprocessing | None = None
) -> Float[np.ndarray, "window row frame"]:
    """All windows of a recording.

    Raises:
        InputError: a limb that is missing, never seen, or never moves; no window without a gap.
    """
    preprocessing = preprocessing or Preprocessing()
    require_limbs(recording)
    limbs = track(recording)
    found = windows(
        limbs,
        np.arange(recording.frames) / recording.fps,
        window=preprocessing.window,
        step=preprocessing.step,
        longest_step=preprocessing.longest_step,
        join_gaps=preprocessing.join_gaps,
    )
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
    limbs = track(recording)
    frames = np.broadcast_to(np.arange(recording.frames, dtype=np.float64)[:, None, None], limbs.shape).copy()
    frames[np.isnan(limbs)] = np.nan
    times = np.arange(recording.frames) / recording.fps
    parts = stretches(frames, times, preprocessing.longest_step, preprocessing.join_gaps)
    window, step = preprocessing.window, preprocessing.step
    return np.array([part[s, 0, 0] for part in parts for s in range(0, len(part) - window + 1, step)]) / recording.fps


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


def stretches(
    track: Track, times: Float[np.ndarray, " time"], longest_step: float = LONGEST_STEP, join_gaps: bool = False
) -> list[Track]:
    """The rest of a track without the frames in which a limb is missing, cut where time jumps.

    Args:
        track: NaN is missing.
        times: of its frames, seconds, rising.
        longest_step: seconds between two kept frames; more is a cut.
        join_gaps: one stretch of all that is left instead.

    Returns:
        Stretches without NaN, in order; none if no frame has all limbs.

    Raises:
        ValueError: another number of times than frames, or times that do not rise.
    """
    times = np.asarray(times, np.float64)
    if times.shape != (len(track),) or not (np.diff(times) > 0).all():
        raise ValueError(f"{len(track)} frames need as many rising times, got {times.shape}")
    whole = ~np.isnan(track).any(axis=(1, 2))
    kept, at = track[whole], times[whole]
    jumps = np.diff(at) > longest_step + 1e-9
    parts = [kept] if join_gaps else np.split(kept, np.flatnonzero(jumps) + 1)
    return [part for part in parts if len(part)]


def standardize(parts: list[Track]) -> list[Track]:
    """Each limb's each axis with mean 0 and standard deviation 1 over all parts of a recording; one that stands is 0.

    Args:
        parts: `stretches` of one recording.
    """
    if not parts:
        return []
    together = np.concatenate(parts)
    mean, deviation = together.mean(axis=0), together.std(axis=0)
    moves = deviation > 1e-9 * np.abs(together).max(axis=0)
    return [np.where(moves, (part - mean) / np.where(moves, deviation, 1), 0) for part in parts]


def windows(
    track: Track,
    times: Float[np.ndarray, " time"],
    *,
    window: int = WINDOW,
    step: int = STEP,
    longest_step: float = LONGEST_STEP,
    join_gaps: bool = False,
) -> Float[np.ndarray, "window row frame"]:
    """All windows of a recording, as the network reads them.

    A stretch of M frames gives `(M - window) // step + 1` of them, or none if it is shorter.

    Args:
        track: of the recording; NaN is missing.
        times: of its frames, seconds.
        window: frames of a window.
        step: frames between starts.
        longest_step: as `stretches`.
        join_gaps: as `stretches`.

    Returns:
        `[window, row, frame]` float32; rows are x, y, z of each limb. None if the recording is too short.

    Raises:
        ValueError: as `stretches`, or window or step below 1.
    """
    if window < 1 or step < 1:
        raise ValueError(f"window and step must be at least 1 frame, got {window} and {step}")
    found = [
        part[start : start + window].reshape(window, -1).T
        for part in standardize(stretches(track, times, longest_step, join_gaps))
        for start in range(0, len(part) - window + 1, step)
    ]
    return np.array(found, np.float32).reshape(-1, track.shape[1] * track.shape[2], window)
