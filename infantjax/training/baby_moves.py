"""Baby Moves, training: its loss, which videos an epoch lists, and when a run stops.

Pure functions of arrays; the loop that uses them is `training.stack`. The optimiser is `optimisers.nesterov` at
`LEARNING_RATE` and `MOMENTUM`, the random views are those of `motion.augmentation`.

Source: Passmore et al. and the released program. Where they differ this is the program: an exponential decay of the
learning rate exists in it, between two equal rates, and is left out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from infantjax.models.baby_moves import BabyMoves

LEARNING_RATE, MOMENTUM = 0.005, 0.9
BATCH = 8
"""Videos of a step, one random clip of each."""
OVERSAMPLING = 5
"""Times that a video of the abnormal class is listed in an epoch."""
SMOOTHING = 0.1
DECAY = 0.005
WARM_UP, PATIENCE, EPOCHS = 250, 100, 10_000
"""Epochs before stopping is considered, epochs without improvement that stop a run, and the most there can be."""


def cross_entropy(
    logits: Float[Array, "*n"], labels: Int[Array, "*n"] | Float[Array, "*n"], smoothing: float = SMOOTHING
) -> Float[Array, "*n"]:
    """Binary cross-entropy of each video, natural logarithm, with smoothed labels: 1 becomes 0.95, 0 becomes 0.05.

    Args:
        logits: of the abnormal class.
        labels: 0 or 1.
        smoothing: share of the label that is spread over both classes.
    """
    return optax.sigmoid_binary_cross_entropy(logits, labels * (1 - smoothing) + smoothing / 2)


def penalty(params: Any, strength: float = DECAY) -> Float[Array, ""]:
    """`strength` times the sum of squares of all kernels; not of biases, norms, or the attention's context vector."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [leaf for path, leaf in leaves if path[-1].key == "kernel"]
    return strength * sum((jnp.sum(jnp.square(kernel)) for kernel in kernels), jnp.float32(0))


class Losses(NamedTuple):
    """The two parts of the loss; training minimises their sum, and stops by it."""

    cross_entropy: Float[Array, ""]
    penalty: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """Their sum."""
        return self.cross_entropy + self.penalty


class Batch(NamedTuple):
    """Clips of some videos.

    Attributes:
        clips: `[batch, clip, time, series]`; one random clip each in training, all of them in validation.
        labels: `[batch]`, 1 is abnormal or absent.
        metadata: `[batch, 2]`, or None for a network without.
    """

    clips: Float[Array, "batch clip time series"]
    labels: Int[Array, " batch"]
    metadata: Float[Array, "batch 2"] | None = None


def loss(
    module: BabyMoves, variables: Any, batch: Batch, key: PRNGKeyArray | None = None
) -> tuple[Losses, Float[Array, " batch"], Any]:
    """The loss of a batch, as it is trained with a key and as it is validated without.

    Args:
        module: the network.
        variables: `params` and `batch_stats`.
        batch: clips with labels.
        key: of the dropout; None for validation, with running statistics and no dropout.

    Returns:
        The losses, logits `[batch]`, and the `batch_stats` after the batch.
    """
    stats = variables["batch_stats"]
    if key is None:
        logits, _ = module.apply(variables, batch.clips, batch.metadata)
    else:
        (logits, _), updates = module.apply(
            variables, batch.clips, batch.metadata, train=True, mutable=["batch_stats"], rngs={"dropout": key}
        )
        stats = updates["batch_stats"]
    losses = Losses(cross_entropy(logits, batch.labels).mean(), penalty(variables["params"]))
    return losses, logits, stats


def listing(labels: Sequence[int] | np.ndarray, factor: int = OVERSAMPLING) -> Int[np.ndarray, " listed"]:
    """The videos of an epoch by index: each of the abnormal class several times, with a clip of its own every time.

    Args:
        labels: `[video]`, 1 is abnormal or absent.
        factor: how often one is listed.

    Raises:
        ValueError: a factor below 1, or labels other than 0 and 1.
    """
    labels = np.asarray(labels)
    if factor < 1 or not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1 and the factor at least 1, got {np.unique(labels)} and {factor}")
    return np.repeat(np.arange(len(labels)), np.where(labels == 1, factor, 1)).astype(np.int32)


class Stopping(NamedTuple):
    """Where a run stands; every field is a scalar array, so a stack holds one a run.

    Attributes:
        epoch: epochs done.
        best: lowest validation loss behind the warm-up.
        best_epoch: its epoch, counted from 1; 0 before.
        stopped: whether the run has ended.
    """

    epoch: Int[Array, ""]
    best: Float[Array, ""]
    best_epoch: Int[Array, ""]
    stopped: Array

    @classmethod
    def start(cls) -> "Stopping":
        """Before the first epoch."""
        return cls(jnp.int32(0), jnp.float32(jnp.inf), jnp.int32(0), jnp.bool_(False))


def stopping(
    state: Stopping,
    validation_loss: Float[Array, ""],
    *,
    warm_up: int = WARM_UP,
    patience: int = PATIENCE,
    epochs: int = EPOCHS,
) -> tuple[Stopping, Array]:
    """The state after an epoch, and whether its weights are to be kept as the best.

    During the warm-up every epoch's weights stand in for the best, and its losses are forgotten. Behind it a run stops
    when its loss has not fallen below the best for `patience` epochs, or at the last epoch. A loss that is no number
    never improves. A run that has stopped changes no more.

    Args:
        state: before the epoch.
        validation_loss: after it.
        warm_up: epochs before losses count.
        patience: epochs without improvement.
        epochs: the most there can be.
    """
    epoch = state.epoch + 1
    warm = epoch <= warm_up
    better = ~warm & (validation_loss < state.best)
    since = epoch - jnp.where(better, epoch, jnp.maximum(state.best_epoch, warm_up))
    moved = Stopping(
        epoch=epoch,
        best=jnp.where(better, validation_loss, state.best),
        best_epoch=jnp.where(better, epoch, state.best_epoch),
        stopped=(~warm & (since >= patience)) | (epoch >= epochs),
    )
    kept = jax.tree.map(lambda old, new: jnp.where(state.stopped, old, new), state, moved)
    return kept, (warm | better) & ~state.stopped
