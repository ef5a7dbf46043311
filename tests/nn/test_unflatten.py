"""The arrays in a vector: the same however they are read; in programs for a CPU their places are data."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.cache import COMPILER_OPTIONS
from infantjax.nn.kernels.unflatten import unflatten

SHAPES = [(2, 3), (), (3,), (0, 4), (3,)]
VECTOR = np.arange(13, dtype=np.float32)


def of(vector):
    return unflatten(vector, SHAPES)


def assert_equal(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_array_equal(a, b)


def test_arrays_lie_one_behind_the_other():
    expected = VECTOR[:6].reshape(2, 3), VECTOR[6], VECTOR[7:10], np.zeros((0, 4)), VECTOR[10:]
    assert_equal(of(VECTOR), expected)


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_the_program_reads_what_numpy_does(leading):
    vectors = VECTOR + 100 * np.arange(np.prod(leading, dtype=int), dtype=np.float32).reshape(*leading, 1)
    assert_equal(jax.jit(of)(vectors), of(vectors))
    assert_equal(of(jnp.asarray(vectors)), of(vectors))


def test_gradients_reach_the_vector():
    gradient = jax.jit(jax.grad(lambda vector: of(vector)[2].sum() + 2 * of(vector)[1]))(VECTOR)
    np.testing.assert_array_equal(gradient, [0] * 6 + [2, 1, 1, 1] + [0] * 3)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="on a CPU alone places are data")
def test_no_kernel_knows_where_its_part_begins():
    def function(vector):
        return [jnp.sin(part) for part in unflatten(vector, [(6,)] * 4)]

    lowered = jax.jit(function).lower(np.zeros(24, np.float32))
    text = lowered.compile(compiler_options=COMPILER_OPTIONS["cpu"]).as_text()
    assert text.count(" dynamic-slice(") == 4
    assert not re.search(r" slice\(", text)
