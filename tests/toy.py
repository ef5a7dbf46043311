"""A toy network with a batch norm and a toy cohort that it can learn, for tests of the training loop in seconds.

Subprocesses load this file by its path, so everything that they need lies here.
"""

import flax.linen as nn
import numpy as np

from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.skeletons import Skeleton
from infantjax.training.splits import Split

STICK = Skeleton(
    "stick-3", ("pelvis", "thorax", "hand"), ("thorax", "thorax", "thorax"), trunk=("thorax", "pelvis"), source="test"
)

CONFIG = TrainingConfig(epochs=4, batch_size=8, samples_per_negative=2, positive_ratio=3, learning_rate=0.05)

TRACES = []
"""Grows by one whenever a toy network is traced."""


class Toy(nn.Module):
    """Speed of each joint through a batch norm and a dense layer, with a collection that stays constant."""

    width: int = 4

    @nn.compact
    def __call__(self, x, train=False):
        TRACES.append(train)
        scale = self.variable("constants", "scale", lambda: np.full(1, 10, np.float32))
        speed = x.std(axis=1).reshape(len(x), -1) * scale.value
        hidden = nn.relu(nn.Dense(self.width)(nn.BatchNorm(use_running_average=not train, momentum=0.9)(speed)))
        return nn.Dense(2)(hidden), {"pooled": hidden}


def toy_positions(recordings: int = 14) -> tuple[list[np.ndarray], list[int]]:
    """Every second infant moves its hand less; lengths differ, but all have two windows (fewer shapes to compile)."""
    rng = np.random.default_rng(0)
    labels = [r % 2 for r in range(recordings)]
    positions = []
    for label in labels:
        array = np.zeros((int(rng.integers(190, 225)), 3, 2), np.float32)
        array[:, 0, 1], array[:, 1, 1] = -0.125, 0.125
        array[:, 2] = rng.normal(scale=0.06 if label else 0.09, size=(len(array), 2)).cumsum(axis=0) * 0.1
        positions.append(array)
    return positions, labels


def toy_cohort() -> CohortData:
    return CohortData.from_recordings(*toy_positions(), STICK)


def toy_folds(runs: int = 7, recordings: int = 14) -> list[Split]:
    """Split k holds out one infant of each outcome, and every second fold one more: runs of different size."""
    folds = []
    for k in range(runs):
        held = {2 * k % recordings, (2 * k + 1) % recordings} | ({(2 * k + 4) % recordings} if k % 2 else set())
        folds.append(Split(tuple(r for r in range(recordings) if r not in held), tuple(sorted(held))))
    return folds
