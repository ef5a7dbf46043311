"""Simulated cohorts as each published system reads them: metadata, graded severity, a camera in the hand, keypoints.

All of it is chosen, so that programs can run to their end; none of it was fitted to infants.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from infantjax.recording.recording import Recording
from infantjax.simulation.cohort import draw_infant, infants
from infantjax.simulation.movement import InfantConfig, simulate, stream
from infantjax.skeletons import BABY_MOVES_18

System = Literal["groos", "mam", "baby-moves", "sma"]

COLUMNS: dict[System, tuple[str, ...]] = {
    "groos": (),
    "mam": ("sex", "gestational_age", "birth_weight", "corrected_age"),
    "baby-moves": ("age", "cohort"),
    "sma": ("group", "age"),
}
"""What the table of a cohort says of each recording beside id and outcome."""

HIGHEST_SCORE = 72.0
"""Of the extremity items of CHOP INTEND."""
VISITS = 3
"""Recordings of an infant of the cohort for `sma`."""

HAND_HELD = {
    "image_size": (640, 480),
    "camera_rotation": 90.0,
    "focal_length": 700.0,
    "camera_jitter": 3.0,
    "camera_drift": 6.0,
    "camera_roll": 3.0,
}
"""A phone above an infant that lies along x, the head at small x."""


def draw_metadata(seed: int, index: int, outcome: int) -> dict[str, Any]:
    """What a table says of an infant: it is born before 32 weeks in 3 of 10 cases, with outcome 1 in 7 of 10.

    Args:
        seed: of the cohort.
        index: number of the infant.
        outcome: 0 or 1.

    Returns:
        `sex`, `gestational_age` (weeks), `birth_weight` (grams), `corrected_age` and `age` (weeks), `cohort` (`term`
        or `preterm`).
    """
    rng = stream((seed, index), "metadata")
    early = rng.random() < (0.7 if outcome else 0.3)
    gestation = round(float(rng.uniform(24, 31.9) if early else rng.uniform(37, 41)), 1)
    # About the growth of the last trimester: 1000 g at 28 weeks, 3400 g at 40.
    weight = round(float((1000 + 200 * (gestation - 28)) * math.exp(0.12 * rng.standard_normal())))
    age = round(float(rng.uniform(12, 18)), 1)
    return {
        "sex": "female" if rng.random() < 0.5 else "male",
        "gestational_age": gestation,
        "birth_weight": max(weight, 400),
        "corrected_age": age,
        "age": age,
        "cohort": "preterm" if early else "term",
    }


def graded(seed: int, index: int, score: float, base: InfantConfig | None = None) -> InfantConfig:
    """The traits of an infant whose motor score is known: the lower, the less, the more alike and the more at once.

    Args:
        seed: of the cohort.
        index: number of the infant: size, camera and temperament do not depend on the score.
        score: 0 (no movement to speak of) to 72.
        base: what is not drawn.

    Raises:
        ValueError: a score outside its scale.
    """
    if not 0 <= score <= HIGHEST_SCORE:
        raise ValueError(f"a score is from 0 to {HIGHEST_SCORE:g}, got {score}")
    share, infant = score / HIGHEST_SCORE, draw_infant(seed, index, 0, base)
    return replace(
        infant,
        activity=min(infant.activity * (0.1 + 1.2 * share), 10.0),
        restlessness=min(infant.restlessness * (0.4 + 0.8 * share), 5.0),
        monotony=0.5 * (1 - share),
        coupling=0.8 * (1 - share),
        fidgety=infant.fidgety * share,
    )


def draw_score(seed: int, infant: int, visit: int) -> float:
    """The score of an infant at a visit: infants are spread over the scale, visits lie some 6 points apart."""
    # The golden ratio spreads any number of infants evenly.
    level = (stream((seed,), "scores").random() + infant * 0.6180339887) % 1
    change = 6 * stream((seed, infant, visit), "scores").standard_normal()
    return round(float(np.clip(HIGHEST_SCORE * level + change, 0, HIGHEST_SCORE)), 1)


def infants_for(
    system: System,
    n: int,
    seed: int,
    duration: float,
    prevalence: float,
    fps: float,
    base: InfantConfig | None = None,
    first: int = 0,
) -> Iterator[tuple[Recording, float]]:
    """Simulated recordings as a system reads them, one after the other, with their outcomes or scores.

    Args:
        system: its name.
        n: number of infants; for `sma` each has `VISITS` recordings.
        seed: of the cohort.
        duration: seconds of each recording.
        prevalence: share of outcome 1; without meaning for `sma`.
        fps: hertz.
        base: what is not drawn for each infant.
        first: number of the first infant.

    Returns:
        Recordings whose metadata hold the columns of `COLUMNS`; for `baby-moves` of its keypoints, by a hand-held
        camera.
    """
    if system == "sma":
        base = replace(base or InfantConfig(), duration=duration, fps=fps)
        for infant in range(first, first + n):
            for visit in range(VISITS):
                score, index = draw_score(seed, infant, visit), infant * VISITS + visit
                found = simulate((seed, index), graded(seed, index, score, base), name=f"sim{index:04d}")
                known = {"group": f"infant{infant:04d}", "age": 60 + 90 * visit}
                yield replace(found, metadata={**found.metadata, **known}), score
        return
    if system == "baby-moves":
        base = replace(base or InfantConfig(), **HAND_HELD)  # type: ignore[arg-type]
    for index, (recording, outcome) in enumerate(infants(n, seed, duration, prevalence, fps, base, first), first):
        known = {name: draw_metadata(seed, index, outcome)[name] for name in COLUMNS[system]}
        if system == "baby-moves":
            recording = baby_moves_points(recording)
        yield replace(recording, metadata={**recording.metadata, **known}), outcome


def baby_moves_points(recording: Recording) -> Recording:
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
