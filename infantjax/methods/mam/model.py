"""MAM, re-implemented from its description: fidgety movements by attention over joints, frames and clips.

    clip [240, 17, 17] -> tokens of 8 frames of a joint -> 4 x (attention over joints, over time, MLP) -> mean -> z
    z -> clip classifier -> non-FMs, FMs
    video -> sum over its clips of a_k [z_k, p_k] -> normal, risk; a_k by gated attention
    sex, gestational age, birth weight, corrected age -> fully connected -> normal, risk
    risk = weighted mean of both log-odds

Source: Gao, Yao, Tian et al. 2023, through a published summary; its supplement, which holds the layout of the
Transformer, could not be had, and no code or weights are public. Published: a spatio-temporal Transformer that
the reference branch (annotated clips) and the main branch (videos) share with one clip classifier, attention fusion,
an info branch of four entries, and that both probabilities are combined. Our choice: everything else, all sizes and
formulas of this file. So the number of parameters is this file's; none is known of the published network.

Variables: `params`; `centers`, the running means of embeddings without and with fidgety movements, which training
changes; `inputs`, by which inputs are standardized, nothing unless training sets it: mean and deviation of each joint's
each channel, and how the frames of a token are then mixed; and with the info branch `standard`, mean and deviation of
its entries in the training videos.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.initializers import Constant, GlorotUniform, HeUniform, Normal, parameter, variable
from infantjax.nn.kernels.convolution import pointwise
from infantjax.nn.kernels.lowering import fusion_barrier
from infantjax.nn.layers import Dense
from infantjax.skeletons import Skeleton

INFO = ("sex", "gestational_age", "birth_weight", "corrected_age")
"""Entries of the info branch: 0 or 1, weeks, grams, weeks; any units will do, they are standardized."""


class Dropout(nn.Module):
    """Drop a share of the units in training (key `dropout`) and scale the others up.

    Attributes:
        share: of the units, to the nearest of 65,536 parts.
    """

    share: float

    def __call__(self, x: Float[Array, "*n"], train: bool) -> Float[Array, "*n"]:
        """Drop or not."""
        if not (train and self.share):
            return x
        # One long axis: XLA's CPU backend compiles a generator of five axes for fifteen seconds. Of 32 random bits each
        # half decides on a unit: drawing them is a tenth of a training step.
        bits = fusion_barrier(jax.random.bits(self.make_rng("dropout"), (-(-x.size // 2),)))
        least = round(self.share * 2**16)
        kept = jnp.concatenate([bits & 0xFFFF, bits >> 16])[: x.size] >= least
        return jnp.where(fusion_barrier(kept).reshape(x.shape), x / (1 - self.share), 0)


class SelfAttention(nn.Module):
    """Every token of the axis before the last reads all others: scaled dot products of several heads.

    Variables: `params` of the layers `read` (query, key and value) and `out`.

    Attributes:
        width: channels.
        heads: divide the width.
        dropout: share of the attention weights that training drops.
    """

    width: int
    heads: int
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch token width"], real: Bool[Array, "*batch token"] | None, train: bool
    ) -> Float[Array, "*batch token width"]:
        """Attend.

        Args:
            x: tokens.
            real: which tokens are read; all without.
            train: drop weights (key `dropout`).
        """
        size = self.width // self.heads
        joined = Dense(self.width, 3 * self.width, GlorotUniform(), name="read")(x)
        of_heads = rearrange(joined, "... (head channel) -> ... head channel", head=self.heads)
        query, key, value = jnp.split(of_heads, 3, axis=-1)
        scores = jnp.einsum("...qhc,...khc->...hqk", query, key) * size**-0.5
        if real is not None:
            scores = jnp.where(real[..., None, None, :], scores, jnp.finfo(scores.dtype).min)
        # Finished: inside the product that follows, the exponential is not computed in vectors.
        weights = Dropout(self.dropout)(fusion_barrier(jax.nn.softmax(scores, axis=-1)), train)
        flops.record("multiplication", 2 * weights.size * size)
        mixed = rearrange(jnp.einsum("...hqk,...khc->...qhc", weights, value), "... head channel -> ... (head channel)")
        return Dense(self.width, self.width, GlorotUniform(), name="out")(mixed)


class TransformerBlock(nn.Module):
    """Attention among the joints of a step, then among the steps of a joint, then an MLP; pre-norm, residual.

    Variables: `params` of `over_joints`, `over_time`, `expand`, `reduce` and three layer norms.

    Attributes:
        width: channels of a token.
        heads: of both attentions.
        hidden: units of the MLP.
        dropout: in both attentions and the MLP.
    """

    width: int
    heads: int
    hidden: int
    dropout: float

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch step joint width"], real: Bool[Array, "batch step"], train: bool
    ) -> Float[Array, "batch step joint width"]:
        """Mix the tokens; none reads from a step that is not real."""
        over_joints = SelfAttention(self.width, self.heads, self.dropout, name="over_joints")
        over_time = SelfAttention(self.width, self.heads, self.dropout, name="over_time")
        x = x + over_joints(nn.LayerNorm(name="norm1")(x), None, train)
        along = rearrange(nn.LayerNorm(name="norm2")(x), "batch step joint width -> batch joint step width")
        mixed = over_time(along, rearrange(real, "batch step -> batch 1 step"), train)
        x = x + rearrange(mixed, "batch joint step width -> batch step joint width")
        y = jax.nn.gelu(Dense(self.width, self.hidden, GlorotUniform(), name="expand")(nn.LayerNorm(name="norm3")(x)))
        y = Dropout(self.dropout)(y, train)
        return x + Dense(self.hidden, self.width, GlorotUniform(), name="reduce")(y)


class GatedAttention(nn.Module):
    """Weights of a video's instances that sum to one: `softmax_k(w . (tanh(V z_k) sigmoid(U z_k)))`.

    Variables: `params` of the layers `units`, `gate` and `score`.

    Attributes:
        inputs: channels of an embedding.
        units: of both maps.

    Source: Ilse et al. 2018; that MAM's attention is of this kind is our choice.
    """

    inputs: int
    units: int

    @nn.compact
    def __call__(
        self, z: Float[Array, "batch instance width"], present: Bool[Array, "batch instance"] | None
    ) -> Float[Array, "batch instance"]:
        """Weights; 0 where no instance is present."""
        units = jnp.tanh(Dense(self.inputs, self.units, GlorotUniform(), name="units")(z))
        gate = jax.nn.sigmoid(Dense(self.inputs, self.units, GlorotUniform(), name="gate")(z))
        scores = Dense(self.units, 1, GlorotUniform(), name="score")(units * gate)[..., 0]
        flops.record("multiplication", units.size)
        if present is not None:
            scores = jnp.where(present, scores, jnp.finfo(scores.dtype).min)
        return jax.nn.softmax(scores, axis=-1)


class MAM(nn.Module):
    """The network for any number of instances of a video.

    Attributes:
        channels: of a joint in a frame, see `preprocessing.channels`.
        joints: of a frame.
        frames: of a clip.
        token: frames of a token; divides `frames`.
        width: of tokens and embeddings.
        blocks: of the Transformer.
        heads: of its attentions.
        hidden: units of its MLPs.
        dropout: in training, in its attentions and MLPs.
        classifier: units of the clip classifier.
        attention: units of the attention over instances.
        info: units of each of two layers of the info branch; 0 is a network without.
        main_share: of the main branch in the fused log-odds before training.
    """

    channels: int = 17
    joints: int = 17
    frames: int = 240
    token: int = 8
    width: int = 64
    blocks: int = 4
    heads: int = 4
    hidden: int = 128
    dropout: float = 0.1
    classifier: int = 32
    attention: int = 32
    info: int = 0
    main_share: float = 0.9

    def setup(self) -> None:
        """Declare the layers.

        Raises:
            ValueError: sizes that do not divide one another, or a share not between 0 and 1.
        """
        if self.frames % self.token or self.width % self.heads:
            raise ValueError(
                f"token must divide frames and heads the width, got {self.token} of {self.frames} and {self.heads} of "
                f"{self.width}"
            )
        if not 0 < self.main_share < 1:
            raise ValueError(f"main_share must be above 0 and below 1, got {self.main_share}")
        glorot, he, position = GlorotUniform(), HeUniform(), Normal(0.02)
        self.input_mean = variable(self, "inputs", "mean", lambda: np.zeros((self.joints, self.channels)))
        self.input_deviation = variable(self, "inputs", "deviation", lambda: np.ones((self.joints, self.channels)))
        self.input_mixing = variable(self, "inputs", "mixing", lambda: np.eye(self.token))
        self.embed = Dense(self.channels * self.token, self.width, glorot)
        self.joint_position = parameter(self, "joint_position", position, (self.joints, self.width))
        self.step_position = parameter(self, "step_position", position, (self.frames // self.token, self.width))
        self.transformer = [
            TransformerBlock(self.width, self.heads, self.hidden, self.dropout) for _ in range(self.blocks)
        ]
        self.norm = nn.LayerNorm()
        self.clip_hidden = Dense(self.width, self.classifier, he)
        self.clip_out = Dense(self.classifier, 2, glorot)
        self.instance_attention = GatedAttention(self.width, self.attention)
        self.bag_out = Dense(self.width + 2, 2, glorot)
        variable(self, "centers", "centers", lambda: np.zeros((2, self.width)))
        if self.info:
            self.info_mean = variable(self, "standard", "mean", lambda: np.zeros(len(INFO)))
            self.info_deviation = variable(self, "standard", "deviation", lambda: np.ones(len(INFO)))
            self.info_layers = [Dense(len(INFO), self.info, he), Dense(self.info, self.info, he)]
            self.info_out = Dense(self.info, 2, glorot)
            share = math.log(self.main_share / (1 - self.main_share))
            self.share = parameter(self, "share", Constant(share), ())

    def __call__(
        self,
        x: Float[Array, "batch instance time joint channel"],
        info: Float[Array, "batch 4"] | None = None,
        real: Int[Array, "batch instance"] | None = None,
        present: Bool[Array, "batch instance"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """The log-odds of risk: sporadic or absent fidgety movements.

        Args:
            x: inputs of the instances of each video (`preprocessing.inputs`), no NaN.
            info: entries of `INFO`, as they are; with the info branch only.
            real: frames of each instance that are not filled up; None is all.
            present: which instances there are; None is all.
            train: drop units (key `dropout`).

        Returns:
            Log-odds `[batch]`, and what `fuse` gives beside, with `embeddings` `[batch, instance, width]` and `clips`
            `[batch, instance, 2]`, the logits of non-FMs and FMs.

        Raises:
            ValueError: an input of another shape, or info that is missing, or not read.
        """
        if x.ndim != 5:
            raise ValueError(f"x must be [batch, instance, time, joint, channel], got {x.shape}")
        if info is None and self.info and self.is_initializing():
            info = jnp.zeros((x.shape[0], len(INFO)), x.dtype)
        flat = None if real is None else rearrange(real, "batch instance -> (batch instance)")
        found = self.encode(rearrange(x, "batch instance ... -> (batch instance) ..."), flat, train)
        z, clips = (rearrange(y, "(batch instance) width -> batch instance width", batch=len(x)) for y in found)
        logit, aux = self.fuse(z, clips, info, present)
        return logit, {"embeddings": z, "clips": clips, **aux}

    def encode(
        self, x: Float[Array, "clip time joint channel"], real: Int[Array, " clip"] | None = None, train: bool = False
    ) -> tuple[Float[Array, "clip width"], Float[Array, "clip 2"]]:
        """Embeddings of clips, and logits of non-FMs and FMs: all of the reference branch.

        Args:
            x: inputs of clips.
            real: frames of each that are not filled up, at least 1; a token counts that has one. None is all.
            train: drop units.

        Raises:
            ValueError: an input of another shape.
        """
        if x.ndim != 4 or x.shape[1:] != (self.frames, self.joints, self.channels):
            raise ValueError(f"x must be [clip, {self.frames}, {self.joints}, {self.channels}], got {x.shape}")
        count, steps = x.shape[0], self.frames // self.token
        frames = jnp.full(count, self.frames) if real is None else real
        seen = jnp.arange(steps) * self.token < frames[:, None]
        x = (x - self.input_mean.value) / self.input_deviation.value
        x = rearrange(x, "clip (step frame) joint channel -> clip step joint (frame channel)", step=steps)
        x = self._embedded(x) + rearrange(self.step_position, "step width -> step 1 width") + self.joint_position
        for block in self.transformer:
            x = block(x, seen, train)
        weights = seen / seen.sum(axis=1, keepdims=True)
        flops.record("pooling", count * self.width)
        z = self.norm(jnp.einsum("bsjw,bs->bw", x, weights) / self.joints)
        return z, self.clip_out(jax.nn.relu(self.clip_hidden(z)))

    def _embedded(self, x: Float[Array, "*axes frame_channel"]) -> Float[Array, "*axes width"]:
        """Tokens from their frames: the mixing of frames and the first layer are linear, so they are one product."""
        of_frames = rearrange(self.embed.kernel, "(frame channel) width -> frame (channel width)", frame=self.token)
        mixed = self.input_mixing.value @ of_frames
        kernel = rearrange(mixed, "frame (channel width) -> (frame channel) width", width=self.width)
        y = pointwise(x, kernel) + self.embed.bias
        flops.record("linear", y.size * x.shape[-1])
        return y

    def fuse(
        self,
        z: Float[Array, "batch instance width"],
        clips: Float[Array, "batch instance 2"],
        info: Float[Array, "batch 4"] | None = None,
        present: Bool[Array, "batch instance"] | None = None,
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """The log-odds of risk from the instances of videos.

        Args:
            z: embeddings.
            clips: logits of non-FMs and FMs.
            info: as in a call.
            present: as in a call; at least one of a video.

        Returns:
            Log-odds, and a dict of `attention` `[batch, instance]`, `main` `[batch]` and, with the info branch, `info`
            `[batch]`, the log-odds of each branch.

        Raises:
            ValueError: info that is missing, not read, or of another shape.
        """
        wanted = (z.shape[0], len(INFO)) if self.info else None
        if (None if info is None else info.shape) != wanted:
            raise ValueError(f"info must be {wanted}, got {None if info is None else info.shape}")
        attention = self.instance_attention(z, present)
        bag = jnp.concatenate([z, jax.nn.softmax(clips, axis=-1)], axis=-1)
        main = _log_odds(self.bag_out(jnp.einsum("bk,bkw->bw", attention, bag)))
        if info is None:
            return main, {"attention": attention, "main": main}
        x = (info - self.info_mean.value) / self.info_deviation.value
        for layer in self.info_layers:
            x = jax.nn.relu(layer(x))
        other = _log_odds(self.info_out(x))
        share = jax.nn.sigmoid(self.share)
        return share * main + (1 - share) * other, {"attention": attention, "main": main, "info": other}


def _log_odds(logits: Float[Array, "*n 2"]) -> Float[Array, "*n"]:
    return logits[..., 1] - logits[..., 0]


def build(skeleton: str | Skeleton = "human36m-17", **overrides: Any) -> MAM:
    """The network for the joints of a keypoint set; the default channels are the distances to 17 joints.

    Args:
        skeleton: published is `human36m-17`.
        overrides: fields of `MAM`.
    """
    joints = len(skeletons.get(skeleton).joints)
    return MAM(**{"joints": joints, "channels": joints, **overrides})


ENTRIES = (
    ModelEntry(
        name="mam",
        method="mam",
        task="gma",
        input_shape=(1, 240, 17, 17),
        skeleton="human36m-17",
        features=("distances",),
        published=Published(
            None,
            None,
            1e6,
            "Gao et al. 2023; re-implemented from its description: the inside of the Transformer is our choice",
            {"auc": 0.967, "auc_internal": 0.934, "kappa": 0.601},
        ),
        build=build,
        fidelity="interpretation",
    ),
)
