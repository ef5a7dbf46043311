"""Baby Moves: causal convolutions over clips, and attention over the clips of a video.

    clip [128, 46] -> 3 x (causal convolution, ReLU, norm, max pool) -> linear, ReLU -> m_c
    video -> mean over its clips of sigmoid(u . tanh(W m_c + b)) m_c -> with age and cohort -> logit

Source: Passmore et al., "Automated identification of abnormal infant movements from smart phone videos", and its
reference implementation, from which the layer sizes come and which is followed where the two differ: the norm follows
the ReLU, convolutions have no bias, the last dropout also drops what comes from age and cohort.

Variables: `params`, and `batch_stats`, which training changes. No trained weights are public.
"""

from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int

from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.initializers import HeUniform, parameter
from infantjax.nn.kernels.convolution import temporal_convolution
from infantjax.nn.layers import BatchNorm, Dense
from infantjax.skeletons import Skeleton

CLIPS, FRAMES, STEP, SERIES = 547, 128, 8, 46
"""Clips of a whole video, frames of a clip, frames between the starts of two, and series of a frame."""

Entry = Literal["age", "cohort"]
"""Metadata that a network may read."""
METADATA: tuple[Entry, ...] = get_args(Entry)

_NORM: dict[str, Any] = {"epsilon": 1e-3, "momentum": 0.01}


@jax.custom_vjp
def largest(x: Float[Array, "one clip time_out frame channel"]) -> Float[Array, "one clip time_out channel"]:
    """The largest of every few frames; of equal frames the first has the gradient.

    The gradient of `jnp.max` compares x with its maximum and divides by how many agree. Compiled, x may be computed
    once more for that, with other rounding: then none agrees, and the gradient is 0 / 0 (seen on a CPU where XLA
    optimizes little).
    """
    return x.max(axis=3)


def _largest_forward(x: Array) -> tuple[Array, Array]:
    return largest(x), x


def _largest_backward(x: Array, gradient: Array) -> tuple[Array]:
    chosen = x.argmax(axis=3, keepdims=True) == jnp.arange(x.shape[3])[:, None]
    return (jnp.where(chosen, gradient[:, :, :, None], 0),)


largest.defvjp(_largest_forward, _largest_backward)


class CausalBlock(nn.Module):
    """Convolution that reads no later frame, ReLU, norm, and the largest of every few frames.

    Variables: `params` kernel `[tap, in, out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        kernel_size: of the kernel.
        pool: frames that become one; what is left over at the end is dropped.
    """

    inputs: int
    features: int
    kernel_size: int
    pool: int

    def setup(self) -> None:
        """Declare the variables."""
        self.kernel = parameter(self, "kernel", HeUniform(), (self.kernel_size, self.inputs, self.features))
        self.norm = BatchNorm((self.features,), **_NORM)

    def __call__(self, x: Float[Array, "one clip time in"], train: bool) -> Float[Array, "one clip time_out out"]:
        """Convolve, rectify, normalize, pool."""
        return self._pooled(self._convolved(x, train))

    def of_series(
        self, x: Float[Array, "one batch time in"], starts: Int[np.ndarray, " clip"], frames: int
    ) -> Float[Array, "one batch_clip time_out out"]:
        """As evaluation of every clip of whole series, but what clips share is computed once.

        All frames of a clip but its first, whose taps reach to zeros in front of it, are those of the series.

        Args:
            x: series.
            starts: first frames of the clips, multiples of the frames that become one.
            frames: of a clip, more than one such multiple.
        """
        clips = len(starts)
        shared = self._pooled(self._convolved(x, False))
        within = starts[:, None] // self.pool + np.arange(1, frames // self.pool)
        join = "one batch clip time channel -> one (batch clip) time channel"
        heads = rearrange(x[:, :, starts[:, None] + np.arange(self.pool)], join)
        first = self._pooled(self._convolved(heads, False))
        first = rearrange(first, "one (batch clip) time channel -> one batch clip time channel", clip=clips)
        return rearrange(jnp.concatenate([first, shared[:, :, within]], axis=3), join)

    def _convolved(self, x: Array, train: bool) -> Array:
        x = temporal_convolution(x, self.kernel, causal=True)
        flops.record("convolution", x.size * self.kernel_size * self.inputs)
        return self.norm(jax.nn.relu(x), train)

    def _pooled(self, x: Array) -> Array:
        frames = x.shape[2] // self.pool
        whole = x[:, :, : frames * self.pool]
        return largest(
            rearrange(whole, "one clip (time frame) channel -> one clip time frame channel", frame=self.pool)
        )


