"""Convolutions and pointwise products, with gradients that stay fast inside of loops."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float

from infantjax.nn.kernels.lowering import on_cpu

Padding = tuple[tuple[int, int], ...]
"""Zeros before and after each axis."""

_MANY_ROWS = 256
_FAST_OUTPUTS = 20
_PASS_COST = 24
"""Cost of a further convolution on a CPU, in rows of a kernel times input channels."""


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
    if on_cpu() and many:
        # The backend takes almost twice as long for ten or twelve columns as for sixteen; multiples of eight are fast,
        # and what is four above a multiple of sixteen is nearly so.
        surplus = next(n for n in range(16) if (outputs + n) % 8 == 0 or ((outputs + n) % 16 == 4 and outputs > 8))
        kernel = jnp.pad(kernel, ((0, 0), (0, surplus))) if surplus else kernel
    return (rows @ kernel)[:, :outputs].reshape(*x.shape[:-1], outputs)


def temporal_convolution(
    x: Float[Array, "joint batch time in"],
    kernel: Float[Array, " tap in out"],
    stride: int = 1,
    dilation: int = 1,
    causal: bool = False,
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time with zero padding, `time_out = (time - 1) // stride + 1`.

    Args:
        x: activations.
        kernel: an odd length, or any where it is causal.
        stride: frames between outputs.
        dilation: frames between the kernel's rows.
        causal: the last row of the kernel reads the output's frame, in place of the middle one.
    """
    if len(kernel) == 1:
        read = x[:, :, ::stride]
        # The compiler for GPUs of jaxlib 0.10.2 aborts where it would fuse a norm and a strided slice into a product.
        return pointwise(read if stride == 1 or on_cpu() else lax.optimization_barrier(read), kernel[0])
    rows = rearrange(x, "joint batch time channel -> (joint batch) time channel")
    reach = dilation * (len(kernel) - 1)
    before = reach if causal else reach // 2
    padding = ((0, 0), (before, reach - before))
    y = convolution(rows[:, None], kernel[None], (1, stride), (1, dilation), padding)[:, 0]
    return rearrange(y, "(joint batch) time channel -> joint batch time channel", joint=len(x))


