"""`Tracks`, which every reader returns, and their conversion to a checked `Recording`.

Tracks have the points of a file in its own order and under its own names. The conversion identifies names, orders
frames, finds the frame rate, marks missing points, and checks all values.
"""

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.files import MAX_COORDINATE
from infantjax.formats import naming
from infantjax.formats.checks import check_shape
from infantjax.formats.timing import find_timing
from infantjax.recording.metadata import Metadata
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton

_NORMALIZED = 1.0
_MOSTLY_MISSING = 0.9
_SWAPPED = 0.8


@dataclass(frozen=True)
class Tracks:
    """The points of one individual as a file has them.

    Attributes:
        joints: the file's names; for a format without names their numbers as text, with `among` set.
        keypoints: `[row, joint, 2|3]`, NaN where missing.
        confidence: `[row, joint]`, or None.
        frames: `[row]` frame numbers in any order, or None where rows are consecutive frames.
        times: `[row]` seconds, or None.
        fps: the frame rate that the file states, or None.
        among: for a format without names, the keypoint sets it may hold.
        place: from a row and a joint's name (or "") to words for the place in the file.
        name: the recording's name if the file states one.
        notes: remarks about the file for the report.
        metadata: other information in the file.
        skeleton: the keypoint set if the file states it, as only the .npz format of infantjax does; then points at the
            origin are kept and no note is added.
        approximated: as in `Recording`.
        history: as in `Recording`.
    """

    joints: Sequence[str]
    keypoints: Float[np.ndarray, "row joint axis"]
    confidence: Float[np.ndarray, "row joint"] | None = None
    frames: np.ndarray | None = None
    times: np.ndarray | None = None
    fps: float | None = None
    among: tuple[str, ...] = ()
    place: Callable[[int, str], str] = lambda row, joint: f"frame {row}"
    name: str | None = None
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None
    skeleton: Skeleton | None = None
    approximated: Mapping[str, str] = field(default_factory=dict)
    history: tuple[str, ...] = ()

    def where(self, row: int, joint: str = "") -> str:
        """Words for the place of a row, or of one joint in it, in the file."""
        return self.place(row, joint) + (f", joint {joint}" if joint else "")


def by_joint(path: Path, columns: Sequence[tuple[str, str]], values: Float[np.ndarray, "row column"]) -> dict[str, Any]:
    """The fields `joints`, `keypoints` and `confidence` of `Tracks` from a table.

    Args:
        path: the file, for messages.
        columns: (joint, `x`, `y`, `z` or `c`) of each column; `c` is a confidence.
        values: of the table.

    Raises:
        InputError: there is no column, two are alike, or one is missing.
    """
    position: dict[tuple[str, str], int] = {}
    for index, column in enumerate(columns):
        if column in position:
            raise InputError(path, f'joint "{column[0]}" has two columns "{column[1]}"', "remove one of them")
        position[column] = index
    joints = list(dict.fromkeys(joint for joint, _ in position))
    if not joints:
        raise InputError(path, "has no columns like nose_x and nose_y", "docs/formats.md shows what is read")
    axes = "xyz" if any((joint, "z") in position for joint in joints) else "xy"
    if absent := [column for column in itertools.product(joints, axes) if column not in position]:
        joint, axis = absent[0]
        raise InputError(path, f'joint "{joint}" has no column "{axis}"', "add it, or remove the joint's others")
    check_shape(path, len(values), len(joints), len(axes))
    confidence = None
    if any((joint, "c") in position for joint in joints):
        confidence = np.full((len(values), len(joints)), np.nan)
        for index, joint in enumerate(joints):
            if (joint, "c") in position:
                confidence[:, index] = values[:, position[joint, "c"]]
    keypoints = values[:, [[position[joint, axis] for axis in axes] for joint in joints]]
    return {"joints": joints, "keypoints": keypoints, "confidence": confidence}


