"""Convolutions of pictures and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.nn import image


@settings(deadline=None, max_examples=10)
@given(
    size=st.tuples(st.integers(5, 9), st.integers(5, 9)),
    taps=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_gradients_for_loops_are_those_of_jax(size, taps, stride, dilation, padding):
    rng = np.random.default_rng(0)
    if min(size) + sum(padding) < dilation * (taps - 1) + 1:
        return
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(taps, taps, 3, 4)), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(4,)), jnp.float32)

    def both(convolve):
        def total(x, kernel):
            convolved = convolve(x, kernel, (stride, stride), dilation, (padding, padding[::-1]))
            return (jnp.square(convolved) * weights).sum()

        return jax.jit(jax.value_and_grad(total, (0, 1)))(x, kernel)

    for a, b in zip(jax.tree.leaves(both(image.trained_spatial)), jax.tree.leaves(both(image.spatial)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=0)


@settings(deadline=None, max_examples=6)
@given(
    size=st.tuples(st.integers(4, 17), st.integers(4, 9)), taps=st.sampled_from((1, 2, 3, 5)), stride=st.integers(1, 3)
)
def test_gradients_of_a_depthwise_convolution_are_those_of_jax(size, taps, stride):
    found, expected = (_depthwise_gradients(form, size, taps, stride) for form in _DEPTHWISE)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=0)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_depthwise_convolution_has_the_same_gradients_where_it_is_a_grouped_one(stride, monkeypatch):
    expected = _depthwise_gradients(image.depthwise, (8, 6), 3, stride)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    for form in _DEPTHWISE:
        for a, b in zip(_depthwise_gradients(form, (8, 6), 3, stride), expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=0)


def test_a_kernel_gradient_in_bfloat16_is_summed_in_float32():
    x = jnp.ones((2, 32, 32, 1), jnp.bfloat16)
    kernel = jnp.zeros((1, 1, 1), jnp.bfloat16)
    total = jax.grad(lambda kernel: image.trained_depthwise(x, kernel).astype(jnp.float32).sum())
    gradient = jax.jit(total)(kernel)
    assert gradient.dtype == jnp.bfloat16
    assert gradient.item() == 2048  # a sum in bfloat16 ends at 256


_DEPTHWISE = (image.trained_depthwise, image.depthwise)


def _depthwise_gradients(form, size, taps, stride):
    """Value and both gradients of a loss of a depthwise convolution."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(taps, taps, 3)), jnp.float32)
    weights = jnp.asarray(rng.normal(size=(3,)), jnp.float32)

    @jax.jit
    def both(x, kernel):
        return jax.value_and_grad(lambda *a: (jnp.square(form(*a, stride)) * weights).sum(), (0, 1))(x, kernel)

    return jax.tree.leaves(both(x, kernel))


@pytest.mark.parametrize(("taps", "stride", "dilation"), [(3, 2, 1), (3, 1, 2), (7, 2, 1), (5, 1, 1)])
@pytest.mark.parametrize("side", [8, 9])
def test_same_padding_is_that_of_jax(taps, stride, dilation, side):
    x = jnp.ones((1, side, side, 2))
    kernel = jnp.ones((taps, taps, 2, 3))
    conv = image.ImageConv(2, 3, taps, stride, norm=False, dilation=dilation)
    for train in (False, True):
        y = conv.apply({"params": {"kernel": kernel}}, x, train)
        expected = jax.lax.conv_general_dilated(
            x, kernel, (stride,) * 2, "SAME", rhs_dilation=(dilation,) * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        np.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize(("side", "stride"), [(2, 2), (3, 2)])
def test_the_largest_of_a_window_and_its_gradient_are_those_of_xla(side, stride):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 3)), jnp.float32)

    def window(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, side, side, 1), (1, stride, stride, 1), "VALID")

    def both(pool):
        return jax.jit(jax.value_and_grad(lambda x: (jnp.square(y := pool(x)).sum(), y), has_aux=True))(x)

    for found, expected in zip(
        jax.tree.leaves(both(lambda x: image.pool(x, "max", side, stride))), jax.tree.leaves(both(window)), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
def test_gradients_for_loops_are_those_of_jax_for_clips(strides):
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=size), jnp.float32) for size in ((2, 3, 6, 7, 2), (3, 1, 2, 2, 3)))
    padding = ((1, 1), (0, 0), (0, 1))

    def both(convolve):
        loss = jax.grad(lambda x, kernel: jnp.square(convolve(x, kernel, strides, 1, padding)).sum(), (0, 1))
        return jax.jit(loss)(x, kernel)

    for a, b in zip(both(image.trained_spatial), both(image.spatial), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max(), rtol=0)
