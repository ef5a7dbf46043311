"""Layers over time in the layout `[joint, batch, time, channel]`, and batch norm.

In this layout a temporal convolution is a plain 1-D convolution over `[joint * batch, time, channel]`, a pointwise
convolution is one matrix product, and a graph convolution multiplies the adjacency from the left: no transposition
anywhere inside a network. On XLA's CPU backend that is worth a factor of two to three against
`[batch, time, joint, channel]` (`benchmarks/lowering.py`).

In evaluation mode the norm behind a convolution goes into its kernel and bias: within the program, or before it by
`kernels.folding.fold_batch_norm`.
"""

from collections.abc import Callable
from typing import Any

import chex
import flax.errors
import flax.linen as nn
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
        """Declare the variables.

        Raises:
            flax.errors.ScopeParamShapeError: a variable has another shape.
        """
        self.scale = parameter(self, "scale", Constant(1), self.shape)
        self.bias = parameter(self, "bias", Constant(0), self.shape)
        self.folded = not self.is_initializing() and not self.has_variable("batch_stats", "mean")
        if self.folded:
            return
        self.mean = variable(self, "batch_stats", "mean", lambda: np.zeros(self.shape))
        self.var = variable(self, "batch_stats", "var", lambda: np.ones(self.shape))
        for name, found in (("mean", self.mean.value.shape), ("var", self.var.value.shape)):
            if found != self.shape:
                raise flax.errors.ScopeParamShapeError(name, "/".join(self.path), found, self.shape)

    def affine(self) -> tuple[Array, Array]:
        """Multiplier and offset of evaluation mode."""
        if self.folded:
            return self.scale, self.bias
        multiplier = self.scale * lax.rsqrt(self.var.value + self.epsilon)
        return fusion_barrier((multiplier, self.bias - self.mean.value * multiplier))

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
            count = x.size // mean.size
            keep = 1.0 - self.momentum
            mean = mean if shift is None else mean + shift
            self.mean.value = keep * self.mean.value + self.momentum * mean
            seen = var * (count / max(count - 1, 1)) if self.unbiased else var
            self.var.value = keep * self.var.value + self.momentum * seen
        return y.astype(x.dtype)


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
            scale, offset = self.batch_norm.affine()
            kernel, bias = kernel * scale, offset if bias is None else bias * scale + offset
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
            scale, offset = self.batch_norm.affine()
            kernel, bias = kernel * scale, offset if bias is None else bias * scale + offset
        y = depthwise_temporal_convolution(x, kernel, self.stride, self.dilation)
        flops.record("convolution", y.size * self.kernel_size)
        return self.batch_norm(y, train, bias) if train else y + bias
