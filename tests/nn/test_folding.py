"""A function of weights and inputs, divided: both parts together give what the whole does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from infantjax import models
from infantjax.nn.folding import split
from infantjax.nn.initializers import initialize

VARIABLES = {"scale": np.linspace(0.5, 2, 6, dtype=np.float32), "kernel": np.arange(18, dtype=np.float32).reshape(6, 3)}
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)


def folded(function, variables=VARIABLES, x=X):
    divided = split(function, variables, x)
    return divided, divided.fold(variables), x


def test_what_the_weights_make_is_folded_and_the_rest_reads_it():
    def function(v, x):
        return x @ (v["kernel"] * v["scale"][:, None])

    divided, arrays, x = folded(function)
    assert [a.shape for a in arrays] == [(6, 3)]
    np.testing.assert_allclose(jax.jit(divided)(arrays, x), function(VARIABLES, x), rtol=1e-6)
    # Only the product is left.
    assert sum(not first for first in divided.first) == 1


def test_a_variable_that_only_passes_is_carried_as_it_is():
    divided, arrays, x = folded(lambda v, x: {"sum": x[0] + v["scale"], "scale": v["scale"]})
    np.testing.assert_array_equal(arrays[0], VARIABLES["scale"])
    found = divided(arrays, x)
    np.testing.assert_allclose(found["sum"], X[0] + VARIABLES["scale"])
    np.testing.assert_array_equal(found["scale"], VARIABLES["scale"])


def test_what_depends_on_nothing_is_not_carried():
    divided, arrays, x = folded(lambda v, x: x[0] * jnp.arange(6.0) + v["scale"])
    assert [a.shape for a in arrays] == [(6,)]
    np.testing.assert_allclose(divided(arrays, x), X[0] * np.arange(6.0) + VARIABLES["scale"], rtol=1e-5)


def test_variables_that_nothing_reads_are_known():
    assert not split(lambda v, x: x + v["scale"], VARIABLES, X).reads_all
    assert split(lambda v, x: x + v["scale"] + v["kernel"].sum(), VARIABLES, X).reads_all


OPERATIONS = {
    "sums and differences": lambda k, s: (k + 2 - k * s[:, None]) / 3,
    "roots": lambda k, s: lax.rsqrt(k + 1),
    "tanh, which NumPy is not told": lambda k, s: jnp.tanh(k),
    "products": lambda k, s: k.T @ k,
    "products with shared axes": lambda k, s: jnp.einsum("abc,acd->abd", k.reshape(3, 2, 3), k.reshape(3, 3, 2)),
    "products over several axes": lambda k, s: jnp.einsum("abc,bcd->ad", k.reshape(3, 2, 3), k.reshape(2, 3, 3)),
    "sums": lambda k, s: k.sum(axis=0),
    "cuts": lambda k, s: lax.slice(k, (1, 0), (6, 3), (2, 1)),
    "padding": lambda k, s: jnp.pad(k, ((1, 2), (0, 1)), constant_values=2),
    "cutting padding": lambda k, s: lax.pad(k, jnp.float32(1), [(-1, 2, 1), (0, 0, 0)]),
    "stacks": lambda k, s: jnp.stack([k, 2 * k], axis=1),
    "joins": lambda k, s: jnp.concatenate([k, k[::2]]),
    "turns": lambda k, s: k.reshape(2, 3, 3).transpose(2, 0, 1)[None],
    "choices": lambda k, s: jnp.where((jnp.arange(6) // 2 % 2 == 0)[:, None], k, -k),
    "whole numbers": lambda k, s: k * (jnp.arange(6)[:, None] - 3) // 2 + jnp.sign(k - 4),
    "kinds": lambda k, s: (k > 3).astype(jnp.float32) + k.astype(jnp.int32),
    "axes": lambda k, s: jnp.broadcast_to(s[None, :, None], (2, 6, 3)) * lax.broadcasted_iota(jnp.float32, (6, 3), 0),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_numpy_computes_what_jax_does(name):
    def function(v, x):
        return OPERATIONS[name](v["kernel"], v["scale"])[..., None] + x[0, 0]

    divided, arrays, x = folded(function)
    found, expected = divided(arrays, x), function(VARIABLES, x)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert [(a.shape, a.dtype) for a in arrays] == [(s.shape, s.dtype) for s in divided.shapes()]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("st-gcn", {"widths": [4, 6]}),
        *(pytest.param(f"kbest-gcn-{i}", {}, marks=pytest.mark.slow) for i in range(1, 11)),
    ],
)
def test_a_network_gives_the_same(name, settings):
    entry = models.get(name)
    module = entry.build(**settings)
    x = np.random.default_rng(0).standard_normal((2, *entry.input_shape)).astype(np.float32)
    variables = jax.device_get(initialize(module, jax.random.key(0), x))

    def logits(variables, x):
        return module.apply(variables, x)[0]

    divided = split(logits, variables, x)
    found = jax.jit(divided)(divided.fold(variables), x)
    np.testing.assert_allclose(found, jax.jit(logits)(variables, x), rtol=1e-5, atol=1e-6)
    assert sum(divided.first) > len(divided.first) / 3
