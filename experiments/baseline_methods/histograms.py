"""Histograms of the directions and displacements of limbs, HOJO2D and HOJD2D, and their spectra, FFT-JO and FFT-JD.

Source: McCay et al. 2019 and their reference implementation. Pose and movement are histograms of the arms' and legs'
joints over a whole recording, concatenated, for linear classifiers (`classifiers`). Our choice, where the sources do
not say: bins of direction run from +y towards +x; for a skeleton without neck the middle of the shoulders; bands of
frequency end at the square of their number, and their amplitudes sum to one. In float64.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.recording.recording import Recording

JOINTS = tuple(f"{side}_{part}" for part in ("elbow", "wrist", "knee", "ankle") for side in ("right", "left"))
"""Joints that have histograms."""
CONFIDENCE = 0.07
"""A frame of a joint is dropped if its confidence lies further than this below the mean of the joint."""

Points = Float[np.ndarray, "time joint 2"]


def prepare(recording: Recording) -> Points:
    """Drop frames of low confidence, refill them, smooth, and set the body upright in every frame.

    Gaps are filled by modified Akima interpolation, at the ends by the nearest known position; the mean runs over 5
    frames. The middle of the hips is the origin, and the neck lies on +y.

    Raises:
        InputError: the skeleton lacks the hips, the neck and shoulders, or a joint of `JOINTS`; one of them was seen in
            fewer than two frames; or neck and hips coincide.
    """
    joints = recording.skeleton.joints
    neck = ("neck",) if "neck" in joints else ("right_shoulder", "left_shoulder")
    needed = ("right_hip", "left_hip", *neck, *JOINTS)
    if lacking := [joint for joint in needed if joint not in joints]:
        raise InputError(recording.name, f"has no point {lacking[0]}", "its skeleton is not supported")
    points = recording.keypoints[..., :2].copy()
    if recording.confidence is not None:
        points[recording.confidence < np.nanmean(recording.confidence, axis=0) - CONFIDENCE] = np.nan
    for joint in needed:
        column = joints.index(joint)
        points[:, column] = _refilled(points[:, column], f"{recording.name}, {joint}")
    columns = pd.DataFrame(points.reshape(len(points), -1)).rolling(5, center=True, min_periods=1).mean()
    points = columns.to_numpy().reshape(points.shape)
    hips, top = (points[:, [joints.index(j) for j in names]].mean(axis=1) for names in (needed[:2], neck))
    line = top - hips
    length = np.hypot(*line.T)
    if not length.all():
        raise InputError(recording.name, "has neck and hips in one place", "check its keypoints")
    (sine, cosine), centered = (line / length[:, None]).T[..., None], points - hips[:, None]
    x, y = centered[..., 0], centered[..., 1]
    return np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _refilled(track: Float[np.ndarray, "time 2"], where: str) -> Float[np.ndarray, "time 2"]:
    from scipy.interpolate import Akima1DInterpolator

    seen = np.flatnonzero(~np.isnan(track).any(axis=1))
    if len(seen) < 2:
        raise InputError(where, f"is seen in {len(seen)} frames", "histograms need at least 2")
    inside = np.clip(np.arange(len(track)), seen[0], seen[-1])
    return Akima1DInterpolator(seen, track[seen], method="makima")(inside)


def orientations(points: Points, joint: int, parent: int, bins: int = 8) -> Float[np.ndarray, " bin"]:
    """Histogram of the direction of a bone (HOJO2D); sums to one.

    Each frame counts for the two nearest bins, in inverse proportion to their cosine distances. Frames in which the
    bone has no length, or a point is missing, do not count.

    Args:
        points: `prepare`.
        joint: the bone's end.
        parent: its beginning.
        bins: directions, at least 3; published are 8, and 16.

    Raises:
        ValueError: no frame counts.
    """
    bone = points[:, joint] - points[:, parent]
    length = np.hypot(*bone.T)
    bone = bone[length > 0] / length[length > 0, None]
    if not len(bone):
        raise ValueError("the bone has a length in no frame")
    angle = 2 * np.pi * np.arange(bins) / bins
    distance = 1 - bone @ np.stack([np.sin(angle), np.cos(angle)])
    nearest = np.argsort(distance, axis=1)[:, :2]
    first, second = np.take_along_axis(distance, nearest, axis=1).clip(min=0).T
    histogram = np.bincount(nearest[:, 0], second / (first + second), bins)
    return (histogram + np.bincount(nearest[:, 1], first / (first + second), bins)) / len(bone)


def displacements(
    points: Points, joint: int, bins: int = 8, width: float = 2.0, frames: int = 5
) -> Float[np.ndarray, " bin"]:
    """Histogram of the displacement of a joint (HOJD2D); sums to one.

    Args:
        points: `prepare`; steps in which the joint is missing do not count.
        joint: index.
        bins: the last one is open; published are 8, and 16.
        width: of a bin in the unit of the points: published are 2 pixels, which depends on the resolution. Divide the
            points by the trunk's length for bins that do not.
        frames: of a step; steps do not overlap.

    Raises:
        ValueError: no step counts.
    """
    step = np.linalg.norm(np.diff(points[::frames, joint], axis=0), axis=-1)
    step = step[np.isfinite(step)]
    if not len(step):
        raise ValueError(f"the joint is seen in no two frames {frames} apart")
    return np.bincount(np.minimum(step // width, bins - 1).astype(int), minlength=bins) / len(step)


def speed_spectrum(points: Points, joint: int, bands: int = 8) -> Float[np.ndarray, " band"]:
    """Amplitudes of a joint's speed in bands of frequency (FFT-JD); sums to one, or is 0 where nothing moves.

    Args:
        points: `prepare`; no NaN in the joint.
        joint: index.
        bands: published are 8, and 16.

    Raises:
        ValueError: fewer frames than bands need.
    """
    return _in_bands(np.linalg.norm(np.diff(points[:, joint], axis=0), axis=-1), bands)


def angle_spectrum(points: Points, joint: int, parent: int, bands: int = 8) -> Float[np.ndarray, " band"]:
    """Amplitudes of the unwrapped direction of a bone in bands of frequency (FFT-JO); sums to one.

    Args:
        points: `prepare`; no NaN in the bone.
        joint: the bone's end.
        parent: its beginning.
        bands: published are 8, and 16.

    Raises:
        ValueError: as `speed_spectrum`, or the bone has no length in a frame.
    """
    angles = _angles(points, joint, parent)
    if not np.isfinite(angles).all():
        raise ValueError("the bone has no direction in some frame")
    return _in_bands(np.unwrap(angles), bands)


def _angles(points: Points, joint: int, parent: int) -> Float[np.ndarray, " time"]:
    """From +y towards +x, radians; NaN where the bone has no length."""
    x, y = (points[:, joint] - points[:, parent]).T
    return np.where(np.hypot(x, y) > 0, np.arctan2(x, y), np.nan)


def _in_bands(series: Float[np.ndarray, " time"], bands: int) -> Float[np.ndarray, " band"]:
    amplitudes = np.abs(np.fft.rfft(series - series.mean()))[1:]
    if len(amplitudes) < bands**2:
        raise ValueError(f"{bands} bands need {2 * bands**2} frames, got {len(series)}")
    # Frequencies k of n lie in the first band whose upper end, (i / bands)^2, is not below k / n.
    place = np.ceil(bands * np.sqrt(np.arange(1, len(amplitudes) + 1) / len(amplitudes)) - 1e-9).astype(int) - 1
    total = amplitudes.sum()
    return np.bincount(place, amplitudes, bands) / total if total > 0 else np.zeros(bands)


def spectral_features(recording: Recording, bands: int = 8) -> Float[np.ndarray, " feature"]:
    """FFT-JO and FFT-JD of every joint of `JOINTS`, directions first: 128 features with 8 bands.

    Bands are fractions of half the frame rate: all recordings need the same rate; the source has 50 Hz.

    Args:
        recording: as `prepare`.
        bands: of either spectrum.

    Raises:
        InputError: as `prepare`.
        ValueError: as `angle_spectrum` and `speed_spectrum`.
    """
    points, bones = prepare(recording), _bones(recording)
    turns = [angle_spectrum(points, joint, parent, bands) for joint, parent in bones]
    return np.concatenate([*turns, *(speed_spectrum(points, joint, bands) for joint, _ in bones)])


def _bones(recording: Recording) -> list[tuple[int, int]]:
    """Each of `JOINTS` with its parent."""
    at = [recording.skeleton.index(joint) for joint in JOINTS]
    return [(joint, recording.skeleton.parent_indices[joint]) for joint in at]


def features(recording: Recording, bins: int = 8, width: float = 2.0) -> Float[np.ndarray, " feature"]:
    """Both histograms of every joint of `JOINTS`, directions first: 128 features with 8 bins.

    Args:
        recording: as `prepare`.
        bins: of either histogram.
        width: of a bin of displacement.

    Raises:
        InputError: as `prepare`.
        ValueError: as `orientations` and `displacements`.
    """
    points, bones = prepare(recording), _bones(recording)
    pose = [orientations(points, joint, parent, bins) for joint, parent in bones]
    return np.concatenate([*pose, *(displacements(points, joint, bins, width) for joint, _ in bones)])
