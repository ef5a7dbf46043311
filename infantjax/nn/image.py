"""Layers of the image networks, in the layout `[batch, height, width, channel]`.

Padding is "same" of the TensorFlow kind: `out = ceil(in / stride)`, and an odd surplus lies behind, not before. In
evaluation mode every norm is folded into the convolution before it.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import chain
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from infantjax.nn import flops as counting
from infantjax.nn.conv import Norm, asked_lowering, finished, pointwise, sums_of_products, unrolled
from infantjax.nn.initializers import GlorotUniform, parameter

Activation = Callable[[Array], Array]
Image = Float[Array, "batch height width channel"]
Initializer = Callable[..., Array]


def swish(x: Array) -> Array:
    """X * sigmoid(x): in the backbones."""
    counting.record("activation", x.size)
    return jax.nn.silu(x)


def e_swish(x: Array) -> Array:
    """1.25 * x * sigmoid(x): in the detection blocks."""
    counting.record("activation", 2 * x.size)
    return 1.25 * jax.nn.silu(x)


def relu6(x: Array) -> Array:
    """min(max(x, 0), 6): in everything that is called Lite."""
    return jnp.clip(x, 0, 6)


def add(x: Image, y: Image) -> Image:
    """The residual sum."""
    counting.record("sum", x.size)
    return x + y


def pool(x: Image, kind: Literal["max", "mean"], side: int, stride: int) -> Image:
    """Largest or mean value of `side x side` pixels, without padding.

    Among equal largest values the gradient is divided. As a maximum of shifted pictures it takes a third of the time of
    XLA's window on a CPU.
    """
    if kind == "max":
        y = reduce(jnp.maximum, chain.from_iterable(_shifted(x, (side, side), stride)))
    else:
        y = lax.reduce_window(x, 0.0, lax.add, (1, side, side, 1), (1, stride, stride, 1), "VALID") / side**2
    counting.record("pooling", side**2 * y.size)
    return y


def same_padding(side: int, taps: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis."""
    total = max((-(-side // stride) - 1) * stride + taps - side, 0)
    return total // 2, total - total // 2


def depthwise(x: Image, kernel: Float[Array, "row column channel"], stride: int = 1) -> Image:
    """Depthwise convolution: on a CPU as a sum of shifted products, elsewhere as a grouped convolution.

    XLA's CPU backend computes a grouped convolution 30 to 100 times more slowly than the sum.
    """
    padding = _depthwise_padding(x, kernel, stride)
    if jax.default_backend() == "cpu" and asked_lowering() != "convolution":
        return _summed(jnp.pad(x, ((0, 0), *padding, (0, 0))), kernel, stride)
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=kernel.shape[-1],
    )


def _depthwise_padding(x: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    return [same_padding(side, taps, stride) for side, taps in zip(x.shape[1:3], kernel.shape)]


def _summed(padded: Array, kernel: Array, stride: int) -> Array:
    rows = _shifted(padded, kernel.shape, stride)
    products = [part * kernel[i, j] for i, row in enumerate(rows) for j, part in enumerate(row)]
    return sum(products[1:], products[0])


def _shifted(padded: Array, shape: tuple[int, ...], stride: int) -> list[list[Array]]:
    """What each tap of a kernel reads, by its row and column."""
    below, right = (side - taps + 1 for side, taps in zip(padded.shape[1:3], shape))
    return [
        [padded[:, i : i + below : stride, j : j + right : stride] for j in range(shape[1])] for i in range(shape[0])
    ]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def trained_depthwise(x: Image, kernel: Float[Array, "row column channel"], stride: int = 1) -> Image:
    """`depthwise` with gradients that are as fast as itself on a CPU (`benchmarks/lowering.py`).

    Those that JAX derives of the sum keep a copy of x for every tap, add up as many padded arrays, and read x and the
    gradient once a tap.
    """
    return depthwise(x, kernel, stride)


def _depthwise_forward(x: Array, kernel: Array, stride: int) -> tuple[Array, tuple[Array, Array]]:
    return depthwise(x, kernel, stride), (x, kernel)


def _depthwise_backward(stride: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    if jax.default_backend() != "cpu":
        return jax.vjp(partial(depthwise, stride=stride), x, kernel)[1](gradient)
    # Else whatever made the gradient would be computed again in every sum below.
    gradient = finished(gradient)
    # For x: the gradient, spread to where it came from, convolved by the reversed kernel.
    edges = [
        (taps - 1 - before, side + before - stride * (outputs - 1) - 1, stride - 1)
        for (before, _), taps, side, outputs in zip(
            _depthwise_padding(x, kernel, stride), kernel.shape, x.shape[1:3], gradient.shape[1:3]
        )
    ]
    spread = finished(lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), *edges, (0, 0, 0)]))
    return _summed(spread, kernel[::-1, ::-1], 1), _kernel_gradient(x, kernel, stride, gradient)


def _kernel_gradient(x: Array, kernel: Array, stride: int, gradient: Array) -> Array:
    """For each tap the sum over all pixels of what it reads times the gradient.

    The taps of a row together, see `sums_of_products`.
    """
    batch, height, width, channels = gradient.shape
    together, surplus = unrolled(height)
    (top, bottom), columns = _depthwise_padding(x, kernel, stride)
    padded = finished(jnp.pad(x, ((0, 0), (top, bottom + stride * surplus), columns, (0, 0))))
    given = jnp.pad(gradient, ((0, 0), (0, surplus), (0, 0), (0, 0)))
    given = given.reshape(batch, -1, together, width, channels)
    sums = []
    for row in _shifted(padded, kernel.shape, stride):
        sums += sums_of_products([part.reshape(given.shape) for part in row], given)
    return jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)


