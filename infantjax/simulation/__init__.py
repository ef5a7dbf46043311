"""Infants whose movement is known, as keypoint recordings: for demonstration, tests and benchmarks.

    recording = simulate(1, InfantConfig(duration=60, fidgety=0.0))
    cohort = simulate_cohort(60, seed=1)            # [(recording, outcome), ...]
    write_cohort("cohort", 60, seed=1)              # a folder that crossval and assess read

Nothing learned from simulated movement was shown to hold for infants.
"""

from typing import TYPE_CHECKING

from infantjax.lazy import lazy_attributes

if TYPE_CHECKING:
    from infantjax.simulation.cohort import simulate_cohort, simulate_infants, to_csv, write_cohort
    from infantjax.simulation.config import STATEMENT, InfantConfig
    from infantjax.simulation.faults import FAULTS, spoil
    from infantjax.simulation.infant import project, simulate
    from infantjax.simulation.movement import Movement, move
    from infantjax.simulation.rendering import Clip, RenderConfig, render
    from infantjax.simulation.traits import draw_infant, draw_metadata, draw_outcomes

_MODULES: dict[str, tuple[str, ...]] = {
    "body": (),
    "cohort": ("simulate_cohort", "simulate_infants", "to_csv", "write_cohort"),
    "config": ("STATEMENT", "InfantConfig"),
    "faults": ("FAULTS", "spoil"),
    "infant": ("project", "simulate"),
    "movement": ("Movement", "move"),
    "rendering": ("Clip", "RenderConfig", "render"),
    "signals": (),
    "traits": ("draw_infant", "draw_metadata", "draw_outcomes"),
}

__all__ = [
    "FAULTS",
    "STATEMENT",
    "Clip",
    "InfantConfig",
    "Movement",
    "RenderConfig",
    "draw_infant",
    "draw_metadata",
    "draw_outcomes",
    "move",
    "project",
    "render",
    "simulate",
    "simulate_cohort",
    "simulate_infants",
    "spoil",
    "to_csv",
    "write_cohort",
]

_PLACES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in (module, *names)}

__getattr__, __dir__ = lazy_attributes(__name__, _PLACES)
