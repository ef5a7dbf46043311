"""Baby Moves: causal convolutions over clips, and attention over the clips of a video.

    clip [128, 46] -> 3 x (causal convolution, ReLU, norm, max pool) -> linear, ReLU -> m_c
    video -> mean over its clips of sigmoid(u . tanh(W m_c + b)) m_c -> with age and cohort -> logit

Source: Passmore et al., "Automated identification of abnormal infant movements from smart phone videos", and its
released program, from which the layer sizes come. Where they differ this is the released network: the norm follows the
ReLU, convolutions have no bias, the last dropout also drops what comes from age and cohort.

Variables: `params`, and `batch_stats`, which training changes. No trained weights were released.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.models.entry import Entry, Published
from infantjax.nn import counting
from infantjax.nn.conv import Dense, Norm, scattered_convolution
from infantjax.nn.initialisers import HeUniform, parameter
from infantjax.skeletons import Skeleton

CLIPS, FRAMES, SERIES = 547, 128, 46
"""Clips of a whole video, frames of a clip, and series of a frame."""

_NORM: dict[str, Any] = {"epsilon": 1e-3, "momentum": 0.01}


class CausalBlock(nn.Module):
    """Convolution that reads no later frame, ReLU, norm, and the largest of every few frames.

    Variables: `params` kernel `[tap, in, out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        taps: of the kernel.
        pool: frames that become one; what is left over at the end is dropped.
    """

    inputs: int
    features: int
    taps: int
    pool: int

    @nn.compact
    def __call__(self, x: Float[Array, "one clip time in"], train: bool) -> Float[Array, "one clip time_out out"]:
        """Convolve, rectify, normalise, pool."""
        kernel = parameter(self, "kernel", HeUniform(), (self.taps, self.inputs, self.features))
        x = scattered_convolution(x, {tap - self.taps + 1: kernel[tap] for tap in range(self.taps)})
        counting.record("convolution", x.size * self.taps * self.inputs)
        x = Norm((self.features,), **_NORM, name="norm")(jax.nn.relu(x), train)
        frames = x.shape[2] // self.pool
        x = x[:, :, : frames * self.pool].reshape(*x.shape[:2], frames, self.pool, self.features)
        return x.max(axis=3)


class ClipAttention(nn.Module):
    """The mean of a video's clips, each weighted by a sigmoid: the weights do not sum to one.

    Variables: `params` kernel `[in, unit]`, bias `[unit]`, context `[unit]`.

    Attributes:
        features: channels of a clip, and units.
    """

    features: int

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch clip channel"]
    ) -> tuple[Float[Array, "batch channel"], Float[Array, "batch clip"]]:
        """The video's features, and the weight of each clip, 0..1."""
        units = jnp.tanh(Dense(self.features, self.features, HeUniform(), name="units")(clips))
        context = parameter(self, "context", HeUniform(), (self.features,))
        weights = jax.nn.sigmoid(units @ context)
        counting.record("linear", units.size)
        counting.record("multiplication", clips.size)
        return (weights[..., None] * clips).mean(axis=1), weights


class MetadataBranch(nn.Module):
    """Age and cohort: norm, and one linear map to a few features without bias, ReLU.

    Variables: `params` kernel `[in, out]`, and those of the norm.

    Attributes:
        inputs: entries of the metadata.
        features: output channels.
    """

    inputs: int
    features: int

    @nn.compact
    def __call__(self, metadata: Float[Array, "batch entry"], train: bool) -> Float[Array, "batch feature"]:
        """Standardise and map."""
        norm = Norm((self.inputs,), axes=(0,), **_NORM, unbiased=False, name="norm")
        kernel = parameter(self, "kernel", HeUniform(), (self.inputs, self.features))
        counting.record("convolution", metadata.shape[0] * self.inputs * self.features)
        return jax.nn.relu(norm(metadata, train) @ kernel)


class BabyMoves(nn.Module):
    """The network for any number of clips: one in training, all 547 of a video afterwards.

    Attributes:
        series: channels of a frame.
        features: channels of every convolution, of the linear layer and of the attention.
        blocks: number of convolutions.
        taps: of each.
        pool: frames that become one after each.
        dropout: share of units that training drops at three places.
        metadata: whether age and cohort are read.
    """

    series: int = SERIES
    features: int = 64
    blocks: int = 3
    taps: int = 3
    pool: int = 4
    dropout: float = 0.5
    metadata: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch clip time series"],
        metadata: Float[Array, "batch 2"] | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """The logit of abnormal or absent fidgety movements.

        Args:
            x: standardised series of clips (`motion.baby_moves.features`), no NaN.
            metadata: age in weeks, and 1 for preterm or 0 for term; with `metadata` only.
            train: normalise by the batch, update `batch_stats`, and drop units (key `dropout`).

        Returns:
            Logits `[batch]`, and a dict of `attention` `[batch, clip]`, `clips` `[batch, clip, channel]` and `pooled`
            `[batch, channel]`, the features of the video.

        Raises:
            ValueError: an input of another shape, metadata that are missing, or not read.
        """
        if x.ndim != 4 or x.shape[-1] != self.series:
            raise ValueError(f"x must be [batch, clip, time, {self.series}], got {x.shape}")
        batch, clips = x.shape[:2]
        if metadata is None and self.metadata and self.is_initializing():
            metadata = jnp.zeros((batch, 2), x.dtype)
        if (metadata is not None) != self.metadata or (metadata is not None and metadata.shape != (batch, 2)):
            wanted = f"metadata must be [{batch}, 2]" if self.metadata else "this network reads no metadata"
            raise ValueError(f"{wanted}, got {None if metadata is None else metadata.shape}")
        x = x.reshape(1, batch * clips, *x.shape[2:])
        for number in range(1, self.blocks + 1):
            block = CausalBlock(x.shape[-1], self.features, self.taps, self.pool, name=f"block{number}")
            x = block(x, train)
        x = nn.Dropout(self.dropout)(x.reshape(batch, clips, -1), deterministic=not train)
        x = jax.nn.relu(Dense(x.shape[-1], self.features, HeUniform(), name="dense")(x))
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        pooled, attention = ClipAttention(self.features, name="attention")(x)
        y = pooled
        if metadata is not None:
            y = jnp.concatenate([y, MetadataBranch(2, 4, name="metadata_branch")(metadata, train)], axis=-1)
        y = nn.Dropout(self.dropout)(y, deterministic=not train)
        logit = Dense(y.shape[-1], 1, HeUniform(), name="logit")(y)[:, 0]
        return logit, {"attention": attention, "clips": x, "pooled": pooled}


def build(skeleton: str | Skeleton = "baby-moves-18", **overrides: Any) -> BabyMoves:
    """The network; its 46 series are those of one keypoint set.

    Args:
        skeleton: `baby-moves-18`.
        overrides: fields of `BabyMoves`.

    Raises:
        ValueError: another skeleton.
    """
    if skeletons.get(skeleton).name != "baby-moves-18":
        raise ValueError(f"baby-moves reads the series of baby-moves-18, not of {skeletons.get(skeleton).name}")
    return BabyMoves(**overrides)


ENTRIES = (
    Entry(
        name="baby-moves",
        system="baby-moves",
        task="gma",
        input_shape=(CLIPS, FRAMES, SERIES),
        skeleton="baby-moves-18",
        features=(),
        published=Published(
            46_721,
            None,
            1e6,
            "Passmore et al., released program: stored values without age and cohort; 46 741 with",
            {"auc": 0.749, "auc_with_metadata": 0.795},
        ),
        build=build,
        counts="stored",
    ),
)