trained_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


Padding = tuple[tuple[int, int], ...]
"""Zeros before and after each axis."""


def spatial(
    x: Float[Array, "batch *axes in"],
    kernel: Float[Array, "*taps in out"],
    strides: tuple[int, ...],
    dilation: int,
    padding: Padding,
) -> Float[Array, "batch *outputs out"]:
    """XLA's convolution over rows and columns, or over time, rows and columns.

    Args:
        x: activations.
        kernel: of any size.
        strides: pixels between outputs, for each axis.
        dilation: pixels between taps.
        padding: of each axis.
    """
    return _convolution(x, kernel, strides, (dilation,) * len(strides), padding)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def trained_spatial(x: Array, kernel: Array, strides: tuple[int, ...], dilation: int, padding: Padding) -> Array:
    """`spatial` with gradients that stay fast inside of loops; see `conv.temporal_convolution` for why."""
    return spatial(x, kernel, strides, dilation, padding)


def _convolution(x: Array, kernel: Array, strides: Sequence[int], dilation: Sequence[int], padding: Any) -> Array:
    axes = "DHW"[3 - len(strides) :]
    order = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return lax.conv_general_dilated(x, kernel, strides, padding, rhs_dilation=dilation, dimension_numbers=order)


def _forward(x: Array, kernel: Array, *static: Any) -> tuple[Array, tuple[Array, Array]]:
    return spatial(x, kernel, *static), (x, kernel)


def _backward(
    strides: tuple[int, ...], dilation: int, padding: Padding, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    for_x, for_kernel = [], []
    for inputs, outputs, taps, stride, (before, after) in zip(
        x.shape[1:], gradient.shape[1:], kernel.shape, strides, padding
    ):
        reach, last = dilation * (taps - 1), stride * (outputs - 1)
        # What of the padded input no output reads; below 0 where padding is left out instead.
        unread = inputs + before + after - (last + reach + 1)
        for_x.append((reach - before, reach - after + unread, stride - 1))
        for_kernel.append((before, after - unread))
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), *for_x, (0, 0, 0)])
    reverse = jnp.flip(kernel, tuple(range(len(strides)))).swapaxes(-1, -2)
    ones, none = (1,) * len(strides), ((0, 0),) * len(strides)
    # Channels of x as pictures, pictures as channels, the gradient as the kernel.
    pictures_last = (*range(1, gradient.ndim - 1), 0, gradient.ndim - 1)
    taps_first = (*range(1, x.ndim - 1), 0, x.ndim - 1)
    rows = _convolution(
        x.swapaxes(0, -1), gradient.transpose(pictures_last), (dilation,) * len(strides), strides, for_kernel
    )
    return spatial(spread, reverse, ones, dilation, none), rows.transpose(taps_first)


trained_spatial.defvjp(_forward, _backward)


def double(x: Image, count_shape: bool = True) -> Image:
    """Twice the height and width by the fixed bilinear kernel of the released files; zero beyond the border.

    A transposed 4x4 convolution with `outer(v, v)`, `v = (1/4, 3/4, 3/4, 1/4)`, channel by channel, written as sums.
    The papers store and count it as a dense one with bias.

    Args:
        x: maps.
        count_shape: count the two products of shapes that the published tool saw in most networks.
    """
    channels = x.shape[-1]
    counting.record("upscaling", 2 * 16 * x.size * channels)
    counting.record("depthwise upscaling", 2 * 16 * x.size)
    counting.record("bias", 4 * x.size)
    counting.record("shape", 2 * count_shape)
    counting.record("fixed values", 16 * channels**2 + channels)
    for axis in (1, 2):
        before = [(0, 0)] * 4
        before[axis] = (1, 1)
        padded = jnp.pad(x, before)
        size = x.shape[axis]
        previous, following = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in (0, 2))
        pair = jnp.stack([0.75 * x + 0.25 * previous, 0.75 * x + 0.25 * following], axis + 1)
        x = pair.reshape(*x.shape[:axis], 2 * size, *x.shape[axis + 1 :])
    return x


