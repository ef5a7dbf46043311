"""Ensemble-NAS-GCN, training: features of windows of keypoints, two classes, as a stack of runs.

Source: Groos et al., Paper III with supplement, and the reference implementation (movement-outcome program).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from infantjax.methods.ensemble_gcn.config import FEATURES, TrainingConfig
from infantjax.recording.features import CHANNELS, build_features
from infantjax.recording.windows import AnyArray
from infantjax.training import optimizers
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.cohorts.window_task import BinaryWindowTask, CohortData, window_runs
from infantjax.training.splits import Split

__all__ = ["CohortData", "TrainingConfig", "WindowTask", "setup", "window_runs"]


@dataclass(frozen=True, eq=False)
class WindowTask(BinaryWindowTask):
    """Two classes from features of windows.

    Attributes:
        features: input features of the network, see `recording.features.build_features`.
    """

    config: TrainingConfig
    features: tuple[str, ...]

    @classmethod
    def create(
        cls, module: nn.Module, data: CohortData, config: TrainingConfig, features: Sequence[str] = FEATURES
    ) -> "WindowTask":
        """For a network that reads these features of the windows of a cohort."""
        channels = sum(CHANNELS[name] for name in features)
        return cls(module, config, (1, data.window, len(data.skeleton.joints), channels), tuple(features))

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As published."""
        return optimizers.nesterov(self.config.learning_rate, self.config.momentum)

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """The published checkpoints of the search."""
        too_low = [(epoch >= due) & (best_score < least) for due, least in self.config.required_auc]
        return jnp.any(jnp.asarray(too_low, bool))

    def inputs(
        self, positions: Float[AnyArray, "batch time joint 2"], data: CohortData
    ) -> Float[Array, "batch time joint channel"]:
        """The features."""
        return build_features(positions, data.skeleton, self.features)


def setup(
    module: nn.Module,
    data: CohortData,
    splits: Sequence[Split],
    config: TrainingConfig,
    features: Sequence[str] = FEATURES,
) -> TrainingSetup:
    """Arguments of `training.fit` for one run of each split, of which it keeps the best epoch.

    In its result `outputs` are the risks of the validation recordings of each run `[run, recording]`, padded.

    Args:
        module: network, see `WindowTask`; training changes its collections `params` and `batch_stats` and no others.
        data: the cohort.
        splits: recordings that each run trains on and is validated on.
        config: the same for all runs.
        features: input features of the network.

    Raises:
        ValueError: see `window_runs`.
    """
    return TrainingSetup(WindowTask.create(module, data, config, features), data, window_runs(data, splits, config))
