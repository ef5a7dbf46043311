"""SMA CNN: simulated cohorts of graded severity. All of it is our choice; nothing was fitted to infants."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from infantjax.recording.recording import Recording
from infantjax.simulation.config import InfantConfig
from infantjax.simulation.infant import simulate as simulate_infant
from infantjax.simulation.signals import stream
from infantjax.simulation.traits import draw_infant

HIGHEST_SCORE = 72.0
"""Of the extremity items of CHOP INTEND."""
VISITS = 3
"""Recordings of an infant."""


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
    """Infants with three visits each and a score at every visit; arguments as of `Method.simulate`.

    The prevalence has no meaning for scores. Unless `base` says otherwise no point is missing: a window is 30 s without
    a gap, which not every shorter recording would have.
    """
    base = replace(base or InfantConfig(dropout_rate=0.0), duration=duration, fps=fps)
    for infant in range(first, first + n):
        for visit in range(VISITS):
            score, index = draw_score(seed, infant, visit), infant * VISITS + visit
            recording = simulate_infant((seed, index), graded(seed, index, score, base), name=f"sim{index:04d}")
            metadata = recording.metadata.with_columns({"group": f"infant{infant:04d}", "age_days": 60 + 90 * visit})
            yield replace(recording, metadata=metadata), score


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
