"""Baby Moves: simulated cohorts. All of it is our choice, so that programs run to their end; nothing was fitted."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from infantjax.recording.recording import Recording
from infantjax.simulation.cohort import simulate_infants
from infantjax.simulation.config import InfantConfig
from infantjax.simulation.traits import draw_metadata
from infantjax.skeletons import BABY_MOVES_18

HAND_HELD = {
    "image_size": (640, 480),
    "camera_rotation": 90.0,
    "focal_length": 700.0,
    "camera_jitter": 3.0,
    "camera_drift": 6.0,
    "camera_roll": 3.0,
}
"""A phone above an infant that lies along x, the head at small x."""


def simulate(
    n: int,
    seed: int,
    duration: float,
    *,
    prevalence: float = 0.3,
    fps: float = 30.0,
    base: InfantConfig | None = None,
    first: int = 0,
) -> Iterator[tuple[Recording, float]]:
    """Infants under a phone, with their outcomes; arguments as of `Method.simulate`."""
    base = replace(base or InfantConfig(), **HAND_HELD)  # type: ignore[arg-type]
    infants = simulate_infants(n, seed, duration, prevalence=prevalence, fps=fps, base=base, first=first)
    for index, (recording, outcome) in enumerate(infants, first):
        drawn = draw_metadata(seed, index, outcome)
        metadata = recording.metadata.with_columns({name: drawn[name] for name in ("age", "cohort")})
        yield replace(to_baby_moves_points(recording), metadata=metadata), outcome


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
