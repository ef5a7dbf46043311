"""The depth-video networks: derived counts, receptive field, laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import models
from infantjax.methods.asy_regression import model as babypose
from infantjax.models.summary import summarize
from infantjax.nn.initializers import initialize
from infantjax.skeletons import BABYPOSE_12, Skeleton

COUNTS = {
    # Convolutions with biases, with the norms' scale and offset, with their statistics.
    "babypose-detection": (30_823_892, 30_841_300, 30_858_708),
    "babypose-regression": (2_983_316, 2_985_236, 2_987_156),
    "asy-regression": (1_305_876, 1_310_612, 1_315_348),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_derived_ones(name):
    assert counts_of(name) == COUNTS[name]


def counts_of(name, **overrides):
    entry = models.get(name)
    variables = models.variable_shapes(entry.build(**overrides), entry.input_shape)
    leaves = jax.tree_util.tree_leaves_with_path(variables["params"])
    bare = sum(leaf.size for path, leaf in leaves if "norm" not in jax.tree_util.keystr(path))
    trained = sum(leaf.size for _, leaf in leaves)
    stored = sum(leaf.size for leaf in jax.tree.leaves(variables))
    return bare, trained, stored


def test_the_detection_network_is_a_reading():
    assert [name for name in COUNTS if models.get(name).fidelity == "interpretation"] == ["babypose-detection"]
    assert "re-implemented from its description" in models.get("babypose-detection").published.source


@pytest.mark.parametrize(("name", "billions"), [("babypose-regression", 109.94), ("asy-regression", 48.05)])
def test_multiply_adds_of_a_clip_are_the_derived_ones(name, billions):
    assert summarize(models.get(name)).flops / 2e9 == pytest.approx(billions, abs=0.006)


@pytest.fixture(scope="module")
def narrow():
    """The networks with a few channels, which compile in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babypose, "_DOWN", (4, 4, 4, 4))
        patch.setattr(babypose, "_UP", (4, 4, 4, 4))
        patch.setattr(babypose, "_REGRESSION", (8, 8, 8, 8))
        yield


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=pytest.mark.slow if n == "babypose-detection" else ()) for n in COUNTS],
)
def small(request, narrow):
    """A network on a clip of 16 x 32 pixels."""
    entry = models.get(request.param)
    network = entry.build()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 16, 32, entry.input_shape[-1])), jnp.float32)
    return network, initialize(network, jax.random.key(0), x), x


def test_maps_have_the_size_of_the_clip_and_training_changes_all_statistics(small):
    network, variables, x = small
    maps, aux = jax.jit(network.apply)(variables, x)
    assert maps.shape == (1, 3, 16, 32, 20)
    if aux:
        np.testing.assert_allclose(aux["maps"], 1 / (1 + np.exp(-np.asarray(maps))), atol=1e-6)
    _, state = jax.jit(lambda v, x: network.apply(v, x, True, mutable=["batch_stats"]))(variables, x)
    changed = jax.tree.map(lambda a, b: np.any(np.asarray(a) != b), state["batch_stats"], variables["batch_stats"])
    assert all(jax.tree.leaves(changed))


@pytest.mark.slow
def test_recomputed_activations_give_the_same_gradients(narrow):
    given = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 8, 8, 21)), jnp.float32)
    network = babypose.build("asy-regression")
    variables = initialize(network, jax.random.key(0), given)

    def gradient(network):
        def loss(params):
            maps, _ = network.apply({**variables, "params": params}, given, True, mutable=["batch_stats"])
            return jnp.square(maps[0]).mean()

        return jax.jit(jax.grad(loss))(variables["params"])

    a, b = gradient(network), gradient(network.clone(remat=True))
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for one, two in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(one, two, rtol=0, atol=2e-4 * max(1e-3, float(jnp.abs(one).max())))


def test_the_networks_take_any_skeleton():
    three = Skeleton("three", ("a", "b", "c"), ("a", "a", "b"))
    assert babypose.map_count(three) == 5
    assert babypose.build("asy-regression", three).maps == 5


def test_connections_are_the_limbs_of_the_paper():
    names = [(BABYPOSE_12.joints[a], BABYPOSE_12.joints[b]) for a, b in babypose.connections(BABYPOSE_12)]
    assert len(names) == 8
    assert ("left_knee", "left_ankle") in names
    assert not any("shoulder" in a and "hip" in b for a, b in names)