def sparse_temporal_convolution(
    x: Float[Array, "joint batch time in"], kernels: Mapping[range, Float[Array, " tap in out"]], stride: int = 1
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time whose kernel has rows at any frames: several convolutions of different dilations at once.

    As one dense kernel over the span of all rows, assessing with kbest-gcn-2, 5, 7 and 10 took 10 % longer.

    Args:
        x: activations; zero outside of the recording.
        kernels: by the frames that their rows read, relative to the output's; see `equally_spaced`.
        stride: frames between outputs.
    """
    rows, parts = rearrange(x, "joint batch time channel -> (joint batch) time channel"), []
    for frames, kernel in kernels.items():
        padding = ((0, 0), (-frames[0], frames[-1]))
        parts.append(convolution(rows[:, None], kernel[None], (1, stride), (1, frames.step), padding)[:, 0])
    y = sum(parts[1:], parts[0])
    return rearrange(y, "(joint batch) time channel -> joint batch time channel", joint=len(x))


def equally_spaced(frames: Iterable[int], channels: int) -> list[range]:
    """Divide frames into equally spaced runs, one convolution each, or into one dense run if that is cheaper.

    Args:
        frames: that a kernel reads.
        channels: of the input.
    """
    left, runs = sorted(frames), []
    dense = range(left[0], left[-1] + 1)
    while left:
        steps = sorted({b - a for a, b in combinations(left, 2)}) or [1]
        longest = max((_run(start, step, set(left)) for step in steps for start in left), key=len)
        runs.append(longest)
        left = [frame for frame in left if frame not in longest]
    return runs if sum(map(len, runs)) + _PASS_COST / channels * (len(runs) - 1) < len(dense) else [dense]


def _run(start: int, step: int, frames: set[int]) -> range:
    stop = start
    while stop in frames:
        stop += step
    return range(start, stop, step)


def valid_convolution(
    x: Float[Array, "joint batch time in"], kernel: Float[Array, " tap in out"], dilation: int = 1
) -> Float[Array, "joint batch time_out out"]:
    """Convolution over time without padding, for many channels: `time_out = time - dilation * (tap - 1)`.

    One matrix product of the gathered frames; with hundreds of channels it is as fast as the CPU can multiply.
    """
    outputs = x.shape[2] - dilation * (len(kernel) - 1)
    read = [x[:, :, tap * dilation :][:, :, :outputs] for tap in range(len(kernel))]
    return pointwise(jnp.concatenate(read, -1), kernel.reshape(-1, kernel.shape[-1]))


def convolution(
    x: Float[Array, "batch *axes in"],
    kernel: Float[Array, "*taps in out"],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Padding,
) -> Float[Array, "batch *outputs out"]:
    """XLA's convolution over rows and columns, or over time, rows and columns.

    XLA's CPU backend brings convolutions into the order of axes that its fast kernels know only outside of loops. The
    gradients that JAX derives have another order, so in an epoch (`lax.scan`) or over runs (`lax.map`) they would fall
    to a naive loop nest, 20 to 100 times slower. Here they are written as convolutions in the fast order.

    Args:
        x: activations.
        kernel: of any size.
        strides: between outputs, of each axis.
        dilations: between the kernel's elements, of each axis.
        padding: of each axis.
    """
    if not on_cpu():
        return _convolution(x, kernel, strides, dilations, padding)
    return _convolution_on_cpu(x, kernel, strides, dilations, padding)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolution_on_cpu(
    x: Array, kernel: Array, strides: tuple[int, ...], dilations: tuple[int, ...], padding: Padding
) -> Array:
    return _widened(x, kernel, strides, dilations, padding)


def _widened(
    x: Array, kernel: Array, strides: Sequence[int], dilations: Sequence[int], padding: Sequence[tuple[int, int]]
) -> Array:
    """A convolution; one over time alone is given more than 16 output channels on a CPU.

    As an image of height 1 it then reaches the fastest of the backend's kernels, which takes half of the time or less
    even where half of the channels are zeros.
    """
    outputs = kernel.shape[-1]
    surplus = _FAST_OUTPUTS - outputs if x.shape[1] == 1 else 0
    if surplus > 0:
        kernel = jnp.pad(kernel, [(0, 0)] * (kernel.ndim - 1) + [(0, surplus)])
    return _convolution(x, kernel, strides, dilations, padding)[..., :outputs]


def _convolution(
    x: Array, kernel: Array, strides: Sequence[int], dilations: Sequence[int], padding: Sequence[tuple[int, int]]
) -> Array:
    axes = "DHW"[3 - len(strides) :]
    order = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    return lax.conv_general_dilated(x, kernel, strides, padding, rhs_dilation=dilations, dimension_numbers=order)


def _forward(x: Array, kernel: Array, *static: tuple) -> tuple[Array, tuple[Array, Array]]:
    if x.shape[1] == 1:
        # The gradient of the kernel reads x again, transposed; XLA would compute the norm and the activation that x
        # came from once more inside of the transposition, where that is five times as slow.
        x = lax.optimization_barrier(x)
    return _widened(x, kernel, *static), (x, kernel)


def _backward(
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
    padding: Padding,
    saved: tuple[Array, Array],
    gradient: Array,
) -> tuple[Array, Array]:
    x, kernel = saved
    gradient = lax.optimization_barrier(gradient)
    for_x, for_kernel = [], []
    for inputs, outputs, taps, stride, dilation, (before, after) in zip(
        x.shape[1:], gradient.shape[1:], kernel.shape, strides, dilations, padding
    ):
        reach, last = dilation * (taps - 1), stride * (outputs - 1)
        # What of the padded input no output reads; below 0 where padding is left out instead.
        unread = inputs + before + after - (last + reach + 1)
        for_x.append((reach - before, reach - after + unread, stride - 1))
        for_kernel.append((before, after - unread))
    # For x: the gradient, spread to where it came from, convolved by the reversed kernel.
    spread = lax.pad(gradient, jnp.zeros((), gradient.dtype), [(0, 0, 0), *for_x, (0, 0, 0)])
    reverse = jnp.flip(kernel, tuple(range(len(strides)))).swapaxes(-1, -2)
    ones, none = (1,) * len(strides), ((0, 0),) * len(strides)
    # For the kernel: channels of x as the batch, the batch as channels, the gradient as the kernel.
    gradient = jnp.moveaxis(gradient, 0, -2)
    sums = _convolution(x.swapaxes(0, -1), gradient, dilations, strides, for_kernel)
    return _widened(spread, reverse, ones, dilations, none), jnp.moveaxis(sums, 0, -2)


_convolution_on_cpu.defvjp(_forward, _backward)
