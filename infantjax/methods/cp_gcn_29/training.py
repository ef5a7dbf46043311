"""CP-GCN-29, training: windows of keypoints, two classes, as a stack of runs; see `training.cohorts.window_task`.

Source: the public code of ShapGCN (Tempel et al. 2025).
"""

from dataclasses import dataclass

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from infantjax.methods.cp_gcn_29.method import TrainingConfig
from infantjax.methods.cp_gcn_29.preprocessing import build_inputs
from infantjax.recording.windows import AnyArray
from infantjax.training.cohorts.window_task import BinaryWindowTask, CohortData
from infantjax.training.optimizers import elementwise

HALVED_AFTER = (200, 250)
"""Epochs after which the learning rate is halved."""


@dataclass(frozen=True, eq=False)
class CpGcn29Task(BinaryWindowTask):
    """Two classes from the four streams of windows.

    Attributes:
        filter_velocity: see `preprocessing.build_inputs`.
    """

    config: TrainingConfig
    filter_velocity: bool

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam without weight decay."""
        return elementwise(optax.adam(self.config.learning_rate))

    def update_scale(self, epoch: Array) -> Array:
        """Linear warm-up from a quarter, then halved twice."""
        rise = jnp.minimum(0.25 + 0.75 * epoch / self.config.warm_up, 1)
        return rise * 0.5 ** sum((epoch >= after).astype(jnp.float32) for after in HALVED_AFTER)

    def inputs(
        self, positions: Float[AnyArray, "batch time joint 2"], data: CohortData
    ) -> Float[Array, "batch time joint 16"]:
        """The four streams."""
        return build_inputs(positions, self.filter_velocity)
