"""Toys for tests in seconds: a supervised task that knows no method, and a cohort of stick figures for window tasks.

Subprocesses load this file by its path, so everything that they need lies here.
"""

from dataclasses import dataclass
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from infantjax.skeletons import Skeleton
from infantjax.training import metrics, optimizers
from infantjax.training.fitting import fit
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, stack_runs
from infantjax.training.task import EvalResult, SupervisedTask, mask

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


# --- a task of its own -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ToyConfig:
    epochs: int = 4
    batch_size: int = 4
    learning_rate: float = 0.05
    required_auc: tuple[tuple[int, float], ...] = ()
    evaluation_batch: int = 2
    seed: int = 1


CONFIG = ToyConfig()


class ToyData(NamedTuple):
    x: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class ToyTask(SupervisedTask):
    """Two classes from noisy series; the best epoch has the highest AUC."""

    min_score = 0.0

    @property
    def optimizer(self):
        return optimizers.nesterov(self.config.learning_rate, 0.9)

    def should_stop(self, epoch, best_epoch, best_score):
        too_low = [(epoch >= due) & (best_score < least) for due, least in self.config.required_auc]
        return jnp.any(jnp.asarray(too_low, bool))

    def sample(self, key, row, data):
        x = data.x[row]
        return x + 0.01 * jax.random.normal(key, x.shape), data.labels[row]

    def loss(self, variables, batch, rngs):
        x, labels = batch
        (logits, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), updates

    def predict(self, variables, rows, data):
        return self.module.apply(variables, data.x[rows])[0]

    def evaluate(self, predictions, variables, run, data):
        labels, real = data.labels[run.validation], mask(run.validation_count, len(run.validation))
        entropy = optax.softmax_cross_entropy_with_integer_labels(predictions, labels)
        risks = jax.nn.softmax(predictions)[:, 1]
        auc = metrics.auc(risks, labels, real.astype(jnp.float32))
        return EvalResult(jnp.where(real, entropy, 0).sum() / run.validation_count, auc, risks, {"auc": auc})


OVERFLOWING = 14
"""Sample whose square overflows: a run that trains on it has an infinite loss. No split of `toy_splits` does."""


def toy_data() -> ToyData:
    """Fourteen samples, of which every second moves less, and one that no training survives."""
    rng = np.random.default_rng(0)
    labels = np.arange(15, dtype=np.int32) % 2
    spread = np.where(labels == 1, 0.06, 0.09)[:, None, None]
    x = (spread * rng.normal(size=(15, 20, 3))).astype(np.float32)
    x[OVERFLOWING] *= 1e25
    return ToyData(x, labels)


def toy_task(config: ToyConfig = CONFIG, width: int = 4) -> ToyTask:
    return ToyTask(Toy(width), config, (1, 20, 3))


def toy_runs(splits: list[Split], config: ToyConfig = CONFIG, run_ids: list[int] | None = None):
    sets = [IndexSets(np.array(split.train), np.array(split.validation)) for split in splits]
    return stack_runs(config.seed, range(len(splits)) if run_ids is None else run_ids, sets)


def toy_train(splits: list[Split], config: ToyConfig = CONFIG, data: ToyData | None = None, **options):
    """Train the task on some splits; `options` are those of `training.fit`."""
    runs = toy_runs(splits, config, options.pop("run_ids", None))
    return fit(toy_task(config), toy_data() if data is None else data, runs, **options)


def toy_splits(runs: int = 7, samples: int = 14) -> list[Split]:
    """Split k validates on one sample of each class, and every second split on one more: runs of different size."""
    splits = []
    for k in range(runs):
        held = {2 * k % samples, (2 * k + 1) % samples} | ({(2 * k + 4) % samples} if k % 2 else set())
        splits.append(Split(tuple(r for r in range(samples) if r not in held), tuple(sorted(held))))
    return splits


# --- a cohort for window tasks ---------------------------------------------------------------------------------------

STICK = Skeleton(
    "stick-3", ("pelvis", "thorax", "hand"), ("thorax", "thorax", "thorax"), trunk=("thorax", "pelvis"), source="test"
)


def window_config(**changes):
    from infantjax.methods.ensemble_gcn.config import TrainingConfig

    default = {"epochs": 4, "batch_size": 8, "samples_per_negative": 2, "positive_ratio": 3, "learning_rate": 0.05}
    return TrainingConfig(**{**default, **changes})


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


def toy_cohort():
    from infantjax.methods.ensemble_gcn.training import CohortData

    return CohortData.from_recordings(*toy_positions(), STICK)
