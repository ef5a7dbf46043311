"""Squeeze-and-excitation and the attentions of the graph networks, in the layout `[joint, batch, time, channel]`."""

from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from infantjax.nn import flops
from infantjax.nn.initializers import HeNormalFanOut, parameter
from infantjax.nn.kernels.lowering import fusion_barrier
from infantjax.nn.layers import BatchNorm, TemporalConv

Map = Float[Array, "joint batch time channel"]
Activation = Callable[[Array], Array]
AttentionKind = Literal["channel", "frame", "joint"]

_SQRT2 = float(np.sqrt(2))


def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    # The CPU backend does not vectorize a maximum over ten or twenty channels, a choice it does.
    return jnp.where(x <= 0, 0, x)


def swish(x: Array) -> Array:
    """X * sigmoid(x)."""
    flops.record("multiplication", x.size)
    # As one long axis: on a CPU an inner loop over twenty channels would spend most of its time on what is left over
    # after whole vectors, and an exponential without vectors is slow.
    return fusion_barrier(jax.nn.silu(fusion_barrier(x).reshape(-1))).reshape(x.shape)


ACTIVATIONS: dict[str, Activation] = {"relu": relu, "swish": swish}


def _mean(x: Float[Array, "joint batch time channel"], axes: tuple[int, ...]) -> Array:
    # Not by `einops.reduce`, which transposes first.
    y = x.mean(axes)
    flops.record("pooling", y.size)
    return y


def _highest(x: Float[Array, "joint batch time channel"]) -> Float[Array, "batch time"]:
    """Maximum over joints and channels; its gradient goes to the first place that has it.

    The gradient of `jnp.max` looks for the maximum by comparison. Compiled, x may be computed once more for that, with
    other rounding, and then it is not found and its gradient is lost (seen on a CPU, behind a Swish).
    """
    joint = x.max(3, keepdims=True).argmax(0, keepdims=True)
    of_joint = jnp.take_along_axis(x, joint, 0)[0]
    return jnp.take_along_axis(of_joint, of_joint.argmax(-1, keepdims=True), -1)[..., 0]


class SqueezeExcitation(nn.Module):
    """Channel weights from the mean over joints and time: linear, activation, linear, sigmoid; no biases.

    Variables: `params` squeeze `[channel, channel // ratio]`, excite `[channel // ratio, channel]`.

    Source: Hu et al. 2018; Groos et al., Paper III.
    """

    features: int
    ratio: int
    activation: Activation

    def setup(self) -> None:
        """Declare the variables."""
        inner = self.features // self.ratio
        self.squeeze = parameter(self, "squeeze", HeNormalFanOut(_SQRT2, (1,)), (self.features, inner))
        self.excite = parameter(self, "excite", HeNormalFanOut(1.0, (1,)), (inner, self.features))

    def __call__(self, x: Float[Array, "joint batch time channel"]) -> Float[Array, "joint batch time channel"]:
        """Scale the channels of x."""
        pooled = _mean(x, (0, 2))
        inner = self.activation(pooled @ self.squeeze)
        weights = jax.nn.sigmoid(inner @ self.excite)
        flops.record("linear", 2 * pooled.size * self.squeeze.shape[1])
        flops.record("multiplication", x.size)
        return x * rearrange(weights, "batch channel -> batch 1 channel")


class ChannelAttention(nn.Module):
    """Weights over the channels: mean, reduction by 4, softmax over channels or another last step."""

    features: int
    activation: Activation
    squash: Activation = jax.nn.softmax

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Float[Array, "one batch one channel"]:
        """Attention weights of each channel; by default they sum to 1."""
        inner = self.features // 4
        pooled = rearrange(_mean(x, (0, 2)), "batch channel -> 1 batch 1 channel")
        hidden = self.activation(TemporalConv(self.features, inner, gain=_SQRT2, name="reduce")(pooled, train))
        return self.squash(TemporalConv(inner, self.features, norm=False, name="expand")(hidden, train))


class FrameAttention(nn.Module):
    """Weights over the frames: mean and maximum over channels and joints, a convolution over time, no squashing."""

    kernel_size: int

    @nn.compact
    def __call__(self, x: Float[Array, "joint batch time channel"], train: bool) -> Float[Array, "one batch time one"]:
        """Attention weights of each frame; not bounded."""
        planes = rearrange(jnp.stack([_mean(x, (0, 3)), _highest(x)], -1), "batch time plane -> 1 batch time plane")
        return TemporalConv(2, 1, self.kernel_size, gain=_SQRT2, norm=False, name="conv")(planes, train)


class JointAttention(nn.Module):
    """Weights over the joints: mean, reduction by 2, softmax over joints."""

    joints: int
    activation: Activation

    @nn.compact
    def __call__(self, x: Float[Array, "joint batch time channel"], train: bool) -> Float[Array, "joint batch one one"]:
        """Attention weights of each joint; they sum to 1."""
        inner = self.joints // 2
        pooled = rearrange(_mean(x, (2, 3)), "joint batch -> 1 batch 1 joint")
        hidden = self.activation(TemporalConv(self.joints, inner, gain=_SQRT2, name="reduce")(pooled, train))
        weights = jax.nn.softmax(TemporalConv(inner, self.joints, norm=False, name="expand")(hidden, train), axis=-1)
        return rearrange(weights, "1 batch 1 joint -> joint batch 1 1")


class Attention(nn.Module):
    """`act(norm(x * weights) + x)` with the weights of one of the three attentions.

    Attributes:
        kind: `channel`, `frame` or `joint`.
        features: channels of x.
        joints: joints of x.
        kernel_size: kernel length of the frame attention.
        activation: the network's nonlinearity.

    Source: Groos et al., Paper III; the reduction of 4 is fixed, independent of the squeeze-and-excitation ratio.
    """

    kind: AttentionKind
    features: int
    joints: int
    kernel_size: int
    activation: Activation

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Attend."""
        if self.kind == "channel":
            weights = ChannelAttention(self.features, self.activation, name="channel")(x, train)
        elif self.kind == "frame":
            weights = FrameAttention(self.kernel_size, name="frame")(x, train)
        else:
            weights = JointAttention(self.joints, self.activation, name="joint")(x, train)
        flops.record("multiplication", x.size)
        return self.activation(BatchNorm((self.features,), name="norm")(x * weights, train) + x)
