"""Fixtures shared by all tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference vectors and real input beside the project; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("reference vectors are not here: they are expected in ../shared beside the project")
    return folder


@pytest.fixture(scope="session")
def ensemble_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ensemble of two small ST-GCN with random weights: compiles in a second and means nothing."""
    import jax
    import numpy as np

    from infantjax import models
    from infantjax.motion.normalisation import RELEASED
    from infantjax.nn.initialisers import initialise
    from infantjax.weights import Ensemble, Member, save_ensemble

    entry, overrides = models.get("st-gcn"), {"widths": [4, 8]}
    module, x = entry.build(**overrides), np.zeros((1, *entry.input_shape), np.float32)
    draw = jax.jit(jax.vmap(lambda key: initialise(module, key, x)))
    drawn = draw(jax.random.split(jax.random.key(3), 2))
    variables = jax.tree.map(np.asarray, dict(drawn))
    info = {
        "skeleton": "in-motion-19",
        "preprocessing": RELEASED.to_dict(),
        "threshold": 0.5,
        "validated": False,
        "statement": "Random weights, made for a test.",
    }
    folder = tmp_path_factory.mktemp("weights") / "ensemble"
    save_ensemble(Ensemble((Member("st-gcn", variables, overrides),), info), folder)
    return folder
