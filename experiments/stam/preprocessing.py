"""Preprocessing for STAM: fill gaps, smooth, align each half of the body, compute seven channels.

Source: Nguyen-Thai et al. 2021, after Chambers et al. 2020. Our choice, where the description does not say: the trunk
length is the median over the recording; velocity and acceleration are central differences per second; displacement is
the distance from the frame before, per second. In float64.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.ndimage import median_filter

from infantjax.errors import InputError
from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.recording import Recording

LOWER = ("hip", "knee", "ankle")
"""Kinds of points that belong to the lower half of the body; all others belong to the upper."""
SMOOTHING = 0.5
"""Seconds of the running median, and of the running mean behind it."""

Points = Float[np.ndarray, "time joint 2"]


def prepare(recording: Recording) -> Points:
    """Fill gaps, smooth, turn and shift each half of the body, divide by the trunk's length.

    The upper half has the middle of the shoulders as its origin and the line from the right to the left one along +x,
    the lower half the hips. In both, +y points to the feet of an infant who lies on the back.

    Args:
        recording: with shoulders and hips, in two dimensions.

    Raises:
        InputError: a point is missing in all frames, or the shoulders or hips are missing in its skeleton, or coincide.
    """
    joints = recording.skeleton.joints
    if never := [j for j, gone in zip(joints, np.asarray(recording.missing.all(axis=0))) if gone]:
        raise InputError(recording.name, f"has no {never[0]} in any frame", "STAM needs every point of the skeleton")
    if lacking := [f"{side}_{p}" for p in ("shoulder", "hip") for side in _SIDES if f"{side}_{p}" not in joints]:
        raise InputError(recording.name, f"has no point {lacking[0]}", "its skeleton is not supported")
    points = fill_gaps(recording.keypoints)[..., :2]
    half = round(SMOOTHING * recording.fps / 2)
    points = median_filter(points, (2 * half + 1, 1, 1), mode="nearest")
    columns = pd.DataFrame(points.reshape(len(points), -1)).rolling(2 * half + 1, center=True, min_periods=1).mean()
    points = columns.to_numpy().reshape(points.shape)
    middles, lines = [], []
    for part in ("shoulder", "hip"):
        right, left = (points[:, joints.index(f"{side}_{part}")] for side in _SIDES)
        middles.append((right + left) / 2)
        lines.append(left - right)
    trunk = float(np.median(np.hypot(*(middles[0] - middles[1]).T)))
    if trunk == 0:
        raise InputError(recording.name, "has shoulders and hips in one place", "check its keypoints")
    lower = np.array([joint.endswith(LOWER) for joint in joints])
    halves = [_aligned(points, middle, line) for middle, line in zip(middles, lines)]
    return np.where(lower[:, None], halves[1], halves[0]) / trunk


_SIDES = ("right", "left")


def _aligned(points: Points, origin: Float[np.ndarray, "time 2"], line: Float[np.ndarray, "time 2"]) -> Points:
    """Points with an origin and with +x along a line, in each frame."""
    angle = np.arctan2(line[:, 1], line[:, 0])
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = np.moveaxis(points - origin[:, None], -1, 0)
    return np.stack([cosine * x + sine * y, cosine * y - sine * x], axis=-1)


def channels(points: Points, fps: float) -> Float[np.ndarray, "time joint 7"]:
    """Input of the network, in the order of `CHANNELS`.

    Args:
        points: `prepare`, at least two frames.
        fps: hertz.

    Raises:
        ValueError: fewer than two frames.
    """
    if len(points) < 2:
        raise ValueError(f"velocities need at least 2 frames, got {len(points)}")
    velocity = np.gradient(points, axis=0) * fps
    acceleration = np.gradient(velocity, axis=0) * fps
    displacement = np.linalg.norm(np.diff(points, axis=0, prepend=points[:1]), axis=-1, keepdims=True) * fps
    return np.concatenate([points, velocity, acceleration, displacement], axis=-1)
