"""How XLA lowers the pieces of the graph and pose networks on this backend, each form against the others.

    python -m benchmarks.lowering

The choices in `infantjax.nn.kernels` come from this table: the layout of a temporal convolution, its lowering, the
number of output channels, depthwise as a sum of shifts, and what a barrier for fusion is worth around a Swish. So do
the gradients of a depthwise convolution of images, and the largest values of windows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax import lax
from jaxtyping import Array

from benchmarks import common
from infantjax import cache as runtime
from infantjax.cache import COMPILER_OPTIONS
from infantjax.nn.attention import swish
from infantjax.nn.image import pool
from infantjax.nn.kernels.convolution import temporal_convolution
from infantjax.nn.kernels.depthwise import (
    depthwise_convolution,
    depthwise_temporal_convolution,
    plain_depthwise_convolution,
)


@dataclass(frozen=True)
class Options:
    """What is measured."""

    windows: int = 8
    """Windows of a call."""
    images: int = 8
    """Images of a call."""
    rounds: int = 20
    """Timed rounds; the table shows the best of each form, since the interleaved rounds see the same disturbances."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    rows = []
    for channels, taps, dilation in ((10, 7, 1), (10, 7, 3), (20, 9, 1), (40, 9, 2)):
        x = jax.random.normal(jax.random.key(0), (19, options.windows, 150, channels))
        kernel = jax.random.normal(jax.random.key(1), (taps, channels, channels))
        flops = 2 * x.size * channels * taps
        what = f"convolution {channels} channels, {taps} taps, dilation {dilation}"
        rows += _rows(what, _convolutions(dilation), (x, kernel), flops, options)
    x = jax.random.normal(jax.random.key(0), (19, options.windows, 150, 40))
    kernel = jax.random.normal(jax.random.key(1), (7, 40))
    rows += _rows("depthwise 40 channels, 7 taps", _DEPTHWISE, (x, kernel), 2 * x.size * 7, options)
    x = jax.random.normal(jax.random.key(0), (19, options.windows, 150, 20))
    small = jnp.linspace(0.5, 1.5, 20)
    adjacency = jax.random.normal(jax.random.key(1), (19, 19)) / 19
    rows += _rows("norm, Swish and adjacency", _FUSED, (x, small, adjacency), 2 * x.size * 19, options)
    for side, channels, taps, stride in ((28, 240, 5, 1), (56, 144, 5, 2), (112, 32, 3, 1), (112, 96, 3, 2)):
        x = jax.random.normal(jax.random.key(0), (options.images, side, side, channels))
        kernel = jax.random.normal(jax.random.key(1), (taps, taps, channels)) / taps
        y = jax.eval_shape(partial(depthwise_convolution, stride=stride), x, kernel)
        what = f"depthwise {taps}x{taps} and gradients, {channels} channels, side {side}, stride {stride}"
        given = (x, kernel, jax.random.normal(jax.random.key(2), y.shape))
        rows += _rows(what, _depthwise_steps(stride), given, 6 * y.size * taps**2, options)
    x = jax.random.normal(jax.random.key(0), (options.images, 184, 184, 64))
    rows += _rows("largest of 3x3, 64 channels, side 184, stride 2", _LARGEST, (x,), 9 * x.size / 4, options)
    shapes = {"windows": options.windows, "joints": 19, "frames": 150, "images": options.images}
    print(common.write("lowering", rows, shapes) if options.write else common.table(rows))


def _rows(
    what: str, forms: dict[str, Callable], arguments: tuple[Array, ...], flops: float, options: Options
) -> list[dict[str, Any]]:
    compiler_options = COMPILER_OPTIONS.get(jax.default_backend())
    programs, best = {}, dict.fromkeys(forms, np.inf)
    expected = None
    for name, form in forms.items():
        # A function of its own: two forms of one name must not share a trace.
        programs[name] = jax.jit(lambda *a, form=form: form(*a)).lower(*arguments).compile(compiler_options)
        found = programs[name](*arguments)
        expected = found if expected is None else expected
        common.require_equal(found, expected, 1e-5, f"{what}, {name}")
    for _ in range(options.rounds):
        for name, program in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            best[name] = min(best[name], time.perf_counter() - start)
    return [
        {"work": what, "form": name, "ms": 1e3 * seconds, "gflops": flops / seconds / 1e9}
        for name, seconds in best.items()
    ]


def _convolutions(dilation: int) -> dict[str, Callable]:
    def ours(x: Array, kernel: Array) -> Array:
        return temporal_convolution(x, kernel, 1, dilation)

    def one_dimension(x: Array, kernel: Array) -> Array:
        joints, batch, frames, channels = x.shape
        margin = dilation * (len(kernel) - 1) // 2
        y = lax.conv_general_dilated(
            x.reshape(joints * batch, frames, channels),
            kernel,
            (1,),
            [(margin, margin)],
            rhs_dilation=(dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return y.reshape(joints, batch, frames, -1)

    def two_dimensions(x: Array, kernel: Array) -> Array:
        margin = dilation * (len(kernel) - 1) // 2
        y = lax.conv_general_dilated(
            x.transpose(1, 2, 0, 3),
            kernel[:, None],
            (1, 1),
            [(margin, margin), (0, 0)],
            rhs_dilation=(dilation, 1),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y.transpose(2, 0, 1, 3)

    return {
        "infantjax": ours,
        "1-D over time": one_dimension,
        "2-D over time and joints": two_dimensions,
    }


def _grouped(x: Array, kernel: Array) -> Array:
    joints, batch, frames, channels = x.shape
    y = lax.conv_general_dilated(
        x.reshape(joints * batch, frames, channels),
        kernel[:, None],
        (1,),
        "SAME",
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=channels,
    )
    return y.reshape(x.shape)


_DEPTHWISE: dict[str, Callable] = {"infantjax": depthwise_temporal_convolution, "grouped convolution": _grouped}


def _depthwise_steps(stride: int) -> dict[str, Callable]:
    """Value and both gradients, as one vector."""

    def grouped(x: Array, kernel: Array, stride: int) -> Array:
        return lax.conv_general_dilated(
            x,
            kernel[:, :, None],
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )

    def step(convolve: Callable) -> Callable:
        def form(x: Array, kernel: Array, gradient: Array) -> Array:
            y, pull = jax.vjp(lambda x, kernel: convolve(x, kernel, stride), x, kernel)
            return jnp.concatenate([part.ravel() for part in (y, *pull(gradient))])

        return form

    return {
        "infantjax": step(depthwise_convolution),
        "gradients of JAX": step(partial(plain_depthwise_convolution, cpu=True)),
        "grouped convolution": step(grouped),
    }


def _window(x: Array) -> Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")


_LARGEST: dict[str, Callable] = {"infantjax": lambda x: pool(x, "max", 3, 2), "window of XLA": _window}


def _normed_swish(activation: Callable) -> Callable:
    def form(x: Array, small: Array, adjacency: Array) -> Array:
        y = activation(x * small + (small - small * small))
        return (adjacency @ y.reshape(len(x), -1)).reshape(x.shape)

    return form


_FUSED: dict[str, Callable] = {"infantjax": _normed_swish(swish), "as XLA fuses": _normed_swish(jax.nn.silu)}


if __name__ == "__main__":
    runtime.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__))
