"""Convolutions over time and over images: against their definitions, gradients against those that JAX derives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import numbers
from jax import lax

from infantjax.cache import shorten_compilation
from infantjax.devices import for_platform
from infantjax.nn.image import pool
from infantjax.nn.kernels.batch_norm import normalize_batch
from infantjax.nn.kernels.convolution import (
    convolution,
    equally_spaced,
    pointwise,
    sparse_temporal_convolution,
    temporal_convolution,
    valid_convolution,
)
from infantjax.nn.kernels.depthwise import depthwise_convolution, depthwise_temporal_convolution
from infantjax.nn.kernels.reduction import rows_at_a_time


def assert_equal_gradients(ours, theirs, *arrays, tolerance=1e-12):
    """Value and gradients of two functions on the same arrays, in double, in one program each."""
    with jax.enable_x64(True):
        arrays = [np.asarray(a, np.float64) for a in arrays]

        slope = numbers(*jax.eval_shape(theirs, *arrays).shape, dtype=np.float64)

        @partial(jax.jit, static_argnums=0)
        def both(function, arrays):
            y, pull = jax.vjp(function, *arrays)
            return y, *pull(slope)

        found, expected = (both(function, arrays) for function in (ours, theirs))
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max(initial=0)))


# --- over time -------------------------------------------------------------------------------------------------------

# (frames, kernel size, stride, dilation, inputs, outputs): up to two inputs, fewer than twenty outputs, a kernel longer
# than the recording and a stride that leaves frames over take ways of their own.
SHAPES = [
    pytest.param((13, 3, 1, 1, 3, 4), marks=pytest.mark.slow),
    (12, 5, 2, 2, 2, 21),
    pytest.param((7, 9, 3, 1, 1, 1), marks=pytest.mark.slow),
    pytest.param((1, 3, 1, 3, 3, 4), marks=pytest.mark.slow),
    pytest.param((10, 9, 1, 3, 3, 21), marks=pytest.mark.slow),
    pytest.param((11, 1, 2, 1, 3, 4), marks=pytest.mark.slow),
]


def by_xla(x, kernel, stride, dilation, before=None, groups=1):
    rows, reach = x.reshape(-1, *x.shape[2:]), dilation * (len(kernel) - 1)
    before = reach // 2 if before is None else before
    y = lax.conv_general_dilated(
        rows,
        kernel,
        (stride,),
        [(before, reach - before)],
        rhs_dilation=(dilation,),
        dimension_numbers=("NWC", "WIO", "NWC"),
        feature_group_count=groups,
    )
    return y.reshape(*x.shape[:2], *y.shape[1:])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_temporal_convolution_and_its_gradients_are_those_of_xla(shape):
    frames, size, stride, dilation, inputs, outputs = shape
    x, kernel = numbers(2, 2, frames, inputs), numbers(size, inputs, outputs)
    assert_equal_gradients(
        lambda x, k: temporal_convolution(x, k, stride, dilation),
        lambda x, k: by_xla(x, k, stride, dilation),
        x,
        kernel,
    )


def test_a_causal_convolution_reads_no_later_frame():
    assert_equal_gradients(
        lambda x, k: temporal_convolution(x, k, dilation=2, causal=True),
        lambda x, k: by_xla(x, k, 1, 2, before=6),
        numbers(2, 2, 9, 3),
        numbers(4, 3, 5),
    )


def test_a_convolution_without_padding_is_the_inside_of_a_padded_one():
    x, kernel = numbers(1, 2, 20, 5), numbers(3, 5, 4)
    assert_equal_gradients(
        lambda x, k: valid_convolution(x, k, 3), lambda x, k: by_xla(x, k, 1, 3)[:, :, 3:-3], x, kernel
    )


@pytest.mark.parametrize("inputs", [1, pytest.param(2, marks=pytest.mark.slow), 3])
def test_a_pointwise_convolution_is_a_matrix_product_whatever_the_number_of_inputs(inputs):
    # More than 256 rows, from where on the number of columns is rounded up.
    assert_equal_gradients(pointwise, lambda x, k: x @ k, numbers(3, 20, 5, inputs), numbers(inputs, 10))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_depthwise_temporal_convolution_and_its_gradients_are_those_of_a_grouped_one(shape):
    frames, size, stride, dilation, _, channels = shape
    assert_equal_gradients(
        lambda x, k: depthwise_temporal_convolution(x, k, stride, dilation),
        lambda x, k: by_xla(x, k[:, None], stride, dilation, groups=channels),
        numbers(2, 2, frames, channels),
        numbers(size, channels),
    )


def test_gradients_inside_a_loop_over_runs_are_those_of_each_run():
    x, kernels = numbers(2, 2, 9, 3), numbers(3, 5, 3, 4)

    def slope(kernel):
        return jax.grad(lambda k: jnp.square(temporal_convolution(x, k, 2, 1)).sum())(kernel)

    expected = np.stack([jax.jit(slope)(k) for k in kernels])
    np.testing.assert_allclose(jax.jit(lambda k: lax.map(slope, k))(kernels), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(slope))(kernels), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("outside", [False, True])
def test_own_gradients_are_of_the_platform_that_the_function_is_for(outside):
    # Differentiated outside of the program, a gradient is traced when its platform is no longer the current one.
    @partial(for_platform, platform="tpu")
    def network(x, k):
        y, *_ = normalize_batch(depthwise_temporal_convolution(x, k), k[0], k[1], (0, 1, 2), 1e-5)
        return depthwise_convolution(temporal_convolution(y, k[:, :, None] * k[0]), k[:, None] * k).sum()

    x, k = numbers(2, 8, 9, 4), numbers(3, 4)
    slope = jax.grad(network) if outside else for_platform(jax.grad(network), "tpu")
    assert "optimization_barrier" not in str(jax.make_jaxpr(slope)(x, k))
    assert "optimization_barrier" in str(jax.make_jaxpr(jax.grad(for_platform(network.__wrapped__, "cpu")))(x, k))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [3, 48])
def test_taps_of_several_dilations_are_the_sum_of_the_dilated_convolutions(stride, channels):
    x, kernels = numbers(2, 2, 21, channels), [numbers(7, channels, 4, seed=i) for i in (1, 2, 3)]
    taps = {}
    for dilation, kernel in enumerate(kernels, 1):
        for row, weights in enumerate(kernel):
            taps[(row - 3) * dilation] = taps.get((row - 3) * dilation, 0) + weights
    runs = equally_spaced(taps, channels)
    assert len(runs) == (1 if channels == 3 else 3)
    sparse = {run: np.stack([taps.get(frame, np.zeros((channels, 4), np.float32)) for frame in run]) for run in runs}
    found = jax.jit(lambda x, k: sparse_temporal_convolution(x, dict(zip(sparse, k)), stride))(x, [*sparse.values()])
    expected = jax.jit(lambda x, ks: sum(by_xla(x, k, stride, d) for d, k in enumerate(ks, 1)))(x, kernels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# --- over images -----------------------------------------------------------------------------------------------------


def image_convolution(x, kernel, strides, dilations, padding, groups=1):
    axes = "DHW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=dilations,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "dilations", "padding"),
    [
        pytest.param((2, 9, 7, 3), (3, 3, 3, 4), (1, 1), (1, 1), ((1, 1), (1, 1)), marks=pytest.mark.slow),
        ((2, 9, 8, 3), (4, 2, 3, 4), (2, 3), (1, 2), ((0, 3), (2, 0))),
        pytest.param((2, 5, 6, 3), (3, 3, 3, 4), (3, 2), (2, 2), ((1, 2), (0, 0)), marks=pytest.mark.slow),
        pytest.param(
            (2, 3, 6, 7, 2),
            (3, 1, 2, 2, 3),
            (1, 2, 2),
            (1, 1, 1),
            ((1, 1), (0, 0), (0, 1)),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["plain", "strides", "dilations", "clips"],
)
def test_a_convolution_and_its_gradients_are_those_of_xla(shape, kernel, strides, dilations, padding):
    assert_equal_gradients(
        lambda x, k: convolution(x, k, strides, dilations, padding),
        lambda x, k: image_convolution(x, k, strides, dilations, padding),
        numbers(*shape),
        numbers(*kernel),
    )


@pytest.mark.parametrize(
    ("size", "kernel", "stride"),
    [
        ((17, 4), 5, 2),
        *(pytest.param(*shape, marks=pytest.mark.slow) for shape in (((9, 6), 3, 1), ((8, 8), 2, 3), ((4, 9), 1, 2))),
    ],
)
@pytest.mark.parametrize("backend", ["cpu", pytest.param("gpu", marks=pytest.mark.slow)])
def test_a_depthwise_convolution_and_its_gradients_are_those_of_a_grouped_one(size, kernel, stride, backend):
    assert_equal_gradients(
        for_platform(lambda x, k: depthwise_convolution(x, k, stride), backend),
        lambda x, k: image_convolution(x, k[:, :, None], (stride,) * 2, (1, 1), "SAME", 3),
        numbers(2, *size, 3),
        numbers(kernel, kernel, 3),
    )


def test_a_kernel_gradient_in_bfloat16_is_summed_in_float32():
    x, kernel = jnp.ones((2, 32, 32, 1), jnp.bfloat16), jnp.zeros((1, 1, 1), jnp.bfloat16)
    gradient = jax.jit(jax.grad(lambda k: depthwise_convolution(x, k).astype(jnp.float32).sum()))(kernel)
    assert gradient.dtype == jnp.bfloat16
    assert gradient.item() == 2048  # a sum in bfloat16 ends at 256


@pytest.mark.parametrize(("side", "stride"), [pytest.param(2, 2, marks=pytest.mark.slow), (3, 2)])
def test_the_largest_of_a_window_and_its_gradient_are_those_of_xla(side, stride):
    def window(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, side, side, 1), (1, stride, stride, 1), "VALID")

    assert_equal_gradients(lambda x: pool(x, "max", side, stride), window, numbers(2, 9, 8, 3))


def test_sums_run_over_as_many_rows_as_the_compiler_unrolls(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "")
    assert [rows_at_a_time(rows) for rows in (16, 12, 14, 11)] == [(8, 0), (6, 0), (7, 0), (8, 5)]
    shorten_compilation()
    assert [rows_at_a_time(rows) for rows in (16, 12, 14, 11)] == [(4, 0), (4, 0), (7, 0), (4, 1)]
