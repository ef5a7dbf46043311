"""Convolutions over time with their batch norm, in the layout `[joint, batch, time, channel]`.

In this layout a temporal convolution is a plain 1-D convolution over `[joint * batch, time, channel]`, a pointwise
convolution is one matrix product, and a graph convolution multiplies the adjacency from the left: no transposition
anywhere inside a network. On XLA's CPU backend that is worth a factor of two to three against
`[batch, time, joint, channel]` (`benchmarks/lowering.py`).

In evaluation mode a convolution and its norm are one affine map, and affine maps with no nonlinearity between them are
composed before they meet the data: see `Affine`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import combinations
from math import prod
from typing import Any, Literal, NamedTuple

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from infantjax.cache import loops_are_short
from infantjax.nn import flops as counting
from infantjax.nn.initializers import HeNormalFanOut, UniformFanIn, parameter

Lowering = Literal["convolution", "matmul"]

LOWERINGS: dict[str, Lowering] = {"cpu": "convolution", "gpu": "matmul", "tpu": "convolution"}
"""How a temporal convolution is lowered on each backend.

`convolution` is XLA's own; `matmul` gathers the taps along the channel axis and multiplies once, which stays a batched
matrix product under `vmap` over parameter sets where a convolution turns into a grouped one. The CPU choice is
measured (`benchmarks/lowering.py`); those for GPU and TPU are derived from how their libraries treat grouped
convolutions and were not measured.
"""

_lowering: ContextVar[Lowering | None] = ContextVar("lowering", default=None)


class use_lowering:
    """Trace networks inside the block with this lowering instead of the backend's own.

    With `convolution` depthwise convolutions of pictures are grouped convolutions too.
    """

    def __init__(self, lowering: Lowering) -> None:
        self._choice = lowering

    def __enter__(self) -> None:
        self._token = _lowering.set(self._choice)

    def __exit__(self, *_: object) -> None:
        _lowering.reset(self._token)


def asked_lowering() -> Lowering | None:
    """What `use_lowering` asks for; None outside of its blocks."""
    return _lowering.get()


class Affine(NamedTuple):
    """A convolution over time as data: `kernel [tap, in, out]`, `bias [out]`; taps are centered and one frame apart."""

    kernel: Float[Array, "tap in out"]
    bias: Float[Array, " out"]

    def __call__(
        self, x: Float[Array, "joint batch time in"], stride: int = 1, dilation: int = 1
    ) -> Float[Array, "joint batch time_out out"]:
        """Apply the map with zero padding of half a kernel at both ends."""
        return temporal_convolution(x, self.kernel, stride, dilation) + finished(self.bias)

    def then(self, following: "Affine") -> "Affine":
        """This map followed by a pointwise one."""
        weights = following.kernel[0]
        return Affine(self.kernel @ weights, self.bias @ weights + following.bias)


def finished(arrays: Any) -> Any:
    """The same arrays, written to memory before anything reads them: a border for XLA's fusion.

    Fusing is right almost everywhere, but on a CPU it is slow to repeat the dozen operations that a norm's offset comes
    from for every activation, or to compute an activation inside a reshape, padding or concatenation, whose loops are
    not vectorized. Holds where the program is compiled with `runtime.COMPILER_OPTIONS`; on other backends it is no
    border.
    """
    return lax.optimization_barrier(arrays) if jax.default_backend() == "cpu" else arrays


def read_twice(x: Array, train: bool) -> Array:
    """What a convolution over time reads, finished in training mode.

    The gradient of its kernel reads it again, transposed; XLA would compute the norm and the activation that x came
    from once more inside of the transposition, where that is five times as slow.
    """
    return finished(x) if train else x


def side_by_side(
    maps: list[Affine], x: Float[Array, "joint batch time in"]
) -> list[Float[Array, "joint batch time out"]]:
    """Pointwise maps of the same activations, computed as one product."""
    y = pointwise(x, jnp.concatenate([m.kernel[0] for m in maps], -1))
    ends = np.cumsum([m.bias.size for m in maps])
    return [y[..., end - m.bias.size : end] + finished(m.bias) for m, end in zip(maps, ends)]


def temporal_convolution(
    x: Float[Array, "joint batch time in"], kernel: Float[Array, "tap in out"], stride: int = 1, dilation: int = 1
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time with zero padding, `time_out = (time - 1) // stride + 1`.

    Args:
        x: activations.
        kernel: an odd number of taps.
        stride: frames between outputs.
        dilation: frames between taps.
    """
    taps = len(kernel)
    if taps == 1:
        return pointwise(x[:, :, ::stride], kernel[0])
    flat, margin = _rows(x), dilation * (taps // 2)
    if _is_convolution():
        y = _convolution(flat, kernel, stride, dilation, margin)
    else:
        y = _gathered(flat, kernel, range(-margin, margin + 1, dilation), stride)
    return y.reshape(*x.shape[:2], *y.shape[1:])


def scattered_convolution(
    x: Float[Array, "joint batch time in"], taps: Mapping[int, Float[Array, "in out"]], stride: int = 1
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time whose taps stand at any frames: several convolutions of different dilations at once.

    Args:
        x: activations; zero outside of the recording.
        taps: kernels by the frame that they read, counted from the output's.
        stride: frames between outputs.
    """
    flat, zero = _rows(x), jnp.zeros_like(next(iter(taps.values())))

    def kernel(offsets: Iterable[int]) -> Array:
        return jnp.stack([taps.get(i, zero) for i in offsets])

    if _is_convolution():
        split = runs(taps, _OVERHEAD / x.shape[-1])
        parts = [_convolution(flat, kernel(run), stride, run.step, -run.start) for run in split]
        y = sum(parts[1:], parts[0])
    else:
        y = _gathered(flat, kernel(sorted(taps)), sorted(taps), stride)
    return y.reshape(*x.shape[:2], *y.shape[1:])


def valid_convolution(
    x: Float[Array, "joint batch time in"], kernel: Float[Array, "tap in out"], dilation: int = 1
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time without padding, for many channels: `time_out = time - dilation * (tap - 1)`.

    On a CPU it multiplies less than the definition wherever whole pairs of output frames allow that.

    Args:
        x: activations, at least `dilation * (tap - 1) + 1` frames.
        kernel: any number of taps.
        dilation: frames between taps.
    """
    taps = len(kernel)
    outputs = x.shape[2] - dilation * (taps - 1)
    pairs = -(-outputs // (2 * dilation)) * dilation
    if jax.default_backend() == "cpu" and pairs * (4 * (taps // 3) + 2 * (taps % 3)) < outputs * taps:
        return _in_pairs(x, kernel, dilation)[:, :, :outputs]
    read = [x[:, :, tap * dilation :][:, :, :outputs] for tap in range(taps)]
    return pointwise(jnp.concatenate(read, -1), kernel.reshape(-1, kernel.shape[-1]))


def _in_pairs(x: Array, kernel: Array, dilation: int) -> Array:
    """`valid_convolution` for pairs of output frames: four products for every three taps in place of six.

    Of four frames a dilation apart, `d0` to `d3`, and taps `g0` to `g2`

        y0 = d0 g0 + d1 g1 + d2 g2 = (d0 - d2) g0 + m + n
        y1 = d1 g0 + d2 g1 + d3 g2 = (d3 - d1) g2 + m - n
        m = (d1 + d2) (g0 + g1 + g2) / 2,  n = (d2 - d1) (g0 - g1 + g2) / 2

    (Winograd 1980), and so for the next three taps and frames; one or two that are left are multiplied as they are.
    Channels are so many that the sums cost little beside the products. Pairs are filled up with zeros.
    """
    taps, channels = len(kernel), x.shape[-1]
    blocks = -(-(x.shape[2] - dilation * (taps - 1)) // (2 * dilation))
    held = 2 * dilation * (blocks + taps // 2)
    x = jnp.pad(x, ((0, 0), (0, 0), (0, held - x.shape[2]), (0, 0)))
    x = x.reshape(*x.shape[:2], -1, 2, dilation, channels)

    def read(tap: int) -> Array:
        return x[:, :, tap // 2 :, tap % 2][:, :, :blocks]

    first, second, m, n = [], [], [], []
    in_threes = taps // 3 * 3
    for tap in range(0, in_threes, 3):
        d0, d1, d2, d3 = (read(tap + i) for i in range(4))
        outer = (kernel[tap] + kernel[tap + 2]) / 2
        first.append(pointwise(d0 - d2, kernel[tap]))
        second.append(pointwise(d3 - d1, kernel[tap + 2]))
        m.append(pointwise(d1 + d2, outer + kernel[tap + 1] / 2))
        n.append(pointwise(d2 - d1, outer - kernel[tap + 1] / 2))
    for tap in range(in_threes, taps):
        first.append(pointwise(read(tap), kernel[tap]))
        second.append(pointwise(read(tap + 1), kernel[tap]))
    y = jnp.stack([sum(first + m + n), sum(second + m) - sum(n)], axis=3)
    return y.reshape(*y.shape[:2], -1, kernel.shape[-1])


_OVERHEAD = 24
"""Cost of a pass over a convolution's output on a CPU, in taps and input channels; measured."""


def _is_convolution() -> bool:
    return (asked_lowering() or LOWERINGS.get(jax.default_backend(), "convolution")) == "convolution"


def _rows(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _gathered(x: Array, kernel: Array, offsets: Sequence[int], stride: int) -> Array:
    """A convolution as one matrix product of the gathered frames."""
    return pointwise(jnp.concatenate(_shifted(x, offsets, stride), -1), kernel.reshape(-1, kernel.shape[-1]))


def runs(offsets: Iterable[int], overhead: float) -> list[range]:
    """Equally spaced runs that together hold the offsets: each is one convolution.

    Apart, the taps of several dilations are fewer than those of a dense kernel over their span, but every further
    convolution costs a pass over its output. The cheaper of the two is chosen.

    Args:
        offsets: frames that taps read; a frame may be in no run but one, runs may hold further frames.
        overhead: cost of a run, in taps.
    """
    left = sorted(offsets)
    dense, split = range(left[0], left[-1] + 1), []
    while left:
        spacings = {b - a for a, b in combinations(left, 2)} or {1}
        candidates = [_from(start, step, set(left)) for step in sorted(spacings) for start in left]
        longest = max(candidates, key=len)
        split.append(longest)
        left = [i for i in left if i not in longest]
    return split if sum(map(len, split)) + overhead * (len(split) - 1) < len(dense) else [dense]


def _from(start: int, step: int, offsets: set[int]) -> range:
    stop = start
    while stop in offsets:
        stop += step
    return range(start, stop, step)


def pointwise(x: Float[Array, "*axes in"], kernel: Float[Array, "in out"]) -> Float[Array, "*axes out"]:
    """One matrix product over the channels.

    The leading axes are flattened first: XLA's gradient of a product with several of them is up to four times slower.
    A product over one or two channels keeps no unit busy and is written out, to be fused with what follows.
    """
    if kernel.shape[0] <= 2:
        return sum((x[..., i : i + 1] * kernel[i] for i in range(1, kernel.shape[0])), x[..., :1] * kernel[0])
    outputs, rows = kernel.shape[-1], x.reshape(-1, x.shape[-1])
    # An exported program may leave the number of rows open.
    many = not isinstance(rows.shape[0], int) or rows.shape[0] >= _MANY_ROWS
    if jax.default_backend() == "cpu" and many:
        # The backend takes almost twice as long for ten or twelve columns as for sixteen; multiples of eight are fast,
        # and what is four above a multiple of sixteen is nearly so.
        surplus = next(n for n in range(16) if (outputs + n) % 8 == 0 or ((outputs + n) % 16 == 4 and outputs > 8))
        kernel = jnp.pad(kernel, ((0, 0), (0, surplus))) if surplus else kernel
    return (rows @ kernel)[:, :outputs].reshape(*x.shape[:-1], outputs)


_MANY_ROWS = 256


_FAST_OUTPUTS = 20


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolution(x: Array, kernel: Array, stride: int, dilation: int, before: int) -> Array:
    """XLA's convolution of `x [row, time, in]` by `kernel [tap, in, out]`, with gradients that stay fast in a loop.

    The first tap reads `before` frames before the output's; there are `(time - 1) // stride + 1` outputs.

    XLA's CPU backend brings convolutions into the order of axes that its fast kernels know only outside of loops. The
    gradients that JAX derives have another order, so in an epoch (`lax.scan`) or over runs (`lax.map`) they would fall
    to a naive loop nest, 20 to 100 times slower. Here they are written as convolutions in that order.
    """
    outputs = kernel.shape[-1]
    # Two spatial axes of which one has length 1, and more than 16 output channels: this form reaches the fastest of the
    # backend's kernels, which takes half of the time or less even where half of the channels are zeros.
    if jax.default_backend() == "cpu" and outputs < _FAST_OUTPUTS:
        kernel = jnp.pad(kernel, ((0, 0), (0, 0), (0, _FAST_OUTPUTS - outputs)))
    y = lax.conv_general_dilated(
        x[:, None],
        kernel[None],
        (1, stride),
        [(0, 0), (before, dilation * (kernel.shape[0] - 1) - before)],
        rhs_dilation=(1, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return y[:, 0, :, :outputs]


def _convolution_forward(
    x: Array, kernel: Array, stride: int, dilation: int, before: int
) -> tuple[Array, tuple[Array, Array]]:
    return _convolution(x, kernel, stride, dilation, before), (x, kernel)


def _convolution_backward(
    stride: int, dilation: int, before: int, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    gradient = finished(gradient)
    frames, outputs, taps = x.shape[1], gradient.shape[1], kernel.shape[0]
    after = dilation * (taps - 1) - before
    # For x: the gradient, spread to the frames it came from, convolved by the reversed kernel.
    end = frames - 1 - stride * (outputs - 1)
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), (0, end, stride - 1), (0, 0, 0)])
    for_x = _convolution(spread, kernel[::-1].transpose(0, 2, 1), 1, dilation, after)
    # For the kernel: channels of x as rows, rows as channels, the gradient as the kernel.
    surplus = dilation * (taps - 1) + stride * (outputs - 1) + 1 - (frames + before + after)
    for_kernel = lax.conv_general_dilated(
        x.transpose(2, 1, 0),
        gradient.transpose(1, 0, 2),
        (dilation,),
        [(before, after + surplus)],
        rhs_dilation=(stride,),
        dimension_numbers=("NWC", "WIO", "NWC"),
    )
    return for_x, for_kernel.transpose(1, 0, 2)


_convolution.defvjp(_convolution_forward, _convolution_backward)


def depthwise_temporal_convolution(
    x: Float[Array, "joint batch time channel"], kernel: Float[Array, "tap channel"], stride: int = 1, dilation: int = 1
) -> Float[Array, "joint batch time_out channel"]:
    """Depthwise convolution over time as a sum of shifted products.

    A grouped convolution is 30 to 100 times slower on XLA's CPU backend; the sum fuses into one loop everywhere.
    """
    y = _depthwise(_rows(x), kernel, stride, dilation)
    return y.reshape(*x.shape[:2], *y.shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _depthwise(x: Array, kernel: Array, stride: int, dilation: int) -> Array:
    """The sum for `x [row, time, channel]`, with gradients that stay fast on a CPU.

    Those that JAX derives add up a padded array a tap, and read x and the gradient once a tap: nine times as long.
    """
    return _weighted(_shifted(x, _offsets(kernel, dilation), stride), kernel)


def _depthwise_forward(x: Array, kernel: Array, stride: int, dilation: int) -> tuple[Array, tuple[Array, Array]]:
    return _depthwise(x, kernel, stride, dilation), (x, kernel)


def _depthwise_backward(stride: int, dilation: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    offsets, frames = _offsets(kernel, dilation), x.shape[1]
    if jax.default_backend() != "cpu":
        return jax.vjp(lambda x, kernel: _weighted(_shifted(x, offsets, stride), kernel), x, kernel)[1](gradient)
    # For x: the gradient, spread to the frames it came from, convolved by the reversed kernel.
    gradient = finished(gradient)
    end = frames - 1 - stride * (gradient.shape[1] - 1)
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), (0, end, stride - 1), (0, 0, 0)])
    for_x = _weighted(_shifted(spread, offsets, 1), kernel[::-1])
    # For the kernel: what each tap reads times the gradient, summed.
    together, surplus = unrolled(len(x))
    rows = ((0, surplus), (0, 0), (0, 0))
    shape = (-1, together, *gradient.shape[1:])
    read = [part.reshape(shape) for part in _shifted(jnp.pad(x, rows), offsets, stride)]
    sums = sums_of_products(read, jnp.pad(gradient, rows).reshape(shape))
    return for_x, jnp.stack(sums).astype(kernel.dtype)


_depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def _offsets(kernel: Array, dilation: int) -> range:
    margin = dilation * (len(kernel) // 2)
    return range(-margin, margin + 1, dilation)


def _weighted(parts: list[Array], weights: Array) -> Array:
    return sum(part * weight for part, weight in zip(parts[1:], weights[1:])) + parts[0] * weights[0]


def unrolled(rows: int) -> tuple[int, int]:
    """How many rows to sum at a time (see `sums_of_products`), and how many are missing for a multiple of that."""
    sizes = _UNROLLED_IN_SHORT_LOOPS if loops_are_short() else _UNROLLED
    together = next((n for n in sizes if rows % n == 0), sizes[0])
    return together, -rows % together


_UNROLLED = (8, 7, 6, 5, 4)
_UNROLLED_IN_SHORT_LOOPS = (4, 7, 6, 5)
"""Rows at a time, the best first. Four are up to a sixth slower than eight, but LLVM unrolls no more in a training that
is compiled with short loops, and there eight take twice as long."""


def sums_of_products(
    parts: Sequence[Float[Array, "*outer together column channel"]],
    gradient: Float[Array, "*outer together column channel"],
) -> list[Float[Array, " channel"]]:
    """For each part the sum of its products with the gradient: the gradient of a depthwise kernel, a part for a tap."""
    # Sums over a batch of pictures lose too much in bfloat16.
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    return sums_at_once([part * gradient for part in parts])


def sums_at_once(values: Sequence[Float[Array, "*outer together column channel"]]) -> list[Float[Array, " channel"]]:
    """The sum of each array over all axes but the last, in one loop.

    All are summed by one reduction of several operands over a few rows. XLA's CPU backend makes one loop of it, which
    reads what the values are computed from once for all, and is vectorized as long as the rows can be unrolled
    (`unrolled`). A reduction for each is three times slower, and so is one over sixteen.
    """
    zeros = [jnp.zeros((), values[0].dtype)] * len(values)
    axis = values[0].ndim - 3
    summed = lax.reduce(list(values), zeros, _add_each, (axis,))
    return [part.sum(tuple(range(axis + 1))) for part in summed]


def _add_each(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
    return [x + y for x, y in zip(a, b)]


def _shifted(x: jax.Array, offsets: Sequence[int], stride: int) -> list[jax.Array]:
    before, after = max(0, -offsets[0]), max(0, offsets[-1])
    frames = x.shape[1]
    # Else XLA fuses whatever made x (a Swish, say) into the padding, where it is slow, or into every shifted read.
    padded = finished(jnp.pad(finished(x), ((0, 0), (before, after), (0, 0))))
    return [padded[:, before + i : before + i + frames : stride] for i in offsets]


class Norm(nn.Module):
    """Batch normalization with the running statistics of the published framework.

    Training mode normalizes by the biased variance of the batch; the running variance follows the unbiased one:
    `running = 0.9 * running + 0.1 * batch`, variance times n / (n - 1), or the biased one itself.

    Variables: `params` scale and bias; `batch_stats` mean and var, changed by training mode only.

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
        self.scale = parameter(self, "scale", nn.initializers.ones, self.shape)
        self.bias = parameter(self, "bias", nn.initializers.zeros, self.shape)
        self.mean = self.variable("batch_stats", "mean", jnp.zeros, self.shape)
        self.var = self.variable("batch_stats", "var", jnp.ones, self.shape)
        for name, found in (("mean", self.mean.value.shape), ("var", self.var.value.shape)):
            if found != self.shape:
                raise flax.errors.ScopeParamShapeError(name, "/".join(self.path), found, self.shape)

    def affine(self) -> tuple[Array, Array]:
        """Multiplier and offset of evaluation mode."""
        multiplier = self.scale * lax.rsqrt(self.var.value + self.epsilon)
        return finished((multiplier, self.bias - self.mean.value * multiplier))

    def __call__(self, x: Array, train: bool, shift: Array | None = None) -> Array:
        """Normalize; in training mode by the statistics of `x`, updating the running ones.

        Args:
            x: activations.
            train: normalize by the batch.
            shift: what is still to be added to x. The mean of a batch takes it away again: in training mode it moves
                the running mean and nothing else, its gradient is zero, and no pass over x is spent on either.
        """
        counting.record("norm", x.size)
        if not train:
            multiplier, offset = self.affine()
            return (x if shift is None else x + shift) * multiplier + offset
        # Sums over a batch of pictures lose too much in bfloat16.
        y, mean, var = _normalized(x.astype(self.mean.value.dtype), self.scale, self.bias, self.axes, self.epsilon)
        if not self.is_initializing():
            count = x.size // mean.size
            keep = 1.0 - self.momentum
            mean = mean if shift is None else mean + shift
            self.mean.value = keep * self.mean.value + self.momentum * mean
            seen = var * (count / max(count - 1, 1)) if self.unbiased else var
            self.var.value = keep * self.var.value + self.momentum * seen
        return y.astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _normalized(
    x: Array, scale: Array, bias: Array, axes: tuple[int, ...], epsilon: float
) -> tuple[Array, Array, Array]:
    """Normalized by the statistics of the batch; mean and biased variance, through which no gradient flows.

    Forwards and backwards take one pass for two sums and one for the result, as many as can be: activations of a batch
    fit in no cache, so passes are what a norm costs. The variance is that of the distances to a value near the mean.
    """
    return _normalized_forward(x, scale, bias, axes, epsilon)[0]


def _normalized_forward(
    x: Array, scale: Array, bias: Array, axes: tuple[int, ...], epsilon: float
) -> tuple[tuple[Array, Array, Array], tuple[Array, ...]]:
    first, *others = axes
    middle = tuple(x.shape[axis] // 2 if axis in others else slice(None) for axis in range(x.ndim))
    near = x[middle].mean(first).reshape(scale.shape)
    distance, count = x - near, x.size // scale.size
    total, squares = _two_sums(distance, distance, axes, scale.shape)
    mean, var = near + total / count, jnp.maximum(squares / count - jnp.square(total / count), 0)
    factor = lax.rsqrt(var + epsilon)
    return ((x - mean) * (factor * scale) + bias, mean, var), (x, mean, factor, scale)


def _normalized_backward(
    axes: tuple[int, ...], epsilon: float, saved: tuple[Array, ...], gradients: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    (x, mean, factor, scale), gradient = saved, gradients[0]
    centered, count = x - mean, x.size // mean.size
    for_bias, products = _two_sums(gradient, centered, axes, scale.shape)
    for_scale = products * factor
    for_x = (gradient - for_bias / count - centered * (for_scale * factor / count)) * (factor * scale)
    return for_x, for_scale, for_bias


def _two_sums(a: Array, b: Array, axes: tuple[int, ...], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Sums of `a` and of `a * b` over some axes, brought into a shape."""
    rows = prod(a.shape[:-2])
    together, surplus = unrolled(rows)
    if jax.default_backend() == "cpu" and axes == tuple(range(a.ndim - 1)) and a.ndim > 2 and not surplus:
        total, products = sums_at_once([v.reshape(-1, together, *v.shape[-2:]) for v in (a, a * b)])
    else:
        total, products = a.sum(axes), (a * b).sum(axes)
    return total.reshape(shape), products.reshape(shape)


_normalized.defvjp(_normalized_forward, _normalized_backward)


class Conv(nn.Module):
    """Convolution over time, pointwise by default, with an optional norm behind it.

    Variables: `params` kernel `[tap, in, out]`, bias `[out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        taps: kernel length, odd.
        stride: frames between outputs.
        dilation: frames between taps.
        gain: gain of the initializer.
        use_bias: whether the convolution has a bias of its own.
        norm: whether a `Norm` follows.
    """

    inputs: int
    features: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    gain: float = 1.0
    use_bias: bool = True
    norm: bool = True

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.taps, self.inputs, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(self.gain, (2,), (0,)), shape)
        if self.use_bias:
            self.bias = parameter(self, "bias", UniformFanIn(self.inputs * self.taps), (self.features,))
        if self.norm:
            self.batch_norm = Norm((self.features,), name="norm")

    def affine(self) -> Affine:
        """The convolution with its norm in evaluation mode, as data; its taps are meant `dilation` frames apart."""
        bias = self.bias if self.use_bias else jnp.zeros((self.features,), self.kernel.dtype)
        if not self.norm:
            return Affine(self.kernel, bias)
        multiplier, offset = self.batch_norm.affine()
        return Affine(self.kernel * multiplier, bias * multiplier + offset)

    def __call__(self, x: Float[Array, "joint batch time in"], train: bool) -> Float[Array, "joint batch time_out out"]:
        """Convolve and normalize."""
        if not train:
            return self.affine()(x, self.stride, self.dilation)
        y = temporal_convolution(x, self.kernel, self.stride, self.dilation)
        counting.record("convolution", y.size * self.inputs * self.taps)
        bias = self.bias if self.use_bias else None
        if self.norm:
            return self.batch_norm(y, train, bias)
        return y if bias is None else y + bias


class Dense(nn.Module):
    """A linear layer over the channels.

    Variables: `params` kernel `[in, out]`, bias `[out]`.

    Attributes:
        inputs: input channels.
        features: output channels.
        initializer: of the kernel.
        bias_begin: where biases begin.
    """

    inputs: int
    features: int
    initializer: Callable[..., Array]
    bias_begin: float = 0.0

    def setup(self) -> None:
        """Declare the variables."""
        self.kernel = parameter(self, "kernel", self.initializer, (self.inputs, self.features))
        self.bias = parameter(self, "bias", nn.initializers.constant(self.bias_begin), (self.features,))

    def __call__(self, x: Float[Array, "*axes in"]) -> Float[Array, "*axes out"]:
        """Multiply and add."""
        y = pointwise(x, self.kernel) + self.bias
        counting.record("linear", y.size * self.inputs)
        return y


class DepthwiseConv(nn.Module):
    """Depthwise convolution over time with its norm and no bias of its own.

    Variables: `params` kernel `[tap, channel]` and those of the norm.
    """

    features: int
    taps: int
    stride: int = 1
    dilation: int = 1
    gain: float = 1.0

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.taps, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(self.gain, (1,), (0,)), shape)
        self.batch_norm = Norm((self.features,), name="norm")

    def __call__(
        self, x: Float[Array, "joint batch time channel"], train: bool
    ) -> Float[Array, "joint batch time_out channel"]:
        """Convolve and normalize."""
        if not train:
            multiplier, offset = self.batch_norm.affine()
            return depthwise_temporal_convolution(x, self.kernel * multiplier, self.stride, self.dilation) + offset
        y = depthwise_temporal_convolution(x, self.kernel, self.stride, self.dilation)
        counting.record("convolution", y.size * self.taps)
        return self.batch_norm(y, train)
