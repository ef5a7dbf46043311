"""Depthwise convolutions as sums of shifted products, with gradients as fast as themselves.

A grouped convolution is 30 to 100 times slower on XLA's CPU backend. The gradients that JAX derives of the sum keep a
copy of the input for every tap, add up as many padded arrays, and read input and gradient once a tap: nine times as
long as those here. Together they are worth 20 to 40 % of a training step on a CPU.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float

from infantjax.nn.kernels.lowering import on_cpu
from infantjax.nn.kernels.reduction import rows_at_a_time, sums_of_products


def depthwise_temporal_convolution(
    x: Float[Array, "joint batch time channel"], kernel: Float[Array, "tap channel"], stride: int = 1, dilation: int = 1
) -> Float[Array, "joint batch time_out channel"]:
    """Depthwise convolution over time with zero padding, on every backend a sum, which fuses into one loop."""
    rows = rearrange(x, "joint batch time channel -> (joint batch) time channel")
    y = _over_time(rows, kernel, stride, dilation, on_cpu())
    return rearrange(y, "(joint batch) time channel -> joint batch time channel", joint=len(x))


def _shifted(x: Float[Array, "row time channel"], offsets: Sequence[int], stride: int, cpu: bool) -> list[Array]:
    """For each offset the frames that lie so far from the outputs' frames; zeros outside of the recording."""
    before, after, frames = max(0, -offsets[0]), max(0, offsets[-1]), x.shape[1]
    # Else XLA fuses whatever made x (a Swish, say) into the padding, where it is slow, or into every shifted read.
    barrier = lax.optimization_barrier if cpu else lambda x: x
    padded = barrier(jnp.pad(barrier(x), ((0, 0), (before, after), (0, 0))))
    return [padded[:, before + i : before + i + frames : stride] for i in offsets]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _over_time(x: Float[Array, "row time channel"], kernel: Array, stride: int, dilation: int, cpu: bool) -> Array:
    return _weighted(_shifted(x, _offsets(kernel, dilation), stride, cpu), kernel)


def _over_time_forward(
    x: Array, kernel: Array, stride: int, dilation: int, cpu: bool
) -> tuple[Array, tuple[Array, Array]]:
    return _over_time(x, kernel, stride, dilation, cpu), (x, kernel)


def _over_time_backward(
    stride: int, dilation: int, cpu: bool, saved: tuple[Array, Array], gradient: Array
) -> tuple[Array, Array]:
    x, kernel = saved
    offsets, frames = _offsets(kernel, dilation), x.shape[1]
    if not cpu:
        return jax.vjp(lambda x, kernel: _weighted(_shifted(x, offsets, stride, cpu), kernel), x, kernel)[1](gradient)
    # For x: the gradient, spread to the frames it came from, convolved by the reversed kernel.
    gradient = lax.optimization_barrier(gradient)
    end = frames - 1 - stride * (gradient.shape[1] - 1)
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), (0, end, stride - 1), (0, 0, 0)])
    for_x = _weighted(_shifted(spread, offsets, 1, cpu), kernel[::-1])
    # For the kernel: what each tap reads times the gradient, summed.
    together, surplus = rows_at_a_time(len(x))
    filled = [jnp.pad(array, ((0, surplus), (0, 0), (0, 0))) for array in (x, gradient)]
    split = partial(
        rearrange, pattern="(outer together) time channel -> outer together time channel", together=together
    )
    sums = sums_of_products([split(part) for part in _shifted(filled[0], offsets, stride, cpu)], split(filled[1]))
    return for_x, jnp.stack(sums).astype(kernel.dtype)


_over_time.defvjp(_over_time_forward, _over_time_backward)