def to_recording(
    path: Path, tracks: Tracks, format: str, fps: float | None = None, skeleton: Skeleton | str | None = None
) -> Recording:
    """Convert tracks to a checked `Recording`.

    Args:
        path: the file, for messages and for the recording's name (its stem without `orgcoords_`).
        tracks: what the reader of the format returned.
        format: name of the format, for the history.
        fps: frame rate in hertz; overrules that of the file.
        skeleton: the keypoint set of the file; None finds it by the names.

    Returns:
        Frames in order, with NaN for absent frame numbers. Points at exactly the origin become NaN: trackers write
        missing points so.

    Raises:
        InputError: the tracks cannot be used; the message names the place in the file.
    """
    own = tracks.skeleton
    match = naming.identify(path, tracks.joints, skeleton or own, tracks.among)
    keypoints, confidence = _select(tracks, match)
    _check_values(path, tracks, match.skeleton, keypoints)
    confidence, notes = _scale_confidence(path, tracks, match.skeleton, confidence)
    notes = [*_naming_notes(match), *tracks.notes, *notes]
    rate, rate_source, frames, order, rate_notes = find_timing(path, tracks, fps)
    notes += rate_notes
    keypoints, confidence, gap_notes = _place(path, tracks, keypoints, confidence, frames, order)
    notes += gap_notes
    keypoints, missing_notes = _mark_missing(path, keypoints, keep_origin=own is not None)
    history: tuple[str, ...] = (
        f"read from {path.name} ({format}): {len(keypoints)} frames of {match.skeleton.name} "
        f"at {rate:.6g} Hz ({rate_source})",
    )
    if own is None:
        notes += missing_notes + _suspicions(match.skeleton, keypoints)
    else:
        notes = [*tracks.notes, *rate_notes]
        history = tracks.history if fps is None else (*tracks.history, *history)
    keypoints.setflags(write=False)  # so that the recording takes it without a copy
    return Recording(
        keypoints=keypoints,
        fps=rate,
        skeleton=match.skeleton,
        name=tracks.name or stem_of(path),
        confidence=confidence,
        metadata=Metadata.from_mapping(tracks.metadata or {}),
        approximated=tracks.approximated,
        history=history,
        notes=tuple(notes),
    )


def stem_of(path: Path) -> str:
    """The name of the infant or recording in a file's name: the stem, without `orgcoords_` or `.keypoints`."""
    stem = path.name if os.path.isdir(path) else path.stem  # false where it may not be looked at
    return stem.removesuffix(".keypoints").removeprefix("orgcoords_") or stem


def _select(tracks: Tracks, match: naming.Match) -> tuple[np.ndarray, np.ndarray | None]:
    columns = [-1 if c is None else c for c in match.columns]
    absent = np.array([c is None for c in match.columns])
    # A copy, which is filled and marked below; `take` gives one that owns its values.
    keypoints = np.asarray(np.take(tracks.keypoints, columns, axis=1), dtype=np.float64)
    keypoints[:, absent] = np.nan
    if tracks.confidence is None:
        return keypoints, None
    confidence = np.asarray(tracks.confidence[:, columns], dtype=np.float64)
    confidence[:, absent] = np.nan
    return keypoints, confidence


def _check_values(path: Path, tracks: Tracks, skeleton: Skeleton, keypoints: np.ndarray) -> None:
    bad = (keypoints > MAX_COORDINATE) | (keypoints < -MAX_COORDINATE)
    if bad.any():
        row, joint, axis = np.argwhere(bad)[0]
        value = keypoints[row, joint, axis]
        what = "infinite" if np.isinf(value) else f"{value:g}, larger than {MAX_COORDINATE:g}"
        raise InputError(
            path,
            f"{tracks.where(int(row), skeleton.joints[joint])}: the {'xyz'[axis]} coordinate is {what}",
            "leave the cell empty where a point is missing, and use pixels",
        )


def _scale_confidence(
    path: Path, tracks: Tracks, skeleton: Skeleton, confidence: np.ndarray | None
) -> tuple[np.ndarray | None, list[str]]:
    if confidence is None or np.isnan(confidence).all():
        return None, []
    bad = np.argwhere((confidence < 0) | (confidence > 100))
    if len(bad):
        row, joint = bad[0]
        raise InputError(
            path,
            f"{tracks.where(int(row), skeleton.joints[joint])}: confidence {confidence[row, joint]:g} is not in 0..1",
            "give confidences from 0 to 1, or remove their columns",
        )
    largest = np.nanmax(confidence)
    if largest > 10:
        return confidence / 100, [f"confidences up to {largest:g} were taken as percent and divided by 100"]
    if largest > 1:
        return np.minimum(confidence, 1), [f"confidences up to {largest:g} were cut at 1"]
    return confidence, []


