"""Random traits of the infants of a cohort: outcomes, movement, body, camera, and metadata.

Infants differ in size, activity, posture, camera and, by outcome, in the fraction of time with fidgety movements. The
overall activity has the same distribution for both outcomes, so the amount of movement alone does not separate them.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from infantjax.simulation.config import InfantConfig
from infantjax.simulation.signals import stream

MAX_INFANTS = 100_000
"""Largest cohort that is simulated."""


def draw_outcomes(n: int, seed: int, prevalence: float = 0.15) -> tuple[int, ...]:
    """Outcomes of a cohort, evenly spread: that of infant i does not depend on n, and both occur among the first two.

    Args:
        n: number of infants, at least 2.
        seed: seed of the cohort; shifts the pattern.
        prevalence: fraction of outcome 1, above 0 and below 1; their number is n times it, rounded up or down.

    Raises:
        ValueError: n, seed or prevalence outside its range.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if not 2 <= n <= MAX_INFANTS:
        raise ValueError(f"a cohort has from 2 to {MAX_INFANTS} infants, got {n}")
    if not 0 < prevalence < 1:
        raise ValueError(f"the prevalence must be above 0 and below 1, got {prevalence}")
    # The rarer outcome occurs where a line with this slope passes an integer; the start makes it pass one within two
    # infants.
    rare = min(prevalence, 1 - prevalence)
    start = 1 - 2 * rare * stream((seed,), "outcomes").uniform(0.01, 0.99)
    steps = np.diff(np.floor(start + rare * np.arange(n + 1) + 1e-9)).astype(int)
    return tuple((steps if prevalence <= 0.5 else 1 - steps).tolist())


def draw_infant(seed: int, index: int, outcome: int, base: InfantConfig | None = None) -> InfantConfig:
    """The traits of one infant of a cohort.

    All traits but `fidgety` and `monotony` have the same distribution for both outcomes, and are the same for both
    outcomes of one `(seed, index)`. Outcome 0: `fidgety` from a beta distribution of mean 0.55 and standard deviation
    0.16, at least 0.35 (MAM reports a median of 0.553 with quartiles 0.412 and 0.706 in normal infants). Outcome 1: 0,
    absent, and slightly more uniform events (`monotony` 0.2; our choice).

    Args:
        seed: seed of the cohort.
        index: number of the infant, from 0.
        outcome: 0 or 1.
        base: settings that are not drawn (duration, frame rate, noise, jitter, dropouts, image). The draw multiplies
            its `activity`, `restlessness`, `fidgety_amplitude`, `length`, `focal_length` and `camera_height`, adds to
            its `camera_rotation` and `camera_tilt`, and replaces its `fidgety`.
    """
    base = base or InfantConfig()
    rng = stream((seed, index), "traits")
    restlessness = math.exp(0.6 * rng.standard_normal())
    activity = math.exp(0.45 * rng.standard_normal())
    length = 1.0 + 0.035 * rng.standard_normal()
    rotation, tilt = 12.0 * rng.standard_normal(), 5.0 * rng.standard_normal()
    height, focal = 1.0 + 0.1 * rng.uniform(-1, 1), 1.0 + 0.05 * rng.uniform(-1, 1)
    amplitude = math.exp(0.25 * rng.standard_normal())
    share = max(0.35, rng.beta(4.77, 3.90))
    return replace(
        base,
        restlessness=min(base.restlessness * restlessness, 5.0),
        activity=min(base.activity * activity, 10.0),
        length=min(max(base.length * length, 40.0), 90.0),
        camera_rotation=base.camera_rotation + rotation,
        camera_tilt=min(max(base.camera_tilt + tilt, -30.0), 30.0),
        camera_height=max(base.camera_height * height, 60.0),
        focal_length=base.focal_length * focal,
        fidgety_amplitude=min(base.fidgety_amplitude * amplitude, 5.0),
        fidgety=0.0 if outcome else share,
        monotony=max(base.monotony, 0.2) if outcome else base.monotony,
    )


def draw_metadata(seed: int, index: int, outcome: int) -> dict[str, Any]:
    """Metadata of an infant, as in an outcomes table: 3 of 10 are born before 32 weeks, with outcome 1 7 of 10.

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
