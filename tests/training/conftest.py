"""A toy network with a batch norm and a toy cohort that it can learn, for tests of the training loop in seconds."""

import flax.linen as nn
import numpy as np
import pytest

from infantjax.skeletons import Skeleton
from infantjax.training.folds import Fold
from infantjax.training.stack import CohortData, TrainingConfig

STICK = Skeleton(
    "stick-3", ("pelvis", "thorax", "hand"), ("thorax", "thorax", "thorax"), trunk=("thorax", "pelvis"), source="test"
)


class Toy(nn.Module):
    """Speed of each joint through a batch norm and a dense layer."""

    width: int = 4

    @nn.compact
    def __call__(self, x, train=False):
        self.variable("constants", "scale", lambda: np.float32(10) * np.ones(1, np.float32))
        speed = x.std(axis=1).reshape(len(x), -1) * self.variables["constants"]["scale"]
        hidden = nn.relu(nn.Dense(self.width)(nn.BatchNorm(use_running_average=not train, momentum=0.9)(speed)))
        return nn.Dense(2)(hidden), {"pooled": hidden}


def toy_cohort(recordings: int = 12, seed: int = 0, frames: int = 200) -> CohortData:
    """Every third infant moves its hand less; lengths differ."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(recordings) % 3 == 0).astype(int)
    positions = []
    for label in labels:
        array = np.zeros((int(rng.integers(frames, frames + 60)), 3, 2))
        array[:, 0, 1], array[:, 1, 1] = -0.125, 0.125
        array[:, 2] = rng.normal(scale=0.06 if label else 0.1, size=(len(array), 2)).cumsum(axis=0) * 0.1
        positions.append(array)
    return CohortData.from_recordings(positions, labels.tolist(), STICK)


def toy_folds(runs: int, recordings: int = 12) -> list[Fold]:
    """Fold k holds out one infant with CP and two or three without; sizes differ."""
    folds = []
    for k in range(runs):
        held = sorted(
            {(3 * k) % recordings, (3 * k + 1) % recordings, (3 * k + 5) % recordings} | ({2} if k % 2 else set())
        )
        folds.append(Fold(tuple(r for r in range(recordings) if r not in held), tuple(held)))
    return folds


CONFIG = TrainingConfig(epochs=3, batch_size=8, samples_per_negative=2, positive_ratio=3, learning_rate=0.05)


@pytest.fixture(scope="session")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="session")
def cohort() -> CohortData:
    return toy_cohort()
