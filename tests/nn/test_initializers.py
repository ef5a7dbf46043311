"""Initial weights: the published variances, and a whole network drawn at once with the same distribution."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.nn.attention import SqueezeExcitation, relu
from infantjax.nn.graph import GraphConv, GroupedGraphConv
from infantjax.nn.initializers import (
    HeNormalFanOut,
    Initialization,
    TruncatedFanIn,
    UniformFanIn,
    initialize,
    parameter,
)
from infantjax.nn.layers import DepthwiseConv, TemporalConv

X = jnp.ones((5, 1, 3, 64))
ADJACENCY = jnp.ones((4, 5, 5))


def kernels_of(layer, *arguments, **options) -> dict[str, np.ndarray]:
    """The first draw of a layer's own arrays."""
    params = jax.jit(lambda key: layer.init(key, *arguments, **options))(jax.random.key(0))["params"]
    return {name: np.asarray(value) for name, value in params.items() if not isinstance(value, dict)}


# Variance gain**2 / (output channels x taps), whatever the groups and the number of inputs.
CASES = {
    "convolution": (lambda: kernels_of(TemporalConv(64, 96, 9, gain=2**0.5), X, False)["kernel"], 2 / (96 * 9)),
    "pointwise": (lambda: kernels_of(TemporalConv(64, 96), X, False)["kernel"], 1 / 96),
    "depthwise": (lambda: kernels_of(DepthwiseConv(64, 9, gain=2**0.5), X, False)["kernel"], 2 / (64 * 9)),
    "graph": (lambda: kernels_of(GraphConv(64, 40, 4), X, ADJACENCY, False)["kernel"], 1 / (4 * 40)),
    "grouped graph": (lambda: kernels_of(GroupedGraphConv(64, 4), X, ADJACENCY, False)["kernel"], 1 / (4 * 64)),
    "squeeze": (lambda: kernels_of(SqueezeExcitation(64, 2, relu), X)["squeeze"], 2 / 32),
    "excite": (lambda: kernels_of(SqueezeExcitation(64, 2, relu), X)["excite"], 1 / 64),
}


@pytest.mark.parametrize(("draw", "variance"), CASES.values(), ids=CASES)
def test_kernels_have_the_published_variance(draw, variance):
    kernel = draw()
    # The variance of n normal numbers lies within four standard errors, sqrt(2 / n), of the true one.
    assert kernel.var() == pytest.approx(variance, rel=4 * (2 / kernel.size) ** 0.5)
    assert abs(kernel.mean()) < 4 * (variance / kernel.size) ** 0.5


def test_biases_are_uniform_within_the_root_of_their_inputs():
    bias = kernels_of(TemporalConv(64, 5000, 3), X, False)["bias"] * (64 * 3) ** 0.5
    assert -1 <= bias.min() < -0.99
    assert 0.99 < bias.max() <= 1
    assert bias.var() == pytest.approx(1 / 3, rel=0.05)


def test_another_dtype_is_kept():
    for make in (HeNormalFanOut(1.0), UniformFanIn(3), TruncatedFanIn()):
        assert make(jax.random.key(0), (4, 5), jnp.bfloat16).dtype == jnp.bfloat16


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
def draw():
    return jax.jit(lambda key: initialize(MODULE, key, X))


@pytest.fixture(scope="module")
def drawn(draw):
    return jax.tree.map(np.asarray, draw(jax.random.key(3)))


def test_initialize_makes_the_variables_of_init(drawn):
    expected = jax.eval_shape(MODULE.init, jax.random.key(0), X)
    assert jax.tree.structure(drawn) == jax.tree.structure(expected)
    for found, wanted in zip(jax.tree.leaves(drawn), jax.tree.leaves(expected)):
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


def test_drawn_alone_and_within_jit_are_the_same_numbers(drawn):
    alone = initialize(MODULE, jax.random.key(3), X)
    assert jax.tree.structure(alone) == jax.tree.structure(drawn)
    for found, wanted in zip(jax.tree.leaves(alone), jax.tree.leaves(drawn)):
        assert isinstance(found, jax.Array)
        np.testing.assert_array_equal(found, wanted)


def test_many_draws_need_one_program(monkeypatch):
    traces, standard = [], Initialization._standard
    monkeypatch.setattr(Initialization, "_standard", lambda self, key: traces.append(key) or standard(self, key))
    begin = Initialization.of(MODULE, X)
    first, second = (begin.draw(jax.random.key(i))["params"]["first"]["kernel"] for i in range(2))
    assert len(traces) == 1
    assert (first != second).mean() > 0.99


