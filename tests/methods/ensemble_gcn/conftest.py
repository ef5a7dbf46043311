"""A cheap ensemble with random weights, and a recording that moves, for tests of the whole chain in seconds."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax import models
from infantjax.nn.initializers import initialize
from infantjax.recording.preprocessing import REFERENCE
from infantjax.recording.recording import Recording
from infantjax.settings import to_settings
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, save_ensemble

WIDTHS = [4, 6]


def random_variables(module, shape, runs: int):
    """Variables with a leading run axis, their running statistics and classifiers random too."""
    rng = np.random.default_rng(7)

    def statistics(a):
        # Norms that do something: of the fresh statistics, means are 0 and variances 1.
        return (a * rng.uniform(0.1, 1, a.shape) + (1 - a) * 0.1 * rng.normal(size=a.shape)).astype(np.float32)

    stack = []
    for run in range(runs):
        fresh = initialize(module, jax.random.key(run), np.zeros((1, *shape), np.float32))
        variables = jax.tree.map(np.array, dict(fresh))
        variables["batch_stats"] = jax.tree.map(statistics, variables["batch_stats"])
        stack.append(variables)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *stack)


@pytest.fixture(scope="session")
def info() -> dict:
    return {
        "skeleton": "in-motion-19",
        "preprocessing": to_settings(REFERENCE),
        "features": ["position"],
        "threshold": 0.5,
        "demonstration": False,
        "validated": False,
        "statement": "Random weights.",
        "training": {},
    }


@pytest.fixture(scope="session")
def ensemble_folder(tmp_path_factory, info) -> Path:
    """A saved ensemble: one small ST-GCN with two networks."""
    module = models.get("st-gcn").build(widths=WIDTHS)
    member = Member("st-gcn", random_variables(module, (150, 19, 2), 2), {"widths": WIDTHS})
    folder = tmp_path_factory.mktemp("ensemble")
    save_ensemble(Ensemble((member,), EnsembleInfo.from_dict(info)), folder)
    return folder


@pytest.fixture(scope="session")
def record() -> Callable[..., Recording]:
    """Makes recordings: `record(frames, seed=0, **fields)`, a simulated infant without missing points."""

    def make(frames: int, seed: int = 0, **fields) -> Recording:
        infant = simulate(seed, InfantConfig(duration=frames / 30, dropout_rate=0), name="recording")
        return replace(infant, confidence=None, **fields)

    return make
