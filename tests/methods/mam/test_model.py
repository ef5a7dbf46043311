"""MAM: its count, its order laws, what is filled up and what is not, and its branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import models
from infantjax.methods.mam import model as mam
from infantjax.methods.mam.model import MAM
from infantjax.models import count_parameters
from infantjax.models.summary import summarize
from infantjax.nn.initializers import initialize

SHAPE = models.get("mam").input_shape


def counted(joints=17, channels=17, steps=30, width=64, hidden=128, units=32):
    """By hand, from the table of the reading."""
    embed = channels * 8 * width + width + (joints + steps) * width
    attention = width * 3 * width + 3 * width + width * width + width
    block = 2 * attention + 3 * 2 * width + width * hidden + hidden + hidden * width + width
    classifier = width * 32 + 32 + 32 * 2 + 2
    gate = 2 * (width * units + units) + units + 1
    return embed + 4 * block + 2 * width + classifier + gate + (width + 2) * 2 + 2


def test_the_count_is_ours_and_none_is_published():
    row = summarize(models.get("mam"))
    assert (row.parameters, row.published_parameters, row.agree) == (counted(), None, None)
    assert row.fidelity == "interpretation"
    assert "re-implemented" in row.source
    info = 4 * 16 + 16 + 16 * 16 + 16 + 16 * 2 + 2 + 1
    assert count_parameters(mam.build(info=16), SHAPE) == counted() + info
    assert count_parameters(mam.build(channels=6), (1, 240, 17, 6)) == counted(channels=6)


@pytest.fixture(scope="module")
def small():
    network = MAM(channels=3, joints=3, frames=12, token=4, width=8, blocks=1, heads=2, hidden=8, info=4)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 4, 12, 3, 3)), jnp.float32)
    info = jnp.asarray(rng.standard_normal((2, 4)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x)
    assert jax.nn.sigmoid(variables["params"]["share"]) == pytest.approx(0.9)
    # Biases begin at zero; away from it every law is put to a harder test.
    variables["params"] = jax.tree.map(
        lambda leaf: leaf + 0.3 * jnp.asarray(rng.standard_normal(leaf.shape), jnp.float32), variables["params"]
    )
    compiled = jax.jit(lambda *given: network.apply(*given))

    def apply(variables, x, info, real=None, present=None):
        real = np.full(x.shape[:2], 12) if real is None else real
        return compiled(variables, x, info, real, np.ones(x.shape[:2], bool) if present is None else present)

    return network, variables, x, info, apply


@pytest.mark.slow
def test_compiled_is_as_written_from_the_input_on(small):
    network, variables, x, info, apply = small
    with jax.disable_jit():
        expected, aux = network.apply(variables, x, info)
    found, compiled = apply(variables, x, info)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), compiled, aux)


def test_a_video_does_not_depend_on_the_others_of_the_batch(small):
    _, variables, x, info, apply = small
    other = x.at[0].set(7.0)
    np.testing.assert_allclose(apply(variables, other, info)[0][1], apply(variables, x, info)[0][1], atol=1e-6)


def test_the_order_of_a_videos_instances_does_not_matter(small):
    _, variables, x, info, apply = small
    order = np.array([2, 0, 3, 1])
    before, after = apply(variables, x, info), apply(variables, x[:, order], info)
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    np.testing.assert_allclose(after[1]["attention"], before[1]["attention"][:, order], atol=1e-6)


@pytest.mark.parametrize("axis", [2, 3])
def test_the_order_of_frames_and_of_joints_does(small, axis):
    _, variables, x, info, apply = small
    assert (jnp.abs(apply(variables, jnp.flip(x, axis), info)[0] - apply(variables, x, info)[0]) > 1e-3).all()


def test_attention_sums_to_one_and_ignores_instances_that_are_not_there(small):
    _, variables, x, info, apply = small
    present = np.array([[True, False, True, False], [True, True, True, True]])
    logit, aux = apply(variables, x, info, None, present)
    np.testing.assert_allclose(aux["attention"].sum(1), 1, rtol=1e-6)
    assert (aux["attention"][0, 1::2] == 0).all()
    np.testing.assert_allclose(apply(variables, x.at[0, 1::2].set(9.0), info, None, present)[0], logit, atol=1e-6)


def test_frames_that_are_filled_up_do_not_matter(small):
    _, variables, x, info, apply = small
    real = np.array([[8, 12, 12, 5], [12, 12, 12, 1]])
    before, _ = apply(variables, x, info, real)
    # A token of 4 frames counts that has one real frame.
    filled = x.at[0, 0, 8:].set(5.0).at[0, 3, 8:].set(-5.0).at[1, 3, 4:].set(5.0)
    np.testing.assert_allclose(apply(variables, filled, info, real)[0], before, atol=1e-6)
    assert abs(float(apply(variables, x.at[0, 0, 7].set(5.0), info, real)[0][0] - before[0])) > 1e-3


def test_the_risk_is_the_weighted_mean_of_both_log_odds(small):
    _, variables, x, info, apply = small
    logit, aux = apply(variables, x, info)
    share = jax.nn.sigmoid(variables["params"]["share"])
    np.testing.assert_allclose(logit, share * aux["main"] + (1 - share) * aux["info"], rtol=1e-5)


def test_info_is_standardized(small):
    _, variables, x, info, apply = small
    mean, deviation = jnp.array([1.0, 40, 3000, 12]), jnp.array([1.0, 2, 500, 3])
    known = {**variables, "standard": {"mean": mean, "deviation": deviation}}
    found, _ = apply(known, x, info * deviation + mean)
    np.testing.assert_allclose(found, apply(variables, x, info)[0], atol=1e-4)


def test_inputs_are_standardized(small):
    _, variables, x, info, apply = small
    mean, deviation = jnp.arange(9.0).reshape(3, 3), 1 + jnp.arange(9.0).reshape(3, 3) ** 2
    # Of a token's four frames the last comes first.
    mixing, turned = jnp.eye(4)[::-1], x.reshape(2, 4, 3, 4, 3, 3)[:, :, :, ::-1].reshape(x.shape)
    known = {**variables, "inputs": {"mean": mean, "deviation": deviation, "mixing": mixing}}
    found, _ = apply(known, turned * deviation + mean, info)
    np.testing.assert_allclose(found, apply(variables, x, info)[0], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "shape", "info", "message"),
    [
        ({}, (1, 1, 240, 17, 16), None, r"must be \[clip, 240, 17, 17\]"),
        ({}, (1, 240, 17, 17), None, "instance, time"),
        ({}, (1, 1, 240, 17, 17), (1, 4), "info must be None"),
        ({"info": 4}, (1, 1, 240, 17, 17), (1, 3), r"info must be \(1, 4\)"),
        ({"token": 7}, (1, 1, 240, 17, 17), None, "7 of 240"),
        ({"main_share": 1.0}, (1, 1, 240, 17, 17), None, "main_share"),
    ],
)
def test_what_does_not_fit_is_refused(settings, shape, info, message):
    def begin(key):
        return mam.build(**settings).init(key, jnp.zeros(shape), None if info is None else jnp.zeros(info))

    with pytest.raises(ValueError, match=message):
        jax.eval_shape(begin, jax.random.key(0))