class ClipAttention(nn.Module):
    """The mean of a video's clips, each weighted by a sigmoid: the weights do not sum to one.

    Variables: `params` kernel `[in, unit]`, bias `[unit]`, context `[unit]`.

    Attributes:
        features: channels of a clip, and units.
    """

    features: int

    @nn.compact
    def __call__(
        self, clips: Float[Array, "batch clip channel"], present: Bool[Array, "batch clip"] | None = None
    ) -> tuple[Float[Array, "batch channel"], Float[Array, "batch clip"]]:
        """The video's features, from the clips that are present, and the weight of each clip, 0..1."""
        units = jnp.tanh(Dense(self.features, self.features, HeUniform(), name="units")(clips))
        context = parameter(self, "context", HeUniform(), (self.features,))
        weights = jax.nn.sigmoid(units @ context)
        flops.record("linear", units.size)
        flops.record("multiplication", clips.size)
        where = None if present is None else present[..., None]
        return (weights[..., None] * clips).mean(axis=1, where=where), weights


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
        """Standardize and map."""
        norm = BatchNorm((self.inputs,), axes=(0,), **_NORM, unbiased=False, name="norm")
        kernel = parameter(self, "kernel", HeUniform(), (self.inputs, self.features))
        flops.record("convolution", metadata.shape[0] * self.inputs * self.features)
        return jax.nn.relu(norm(metadata, train) @ kernel)


class BabyMoves(nn.Module):
    """The network for any number of clips: one in training, all 547 of a video afterwards.

    Attributes:
        series: channels of a frame.
        features: channels of every convolution, of the linear layer and of the attention.
        blocks: number of convolutions.
        kernel_size: of each.
        pool: frames that become one after each.
        dropout: share of units that training drops at three places.
        metadata: whether entries of the metadata are read.
        entries: which ones.
    """

    series: int = SERIES
    features: int = 64
    blocks: int = 3
    kernel_size: int = 3
    pool: int = 4
    dropout: float = 0.5
    metadata: bool = False
    entries: tuple[Entry, ...] = METADATA

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch clip time series"] | Float[Array, "batch time series"],
        metadata: Float[Array, "batch entry"] | None = None,
        train: bool = False,
        present: Bool[Array, "batch clip"] | None = None,
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """The logit of abnormal or absent fidgety movements.

        Args:
            x: standardized series of clips (`preprocessing.features`), no NaN; or whole series, which are cut into
                all of their clips of 128 frames, one every 8. That is the same in a fraction of the time; it is for
                evaluation.
            metadata: age in weeks, and 1 for preterm or 0 for term; with `metadata` only, those of `entries`.
            train: normalize by the batch, update `batch_stats`, and drop units (key `dropout`).
            present: False for clips that the video's features leave out; None takes all.

        Returns:
            Logits `[batch]`, and a dict of `attention` `[batch, clip]`, `clips` `[batch, clip, channel]` and `pooled`
            `[batch, channel]`, the features of the video.

        Raises:
            ValueError: an input of another shape, metadata that are missing, or not read, or training on whole series.
        """
        whole = x.ndim == 3
        if x.ndim not in (3, 4) or x.shape[-1] != self.series:
            raise ValueError(f"x must be [batch, clip, time, {self.series}] or whole series, got {x.shape}")
        if whole and (train or STEP % self.pool or self.kernel_size > self.pool):
            raise ValueError("whole series are for evaluation, of networks that pool 4 frames or 8")
        batch, count = x.shape[0], len(self.entries)
        if metadata is None and self.metadata and self.is_initializing():
            metadata = jnp.zeros((batch, count), x.dtype)
        if (metadata is not None) != self.metadata or (metadata is not None and metadata.shape != (batch, count)):
            wanted = f"metadata must be [{batch}, {count}]" if self.metadata else "this network reads no metadata"
            raise ValueError(f"{wanted}, got {None if metadata is None else metadata.shape}")
        starts = np.arange(0, x.shape[1] - FRAMES + 1, STEP)
        x = x[None] if whole else rearrange(x, "batch clip time channel -> 1 (batch clip) time channel")
        for number in range(1, self.blocks + 1):
            block = CausalBlock(x.shape[-1], self.features, self.kernel_size, self.pool, name=f"block{number}")
            x = block.of_series(x, starts, FRAMES) if whole and number == 1 else block(x, train)
        x = rearrange(x, "1 (batch clip) time channel -> batch clip (time channel)", batch=batch)
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        x = jax.nn.relu(Dense(x.shape[-1], self.features, HeUniform(), name="dense")(x))
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        pooled, attention = ClipAttention(self.features, name="attention")(x, present)
        y = pooled
        if metadata is not None:
            y = jnp.concatenate([y, MetadataBranch(count, 4, name="metadata_branch")(metadata, train)], axis=-1)
        y = nn.Dropout(self.dropout)(y, deterministic=not train)
        logit = Dense(y.shape[-1], 1, HeUniform(), name="logit")(y)[:, 0]
        return logit, {"attention": attention, "clips": x, "pooled": pooled}


def build(skeleton: str | Skeleton = "baby-moves-18", **overrides: Any) -> BabyMoves:
    """The network; its 46 series are those of one keypoint set.

    Args:
        skeleton: `baby-moves-18`.
        overrides: fields of `BabyMoves`.
    """
    return BabyMoves(**overrides)


ENTRIES = (
    ModelEntry(
        name="baby-moves",
        method="baby-moves",
        task="gma",
        input_shape=(CLIPS, FRAMES, SERIES),
        skeleton="baby-moves-18",
        features=(),
        published=Published(
            46_721,
            None,
            1e6,
            "Passmore et al., reference implementation: stored values without age and cohort; 46 741 with",
            {"auc": 0.749, "auc_with_metadata": 0.795},
        ),
        build=build,
        counts="stored",
    ),
)
