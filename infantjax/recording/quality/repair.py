"""`repair`: undo exchanged sides and single jumps."""

import warnings
from dataclasses import replace

import numpy as np

from infantjax.recording.quality.body import Body
from infantjax.recording.quality.limits import DEFAULT_LIMITS
from infantjax.recording.quality.motion import Motion
from infantjax.recording.quality.sides import exchange_back, exchanged
from infantjax.recording.recording import Recording

SHOWN = 5
"""Places that a note names."""


def repair(recording: Recording) -> Recording:
    """Undo exchanged sides and remove points that jump away for one to three frames.

    Left and right are given back their names where `measure_quality` finds them exchanged and that is sure; in a
    mirrored video, that is everywhere. Points that jump become missing. Nothing else changes, and no point is moved.

    Args:
        recording: as it was read.

    Returns:
        A recording with one note for each kind of repair, and for exchanges that are not sure and stay, which says what
        and where; the recording itself where nothing was found.
    """
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return _without_jumps(_with_right_sides(recording))


def _with_right_sides(recording: Recording) -> Recording:
    body = Body(recording)
    found, sure = exchanged(body)
    left = {part: state & ~sure[part] for part, state in found.items() if (state & ~sure[part]).any()}
    states = {part: state for part, state in sure.items() if state.any()}
    if left:
        frames = np.any(list(left.values()), axis=0)
        note = (
            f"not repaired: left and right may be exchanged in {frames.sum()} of {recording.frames} frames "
            f"({', '.join(left)}) {_places(frames, recording.fps)}"
        )
        recording = replace(recording, notes=(*recording.notes, note))
    if not states:
        return recording
    points = exchange_back(recording.keypoints, states, body)
    confidence = None if recording.confidence is None else exchange_back(recording.confidence, states, body)
    frames = np.any(list(states.values()), axis=0)
    note = (
        f"repaired: left and right exchanged back in {frames.sum()} of {recording.frames} frames "
        f"({', '.join(states)}) {_places(frames, recording.fps)}"
    )
    notes = (*recording.notes, note)
    return recording.with_step("exchanged sides repaired", keypoints=points, confidence=confidence, notes=notes)


def _without_jumps(recording: Recording) -> Recording:
    jumps = Motion(Body(recording)).jumps > DEFAULT_LIMITS.jump_at(recording.fps)
    if not jumps.any():
        return recording
    points = recording.keypoints.copy()
    points[jumps] = np.nan
    joints = [recording.skeleton.joints[j] for j in np.flatnonzero(jumps.any(axis=0))]
    note = (
        f"repaired: {jumps.sum()} points that jump away for a moment count as missing "
        f"({', '.join(joints)}) {_places(np.asarray(jumps.any(axis=1)), recording.fps)}"
    )
    return recording.with_step("jumps removed", keypoints=points, notes=(*recording.notes, note))


def _places(frames: np.ndarray, fps: float) -> str:
    """Where something was repaired, in words: the first places as seconds."""
    edges = np.flatnonzero(np.diff(frames.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2] / fps, edges[1::2] / fps
    places = [f"{start:.1f} to {stop:.1f} s" for start, stop in zip(starts[:SHOWN], stops[:SHOWN])]
    more = f" and {len(starts) - SHOWN} more places" if len(starts) > SHOWN else ""
    return f"at {', '.join(places)}{more}"
