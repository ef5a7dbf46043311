"""From recordings to standardized positions of the keypoints of a graph network, long enough for a window."""

from collections.abc import Mapping

import numpy as np

from infantjax.errors import InputError
from infantjax.recording.conversion import Rule, convert
from infantjax.recording.preprocessing import Preprocessing, standardize
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import Skeleton


def require_plane(recording: Recording) -> None:
    """Refuse a recording of three coordinates, for networks that read two.

    Raises:
        InputError: it has three.
    """
    if recording.keypoints.shape[-1] != 2:
        what = "has three coordinates, the networks read two"
        raise InputError(recording.name, what, "give two-dimensional keypoints")


def to_points(
    recording: Recording,
    skeleton: Skeleton,
    preprocessing: Preprocessing,
    strict: bool = False,
    tables: Mapping[tuple[str, str], dict[str, Rule]] | None = None,
) -> Recording:
    """The points of a recording that the networks read.

    Args:
        recording: of any keypoints that convert to the networks'.
        skeleton: that the networks read.
        preprocessing: for the length of a window.
        strict: refuse points that have to be approximated.
        tables: see `convert`.

    Raises:
        InputError: three coordinates, no movement, too short for a window, or a joint that is never seen.
    """
    require_plane(recording)
    require_movement(recording)
    converted = convert(recording, skeleton, strict, tables)
    # All other gaps are interpolated.
    if absent := [skeleton.joints[j] for j in np.flatnonzero(converted.missing.all(axis=0))]:
        raise InputError(
            converted.name,
            f"missing {', '.join(absent)}, which the networks need",
            f"track these points, or use weights for skeleton {converted.skeleton.name} without them",
        )
    # Exact once it is resampled; nothing is compiled for a recording that is certainly too short.
    _require_window(converted, converted.duration * preprocessing.fps + 1, preprocessing)
    return converted


def standardized(converted: Recording, preprocessing: Preprocessing) -> Recording:
    """The standardized recording.

    Raises:
        InputError: as `standardize`, or shorter than a window.
    """
    prepared = standardize(converted, preprocessing)
    _require_window(prepared, prepared.frames, preprocessing)
    return prepared


def _require_window(recording: Recording, frames: float, preprocessing: Preprocessing) -> None:
    if frames < preprocessing.window:
        seconds = preprocessing.window / preprocessing.fps
        what = f"lasts {recording.duration:.1f} s, shorter than a window of {seconds:g} s"
        raise InputError(recording.name, what, "give a longer recording")
