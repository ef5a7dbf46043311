"""Layers over time in the layout `[joint, batch, time, channel]`, and batch norm.

In this layout a temporal convolution is a plain 1-D convolution over `[joint * batch, time, channel]`, a pointwise
convolution is one matrix product, and a graph convolution multiplies the adjacency from the left: no transposition
anywhere inside a network. On XLA's CPU backend that is worth a factor of two to three against
`[batch, time, joint, channel]` (`benchmarks/lowering.py`).

In evaluation mode the norm behind a convolution goes into its kernel and bias: within the program, or before it by
`kernels.folding.fold_batch_norm`.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from infantjax.nn import flops
from infantjax.nn.initializers import Constant, HeNormalFanOut, UniformFanIn, parameter, variable
from infantjax.nn.kernels.batch_norm import normalize_batch
from infantjax.nn.kernels.convolution import pointwise, temporal_convolution
from infantjax.nn.kernels.depthwise import depthwise_temporal_convolution
from infantjax.nn.kernels.folding import is_folded
from infantjax.nn.kernels.lowering import fusion_barrier


class BatchNorm(nn.Module):
    """Batch normalization with the running statistics of the published framework.

    Training mode normalizes by the biased variance of the batch; the running variance follows the unbiased one:
    `running = 0.9 * running + 0.1 * batch`, variance times n / (n - 1), or the biased one itself.

    Variables: `params` scale and bias; `batch_stats` mean and var, changed by training mode only. Without `batch_stats`
    the norm is folded: scale and bias are all of it.

    Attributes:
        shape: shape of the normalized trailing axes, `(channel,)` or `(joint, 1, 1, channel)` for a norm per joint.
        axes: axes that the statistics run over.
        unbiased: what the running variance follows.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...] = (0, 1, 2)
    epsilon: float = 1e-5
    momentum: float = 0.1
    unbiased: bool = True

    def setup(self) -> None:
        """Declare the variables."""
        self.scale = parameter(self, "scale", Constant(1), self.shape)
        self.bias = parameter(self, "bias", Constant(0), self.shape)
        self.folded = not self.is_initializing() and not self.has_variable("batch_stats", "mean")
        if self.folded:
            return
        self.mean = variable(self, "batch_stats", "mean", lambda: np.zeros(self.shape))
        self.var = variable(self, "batch_stats", "var", lambda: np.ones(self.shape))

    def affine(self) -> tuple[Array, Array]:
        """Multiplier and offset of evaluation mode."""
        if self.folded:
            return self.scale, self.bias
        multiplier = self.scale * lax.rsqrt(self.var.value + self.epsilon)
        return fusion_barrier((multiplier, self.bias - self.mean.value * multiplier))

    def into(self, kernel: Array, bias: Array | None) -> tuple[Array, Array]:
        """A kernel and its bias that give what the norm of evaluation mode makes of their output."""
        multiplier, offset = self.affine()
        return kernel * multiplier, offset if bias is None else bias * multiplier + offset

    def __call__(self, x: Array, train: bool, shift: Array | None = None) -> Array:
        """Normalize; in training mode by the statistics of `x`, updating the running ones.

        Args:
            x: activations.
            train: normalize by the batch.
            shift: what is still to be added to x. The mean of a batch takes it away again: in training mode it moves
                the running mean and nothing else, its gradient is zero, and no pass over x is spent on either.
        """
        flops.record("norm", x.size)
        if not train:
            multiplier, offset = self.affine()
            return (x if shift is None else x + shift) * multiplier + offset
        # Sums over a batch of images lose too much in bfloat16.
        y, mean, var = normalize_batch(x.astype(self.mean.value.dtype), self.scale, self.bias, self.axes, self.epsilon)
        if not self.is_initializing():
            self.update(mean if shift is None else mean + shift, var, x.size // mean.size)
        return y.astype(x.dtype)

    def update(self, mean: Array, var: Array, count: int) -> None:
        """Update the running statistics by those of a batch.

        Args:
            mean: of the batch.
            var: biased variance of the batch.
            count: of values that each of them is of.
        """
        keep = 1.0 - self.momentum
        self.mean.value = keep * self.mean.value + self.momentum * mean
        seen = var * (count / max(count - 1, 1)) if self.unbiased else var
        self.var.value = keep * self.var.value + self.momentum * seen


class TemporalConv(nn.Module):
    """Convolution over time, pointwise by default, with an optional norm behind it.

    Variables: `params` kernel `[tap, in, out]`, bias `[out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        kernel_size: kernel length, odd.
        stride: frames between outputs.
        dilation: frames between taps.
        gain: gain of the initializer.
        use_bias: whether the convolution has a bias of its own.
        norm: whether a `BatchNorm` follows.
    """

    inputs: int
    features: int
    kernel_size: int = 1
    stride: int = 1
    dilation: int = 1
    gain: float = 1.0
    use_bias: bool = True
    norm: bool = True

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.kernel_size, self.inputs, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(self.gain, (2,), (0,)), shape)
        folded = self.norm and is_folded(self)
        self.bias: Array | None = None
        self.batch_norm: Any = None
        if self.use_bias or folded:
            self.bias = parameter(self, "bias", UniformFanIn(self.inputs * self.kernel_size), (self.features,))
        if self.norm and not folded:
            self.batch_norm = BatchNorm((self.features,), name="norm")

    def __call__(self, x: Float[Array, "joint batch time in"], train: bool) -> Float[Array, "joint batch time_out out"]:
        """Convolve and normalize."""
        chex.assert_shape(x, (None, None, None, self.inputs))
        kernel, bias = self.kernel, self.bias
        if self.batch_norm is not None and not train:
            kernel, bias = self.batch_norm.into(kernel, bias)
        y = temporal_convolution(x, kernel, self.stride, self.dilation)
        flops.record("convolution", y.size * self.inputs * self.kernel_size)
        if self.batch_norm is not None and train:
            return self.batch_norm(y, train, bias)
        return y if bias is None else y + fusion_barrier(bias)


