"""Saliency: the reference's gradient, a network whose gradient is known, and that it follows the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.methods.baby_moves import assess as saliency
from infantjax.methods.baby_moves import model as baby_moves
from infantjax.nn.initializers import initialize
from infantjax.skeletons import BABY_MOVES_18

NETWORK = baby_moves.build(features=6, metadata=True)
METADATA = jnp.array([14.0, 1.0])


@pytest.fixture(scope="module")
def series():
    return jnp.asarray(np.random.default_rng(0).standard_normal((150, 46)), jnp.float32)


@pytest.fixture(scope="module")
def of():
    return jax.jit(lambda variables, series: saliency.clip_saliency(NETWORK, variables, series, METADATA))


def weights(seed, series):
    return initialize(NETWORK, jax.random.key(seed), series[None, None, :128])


def test_a_video_of_one_clip_has_the_reference_gradient(shared, baby_moves_variables):
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / "model_plain.npz") as z, np.load(folder / "model_input.npz") as given:
        start = 8 * int(z["clip_index"][0])
        network, variables = baby_moves.build(), baby_moves_variables(z, "w.")
        clip = given["timeseries"][start : start + 128]
        found = jax.jit(lambda v, x: saliency.clip_saliency(network, v, x))(variables, clip)
        expected = np.abs(z["clip0.saliency"]).sum(axis=1)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-5 * expected.max())


def test_a_clip_is_as_salient_as_it_moves_the_logit(series, of):
    variables = weights(0, series)
    found = of(variables, series)
    assert found.shape == (3, 46)
    clips = jnp.stack([series[start : start + 128] for start in (0, 8, 16)])[None]
    gradient = jax.jit(jax.grad(lambda x: NETWORK.apply(variables, x, METADATA[None])[0][0]))(clips)
    np.testing.assert_allclose(found, jnp.abs(gradient[0]).sum(axis=1), rtol=1e-5)


def test_the_saliency_of_a_point_is_that_of_its_x_and_its_y():
    points = saliency.of_points(np.arange(46.0))
    assert points.shape == (18,)
    assert points[BABY_MOVES_18.index("left_eye")] == 2 + 3
