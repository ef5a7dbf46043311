"""Cohorts as each system reads them, and systems so small that they train in seconds."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax.methods import network
from infantjax.methods import registry as systems
from infantjax.models.entry import variable_shapes
from infantjax.recording.cohort import Cohort
from infantjax.simulation import InfantConfig, infants_for
from infantjax.weights.ensemble import Ensemble, Member, load_ensemble, save_ensemble

SMALL = {
    "sma": {
        "iterations": 2,
        "report": 1,
        "batch_size": 4,
        "window": 120,
        "step": 100,
        "features": [2, 2, 2, 4],
        "evaluation_batch": 4,
    },
    "mam": {
        "joint": 1,
        "pretraining": 1,
        "clips": 2,
        "instances": 2,
        "width": 4,
        "blocks": 1,
        "hidden": 4,
        "heads": 1,
        "frames": 120,
        "token": 24,
        "step": 60,
        "localization_step": 60,
        "folds": 2,
    },
    "baby-moves": {
        "epochs": 1,
        "warm_up": 0,
        "features": 4,
        "batch_size": 2,
        "repeats": 2,
        "shares": [0.2, 0.2],
        "curves": 0,
        "blocks": 1,
        "pool": 8,
    },
}
SHAPES = {"sma": (12, 120, 1), "mam": (1, 120, 17, 17), "baby-moves": (1, 128, 46)}


@pytest.fixture(scope="session")
def sizes() -> dict[str, dict]:
    """Settings of the smallest systems."""
    return SMALL


@pytest.fixture(scope="session")
def small() -> Callable[..., systems.System]:
    """A system of the smallest size: `small(name, **settings)`."""
    return lambda name, **settings: systems.get(name).configured({**SMALL[name], **settings})


@pytest.fixture(scope="session")
def cohort_of() -> Callable[..., Cohort]:
    """Simulated infants as a system reads them: `cohort_of(name, n, first)`."""

    def make(name: str, n: int = 8, first: int = 0, duration: float = 12.0) -> Cohort:
        base = InfantConfig(dropout_rate=0)
        pairs = list(infants_for(name, n, 0, duration, 0.4, 30, base, first))
        recordings, outcomes = zip(*pairs)
        groups = tuple(r.metadata.get("group", r.name) for r in recordings)
        return Cohort(recordings, outcomes, groups, score_range=systems.get(name).score_range)

    return make


@pytest.fixture(scope="session")
def random_ensemble(small, tmp_path_factory) -> Callable[..., Path]:
    """A saved ensemble of two instances with random weights: `random_ensemble(name, **settings)`."""

    def draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        # Statistics and deviations are above 0.
        return rng.normal(0, 0.3, shape) if kind == "params" else rng.uniform(0.5, 1, shape)

    def make(name: str, **settings) -> Path:
        system, rng = small(name, **settings), np.random.default_rng(0)
        shapes = variable_shapes(system.network, SHAPES[name])
        variables = {
            kind: jax.tree.map(lambda leaf, kind=kind: draw(kind, (2, *leaf.shape), rng), tree)
            for kind, tree in shapes.items()
        }
        info = {
            "system": name,
            "settings": system.settings,
            "skeleton": system.skeleton_name,
            "validated": False,
            "statement": network.STATEMENT.format(count=0),
            "calibrations": [[2.0, -1.0], [3.0, -1.0]],
        }
        folder = tmp_path_factory.mktemp(name)
        save_ensemble(Ensemble((Member(system.model, variables, {}),), info), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def ensembles(random_ensemble) -> dict[str, Path]:
    """One of each system but groos."""
    return {name: random_ensemble(name) for name in SMALL}


@pytest.fixture(scope="session")
def assessors(ensembles) -> dict[str, systems.Assessor]:
    """What assesses with them; programs are compiled once."""
    return {name: systems.assessor(load_ensemble(folder)) for name, folder in ensembles.items()}