class ImageConv(nn.Module):
    """Convolution with an optional norm behind it.

    Variables: `params` kernel `[row, column, in, out]` (depthwise `[row, column, channel]`), bias `[out]`, and those of
    the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        taps: rows and columns of the kernel.
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
    taps: int = 1
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
        shape: tuple[int, ...] = (self.taps, self.taps, self.features)
        self.kernel = parameter(
            self,
            "kernel",
            self.initializer,
            shape if self.depthwise else (*shape[:2], self.inputs, self.features),
        )
        if self.use_bias:
            self.bias = parameter(self, "bias", nn.initializers.zeros, (self.features,))
        if self.norm:
            self.batch_norm = Norm((self.features,), epsilon=self.epsilon, momentum=1 - self.momentum, name="norm")

    def __call__(self, x: Image, train: bool) -> Image:
        """Convolve and normalize; in training mode with gradients that are fast inside of loops."""
        kernel = self.kernel
        bias = self.bias if self.use_bias else None
        if self.norm and not train:
            multiplier, offset = self.batch_norm.affine()
            kernel, bias = kernel * multiplier, offset if bias is None else bias * multiplier + offset
        if self.depthwise:
            y = (trained_depthwise if train else depthwise)(x, kernel, self.stride)
        elif self.taps == 1:
            y = pointwise(x[:, :: self.stride, :: self.stride], kernel[0, 0])
        else:
            reach = self.dilation * (self.taps - 1) + 1
            rows, columns = (
                same_padding(side, reach, self.stride) if self.padding is None else (self.padding, self.padding)
                for side in x.shape[1:3]
            )
            y = (trained_spatial if train else spatial)(
                x, kernel, (self.stride, self.stride), self.dilation, (rows, columns)
            )
        # The published tool computes a dilated convolution on a map whose sides are multiples of the dilation.
        height, width = (-(-side // self.dilation) * self.dilation for side in y.shape[1:3])
        inputs = 1 if self.depthwise else self.inputs
        counting.record("convolution", y.shape[0] * height * width * self.features * self.taps**2 * inputs)
        if self.use_bias:
            counting.record("bias", y.size)
        y = y if bias is None else y + bias
        return self.batch_norm(y, train) if self.norm and train else y


class SqueezeExcite(nn.Module):
    """Channel weights from the mean over the picture: pointwise, activation, pointwise, sigmoid; both with bias.

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
        counting.record("pooling", x.size)
        counting.record("multiplication", x.size)
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
        taps: of the depthwise convolution.
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
    taps: int
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
        conv = ImageConv(self.expanded, self.expanded, self.taps, self.stride, True, **given, name="depthwise")
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
        self.bias = parameter(self, "bias", nn.initializers.zeros, (self.features,))
        self.batch_norm = Norm((self.features,), epsilon=1e-3, momentum=0.01, name="norm")

    def __call__(self, x: Image, train: bool) -> Image:
        """Convolve and normalize."""
        counting.record("convolution", x.size * 16 * self.features)
        counting.record("shape", 2)
        counting.record("bias", 4 * x.shape[0] * x.shape[1] * x.shape[2] * self.features)
        kernel, bias = self.kernel, self.bias
        if not train:
            multiplier, offset = self.batch_norm.affine()
            kernel, bias = kernel * multiplier, bias * multiplier + offset
        y = transposed(x, kernel, train) + bias
        return self.batch_norm(y, train) if train else y


def transposed(x: Image, kernel: Float[Array, "4 4 in out"], train: bool = False) -> Image:
    """Transposed 4x4 convolution of stride 2, "same": one row and column of the full result are cut off on every side.

    Written as one 2x2 convolution for the four places of an output between the inputs; backends have no fast kernel for
    inputs with zeros between them.
    """
    batch, height, width, _ = x.shape
    # An even output reads the input before it by tap 3 and its own by tap 1; an odd one its own by 2, the next by 0.
    taps = jnp.array([[3, 1], [2, 0]])
    phases = kernel[taps[:, :, None, None], taps[None, None]]  # [row phase, row tap, column phase, column tap, in, out]
    phases = phases.transpose(1, 3, 4, 0, 2, 5).reshape(2, 2, kernel.shape[2], -1)
    y = (trained_spatial if train else spatial)(x, phases, (1, 1), 1, ((1, 1), (1, 1)))
    y = y.reshape(batch, height + 1, width + 1, 2, 2, -1)
    rows = [
        jnp.stack([y[:, i : i + height, j : j + width, i, j] for j in (0, 1)], 3)  # [batch, height, width, 2, out]
        for i in (0, 1)
    ]
    return jnp.stack(rows, 2).reshape(batch, 2 * height, 2 * width, -1)
