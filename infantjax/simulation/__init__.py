"""Infants whose movement is known, as keypoint recordings: for demonstration, tests and benchmarks.

    recording = simulate(1, InfantConfig(duration=60, fidgety=0.0))
    cohort = simulate_cohort(60, seed=1)            # [(recording, outcome), ...]
    write_cohort("cohort", 60, seed=1)              # a folder that crossval and assess read

Nothing learned from simulated movement was shown to hold for infants.
"""

from infantjax.simulation.cohort import (
    draw_infant,
    draw_metadata,
    infants,
    outcomes,
    simulate_cohort,
    to_csv,
    write_cohort,
)
from infantjax.simulation.movement import STATEMENT, InfantConfig, Movement, move, project, simulate

__all__ = [
    "STATEMENT",
    "InfantConfig",
    "Movement",
    "draw_infant",
    "draw_metadata",
    "infants",
    "move",
    "outcomes",
    "project",
    "simulate",
    "simulate_cohort",
    "to_csv",
    "write_cohort",
]
