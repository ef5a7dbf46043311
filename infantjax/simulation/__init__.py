"""Infants whose movement is known, as keypoint recordings: for demonstration, tests and benchmarks.

    recording = simulate(1, InfantConfig(duration=60, fidgety=0.0))
    cohort = simulate_cohort(60, seed=1)            # [(recording, outcome), ...]
    write_cohort("cohort", 60, seed=1)              # a folder that crossval and assess read

Nothing learned from simulated movement was shown to hold for infants.
"""

from infantjax.lazy import lazy_attributes

_MODULES: dict[str, tuple[str, ...]] = {
    "body": (),
    "cohort": ("simulate_cohort", "simulate_infants", "to_csv", "write_cohort"),
    "config": ("STATEMENT", "InfantConfig"),
    "infant": ("project", "simulate"),
    "movement": ("Movement", "move"),
    "rendering": (),
    "rendering.clip": ("Clip", "RenderConfig", "render"),
    "signals": (),
    "traits": ("draw_infant", "draw_metadata", "draw_outcomes"),
}

_PLACES = {
    name.rpartition(".")[2]: f"{__name__}.{module}" for module, names in _MODULES.items() for name in (module, *names)
}

__getattr__, __dir__ = lazy_attributes(__name__, _PLACES)
