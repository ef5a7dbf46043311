"""Squeeze-and-excitation and the three attentions against plain NumPy."""

import jax
import numpy as np
import pytest
from drawing import applied, fresh, numbers

from infantjax.nn.attention import ACTIVATIONS, Attention, SqueezeExcitation, _highest, relu, swish

JOINTS, BATCH, FRAMES, CHANNELS = 6, 2, 5, 8
ACTIVATE = {
    "relu": lambda x: np.maximum(x, 0),
    "swish": lambda x: x / (1 + np.exp(-x)),
}


X = numbers(JOINTS, BATCH, FRAMES, CHANNELS)


def normalized(y, params, stats, train) -> np.ndarray:
    axes = tuple(range(y.ndim - 1))
    mean, var = (y.mean(axes), y.var(axes)) if train else (stats["mean"], stats["var"])
    return (y - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


def softmax(x) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_activations_are_their_definitions_and_finite_for_large_numbers():
    large = np.array([-1e30, -100, -0.0, 0, 100, 1e30], np.float32)
    assert np.isfinite(jax.grad(lambda x: swish(x).sum())(large)).all()
    np.testing.assert_array_equal(relu(np.append(large, np.nan)), [0, 0, 0, 0, 100, np.float32(1e30), np.nan])
    np.testing.assert_array_equal(jax.grad(lambda x: relu(x).sum())(large), [0, 0, 0, 0, 1, 1])
    assert ACTIVATIONS.keys() == ACTIVATE.keys()
    for name, activation in ACTIVATIONS.items():
        np.testing.assert_allclose(activation(X), ACTIVATE[name](X), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_squeeze_and_excitation_weights_channels_by_their_mean(name):
    layer = SqueezeExcitation(CHANNELS, 2, ACTIVATIONS[name])
    variables = fresh(layer, X)
    params = variables["params"]
    assert {k: v.shape for k, v in params.items()} == {"squeeze": (8, 4), "excite": (4, 8)}
    inner = ACTIVATE[name](X.mean((0, 2)) @ params["squeeze"])
    weights = 1 / (1 + np.exp(-inner @ params["excite"]))
    np.testing.assert_allclose(jax.jit(layer.apply)(variables, X), X * weights[None, :, None], rtol=0, atol=1e-5)


def channel_weights(params, stats, act, train):
    pooled = X.mean((0, 2))
    hidden = pooled @ params["reduce"]["kernel"][0] + params["reduce"]["bias"]
    hidden = act(normalized(hidden, params["reduce"]["norm"], stats["reduce"]["norm"], train))
    return softmax(hidden @ params["expand"]["kernel"][0] + params["expand"]["bias"])[None, :, None]


def frame_weights(params, stats, act, train):
    planes = np.stack([X.mean((0, 3)), X.max((0, 3))], -1)
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    kernel_size = len(kernel)
    padded = np.pad(planes, ((0, 0), (kernel_size // 2, kernel_size // 2), (0, 0)))
    return sum(padded[:, t : t + FRAMES] @ kernel[t] for t in range(kernel_size))[None] + bias


def joint_weights(params, stats, act, train):
    pooled = X.mean((2, 3)).T
    hidden = pooled @ params["reduce"]["kernel"][0] + params["reduce"]["bias"]
    hidden = act(normalized(hidden, params["reduce"]["norm"], stats["reduce"]["norm"], train))
    return softmax(hidden @ params["expand"]["kernel"][0] + params["expand"]["bias"]).T[:, :, None, None]


KINDS = {"channel": channel_weights, "frame": frame_weights, "joint": joint_weights}


@pytest.mark.parametrize(
    ("name", "train"),
    [
        ("relu", False),
        ("swish", True),
        pytest.param("relu", True, marks=pytest.mark.slow),
        pytest.param("swish", False, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_its_definition(kind, name, train):
    layer = Attention(kind, CHANNELS, JOINTS, 3, ACTIVATIONS[name])
    variables = fresh(layer, X, train=False)
    params, stats, act = variables["params"], variables["batch_stats"], ACTIVATE[name]
    weights = KINDS[kind](params[kind], stats.get(kind), act, train)
    if kind != "frame":
        np.testing.assert_allclose(weights.sum({"channel": -1, "joint": 0}[kind]), 1, rtol=1e-6)
    wanted = act(normalized(X * weights, params["norm"], stats["norm"], train) + X)
    found = applied(layer, variables, X, train=train)
    # In training mode two samples alone give the statistics of the reduction, which amplifies rounding.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-4 if train else 2e-5)


def test_the_gradient_of_the_highest_activation_of_each_frame_is_at_its_place():
    def total(x):
        return _highest(swish(x)).sum()

    of_swish = ACTIVATE["swish"](X)
    place = of_swish == of_swish.max((0, 3), keepdims=True)
    assert place.sum() == BATCH * FRAMES
    slope = jax.vmap(jax.grad(swish))(X.ravel()).reshape(X.shape)
    np.testing.assert_allclose(jax.jit(jax.grad(total))(X), np.where(place, slope, 0), rtol=0, atol=1e-6)