def _naming_notes(match: naming.Match) -> list[str]:
    notes = []
    if match.ignored:
        shown = ", ".join(match.ignored[:10]) + (", ..." if len(match.ignored) > 10 else "")
        notes.append(f"points ignored, which are not in {match.skeleton.name}: {shown}")
    if match.missing:
        notes.append(f"joints of {match.skeleton.name} that are missing in the file: {', '.join(match.missing)}")
    return notes


def _place(
    path: Path,
    tracks: Tracks,
    keypoints: np.ndarray,
    confidence: np.ndarray | None,
    frames: np.ndarray | None,
    order: np.ndarray,
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    rows = len(keypoints)
    if rows == 0:
        raise InputError(path, "has no frames", "export the keypoints again")
    if frames is not None:
        ordered = frames[order]
        if len(repeated := np.flatnonzero(np.diff(ordered) == 0)):
            row = int(order[repeated[0] + 1])
            raise InputError(
                path,
                f"{tracks.where(row)}: frame number {frames[row]} occurs twice",
                "keep one row for each frame (one individual)",
            )
        span = int(ordered[-1] - ordered[0]) + 1
        if span > 100 * rows + 100_000:
            raise InputError(
                path,
                f"frame numbers run from {ordered[0]} to {ordered[-1]} in {rows} rows",
                "correct the frame numbers, or remove the column",
            )
        check_shape(path, span, keypoints.shape[1], keypoints.shape[2])
        if span > rows or (np.diff(order) != 1).any():
            keypoints = _spread(keypoints, ordered - ordered[0], order, span)
            confidence = None if confidence is None else _spread(confidence, ordered - ordered[0], order, span)
        if span > rows:
            return keypoints, confidence, [f"{span - rows} of {span} frames are absent from the file and left missing"]
    if len(keypoints) == 1:
        raise InputError(path, "has a single frame", "give a recording of several seconds")
    return keypoints, confidence, []


def _spread(values: np.ndarray, positions: np.ndarray, order: np.ndarray, span: int) -> np.ndarray:
    result = np.full((span, *values.shape[1:]), np.nan)
    result[positions] = values[order]
    return result


def _mark_missing(path: Path, keypoints: np.ndarray, keep_origin: bool) -> tuple[np.ndarray, list[str]]:
    absent = np.isnan(keypoints).any(axis=-1)
    if absent.all():
        raise InputError(path, "every point is missing", "check the columns, or track the video again")
    origin = (keypoints == 0).all(axis=-1)
    if (origin | absent).all():
        raise InputError(path, "every point is 0 or missing", "check the columns, or track the video again")
    if keep_origin:
        return keypoints, []
    missing = origin | absent
    keypoints[missing] = np.nan
    notes = []
    if origin.any():
        notes.append(f"{int(origin.sum())} points at exactly (0, 0) were taken as missing")
    if missing.mean() >= _MOSTLY_MISSING:
        notes.append(f"{missing.mean():.0%} of all points are missing")
    return keypoints, notes


def _suspicions(skeleton: Skeleton, keypoints: np.ndarray) -> list[str]:
    """Notes about valid values that look wrong; docs/formats.md lists them."""
    notes = []
    highest, lowest = np.fmax.reduce(keypoints, axis=0), np.fmin.reduce(keypoints, axis=0)
    if max(np.nanmax(highest), -np.nanmin(lowest)) <= _NORMALIZED:
        notes.append(
            "all coordinates lie within -1..1: if they are fractions of the width and height of an image that is "
            "not square, angles and lengths are distorted"
        )
    if len(keypoints) > 2 and not (highest > lowest).any():
        notes.append("the pose never changes")
    trunk = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if set(trunk) <= set(skeleton.joints):
        left, right, left_hip, right_hip = (keypoints[:, skeleton.index(j), :2] for j in trunk)
        up, across = left + right - left_hip - right_hip, left - right
        turn = up[:, 0] * across[:, 1] - up[:, 1] * across[:, 0]
        turn = turn[~np.isnan(turn)]
        # With the front of the body towards the camera and y downwards, the infant's left lies clockwise of its head.
        if len(turn) and (turn < 0).mean() > _SWAPPED:
            notes.append(
                "left and right look exchanged: a mirrored video, y pointing up, or the back towards the camera"
            )
    return notes
