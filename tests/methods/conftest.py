"""Cohorts as each method reads them, and methods so small that they train in seconds."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax.assessment.assessor import Assessor
from infantjax.methods import registry
from infantjax.methods.base import Method
from infantjax.models.entry import variable_shapes
from infantjax.recording.cohort import Cohort
from infantjax.simulation import InfantConfig
from infantjax.training.cohorts import crossval
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble, save_ensemble

SMALL = {
    "ensemble-gcn": {
        "model": "st-gcn",
        "overrides": {"widths": [4, 4]},
        "folds": 2,
        "training": {"epochs": 2, "batch_size": 8, "samples_per_negative": 2, "positive_ratio": 2},
    },
    "cp-gcn-29": {
        "overrides": {"init_lay": 16, "blocks_in": 1, "depth_in": 1, "conv_lay": "Basic", "blocks_main": 1},
        "folds": 2,
        "stride": 60,
        "preprocessing": {"window": 90},
        "training": {"epochs": 2, "batch_size": 8, "samples_per_negative": 2, "positive_ratio": 2},
    },
    "sma-cnn": {
        "preprocessing": {"window": 120, "step": 100},
        "network": {"features": [2, 2, 2, 4]},
        "training": {"iterations": 2, "report": 1, "batch_size": 4, "evaluation_batch": 4},
    },
    "mam": {
        "folds": 2,
        "localization_step": 60,
        "network": {"width": 4, "blocks": 1, "hidden": 4, "heads": 1, "frames": 120, "token": 24},
        "training": {"joint": 1, "pretraining": 1, "half_cycle": 10, "clips": 2, "instances": 2, "step": 60},
    },
    "baby-moves": {
        "repeats": 2,
        "shares": [0.2, 0.2],
        "network": {"features": 4, "blocks": 1, "pool": 8},
        "training": {"epochs": 2, "warm_up": 0, "batch_size": 2, "curves": 0},
    },
}


def merged(base: dict, changes: dict) -> dict:
    """Nested settings with some of them replaced."""
    nested = {k: merged(base.get(k, {}), v) if isinstance(v, dict) else v for k, v in changes.items()}
    return {**base, **nested}


@pytest.fixture(scope="session")
def small() -> Callable[..., Method]:
    """A method of the smallest size: `small(name, **settings)`."""
    return lambda name, **settings: registry.get(name).from_settings(merged(SMALL[name], settings))


@pytest.fixture(scope="session")
def cohort_of() -> Callable[..., Cohort]:
    """Simulated infants as a method reads them: `cohort_of(name, n, first)`."""

    def make(name: str, n: int = 8, first: int = 0, duration: float = 12.0) -> Cohort:
        method = registry.get(name)
        base = InfantConfig(dropout_rate=0)
        pairs = list(method.simulate(n, 0, duration, prevalence=0.4, base=base, first=first))
        recordings, outcomes = zip(*pairs)
        groups = tuple(r.metadata.get("group", r.name) for r in recordings)
        return Cohort(recordings, outcomes, groups, score_range=method.score_range)

    return make


@pytest.fixture(scope="session")
def random_ensemble(small, tmp_path_factory) -> Callable[..., Path]:
    """A saved ensemble of two networks with random weights: `random_ensemble(name, **settings)`."""

    def draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        # Statistics and deviations are above 0.
        return rng.normal(0, 0.3, shape) if kind == "params" else rng.uniform(0.5, 1, shape)

    def make(name: str, **settings) -> Path:
        method, rng = small(name, **settings), np.random.default_rng(0)
        shapes = variable_shapes(method.build(), method.input_shape)
        variables = {
            kind: jax.tree.map(lambda leaf, kind=kind: draw(kind, (2, *leaf.shape), rng), tree)
            for kind, tree in shapes.items()
        }
        info = {
            "method": name,
            "settings": method.settings,
            "skeleton": method.skeleton,
            "validated": False,
            "statement": crossval.STATEMENT.format(count=0),
            "calibrations": [[2.0, -1.0], [3.0, -1.0]],
        }
        folder = tmp_path_factory.mktemp(name)
        save_ensemble(Ensemble((Member(method.model, variables, {}),), EnsembleInfo.from_dict(info)), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def ensembles(random_ensemble) -> dict[str, Path]:
    """One of each method but the graph networks, whose ensembles are tested apart."""
    return {name: random_ensemble(name) for name in SMALL if name != "ensemble-gcn"}


@pytest.fixture(scope="session")
def assessors(ensembles) -> dict[str, Assessor]:
    """What assesses with them; programs are compiled once."""
    return {name: registry.assessor(load_ensemble(folder)) for name, folder in ensembles.items()}
