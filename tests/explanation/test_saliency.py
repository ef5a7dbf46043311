"""Attributions: functions whose answer is known, graph networks, and maps that do or do not follow the weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from infantjax.explanation import saliency
from infantjax.explanation.class_activation import class_weights
from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.st_gcn import StGcn
from infantjax.nn.initializers import initialize
from infantjax.skeletons import IN_MOTION_19, body_parts

# What is tested holds however well a program is compiled.
quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})
RNG = np.random.default_rng(0)


def polynomial(x):
    """Each sample's score is 3 a + b^2 + a b of its two values."""
    a, b = x[:, 0], x[:, 1]
    return 3 * a + b**2 + a * b


def test_the_gradient_is_of_each_sample_alone():
    x = jnp.array([[1.0, 2.0], [4.0, -1.0]])
    np.testing.assert_allclose(saliency.gradient(polynomial, x), [[5, 5], [2, 2]])


def test_integrated_gradients_of_a_polynomial_by_hand():
    found = saliency.integrated_gradients(polynomial, jnp.array([[1.0, 2.0]]), steps=3)
    np.testing.assert_allclose(found, [[3 + 1, 4 + 1]], rtol=1e-6)


def test_integrated_gradients_add_up_to_the_difference_from_the_baseline():
    weights = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
    x, baseline = jnp.asarray(RNG.normal(size=(3, 6)), jnp.float32), jnp.linspace(-1.0, 1.0, 6)

    def score(x):
        return jnp.tanh(x @ weights).sum(axis=1)

    found = quick(lambda x: saliency.integrated_gradients(score, x, baseline, 100))(x)
    np.testing.assert_allclose(found.sum(axis=1), score(x) - score(baseline[None]), atol=1e-3)
    np.testing.assert_array_equal(saliency.integrated_gradients(score, x, x), 0)
    with pytest.raises(ValueError, match="at least one step"):
        saliency.integrated_gradients(score, x, steps=0)


def test_grad_cam_weighs_channels_by_their_mean_gradient():
    features = jnp.asarray(RNG.normal(size=(2, 5, 3, 4)), jnp.float32)
    weights = jnp.array([1.0, -2.0, 0.5, 0.0])
    found = saliency.grad_cam(lambda f: (f @ weights).mean(axis=(1, 2)), features)
    np.testing.assert_allclose(found, np.maximum(features @ weights / 15, 0), atol=1e-6)


def test_grad_cam_plus_plus_by_hand():
    """Two places, two channels, score 3 a1 + a2^2 - 4 b1: each share, weight and sum written out."""
    features = jnp.array([[[[1.0, 5.0], [2.0, 0.5]]]])

    def head(f):
        return 3 * f[:, 0, 0, 0] + f[:, 0, 1, 0] ** 2 - 4 * f[:, 0, 0, 1]

    # Channel a sums to 3 and has the slopes 3 and 2 * 2 = 4; channel b only falls, so it has no weight.
    weight = 3 * 9 / (2 * 9 + 27 * 3) + 4 * 16 / (2 * 16 + 64 * 3)
    np.testing.assert_allclose(saliency.grad_cam_plus_plus(head, features), [[[weight, 2 * weight]]], rtol=1e-6)


def test_grad_cam_plus_plus_raises_a_channel_that_is_active_at_few_places():
    features = jnp.zeros((1, 4, 1, 2)).at[0, 0, 0, 0].set(1.0).at[0, 1:, 0, 1].set(1.0)

    def head(f):
        return 2 * f[:, 0, 0, 0] + f[:, 1:, 0, 1].sum(axis=1)

    plain, plus = (method(head, features)[0, :, 0] for method in (saliency.grad_cam, saliency.grad_cam_plus_plus))
    np.testing.assert_allclose(plain, [2 / 4, *[3 / 4] * 3])
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


@pytest.mark.parametrize("network", ["global"], indirect=True)
def test_grad_cam_is_class_activation_where_the_joints_are_averaged(network):
    params, features, _ = network
    weights = class_weights(params)[0]
    activation = np.maximum(features @ (weights[:, 1] - weights[:, 0]), 0)
    found = (
        quick(lambda f: saliency.grad_cam(saliency.graph_head(params), f))(features)
        * features.shape[1]
        * features.shape[2]
    )
    np.testing.assert_allclose(found, activation, atol=1e-5)


def test_only_the_part_that_a_score_reads_matters_when_hidden():
    parts = body_parts(IN_MOTION_19)
    wrist = IN_MOTION_19.index("left_wrist")
    x = jnp.asarray(RNG.normal(size=(2, 8, 19, 2)), jnp.float32)

    def score(x):
        return jnp.abs(jnp.diff(x[:, :, wrist], axis=1)).sum(axis=(1, 2))

    found = saliency.occlusion(score, x, parts)
    np.testing.assert_allclose(found.pop("left_arm"), score(x), rtol=1e-6)
    assert set(found) == set(parts) - {"left_arm"}
    assert not np.any(list(found.values()))


def test_hidden_joints_take_the_baseline():
    x = jnp.ones((1, 3, 2, 1))
    found = saliency.occlusion(lambda x: x.sum(axis=(1, 2, 3)), x, {"both": (0, 1), "none": ()}, baseline=5.0)
    np.testing.assert_array_equal([found["both"][0], found["none"][0]], [6 - 30, 0])


def test_a_map_of_the_input_alone_is_found_out_and_a_map_of_the_weights_is_not():
    # With ties.
    trained, untrained = (jnp.asarray(RNG.integers(0, 20, size), jnp.float32) for size in (200, (3, 200)))
    x = jnp.asarray(RNG.normal(size=200), jnp.float32)

    @quick
    def agreements(trained, untrained):
        explanations = (lambda _: jnp.diff(x)), (lambda weights: weights), (lambda weights: 0 * weights)
        return [saliency.agreement_with_untrained(explain, trained, untrained) for explain in explanations]

    of_input, of_weights, flat = agreements(trained, untrained)
    np.testing.assert_allclose(of_input, 1, rtol=1e-5)
    expected = [stats.spearmanr(trained, other).statistic for other in untrained]
    np.testing.assert_allclose(of_weights, expected, atol=1e-5)
    assert np.isnan(flat).all()


@pytest.mark.slow
def test_gradients_of_a_graph_network_follow_its_weights():
    module = StGcn(widths=(4,))
    x = jnp.asarray(RNG.normal(size=(1, 12, 19, 2)), jnp.float32)

    def explain(variables):
        return saliency.gradient(lambda x: module.apply(variables, x)[0][:, 1], x)

    @quick
    def agreement(drawn):
        one, others = (jax.tree.map(part, drawn) for part in (lambda a: a[0], lambda a: a[1:]))
        return saliency.agreement_with_untrained(explain, one, others)

    found = agreement(initialize(module, jax.random.split(jax.random.key(0), 6), x))
    assert found.shape == (5,)
    assert float(jnp.abs(found).mean()) < 0.5


def test_integrated_gradients_of_joints_add_up_to_the_mean_difference_of_the_scores():
    x = jnp.asarray(RNG.normal(size=(3, 5, 4, 2)), jnp.float32)

    def score(x):
        return jnp.square(x[:, :, 1]).sum(axis=(1, 2)) - x[:, 0, 3, 0]

    found = quick(lambda x: saliency.by_joint(saliency.integrated_gradients(score, x)))(x)
    assert found.shape == (4,)
    np.testing.assert_allclose(found.sum(), score(x).mean(), rtol=1e-5)
    np.testing.assert_array_equal(found[jnp.array([0, 2])], 0)
