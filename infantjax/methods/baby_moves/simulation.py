"""Baby Moves: simulated cohorts. All of it is our choice, so that programs run to their end; nothing was fitted."""

from dataclasses import replace
from typing import Any

import numpy as np

from infantjax.recording.recording import Recording
from infantjax.skeletons import BABY_MOVES_18

HAND_HELD: dict[str, Any] = {
    "image_size": (640, 480),
    "camera_rotation": 90.0,
    "focal_length": 700.0,
    "camera_jitter": 3.0,
    "camera_drift": 6.0,
    "camera_roll": 3.0,
}
"""A phone above an infant that lies along x, the head at small x."""


def to_baby_moves_points(recording: Recording) -> Recording:
    """The 18 points of Baby Moves from those of in-motion-19: good enough to run, not what a tracker would find."""
    sums = {"crown": {"head_top": 1.0}, "chin": {"nose": 0.3, "upper_neck": 0.7}}
    for side in ("left", "right"):
        sums[f"{side}_eye"] = {"nose": 0.6, f"{side}_ear": 0.4}
        sums |= {f"{side}_{joint}": {f"{side}_{joint}": 1.0} for joint in ("shoulder", "elbow", "hip", "knee")}
        sums |= {f"{side}_hand": {f"{side}_wrist": 1.0}, f"{side}_heel": {f"{side}_ankle": 1.0}}
        sums[f"{side}_toe"] = {f"{side}_ankle": 1.2, f"{side}_knee": -0.2}
    points = [
        sum(weight * recording.keypoints[:, recording.skeleton.index(name)] for name, weight in sums[joint].items())
        for joint in BABY_MOVES_18.joints
    ]
    return replace(recording, keypoints=np.stack(points, 1), skeleton=BABY_MOVES_18, confidence=None)
