"""`Recording`: the keypoints of one infant over time, with metadata."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from einops import rearrange

from infantjax.errors import InputError
from infantjax.files import MIN_FPS
from infantjax.recording.metadata import Metadata
from infantjax.skeletons import Skeleton

_STATED = "the file states"


@dataclass(frozen=True, eq=False)
class Recording:
    """Keypoints of one infant over time. Frozen: functions return new recordings.

    Attributes:
        keypoints: `[time, joint, 2|3]` float64; x to the right, y downwards (image coordinates), any unit that is
            the same for both; NaN where a point is missing. A read-only copy.
        fps: frames per second, hertz.
        skeleton: names and tree of the joints.
        name: the infant or file; free text.
        confidence: `[time, joint]` float64 in 0..1, or None. A read-only copy.
        metadata: age, sex, cohort and the like; a mapping becomes `Metadata`.
        approximated: joint -> formula, for joints that were computed from others in a conversion.
        history: the processing steps so far, in order, in words; shown in the report.
        notes: remarks for readers of the report (missing frames, ignored points, ...).

    Raises:
        ValueError: shapes do not fit, frame rate not a number above 0, infinite coordinates.
    """

    keypoints: np.ndarray
    fps: float
    skeleton: Skeleton
    name: str = "recording"
    confidence: np.ndarray | None = None
    metadata: Metadata = field(default_factory=Metadata)
    approximated: Mapping[str, str] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        keypoints = _frozen(self.keypoints)
        joints = len(self.skeleton.joints)
        if keypoints.ndim != 3 or keypoints.shape[1] != joints or keypoints.shape[2] not in (2, 3):
            raise ValueError(
                f"keypoints must be [time, {joints}, 2 or 3] for skeleton {self.skeleton.name}, got {keypoints.shape}"
            )
        if np.isinf(keypoints).any():
            raise ValueError("keypoints hold infinite values; use NaN for missing points")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps must be a number above 0, got {self.fps}")
        confidence = None if self.confidence is None else _frozen(self.confidence)
        if confidence is not None and confidence.shape != keypoints.shape[:2]:
            raise ValueError(f"confidence must be {keypoints.shape[:2]}, got {confidence.shape}")
        object.__setattr__(self, "keypoints", keypoints)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "metadata", Metadata.from_mapping(self.metadata))

    def __repr__(self) -> str:
        """One line: name, length, frame rate, duration, keypoint set, dimensions and share of missing points."""
        missing = 100 * self.missing.mean() if self.missing.size else 0.0
        return (
            f"Recording({self.name!r}, {self.frames} frames, {self.fps:g} fps, {self.duration:.1f} s, "
            f"{self.skeleton.name}, {self.keypoints.shape[2]}-D, {missing:.1f} % missing)"
        )

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.keypoints.shape[0]

    @property
    def duration(self) -> float:
        """Length in seconds: frames over frame rate."""
        return self.frames / self.fps

    @property
    def missing(self) -> np.ndarray:
        """`[time, joint]` bool: any coordinate of the point is NaN."""
        return np.isnan(self.keypoints).any(axis=-1)

    def with_step(self, step: str, **changes: Any) -> "Recording":
        """Return a copy with fields changed and one line appended to its history."""
        return replace(self, history=(*self.history, step), **changes)


def _frozen(values: Any) -> np.ndarray:
    """A copy that cannot be written to; an array that owns its values and cannot be written to is taken as it is."""
    exact = isinstance(values, np.ndarray) and values.dtype == np.float64
    if exact and values.flags.owndata and not values.flags.writeable:
        return values
    copied = np.array(values, dtype=np.float64)
    copied.setflags(write=False)
    return copied


def fps_notes(stated: float | None, given: float | None) -> list[str]:
    """A note where a file states another frame rate than its user gave; else none."""
    if stated is None or given is None or not abs(stated - given) > 0.01 * given:
        return []
    return [f"{_STATED} {stated:.6g} frames a second; {given:.6g} was given and used"]


def find_fps_notes(recording: Recording) -> list[str]:
    """Those of the recording's notes that `fps_notes` made."""
    return [note for note in recording.notes if note.startswith(_STATED)]


def require_movement(recording: Recording) -> None:
    """Check that at least one point moves, at a frame rate that shows it.

    Raises:
        InputError: a frame rate below `files.MIN_FPS`, no frames, no point in any frame, or every point is at one place
            throughout.
    """
    if recording.fps < MIN_FPS:
        raise InputError(
            recording.name, f"has {recording.fps:.2g} frames per second", f"give at least {MIN_FPS:g}, check --fps"
        )
    points = rearrange(recording.keypoints, "time joint coordinate -> time (joint coordinate)")
    if not recording.frames or np.isnan(points).all():
        raise InputError(recording.name, "has no point in any frame", "track it again")
    seen = points[:, ~np.isnan(points).all(axis=0)]
    if (np.nanmax(seen, axis=0) == np.nanmin(seen, axis=0)).all():
        raise InputError(recording.name, "every point is at one place in all frames", "check the tracking")
