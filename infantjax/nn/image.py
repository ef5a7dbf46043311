"""Layers of the image networks, in the layout `[batch, height, width, channel]`.

Padding is "same" of the TensorFlow kind: `out = ceil(in / stride)`, and an odd surplus lies behind, not before. In
evaluation mode every norm is folded into the convolution before it.
"""

from collections.abc import Callable
from functools import reduce
from itertools import chain
from typing import Any, Literal

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float

from infantjax.devices import current_platform
from infantjax.nn import flops
from infantjax.nn.initializers import Constant, GlorotUniform, parameter
from infantjax.nn.kernels.convolution import convolution, pointwise
from infantjax.nn.kernels.depthwise import depthwise_convolution, same_padding, shifted_images
from infantjax.nn.layers import BatchNorm

Activation = Callable[[Array], Array]
Image = Float[Array, "batch height width channel"]
Initializer = Callable[..., Array]


def swish(x: Array) -> Array:
    """X * sigmoid(x): in the backbones."""
    flops.record("activation", x.size)
    return jax.nn.silu(x)


def e_swish(x: Array) -> Array:
    """1.25 * x * sigmoid(x): in the detection blocks."""
    flops.record("activation", 2 * x.size)
    return 1.25 * jax.nn.silu(x)


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6): in everything that is called Lite."""
    return jnp.clip(x, 0, 6)


def add(x: Image, y: Image) -> Image:
    """The residual sum."""
    flops.record("sum", x.size)
    return x + y


def pool(x: Image, kind: Literal["max", "mean"], side: int, stride: int) -> Image:
    """Largest or mean value of `side x side` pixels, without padding.

    Among equal largest values the gradient is divided. As a maximum of shifted images it takes a third of the time of
    XLA's window on a CPU.
    """
    window: Any = ((1, side, side, 1), (1, stride, stride, 1), "VALID")
    if kind == "max" and current_platform() == "plain":
        y = lax.reduce_window(x, -jnp.inf, lax.max, *window)
    elif kind == "max":
        y = reduce(jnp.maximum, chain.from_iterable(shifted_images(x, (side, side), stride)))
    else:
        y = lax.reduce_window(x, 0.0, lax.add, *window) / side**2
    flops.record("pooling", side**2 * y.size)
    return y


def double(x: Image, count_shape: bool = True) -> Image:
    """Twice the height and width by the fixed bilinear kernel of the public files; zero beyond the border.

    A transposed 4x4 convolution with `outer(v, v)`, `v = (1/4, 3/4, 3/4, 1/4)`, channel by channel, written as sums.
    The papers store and count it as a dense one with bias.

    Args:
        x: maps.
        count_shape: count the two products of shapes that the published tool saw in most networks.
    """
    channels = x.shape[-1]
    flops.record("upscaling", 2 * 16 * x.size * channels)
    flops.record("depthwise upscaling", 2 * 16 * x.size)
    flops.record("bias", 4 * x.size)
    flops.record("shape", 2 * count_shape)
    flops.record("fixed values", 16 * channels**2 + channels)
    for axis, pattern in (
        (1, "batch height two width channel -> batch (height two) width channel"),
        (2, "batch height width two channel -> batch height (width two) channel"),
    ):
        before = [(0, 0)] * 4
        before[axis] = (1, 1)
        padded = jnp.pad(x, before)
        size = x.shape[axis]
        previous, following = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 2))
        pair = jnp.stack([0.75 * x + 0.25 * previous, 0.75 * x + 0.25 * following], axis + 1)
        x = rearrange(pair, pattern)
    return x


class ImageConv(nn.Module):
    """Convolution with an optional norm behind it.

    Variables: `params` kernel `[row, column, in, out]` (depthwise `[row, column, channel]`), bias `[out]`, and those of
    the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        kernel_size: rows and columns of the kernel.
        stride: pixels between outputs.
        depthwise: one kernel a channel.
        use_bias: whether the convolution has a bias of its own.
        norm: whether a norm follows.
        momentum: of the norm's running statistics, as Keras counts it.
        epsilon: of the norm.
        dilation: pixels between taps.
        padding: zeros on every side instead of those of "same".
        initializer: of the kernel.
    """

    inputs: int
    features: int
    kernel_size: int = 1
    stride: int = 1
    depthwise: bool = False
    use_bias: bool = False
    norm: bool = True
    momentum: float = 0.99
    epsilon: float = 1e-3
    dilation: int = 1
    padding: int | None = None
    initializer: Initializer = GlorotUniform()

    def setup(self) -> None:
        """Declare the variables."""
        shape: tuple[int, ...] = (self.kernel_size, self.kernel_size, self.features)
        self.kernel = parameter(
            self,
            "kernel",
            self.initializer,
            shape if self.depthwise else (*shape[:2], self.inputs, self.features),
        )
        if self.use_bias:
            self.bias = parameter(self, "bias", Constant(0), (self.features,))
        if self.norm:
            self.batch_norm = BatchNorm((self.features,), epsilon=self.epsilon, momentum=1 - self.momentum, name="norm")

    def __call__(self, x: Image, train: bool) -> Image:
        """Convolve and normalize."""
        chex.assert_shape(x, (None, None, None, self.inputs))
        kernel = self.kernel
        bias = self.bias if self.use_bias else None
        if self.norm and not train:
            kernel, bias = self.batch_norm.into(kernel, bias)
        if self.depthwise:
            y = depthwise_convolution(x, kernel, self.stride)
        elif self.kernel_size == 1:
            y = pointwise(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        else:
            reach = self.dilation * (self.kernel_size - 1) + 1
            rows, columns = (
                same_padding(side, reach, self.stride) if self.padding is None else (self.padding, self.padding)
                for side in x.shape[1:3]
            )
            y = convolution(x, kernel, (self.stride,) * 2, (self.dilation,) * 2, (rows, columns))
        # The published tool computes a dilated convolution on a map whose sides are multiples of the dilation.
        height, width = (-(-side // self.dilation) * self.dilation for side in y.shape[1:3])
        inputs = 1 if self.depthwise else self.inputs
        flops.record("convolution", y.shape[0] * height * width * self.features * self.kernel_size**2 * inputs)
        if self.use_bias:
            flops.record("bias", y.size)
        y = y if bias is None else y + bias
        return self.batch_norm(y, train) if self.norm and train else y


class SqueezeExcite(nn.Module):
    """Channel weights from the mean over the image: pointwise, activation, pointwise, sigmoid; both with bias.

    Attributes:
        features: channels of x.
        squeezed: channels in between.
        activation: in between.
        initializer: of both kernels.
    """

    features: int
    squeezed: int
    activation: Activation
    initializer: Initializer = GlorotUniform()

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Scale the channels of x."""
        given: dict[str, Any] = {"use_bias": True, "norm": False, "initializer": self.initializer}
        flops.record("pooling", x.size)
        flops.record("multiplication", x.size)
        y = x.mean((1, 2), keepdims=True)
        y = self.activation(ImageConv(self.features, self.squeezed, **given, name="squeeze")(y, False))
        y = ImageConv(self.squeezed, self.features, **given, name="excite")(y, False)
        return x * jax.nn.sigmoid(y)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation, projection: the block of all networks here.

    The sum with its input is left to the caller.

    Attributes:
        inputs: input channels.
        expanded: channels of the depthwise convolution; equal to the inputs where there is no expansion.
        features: output channels.
        kernel_size: of the depthwise convolution.
        stride: of the depthwise convolution.
        squeezed: channels inside the squeeze-and-excitation; 0 leaves it out.
        activation: behind expansion and depthwise convolution, and inside the squeeze-and-excitation.
        expand: whether there is an expansion.
        use_bias: biases beside the norms, as in the bridges of EfficientHourglass.
        activate_last: an activation behind the projection, as in those bridges.
        momentum: of the norms.
        first_activation: the one behind the expansion, where it is another.
        initializer: of the pointwise kernels.
    """

    inputs: int
    expanded: int
    features: int
    kernel_size: int
    stride: int
    squeezed: int
    activation: Activation
    expand: bool = True
    use_bias: bool = False
    activate_last: bool = False
    momentum: float = 0.99
    first_activation: Activation | None = None
    initializer: Initializer = GlorotUniform()

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        """Apply the block."""
        act = self.activation
        given: dict[str, Any] = {"use_bias": self.use_bias, "momentum": self.momentum}
        pointwise: dict[str, Any] = given | {"initializer": self.initializer}
        if self.expand:
            x = ImageConv(self.inputs, self.expanded, **pointwise, name="expand")(x, train)
            x = (self.first_activation or act)(x)
        conv = ImageConv(self.expanded, self.expanded, self.kernel_size, self.stride, True, **given, name="depthwise")
        x = act(conv(x, train))
        if self.squeezed:
            x = SqueezeExcite(self.expanded, self.squeezed, act, self.initializer, name="se")(x)
        x = ImageConv(self.expanded, self.features, **pointwise, name="project")(x, train)
        return act(x) if self.activate_last else x


class TransposedConv(nn.Module):
    """Trained 4x4 convolution with bias to twice the height and width, and a norm behind it.

    Variables: `params` kernel `[row, column, in, out]`, bias `[out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        initializer: of the kernel.
    """

    inputs: int
    features: int
    initializer: Initializer = GlorotUniform()

    def setup(self) -> None:
        """Declare the variables."""
        self.kernel = parameter(self, "kernel", self.initializer, (4, 4, self.inputs, self.features))
        self.bias = parameter(self, "bias", Constant(0), (self.features,))
        self.batch_norm = BatchNorm((self.features,), epsilon=1e-3, momentum=0.01, name="norm")

    def __call__(self, x: Image, train: bool) -> Image:
        """Convolve and normalize."""
        flops.record("convolution", x.size * 16 * self.features)
        flops.record("shape", 2)
        flops.record("bias", 4 * x.shape[0] * x.shape[1] * x.shape[2] * self.features)
        kernel, bias = self.kernel, self.bias
        if not train:
            kernel, bias = self.batch_norm.into(kernel, bias)
        y = transposed(x, kernel) + bias
        return self.batch_norm(y, train) if train else y


def transposed(x: Image, kernel: Float[Array, "4 4 in out"]) -> Image:
    """Transposed 4x4 convolution of stride 2, "same": one row and column of the full result are cut off on every side.

    Written as one 2x2 convolution for the four places of an output between the inputs; backends have no fast kernel for
    inputs with zeros between them. Other runtimes have, and know the convolution by its form.
    """
    if current_platform() == "plain":
        order, cut = ("NHWC", "HWIO", "NHWC"), ((2, 2), (2, 2))
        return lax.conv_general_dilated(x, kernel[::-1, ::-1], (1, 1), cut, (2, 2), dimension_numbers=order)
    height, width = x.shape[1:3]
    # An even output reads the input before it by tap 3 and its own by tap 1; an odd one its own by 2, the next by 0.
    kernel_size = jnp.array([[3, 1], [2, 0]])
    phases = rearrange(
        kernel[kernel_size[:, :, None, None], kernel_size[None, None]],
        "row row_tap column column_tap inputs outputs -> row_tap column_tap inputs (row column outputs)",
    )
    y = convolution(x, phases, (1, 1), (1, 1), ((1, 1), (1, 1)))
    split = "batch height width (row column channel) -> batch height width row column channel"
    y = rearrange(y, split, row=2, column=2)
    rows = [jnp.stack([y[:, i : i + height, j : j + width, i, j] for j in (0, 1)], 3) for i in (0, 1)]
    joined = "batch height row width column channel -> batch (height row) (width column) channel"
    return rearrange(jnp.stack(rows, 2), joined)
