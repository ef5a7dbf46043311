"""STAM: fidgety movements from a whole recording; labels are of recordings, not of clips.

Source: Nguyen-Thai et al. 2021. The reference implementation has no license: written anew from a description. Published
are 435 264 parameters with one adjacency matrix, 511 296 with one for each distance and 587 328 with the spatial
partition; the layers below give the first, and the other two with 3 and 6 matrices more. Our choice, where the
description does not say: kernels of linear layers are initialized uniformly within one over the root of their inputs.

| layer | output | parameters |
| --- | --- | --- |
| norm of each joint and channel | 7 | 252 |
| graph convolution, convolution over 9 frames, residual | 64, 30 frames | 38 336 |
| the same, stride 2, dropout | 128, 15 frames | 164 992 |
| the same, stride 2, dropout | 128, 8 frames | 181 376 |
| mean over frames, attention over joints | 128 | 16 641 |
| pointwise; a norm that is never used | 128 | 16 512; 256 |
| attention over clips | 128 | 16 641 |
| dropout, linear | 2 | 258 |

Variables: `params`, `batch_stats`, `constants` (the adjacency).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.ensemble_gcn.st_gcn import StGcnLayer
from infantjax.nn.initializers import UniformFanIn
from infantjax.nn.layers import BatchNorm, Dense
from infantjax.skeletons import OPENPOSE_18, Skeleton

CLIP, STEP = 30, 20
"""Frames of a clip, and between the starts of two."""
FRAMES = 1000
"""Frames of a training piece of a recording."""
CHANNELS = ("x", "y", "velocity x", "velocity y", "acceleration x", "acceleration y", "displacement")
"""Channels of each point, see `preprocessing.channels`."""
INPUT_SHAPE = (FRAMES, len(OPENPOSE_18.joints), len(CHANNELS))
"""Of one piece."""
HOPS = 3
"""A graph convolution reaches joints within this distance."""


class AdditiveAttention(nn.Module):
    """The mean of some items, weighted by a small network; the weights sum to one.

    Variables: `params` of the linear layers `hidden` and `score`.

    Attributes:
        features: channels of an item, and hidden units.

    Source: Bahdanau et al. 2015.
    """

    features: int

    @nn.compact
    def __call__(
        self, items: Float[Array, "*batch item channel"]
    ) -> tuple[Float[Array, "*batch channel"], Float[Array, "*batch item"]]:
        """The mean, and the weights."""
        initializer = UniformFanIn(self.features)
        hidden = jnp.tanh(Dense(self.features, self.features, initializer, name="hidden")(items))
        weights = jax.nn.softmax(Dense(self.features, 1, initializer, name="score")(hidden)[..., 0], axis=-1)
        return (weights[..., None] * items).sum(axis=-2), weights


class Stam(nn.Module):
    """The network for recordings of any length of at least one clip.

    Attributes:
        skeleton: joints and tree.
        widths: channels of the three layers; time halves in the second and in the third.
        dropout: fraction of values dropped after the convolutions of the last two layers, and before the scores.
        classes: number of scores.
    """

    skeleton: Skeleton = OPENPOSE_18
    widths: tuple[int, int, int] = (64, 128, 128)
    dropout: float = 0.3
    classes: int = 2

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 7"], train: bool = False
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        """Scores of recordings.

        Args:
            x: `CHANNELS` of each point, no NaN; frames at the end that fill no clip are ignored.
            train: normalize by the batch, update `batch_stats`, and drop values (key `dropout`).

        Returns:
            Scores (index 1: abnormal), and a dict with the weights `clips [batch, clip]` and
            `joints [batch, clip, joint]`, which sum to one, and `features [batch, clip, channel]`.

        Raises:
            ValueError: an input of another shape, or shorter than a clip.
        """
        joints = len(self.skeleton.joints)
        if x.ndim != 4 or x.shape[1] < CLIP or x.shape[2:] != (joints, len(CHANNELS)):
            raise ValueError(
                f"input must be [batch, at least {CLIP} frames, {joints} joints, {len(CHANNELS)}], got {x.shape}"
            )
        starts = np.arange(0, x.shape[1] - CLIP + 1, STEP)
        clips = x[:, starts[:, None] + np.arange(CLIP)].reshape(-1, CLIP, joints, len(CHANNELS))
        y = jnp.transpose(clips, (2, 0, 1, 3))
        y = BatchNorm((joints, 1, 1, len(CHANNELS)), (1, 2), name="data_norm")(y, train)
        adjacency = self.variable("constants", "adjacency", lambda: jnp.asarray(neighborhood(self.skeleton))).value
        inputs = len(CHANNELS)
        for i, features in enumerate(self.widths):
            dropout = self.dropout if i else 0.0
            layer = StGcnLayer(inputs, features, 2 if i else 1, True, dropout, importance=False, name=f"layer_{i}")
            y, inputs = layer(y, adjacency, train), features
        frames = jnp.transpose(y.mean(axis=2), (1, 0, 2))
        pooled, of_joints = AdditiveAttention(inputs, name="joint_attention")(frames)
        pooled = Dense(inputs, inputs, UniformFanIn(inputs), name="project")(pooled)
        if self.is_initializing():
            BatchNorm((inputs,), name="unused_norm").affine()
        pooled = pooled.reshape(len(x), len(starts), inputs)
        context, of_clips = AdditiveAttention(inputs, name="clip_attention")(pooled)
        context = nn.Dropout(self.dropout, deterministic=not train)(context)
        logits = Dense(inputs, self.classes, UniformFanIn(inputs), name="classifier")(context)
        of_joints = of_joints.reshape(len(x), len(starts), joints)
        return logits, {"clips": of_clips, "joints": of_joints, "features": pooled}


def neighborhood(skeleton: Skeleton) -> Float[np.ndarray, "1 joint joint"]:
    """One matrix of all joints within `HOPS` of each other, itself included; the weights of a joint sum to one."""
    near = skeletons.adjacency(skeleton, f"dis{HOPS + 1}").sum(axis=0) > 0
    return (near / near.sum(axis=0)).astype(np.float32)[None]