class Dense(nn.Module):
    """A linear layer over the channels.

    Variables: `params` kernel `[in, out]`, bias `[out]`.

    Attributes:
        inputs: input channels.
        features: output channels.
        initializer: of the kernel.
        bias_initializer: of the bias.
    """

    inputs: int
    features: int
    initializer: Callable[..., Array]
    bias_initializer: Callable[..., Array] = Constant(0)

    def setup(self) -> None:
        """Declare the variables."""
        self.kernel = parameter(self, "kernel", self.initializer, (self.inputs, self.features))
        self.bias = parameter(self, "bias", self.bias_initializer, (self.features,))

    def __call__(self, x: Float[Array, "*axes in"]) -> Float[Array, "*axes out"]:
        """Multiply and add."""
        y = pointwise(x, self.kernel) + self.bias
        flops.record("linear", y.size * self.inputs)
        return y


class DepthwiseConv(nn.Module):
    """Depthwise convolution over time with its norm; published ones have a bias of their own or none.

    Variables: `params` kernel `[tap, channel]`, bias `[channel]` and those of the norm.
    """

    features: int
    kernel_size: int
    stride: int = 1
    dilation: int = 1
    gain: float = 1.0
    use_bias: bool = False

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.kernel_size, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(self.gain, (1,), (0,)), shape)
        self.batch_norm: Any = None
        self.bias: Any = None
        folded = is_folded(self)
        if self.use_bias or folded:
            self.bias = parameter(self, "bias", Constant(0), (self.features,))
        if not folded:
            self.batch_norm = BatchNorm((self.features,), name="norm")

    def __call__(
        self, x: Float[Array, "joint batch time channel"], train: bool
    ) -> Float[Array, "joint batch time_out channel"]:
        """Convolve and normalize."""
        kernel, bias = self.kernel, self.bias
        if self.batch_norm is not None and not train:
            kernel, bias = self.batch_norm.into(kernel, bias)
        y = depthwise_temporal_convolution(x, kernel, self.stride, self.dilation)
        flops.record("convolution", y.size * self.kernel_size)
        return self.batch_norm(y, train, bias) if train else y + bias


def side_by_side(
    layers: Sequence[TemporalConv],
    x: Float[Array, "joint batch time in"],
    train: bool,
    shared: bool = False,
) -> Float[Array, "joint batch time_out out"]:
    """Layers of equal strides as one of many channels: one convolution and one norm in place of one for each.

    Of two or three scales with 10 to 48 channels that is half of the kernels and of the memory traffic of a training
    step on a GPU or TPU (`benchmarks/compile_targets.py`). Dilated kernels are filled with zeros to equal lengths, and
    convolutions that read different channels too: arithmetic is not what accelerators lack here. A CPU does lack it.

    Args:
        layers: with norms that are not folded; their outputs lie one behind the other.
        x: input of all layers.
        train: normalize by the batch and update the running statistics of each layer.
        shared: every layer reads all channels of x; else each reads its own, in their order.
    """
    kernels = [spread_taps(layer.kernel, layer.dilation) for layer in layers]
    taps = max(map(len, kernels))
    kernels = [jnp.pad(k, [((taps - len(k)) // 2,) * 2] + [(0, 0)] * (k.ndim - 1)) for k in kernels]
    if not shared:
        inputs = [kernel.shape[1] for kernel in kernels]
        ends = list(accumulate(inputs))
        kernels = [
            jnp.pad(kernel, ((0, 0), (end - size, ends[-1] - end), (0, 0)))
            for kernel, size, end in zip(kernels, inputs, ends)
        ]
    norms = [layer.batch_norm for layer in layers]
    biases = [jnp.zeros(layer.features) if layer.bias is None else layer.bias for layer in layers]
    kernel, bias, stride = jnp.concatenate(kernels, -1), jnp.concatenate(biases), layers[0].stride
    if not train:
        scale, offset = (jnp.concatenate(parts) for parts in zip(*(norm.affine() for norm in norms)))
        return temporal_convolution(x, kernel * scale, stride) + (bias * scale + offset)
    y = temporal_convolution(x, kernel, stride)
    scale, offset = jnp.concatenate([n.scale for n in norms]), jnp.concatenate([n.bias for n in norms])
    z, mean, var = normalize_batch(y.astype(norms[0].mean.value.dtype), scale, offset, norms[0].axes, norms[0].epsilon)
    ends = list(accumulate(layer.features for layer in layers))[:-1]
    for norm, *found in zip(norms, jnp.split(mean + bias, ends), jnp.split(var, ends)):
        norm.update(*found, y.size // y.shape[-1])
    return z.astype(y.dtype)


def spread_taps(kernel: Float[Array, "tap ..."], dilation: int) -> Float[Array, "tap_out ..."]:
    """A dilated kernel as one without dilation: with zeros between its rows."""
    return lax.pad(kernel, jnp.zeros((), kernel.dtype), [(0, 0, dilation - 1)] + [(0, 0, 0)] * (kernel.ndim - 1))
