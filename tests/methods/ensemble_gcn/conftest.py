"""A cheap ensemble with random weights, and a recording that moves, for tests of the whole chain in seconds."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from infantjax import models
from infantjax.nn.initializers import initialize
from infantjax.recording.preprocessing import REFERENCE
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.weights.ensemble import Ensemble, Member, save_ensemble

WIDTHS = [4, 6]


def random_variables(module, shape, instances: int):
    """Variables with a leading instance axis, their running statistics and classifiers random too."""

    def one(key):
        variables = initialize(module, key, np.zeros((1, *shape), np.float32))
        # Norms that do something, and scores that differ between instances: of the fresh statistics, means are 0 and
        # variances 1.
        keys = iter(jax.random.split(jax.random.fold_in(key, 1), 200))
        stats = jax.tree.map(
            lambda a: (
                a * jax.random.uniform(next(keys), a.shape, minval=0.02, maxval=0.2)
                + (1 - a) * 0.1 * jax.random.normal(next(keys), a.shape)
            ),
            variables["batch_stats"],
        )
        variables["params"]["classifier"]["kernel"] *= 3
        return variables | {"batch_stats": stats}

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(7), instances)))


@pytest.fixture(scope="session")
def info() -> dict:
    return {
        "skeleton": "in-motion-19",
        "preprocessing": REFERENCE.to_dict(),
        "features": ["position"],
        "threshold": 0.5,
        "demonstration": False,
        "validated": False,
        "statement": "Random weights.",
        "training": {},
    }


@pytest.fixture(scope="session")
def ensemble_folder(tmp_path_factory, info) -> Path:
    """A saved ensemble: one small ST-GCN with two instances."""
    module = models.get("st-gcn").build(widths=WIDTHS)
    member = Member("st-gcn", random_variables(module, (150, 19, 2), 2), {"widths": WIDTHS})
    folder = tmp_path_factory.mktemp("ensemble")
    save_ensemble(Ensemble((member,), info), folder)
    return folder


@pytest.fixture(scope="session")
def record() -> Callable[..., Recording]:
    """Makes recordings: `record(frames, seed=0, **fields)`, an upright figure whose every joint moves."""

    def make(frames: int, seed: int = 0, **fields) -> Recording:
        rng = np.random.default_rng(seed)
        rest = rng.uniform(-100, 100, (19, 2))
        rest[IN_MOTION_19.index("thorax")], rest[IN_MOTION_19.index("pelvis")] = (0, -60), (0, 60)
        phase, rate = rng.uniform(0, 6, (2, 19, 2))
        seconds = np.arange(frames)[:, None, None] / 30
        keypoints = 300 + rest + 15 * np.sin(rate * seconds + phase)
        return Recording(**({"keypoints": keypoints, "fps": 30.0, "skeleton": IN_MOTION_19} | fields))

    return make