def test_vectors_are_the_collections_leaf_by_leaf(drawn):
    vectors = jax.jit(Initialization.of(MODULE, X).vectors)(jax.random.key(3))
    assert vectors.keys() == drawn.keys()
    for name, tree in drawn.items():
        np.testing.assert_array_equal(vectors[name], np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]))


def test_known_arrays_are_what_the_network_says():
    class Known(nn.Module):
        @nn.compact
        def __call__(self, x):
            ramp = self.variable("constants", "ramp", lambda: jnp.arange(6.0).reshape(2, 3)).value
            return (
                TemporalConv(64, 3, name="first")(x, False) * ramp.sum()
                + self.param("half", nn.initializers.constant(0.5), (4,))[0]
            )

    found = initialize(Known(), jax.random.key(0), X)
    np.testing.assert_array_equal(found["constants"]["ramp"], np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(found["params"]["half"], np.full(4, 0.5))
    assert np.std(found["params"]["first"]["kernel"]) > 0


def test_a_collection_of_several_dtypes_is_drawn_but_is_no_vector():
    class Mixed(nn.Module):
        @nn.compact
        def __call__(self, x):
            count = self.variable("constants", "count", lambda: jnp.zeros((), jnp.int32)).value
            return x * self.variable("constants", "one", lambda: jnp.ones(())).value + count

    drawn = initialize(Mixed(), jax.random.key(0), X)["constants"]
    assert (drawn["count"].dtype, drawn["one"].dtype) == (jnp.int32, jnp.float32)
    assert (drawn["count"], drawn["one"]) == (0, 1)
    with pytest.raises(ValueError, match="must have one dtype, those of constants"):
        Initialization.of(Mixed(), X).vectors(jax.random.key(0))


def test_initialize_draws_from_the_distributions_of_init():
    keys = jax.random.split(jax.random.key(0), 100)
    found = jax.jit(jax.vmap(lambda key: initialize(MODULE, key, X)["params"]))(keys)
    arrays = {"/".join(k.key for k in path): a for path, a in jax.tree_util.tree_leaves_with_path(found)}
    assert arrays.keys() == VARIANCES.keys()
    for name, variance in VARIANCES.items():
        a = np.asarray(arrays[name])
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


def test_no_two_weights_are_the_same_number(drawn):
    first, third = (drawn["params"][name]["kernel"].ravel() for name in ("first", "third"))
    assert abs(np.corrcoef(first[: len(third)], third)[0, 1]) < 4 / len(third) ** 0.5
    standard = np.concatenate([first * (24 * 3 / 2) ** 0.5, third * (24 * 3) ** 0.5])
    assert len(np.unique(standard.round(6))) > 0.98 * len(standard)


def test_the_same_key_gives_the_same_and_another_another(draw, drawn):
    again, other = draw(jax.random.key(3)), draw(jax.random.key(4))
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(drawn), jax.tree.leaves(again)))
    assert (drawn["params"]["third"]["kernel"] != other["params"]["third"]["kernel"]).mean() > 0.99


def test_the_program_that_draws_computes_nothing_of_the_network():
    assert "conv_general_dilated" in str(jax.make_jaxpr(MODULE.init)(jax.random.key(0), X))
    found = str(jax.make_jaxpr(lambda key: initialize(MODULE, key, X))(jax.random.key(0)))
    assert not [name for name in ("conv_general_dilated", "dot_general", "rsqrt") if name in found]


class OfItsInput(nn.Module):
    """Its bias begins with a value of the input."""

    @nn.compact
    def __call__(self, x):
        return x + self.param("bias", lambda key: x.mean())


def test_variables_that_depend_on_the_input_are_refused():
    with pytest.raises(ValueError, match="the variables of OfItsInput depend on its input"):
        initialize(OfItsInput(), jax.random.key(0), X)


def test_init_is_not_touched_by_initialize():
    kernel = HeNormalFanOut()
    before = kernel(jax.random.key(3), (4, 5))
    jax.eval_shape(lambda key: initialize(MODULE, key, X), jax.random.key(3))
    np.testing.assert_array_equal(kernel(jax.random.key(3), (4, 5)), before)
