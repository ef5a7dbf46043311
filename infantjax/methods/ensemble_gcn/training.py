"""Ensemble-NAS-GCN, training: features of windows of keypoints, two classes, as a stack of runs.

Source: Groos et al., Paper III with supplement, and the reference implementation (movement-outcome program).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.preprocessing import standardized_positions
from infantjax.recording.cohort import Cohort
from infantjax.recording.features import CHANNELS, build_features
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.windows import AnyArray
from infantjax.skeletons import Skeleton
from infantjax.training import optimizers
from infantjax.training.cohorts.window_task import BinaryWindowTask, CohortData, window_runs
from infantjax.training.execution.compiled import CompiledTraining, TracedTraining
from infantjax.training.execution.compiled import trace as trace_training
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import StackResult

__all__ = ["CohortData", "TrainingConfig", "WindowTask", "trace", "train", "window_runs"]

FEATURES = ("position", "velocity", "bone")


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


def train(
    module: nn.Module,
    data: CohortData,
    splits: Sequence[Split],
    config: TrainingConfig,
    *,
    features: Sequence[str] = FEATURES,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    data_digest: str | None = None,
    options: TrainOptions | None = None,
    compiled: CompiledTraining | None = None,
) -> StackResult:
    """Train one run for each split, all at once, and keep each run's best epoch.

    Args:
        module: network, see `WindowTask`; training changes its collections `params` and `batch_stats` and no others.
        data: the cohort.
        splits: recordings that each run trains on and is validated on.
        config: the same for all runs.
        features: input features of the network.
        directory: see `training.fit`, as all further arguments.
        description: of the model, JSON-compatible.
        data_digest: `loop.digest_of` the data; None computes it here.
        options: of the execution.
        compiled: programs of `trace` with equal shapes; None compiles here.

    Returns:
        Best epoch of every run. `outputs` are the risks of its validation recordings `[run, recording]`, padded.

    Raises:
        ValueError: see `window_runs`.
        InputError: see `training.fit`.
    """
    runs = window_runs(data, splits, config)
    return fit(
        compiled.task if compiled else WindowTask.create(module, data, config, features),
        data,
        runs,
        directory=directory,
        description={"features": list(features), **(description or {})},
        data_digest=data_digest,
        options=options,
        compiled=compiled,
    )


def trace(
    module: nn.Module,
    data: CohortData,
    splits: Sequence[Split],
    config: TrainingConfig,
    *,
    features: Sequence[str] = FEATURES,
    devices: Sequence[jax.Device] | None = None,
) -> TracedTraining:
    """Trace the programs of a training that begins later; arguments and errors as of `train`."""
    task = WindowTask.create(module, data, config, features)
    return trace_training(task, window_runs(data, splits, config), data, devices=devices)


def prepare_cohort(
    cohort: Cohort, skeleton: Skeleton | str, preprocessing: Preprocessing | None = None, strict: bool = False
) -> CohortData:
    """Standardize the recordings of a cohort.

    Args:
        cohort: recordings with outcomes.
        skeleton: that the network reads.
        preprocessing: how recordings are standardized; None is the reference implementation's.
        strict: refuse recordings with points that have to be approximated.

    Raises:
        InputError: recordings that cannot be used; one line that names all of them.
    """
    preprocessing, skeleton = preprocessing or Preprocessing(), skeletons.get(skeleton)
    _, positions = cohort.map(lambda recording: standardized_positions(recording, skeleton, preprocessing, strict))
    return CohortData.from_recordings(
        positions, cohort.outcomes, skeleton, preprocessing.rotation, preprocessing.window
    )
