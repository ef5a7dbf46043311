"""SMA CNN: every published shape, the derived count, and its layers against plain convolutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from infantjax import models
from infantjax.methods.sma_cnn import model as sma_cnn
from infantjax.methods.sma_cnn.model import SmaCnn
from infantjax.models import count_parameters
from infantjax.models.summary import summarize
from infantjax.nn.initializers import initialize

SHAPE = models.get("sma-cnn").input_shape


def test_the_count_is_the_derived_one():
    assert count_parameters(sma_cnn.build(), SHAPE) == 35_939_169
    row = summarize(models.get("sma-cnn"))
    assert (row.parameters, row.published_parameters, row.agree) == (35_939_169, None, None)


def test_every_layer_has_its_published_shape():
    variables, aux = jax.eval_shape(
        lambda key: (lambda out, v: (v, out[1]))(*sma_cnn.build().init_with_output(key, jnp.zeros((2, *SHAPE)))),
        jax.random.key(0),
    )
    assert {name: leaf.shape for name, leaf in aux.items()} == {
        "conv1": (2, 4, 300, 48),
        "pool1": (2, 4, 150, 48),
        "pool2": (2, 4, 75, 128),
        "pool3": (2, 4, 34, 256),
    }
    sizes = {name: sum(leaf.size for leaf in jax.tree.leaves(layer)) for name, layer in variables["params"].items()}
    convolutions = [sizes[f"conv{i}_kernel"] + sizes[f"conv{i}_bias"] for i in (1, 2, 3)]
    assert convolutions == [480, 55_424, 229_632]
    assert (sizes["dense"], sizes["score"]) == (35_652_608, 1_025)


def test_pooling_rounds_up_and_keeps_the_last_frame():
    x = jnp.zeros(300).at[299].set(5.0)
    pooled = sma_cnn.pool(x[None, None, :, None])[0, 0, :, 0]
    assert (pooled.shape, float(pooled[149]), float(pooled[148])) == ((150,), 5.0, 0.0)
    assert sma_cnn.pool(jnp.zeros((1, 1, 69, 1))).shape[2] == 34
    falling = -jnp.arange(1.0, 8.0)[None, None, :, None]
    assert sma_cnn.pool(falling)[0, 0, :, 0].tolist() == [-1, -3, -5]


@pytest.fixture(scope="module")
def small():
    network = SmaCnn(features=(3, 4, 5, 6))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 12, 120, 1)), jnp.float32)
    return network, initialize(network, jax.random.key(0), x), x


@pytest.mark.parametrize("frames", [3, 4, 69, 150])
def test_the_gradient_of_pooling_goes_to_the_first_of_the_largest(frames):
    rng = np.random.default_rng(frames)
    x = rng.integers(0, 4, (2, 4, frames, 3)).astype(np.float32)
    outputs = jax.eval_shape(sma_cnn.pool, x).shape[2]
    weights = rng.standard_normal((2, 4, outputs, 3)).astype(np.float32)

    def windows(x):
        pad = ((0, 0), (0, 0), (0, 2 * outputs + 1 - frames), (0, 0))
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 1), (1, 1, 2, 1), pad)

    found, expected = (jax.jit(jax.grad(lambda x, f=f: (f(x) * weights).sum()))(x) for f in (sma_cnn.pool, windows))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def reference(params, x):
    """The network as the paper draws it, with convolutions over images."""

    def conv(x, name, strides, padding):
        y = lax.conv_general_dilated(
            x, params[f"{name}_kernel"], strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        y = jax.nn.relu(y + params[f"{name}_bias"])
        frames = -(-(y.shape[2] - 3) // 2) + 1
        pad = ((0, 0), (0, 0), (0, 2 * frames + 1 - y.shape[2]), (0, 0))
        return lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 3, 1), (1, 1, 2, 1), pad)

    x = conv(x, "conv1", (3, 3), "VALID")
    x = conv(x, "conv2", (1, 1), [(1, 1), (1, 1)])
    x = conv(x, "conv3", (1, 1), "VALID")
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["dense"]["kernel"] + params["dense"]["bias"])
    return (x @ params["score"]["kernel"] + params["score"]["bias"])[:, 0]


def test_the_network_is_the_drawn_one(small):
    network, variables, x = small
    expected = jax.jit(reference)(variables["params"], x)
    np.testing.assert_allclose(jax.jit(network.apply)(variables, x)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_its_gradients_are_those_of_the_drawn_one(small):
    network, variables, x = small
    found = jax.jit(jax.grad(lambda p: (network.apply({"params": p}, x)[0] ** 2).sum()))(variables["params"])
    expected = jax.jit(jax.grad(lambda p: (reference(p, x) ** 2).sum()))(variables["params"])
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * max(1e-3, float(jnp.abs(b).max())))


@pytest.mark.parametrize(
    ("shape", "message"), [((1, 11, 900, 1), "3 rows a limb"), ((1, 12, 107, 1), "too short"), ((12, 900), "got")]
)
def test_an_input_of_another_shape_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        SmaCnn().init(jax.random.key(0), jnp.zeros(shape))
