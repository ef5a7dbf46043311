"""Errors of a tracker: measured where the truth is known, and added to exact keypoints so that networks learn them.

A tracker's error reads as movement. Networks that were trained on exact keypoints take it for that; trained with the
error, by joint and over time as the tracker makes it, they learn to separate both. Our choice, not
validated on infants.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infantjax.recording.cleaning import fill_gaps, resample
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording

LARGEST = 1.25
"""Copies of a cohort get up to this multiple of a measured error."""


def trunk_length(recording: Recording) -> float:
    """Median length of the trunk, in the units of the keypoints.

    Raises:
        ValueError: the skeleton has no trunk.
    """
    upper, lower = recording.skeleton.trunk_indices
    trunk = recording.keypoints[:, upper] - recording.keypoints[:, lower]
    return float(np.nanmedian(np.linalg.norm(trunk, axis=-1)))


def measure_error(found: Recording, exact: Recording) -> Recording:
    """Error of found keypoints over time.

    Args:
        found: by a tracker, in the keypoints of `exact`, of the same frames; what one has more is left out.
        exact: the truth.

    Returns:
        The error in trunk lengths in place of keypoints, NaN where a point was not found or is not known.

    Raises:
        ValueError: other keypoints or another frame rate.
    """
    if found.skeleton != exact.skeleton or abs(found.fps - exact.fps) > 0.01 * exact.fps:
        one, other = (f"{each.skeleton.name} at {each.fps:g} Hz" for each in (found, exact))
        raise ValueError(f"the found keypoints are {one}, the true ones {other}")
    frames = min(found.frames, exact.frames)
    error = (found.keypoints[:frames] - exact.keypoints[:frames]) / trunk_length(exact)
    return Recording(error, exact.fps, exact.skeleton, name=exact.name)


def add_error(recording: Recording, error: Recording, scale: float = 1.0, start: int = 0) -> Recording:
    """A recording with the error of a tracker.

    Args:
        recording: converted to the keypoints of the error.
        error: of `measure_error`. It runs forwards and backwards until the end of the recording, at its frame rate;
            where it is not known it is interpolated.
        scale: multiple of the error.
        start: first frame of the error.
    """
    recording = convert(recording, error.skeleton)
    series = resample(np.nan_to_num(fill_gaps(error.keypoints)), error.fps, recording.fps)
    there_and_back = np.concatenate([series, series[::-1]])
    rows = (start + np.arange(recording.frames)) % len(there_and_back)
    added = scale * trunk_length(recording) * there_and_back[rows]
    return recording.with_step(f"tracker error x {scale:.2f}", keypoints=recording.keypoints + added)


def with_tracker_error(cohort: Cohort, errors: Sequence[Recording], seed: int = 0) -> Cohort:
    """A cohort with a copy of each recording that has the error of a tracker, up to `LARGEST` times as large.

    Args:
        cohort: recordings with outcomes.
        errors: of `measure_error`; each copy gets a random one from a random frame on.
        seed: of the random choice.

    Returns:
        Each recording followed by its copy, both of one group, so that data splits keep them together.
    """
    rng = np.random.default_rng(seed)
    recordings: list[Recording] = []
    for recording in cohort.recordings:
        error = errors[int(rng.integers(len(errors)))]
        copy = add_error(recording, error, rng.uniform(0, LARGEST), int(rng.integers(2 * error.frames)))
        recordings += [recording, replace(copy, name=f"{recording.name}+error")]
    groups = cohort.groups or cohort.names
    twice = {"outcomes": cohort.outcomes, "groups": groups}
    return replace(
        cohort,
        recordings=tuple(recordings),
        **{name: tuple(value for value in values for _ in range(2)) for name, values in twice.items()},  # type: ignore[arg-type]
    )
