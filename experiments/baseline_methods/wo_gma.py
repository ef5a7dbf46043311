"""A network like WO-GMA: blocks of movement that are found without labels of blocks, and a causal network over them.

Source: Luo et al. 2022, from a description of the reference implementation: an interpretation. Published: blocks of 16
frames without overlap; graph convolution at eight scales and over all frames of a block, 256 channels; a convolution
over all joints, 2048. A first branch, convolutions over five blocks (512, 128, 64, 1), gives each block the probability
that it holds the action, and the recording the mean of its highest eighth. Blocks above 0.3 of recordings above 0.4
that hold the action are labels for the second branch, an LSTM (1024) and linear layers (512, 128, 64), which sees the
past only. Adam at 5e-5, batches of 16, 100 epochs; 29 966 787 parameters. Our choice, where the description does not
say: the action is fidgety movement, so that the outcome 1 lacks it; a graph convolution is one linear layer over
scales, frames and channels, without the learned adjacency; losses have equal weights. The published sizes give
28 340 803 parameters here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from stam.preprocessing import prepare

from baseline_methods.pieces import PieceTask
from infantjax import skeletons
from infantjax.nn.layers import BatchNorm
from infantjax.recording.recording import Recording
from infantjax.skeletons import OPENPOSE_18, Skeleton

BLOCK = 16
"""Frames of a block."""
SCALES = 8
FRAMES = 6000
"""Published length of a recording."""
HELD, FOUND = 0.4, 0.3
"""Probabilities above which a recording, and a block of it, holds the action."""


def channels(recording: Recording) -> Float[np.ndarray, "time joint 3"]:
    """Positions as STAM standardizes them (our choice), and the confidence; float32.

    Raises:
        InputError: as `stam.preprocessing.prepare`.
    """
    confidence = recording.confidence
    seen = ~recording.missing if confidence is None else np.nan_to_num(confidence)
    return np.concatenate([prepare(recording), seen[..., None]], axis=-1).astype(np.float32)


class WoGma(nn.Module):
    """Both branches over the blocks of recordings.

    Attributes:
        skeleton: of the joints.
        local: channels of a joint in a block, and of a block.
        hidden: channels of the first branch.
        online: units of the LSTM and of the layers behind it.
    """

    skeleton: Skeleton = OPENPOSE_18
    local: tuple[int, int] = (256, 2048)
    hidden: Sequence[int] = (512, 128, 64)
    online: Sequence[int] = (1024, 512, 128, 64)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 3"], train: bool = False
    ) -> tuple[Float[Array, "batch 2"], dict[str, Array]]:
        """Scores of the second branch (index 1: without the action), and the logits of the blocks of both branches.

        Args:
            x: `channels`; frames at the end that fill no block are ignored.
            train: normalize by the batch, and update `batch_stats`.
        """
        batch, blocks, joints = len(x), x.shape[1] // BLOCK, x.shape[2]
        adjacency = jnp.asarray(skeletons.adjacency(self.skeleton, f"dis{SCALES}"))
        cut = x[:, : blocks * BLOCK].reshape(batch, blocks, BLOCK, joints, 3)
        near = jnp.einsum("kvw,bntvc->bnwktc", adjacency, cut).reshape(batch, blocks, joints, -1)
        y = nn.relu(BatchNorm((self.local[0],), name="joint_norm")(nn.Dense(self.local[0])(near), train))
        y = nn.Dense(self.local[1])(y.reshape(batch, blocks, -1))
        y = nn.relu(BatchNorm((self.local[1],), (0, 1), name="block_norm")(y, train))
        offline = y
        for width in self.hidden:
            offline = nn.relu(nn.Conv(width, (5,))(offline))
        offline = nn.Conv(1, (5,))(offline)[..., 0]
        online = nn.RNN(nn.OptimizedLSTMCell(self.online[0]))(y)
        for width in self.online[1:]:
            online = nn.relu(nn.Dense(width)(online))
        scores = nn.Dense(2)(online)
        online = scores[..., 1] - scores[..., 0]
        action = _logit(highest_eighth(jax.nn.sigmoid(online)))
        return jnp.stack([action, jnp.zeros_like(action)], axis=-1), {"offline": offline, "online": online}


def highest_eighth(probabilities: Float[Array, "batch block"]) -> Float[Array, " batch"]:
    """The mean of the highest eighth of the blocks, at least one: the score of a recording."""
    count = math.ceil(probabilities.shape[1] / 8)
    return jax.lax.top_k(probabilities, count)[0].mean(axis=1)


def block_labels(
    probabilities: Float[Array, "batch block"], action: Float[Array, " batch"]
) -> Float[Array, "batch block"]:
    """1 for blocks that the first branch finds, in recordings that it finds and that hold the action."""
    found = (highest_eighth(probabilities) > HELD) & (action == 1)
    return (found[:, None] & (probabilities > FOUND)).astype(probabilities.dtype)


def _logit(probability: Float[Array, "*axes"]) -> Float[Array, "*axes"]:
    safe = jnp.clip(probability, 1e-6, 1 - 1e-6)
    return jnp.log(safe) - jnp.log1p(-safe)


def _cross_entropy(logits: Float[Array, "*axes"], labels: Float[Array, "*axes"]) -> Float[Array, ""]:
    return (jax.nn.softplus(logits) - labels * logits).mean()


@dataclass(frozen=True, eq=False)
class WoGmaTask(PieceTask):
    """Recordings are labeled by the outcome, blocks by the first branch."""

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Cross-entropy of recordings in both branches, and of blocks in the second."""
        x, labels = batch
        (logits, aux), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
        action = (1 - labels).astype(logits.dtype)
        offline = jax.nn.sigmoid(aux["offline"])
        targets = jax.lax.stop_gradient(block_labels(offline, action))
        losses = (
            _cross_entropy(_logit(highest_eighth(offline)), action),
            _cross_entropy(logits[:, 0] - logits[:, 1], action),
            _cross_entropy(aux["online"], targets),
        )
        return sum(losses, jnp.float32(0)), updates
