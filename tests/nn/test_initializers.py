"""Initial weights: the published variances, and a whole network drawn at once with the same distribution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.nn.attention import SqueezeExcitation, relu
from infantjax.nn.graph import GraphConv
from infantjax.nn.initializers import (
    Constant,
    Initialization,
    TruncatedFanIn,
    initialize,
    parameter,
    variable,
)
from infantjax.nn.layers import TemporalConv

X = jnp.ones((5, 1, 3, 64))
ADJACENCY = jnp.ones((4, 5, 5))


def kernels_of(layer, *arguments, **options) -> dict[str, np.ndarray]:
    """The first draw of a layer's own arrays."""
    params = jax.jit(lambda key: layer.init(key, *arguments, **options))(jax.random.key(0))["params"]
    return {name: np.asarray(value) for name, value in params.items() if not isinstance(value, dict)}


# Variance gain**2 / (output channels x taps), whatever the groups and the number of inputs.
CASES = {
    "convolution": (lambda: kernels_of(TemporalConv(64, 96, 9, gain=2**0.5), X, False)["kernel"], 2 / (96 * 9)),
    "graph": (lambda: kernels_of(GraphConv(64, 40, 4), X, ADJACENCY, False)["kernel"], 1 / (4 * 40)),
    "squeeze": (lambda: kernels_of(SqueezeExcitation(64, 2, relu), X)["squeeze"], 2 / 32),
}


@pytest.mark.parametrize(("draw", "variance"), CASES.values(), ids=CASES)
def test_kernels_have_the_published_variance(draw, variance):
    kernel = draw()
    # The variance of n normal numbers lies within four standard errors, sqrt(2 / n), of the true one.
    assert kernel.var() == pytest.approx(variance, rel=4 * (2 / kernel.size) ** 0.5)
    assert abs(kernel.mean()) < 4 * (variance / kernel.size) ** 0.5


# --- a whole network -------------------------------------------------------------------------------------------------


class Small(nn.Module):
    """A layer of each initializer, and one whose initializer is Flax's own."""

    @nn.compact
    def __call__(self, x):
        y = TemporalConv(64, 24, 3, gain=2**0.5, name="first")(x, False)
        y = GraphConv(24, 24, 4, name="second")(y, ADJACENCY, False)
        y = TemporalConv(24, 24, 3, name="third")(y, False)
        y = y * parameter(self, "truncated", TruncatedFanIn(2.0), (3, 8, 24))[0, 0]
        return nn.Dense(2, name="flax")(y)


MODULE = Small()


@pytest.fixture(scope="module")
def initialization():
    return Initialization.of(MODULE, X)


@pytest.fixture(scope="module")
def drawn(initialization):
    return initialization.draw(jax.random.key(3))


def test_initialize_makes_the_variables_of_init(drawn):
    expected = jax.eval_shape(MODULE.init, jax.random.key(0), X)
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    for found, wanted in zip(jax.tree.leaves(drawn), jax.tree.leaves(expected)):
        assert isinstance(found, np.ndarray)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)


VARIANCES = {
    "first/kernel": 2 / (24 * 3),
    "first/bias": 1 / 3 / (64 * 3),
    "second/kernel": 1 / (4 * 24),
    "second/bias": 1 / 3 / 24,
    "third/kernel": 1 / (24 * 3),
    "truncated": 2 / (3 * 8),
    "third/bias": 1 / 3 / (24 * 3),
    "flax/kernel": 1 / 24,
    "flax/bias": 0,
    **{f"{layer}/norm/{name}": 0 for layer in ("first", "second", "third") for name in ("scale", "bias")},
}


def test_a_draw_is_a_function_of_its_key_in_any_stack(initialization, drawn):
    stack = initialization.draw(jnp.stack([jax.random.key(7), jax.random.key(3)]))
    again, other = initialize(MODULE, jax.random.key(3), X), initialization.draw(jax.random.key(4))
    for found, second, wanted in zip(*map(jax.tree.leaves, (again, stack, drawn)), strict=True):
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(second[1], wanted)
    assert (drawn["params"]["third"]["kernel"] != other["params"]["third"]["kernel"]).mean() > 0.99


def test_values_that_no_key_decides_are_those_of_the_network():
    class Known(nn.Module):
        @nn.compact
        def __call__(self, x):
            ramp = variable(self, "constants", "ramp", lambda: np.arange(6).reshape(2, 3)).value
            count = self.variable("constants", "count", lambda: jnp.ones((), jnp.int32)).value
            half = self.param("half", nn.initializers.constant(0.5), (4,))
            return x * ramp.sum() + half[0] + parameter(self, "third", Constant(1 / 3), (2,))[0] + count

    found = initialize(Known(), jax.random.key(0), X)
    np.testing.assert_array_equal(found["constants"]["ramp"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(found["params"]["half"], np.full(4, 0.5))
    np.testing.assert_array_equal(found["params"]["third"], np.full(2, 1 / 3, np.float32))
    assert (found["constants"]["count"], found["constants"]["count"].dtype) == (1, np.int32)


def test_initialize_draws_from_the_distributions_of_init(initialization):
    found = initialization.draw(jax.random.split(jax.random.key(0), 100))["params"]
    arrays = {"/".join(k.key for k in path): a for path, a in jax.tree_util.tree_leaves_with_path(found)}
    assert arrays.keys() == VARIANCES.keys()
    for name, variance in VARIANCES.items():
        a = arrays[name]
        assert a.var() == pytest.approx(variance, rel=4 * (2 / a.size) ** 0.5, abs=1e-12), name
        if name.endswith("norm/scale"):
            assert (a == 1).all()
        elif name.count("/") == 1 and name.endswith("bias") and variance:
            # Uniform: no number beyond the limit, some close to it.
            assert np.abs(a).max() == pytest.approx((3 * variance) ** 0.5, rel=0.02), name
        elif name == "truncated":
            assert np.abs(a).max() == pytest.approx(2 * variance**0.5 / 0.8796, rel=0.01), name
        else:
            assert abs(a.mean()) <= 4 * (variance / a.size) ** 0.5, name
