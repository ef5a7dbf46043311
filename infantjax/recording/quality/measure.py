"""`measure_quality`: the measures of tracking quality put together."""

import math

import numpy as np

from infantjax.recording.quality.limits import DEFAULT_LIMITS, QualityLimits
from infantjax.recording.quality.moments import Moments
from infantjax.recording.quality.result import Fault, Measure, Quality
from infantjax.recording.recording import Recording


def measure_quality(
    recording: Recording, limits: QualityLimits = DEFAULT_LIMITS, reference: Moments | None = None
) -> Quality:
    """Tracking quality of a recording as it was read, before interpolation.

    Args:
        recording: any keypoint set, two or three dimensions, NaN where a point is missing.
        limits: thresholds.
        reference: moments of the recordings that the networks were trained on; None leaves out the distance from them.

    Returns:
        The measures. No recording is refused: where a measure is not defined, its values are NaN.
    """
    seconds = math.ceil(recording.duration - 1e-9)
    second = np.minimum((np.arange(recording.frames) / recording.fps + 1e-9).astype(np.int64), max(seconds - 1, 0))
    missing = recording.missing
    same = np.zeros(recording.frames, dtype=bool)
    if recording.frames > 1:
        same[1:] = (np.diff(recording.keypoints, axis=0) == 0).all(axis=(1, 2))
    measures = (
        Measure("missing", "missing points (share)", _mean(missing.mean(axis=1), second, seconds), limits.missing),
        Measure("frozen", "repeated frames (share)", _mean(same, second, seconds), limits.frozen),
    )
    usable = ~np.any([m.failed for m in measures], axis=0)
    faults = tuple(
        Fault(m.name, f"{m.label}: {m.values[s]:.2f}", float(s), float(s + 1))
        for m in measures
        for s in np.flatnonzero(m.failed)
    )
    reasons = []
    if recording.fps < limits.min_fps:
        reasons.append(f"the frame rate of {recording.fps:g} Hz is below {limits.min_fps:g} Hz")
    if not usable.any() or usable.mean() < limits.min_share or usable.sum() < limits.min_seconds:
        reasons.append(f"only {usable.sum()} of {seconds} seconds are usable")
    summary = {
        "usable": float(usable.mean()) if seconds else 0.0,
        "missing": float(missing.mean()) if missing.size else 1.0,
        "frozen": float(same.mean()) if recording.frames else 0.0,
        "fps": recording.fps,
    }
    return Quality(measures, usable, faults, summary, not reasons, tuple(reasons))


def _mean(values: np.ndarray, second: np.ndarray, seconds: int) -> np.ndarray:
    counts = np.bincount(second, minlength=seconds)
    return np.bincount(second, np.asarray(values, dtype=np.float64), minlength=seconds) / np.maximum(counts, 1)
