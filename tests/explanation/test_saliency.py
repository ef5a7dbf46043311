"""Attributions: functions whose answer is known, graph networks, and maps that do or do not follow the weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.explanation import saliency
from infantjax.explanation.class_activation import class_weights
from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.nn.initializers import initialize

# What is tested holds however well a program is compiled.
quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})
RNG = np.random.default_rng(0)


def polynomial(x):
    """Each sample's score is 3 a + b^2 + a b of its two values."""
    a, b = x[:, 0], x[:, 1]
    return 3 * a + b**2 + a * b


def test_the_gradient_is_of_each_sample_alone():
    x = jnp.array([[1.0, 2.0], [4.0, -1.0]])
    np.testing.assert_allclose(quick(partial(saliency.gradient, polynomial))(x), [[5, 5], [2, 2]])


def test_grad_cam_plus_plus_by_hand():
    """Two places, two channels, score 3 a1 + a2^2 - 4 b1: each share, weight and sum written out."""
    features = jnp.array([[[[1.0, 5.0], [2.0, 0.5]]]])

    def head(f):
        return 3 * f[:, 0, 0, 0] + f[:, 0, 1, 0] ** 2 - 4 * f[:, 0, 0, 1]

    # Channel a sums to 3 and has the slopes 3 and 2 * 2 = 4; channel b only falls, so it has no weight.
    weight = 3 * 9 / (2 * 9 + 27 * 3) + 4 * 16 / (2 * 16 + 64 * 3)
    found = quick(partial(saliency.grad_cam_plus_plus, head))(features)
    np.testing.assert_allclose(found, [[[weight, 2 * weight]]], rtol=1e-6)


def test_grad_cam_plus_plus_raises_a_channel_that_is_active_at_few_places():
    features = jnp.zeros((1, 4, 1, 2)).at[0, 0, 0, 0].set(1.0).at[0, 1:, 0, 1].set(1.0)

    def head(f):
        return 2 * f[:, 0, 0, 0] + f[:, 1:, 0, 1].sum(axis=1)

    plus = quick(partial(saliency.grad_cam_plus_plus, head))(features)[0, :, 0]
    np.testing.assert_allclose(plus, [2 / (2 + 2 * 1), *[3 / (2 + 1 * 3)] * 3], rtol=1e-6)


@pytest.fixture(scope="module", params=["global", "spatial"])
def network(request):
    """A small network with its weights, a window, and its scores and features."""
    base = {name: alternatives[0] for name, alternatives in ALTERNATIVES.items()} | {"bottleneck_factor": 2}
    module = GraphNetwork(Architecture.from_choices(base | {"pool": request.param}), lean=True)
    x = jnp.asarray(RNG.normal(size=(2, 20, 19, 6)), jnp.float32)
    variables = initialize(module, jax.random.key(0), x)
    logits, aux = quick(module.apply)(variables, x)
    return variables["params"], aux["features"], logits[:, 1] - logits[:, 0]


def test_the_head_of_a_graph_network_gives_its_score(network):
    params, features, score = network
    np.testing.assert_allclose(saliency.graph_head(params)(features), score, atol=1e-5)


def test_the_exact_map_sums_to_the_score_up_to_the_biases_and_that_of_the_reference_does_not(network):
    params, features, score = network
    exact, reference = (class_weights(params, exact=exact) for exact in (True, False))
    biases = params["classifier"]["bias"]
    pooled = "pool" in params
    if pooled:
        biases = biases + params["pool"]["bias"] @ params["classifier"]["kernel"]
    sums = [np.einsum("btvc,vck->bk", features, np.broadcast_to(w, (19, *w.shape[1:]))) for w in (exact, reference)]
    scale = features.shape[1] * (1 if pooled else 19)
    found = [(logits[:, 1] - logits[:, 0]) / scale + biases[1] - biases[0] for logits in sums]
    np.testing.assert_allclose(found[0], score, atol=1e-5)
    assert np.allclose(found[1], score, atol=1e-5) == (not pooled)


@pytest.mark.parametrize("how", ["grad-cam++", "saliency"])
def test_each_method_gives_shares_of_the_strongest_joint(how, network):
    params, features, score = network
    head = saliency.graph_head(params)

    def apply(x):
        # A network whose feature map is its input.
        return jnp.stack([jnp.zeros(len(x)), head(x)], axis=1), {"features": x}

    @quick
    def both(features):
        maps = (
            saliency.grad_cam_plus_plus(head, features).mean(axis=1)
            if how == "grad-cam++"
            else jnp.abs(saliency.gradient(head, features)).sum(axis=(1, 3))
        )
        return *saliency.explained(apply, params, features, how), maps

    logits, shares, values = both(features)
    np.testing.assert_allclose(logits[:, 1], score, atol=1e-5)
    assert shares.shape == (2, 19)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.max(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(shares, values / values.max(axis=1, keepdims=True), rtol=1e-4)
