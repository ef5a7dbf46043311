"""Movement of the limbs in the words of a physiotherapist: speed and range of each. In float64, without JAX.

The measures are our choice and were not validated on infants; there are no norms for them. They are projections into
the image: a limb that moves towards the camera is measured too small.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from infantjax.recording.quality.body import Body
from infantjax.recording.recording import Recording

LIMBS = {"arm": ("shoulder", "elbow", ("wrist", "hand")), "leg": ("hip", "knee", ("ankle", "foot", "heel"))}
"""Limb -> its root, its middle joint, and its end, of which the first that the keypoint set has is measured."""

STEP = 0.2
"""Seconds over which a displacement is measured: shorter ones are mostly noise of the tracking."""

MIN_SECONDS = 5.0
"""A limb that is seen for less time has no measures."""


class LimbMovement(NamedTuple):
    """How one limb moves; NaN for what the keypoints do not give.

    Attributes:
        limb: `arm` or `leg`.
        side: of the infant, `right` or `left`.
        speed: median speed of its end relative to its root, trunk lengths per second.
        fast: 90th percentile of that speed.
        range: of the angle at elbow or knee, 5th to 95th percentile, degrees in the image.
    """

    limb: str
    side: str
    speed: float
    fast: float
    range: float


def limb_movements(recording: Recording, usable: Bool[np.ndarray, " second"] | None = None) -> tuple[LimbMovement, ...]:
    """Speed and range of every limb.

    Args:
        recording: keypoints of any skeleton, before they are standardized.
        usable: for each second, whether its keypoints can be trusted; others are left out. None takes all.

    Returns:
        Right and left arm, right and left leg; without limbs that the keypoint set lacks or that are seen too little.
    """
    body = Body(recording)
    points = recording.keypoints[..., :2].astype(np.float64) / body.unit
    if usable is not None:
        points[~usable[body.second]] = np.nan
    found = []
    for limb, (root, middle, ends) in LIMBS.items():
        end = next((part for part in ends if part in body.parts), None)
        if end is None or root not in body.parts or middle not in body.parts:
            continue
        for number, side in enumerate(("right", "left")):
            joints = [body.parts[part][number] for part in (root, middle, end)]
            if (measured := _measured(limb, side, points[:, joints], recording.fps)) is not None:
                found.append(measured)
    return tuple(found)


def _measured(limb: str, side: str, points: np.ndarray, fps: float) -> LimbMovement | None:
    """The measures of one limb from `[time, 3, 2]`, its root, middle and end; None where it is seen too little."""
    root, middle, end = points.swapaxes(0, 1)
    frames = max(1, round(STEP * fps))
    reach = end - root
    speeds = np.linalg.norm(reach[frames:] - reach[:-frames], axis=1) * fps / frames
    speeds = speeds[np.isfinite(speeds)]
    if len(speeds) < MIN_SECONDS * fps:
        return None
    upper, lower = root - middle, end - middle
    cross = upper[:, 0] * lower[:, 1] - upper[:, 1] * lower[:, 0]
    angles = np.degrees(np.arctan2(np.abs(cross), (upper * lower).sum(axis=1)))
    angles = angles[np.isfinite(angles)]
    low, high = np.percentile(angles, [5, 95]) if len(angles) >= MIN_SECONDS * fps else (np.nan, np.nan)
    median, fast = np.percentile(speeds, [50, 90])
    return LimbMovement(limb, side, float(median), float(fast), float(high - low))