def _offsets(kernel: Array, dilation: int) -> range:
    margin = dilation * (len(kernel) // 2)
    return range(-margin, margin + 1, dilation)


def _weighted(parts: list[Array], weights: Array) -> Array:
    return sum(part * weight for part, weight in zip(parts[1:], weights[1:])) + parts[0] * weights[0]


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """Zeros before and after one axis for "same" padding of the TensorFlow kind: an odd surplus lies behind."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def depthwise_convolution(
    x: Float[Array, "batch height width channel"], kernel: Float[Array, "row column channel"], stride: int = 1
) -> Float[Array, "batch height_out width_out channel"]:
    """Depthwise convolution of images, "same": on a CPU as a sum, elsewhere as a grouped convolution."""
    return _over_images(x, kernel, stride, on_cpu())


def plain_depthwise_convolution(x: Array, kernel: Array, stride: int, cpu: bool) -> Array:
    """`depthwise_convolution` with the gradients that JAX derives, as a sum or as a grouped convolution."""
    padding = _padding(x, kernel, stride)
    if cpu:
        return _summed(jnp.pad(x, ((0, 0), *padding, (0, 0))), kernel, stride)
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None],
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=kernel.shape[-1],
    )


_over_images = jax.custom_vjp(plain_depthwise_convolution, nondiff_argnums=(2, 3))


def _forward(x: Array, kernel: Array, stride: int, cpu: bool) -> tuple[Array, tuple[Array, Array]]:
    return plain_depthwise_convolution(x, kernel, stride, cpu), (x, kernel)


def _backward(stride: int, cpu: bool, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved
    if not cpu:
        return jax.vjp(partial(plain_depthwise_convolution, stride=stride, cpu=False), x, kernel)[1](gradient)
    # Else whatever made the gradient would be computed again in every sum below.
    gradient = lax.optimization_barrier(gradient)
    # For x: the gradient, spread to where it came from, convolved by the reversed kernel.
    edges = [
        (taps - 1 - before, side + before - stride * (outputs - 1) - 1, stride - 1)
        for (before, _), taps, side, outputs in zip(
            _padding(x, kernel, stride), kernel.shape, x.shape[1:3], gradient.shape[1:3]
        )
    ]
    spread = lax.optimization_barrier(lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), *edges, (0, 0, 0)]))
    return _summed(spread, kernel[::-1, ::-1], 1), _kernel_gradient(x, kernel, stride, gradient)


def _kernel_gradient(x: Array, kernel: Array, stride: int, gradient: Array) -> Array:
    """For each tap the sum over all pixels of what it reads times the gradient; the taps of a row in one loop."""
    together, surplus = rows_at_a_time(gradient.shape[1])
    (top, bottom), columns = _padding(x, kernel, stride)
    padded = lax.optimization_barrier(jnp.pad(x, ((0, 0), (top, bottom + stride * surplus), columns, (0, 0))))
    split = partial(rearrange, pattern="b (outer together) w c -> b outer together w c", together=together)
    filled = split(jnp.pad(gradient, ((0, 0), (0, surplus), (0, 0), (0, 0))))
    sums = []
    for row in shifted_images(padded, kernel.shape, stride):
        sums += sums_of_products([split(part) for part in row], filled)
    return jnp.stack(sums).reshape(kernel.shape).astype(kernel.dtype)


_over_images.defvjp(_forward, _backward)


def _padding(x: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    return [same_padding(side, taps, stride) for side, taps in zip(x.shape[1:3], kernel.shape)]


def _summed(padded: Array, kernel: Array, stride: int) -> Array:
    rows = shifted_images(padded, kernel.shape, stride)
    products = [part * kernel[i, j] for i, row in enumerate(rows) for j, part in enumerate(row)]
    return sum(products[1:], products[0])


def shifted_images(padded: Array, shape: tuple[int, ...], stride: int) -> list[list[Array]]:
    """The pixels that each element of a kernel reads, by its row and column."""
    below, right = (side - taps + 1 for side, taps in zip(padded.shape[1:3], shape))
    return [
        [padded[:, i : i + below : stride, j : j + right : stride] for j in range(shape[1])] for i in range(shape[0])
    ]
