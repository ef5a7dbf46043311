"""Batch norm, convolutions over time with their norm, and composed affine maps."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawing import numbers

from infantjax.nn.graph import GraphConv, GroupedGraphConv
from infantjax.nn.kernels.folding import fold_batch_norm
from infantjax.nn.layers import BatchNorm, DepthwiseConv, TemporalConv, side_by_side


def by_loop(x, kernel, stride=1, dilation=1) -> np.ndarray:
    """The definition, in float64: taps are centered, zeros around, every stride-th frame."""
    frames, kernel_size = x.shape[2], kernel.shape[0]
    y = np.zeros((*x.shape[:2], (frames - 1) // stride + 1, kernel.shape[2]))
    for out in range(y.shape[2]):
        for tap in range(kernel_size):
            frame = out * stride + (tap - (kernel_size - 1) // 2) * dilation
            if 0 <= frame < frames:
                y[:, :, out] += x[:, :, frame].astype(np.float64) @ kernel[tap].astype(np.float64)
    return y


# --- norm ------------------------------------------------------------------------------------------------------------


def fresh(module, *inputs):
    """Variables with statistics, scales and offsets that are not those of a new norm."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, train=False))
    leaves, tree = jax.tree.flatten(shapes)
    return jax.tree.unflatten(tree, [0.5 + np.abs(numbers(*a.shape, seed=i)) for i, a in enumerate(leaves)])


def applied(module, variables, *arguments, train):
    """The output, and the statistics after it."""
    return jax.jit(lambda v, *a: module.apply(v, *a, train=train, mutable=["batch_stats"]))(variables, *arguments)


@pytest.mark.parametrize(("shape", "axes"), [((4,), (0, 1, 2)), ((3, 1, 1, 4), (1, 2))], ids=["channel", "joint"])
def test_norm_follows_the_published_formula(shape, axes):
    x, norm = 3 + 2 * numbers(3, 2, 5, 4), BatchNorm(shape, axes)
    variables = fresh(norm, x)
    scale, bias = (np.asarray(variables["params"][k], np.float64) for k in ("scale", "bias"))
    mean, var = (np.asarray(variables["batch_stats"][k], np.float64) for k in ("mean", "var"))

    wanted = (x - mean) / np.sqrt(var + 1e-5) * scale + bias
    np.testing.assert_allclose(applied(norm, variables, x, train=False)[0], wanted, rtol=0, atol=1e-5)

    batch_mean, batch_var = (getattr(x.astype(np.float64), f)(axes).reshape(shape) for f in ("mean", "var"))
    y, updates = applied(norm, variables, x, train=True)
    wanted = (x - batch_mean) / np.sqrt(batch_var + 1e-5) * scale + bias
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5)
    count = x.size / batch_mean.size
    stats = updates["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.9 * mean + 0.1 * batch_mean, rtol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.9 * var + 0.1 * batch_var * count / (count - 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "shape"), [((4, 4), (4,)), ((1, 11), (4,)), ((4, 4), (1, 1, 1, 4))], ids=["loop", "no unrolling", "joint"]
)
def test_norm_of_activations_far_from_zero_keeps_its_digits(rows, shape):
    x = (3000 + numbers(*rows, 7, 4)).astype(np.float32)
    axes = (0, 1, 2) if shape == (4,) else (1, 2)
    if axes == (1, 2):
        x, shape = x.reshape(1, -1, 7, 4), (1, 1, 1, 4)
    norm = BatchNorm(shape, axes)
    start = {"params": {"scale": np.ones(shape), "bias": np.zeros(shape)}}
    start["batch_stats"] = {"mean": np.zeros(shape), "var": np.ones(shape)}
    y, _ = applied(norm, jax.tree.map(np.float32, start), x, train=True)
    exact = x.astype(np.float64)
    wanted = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    # A float32 near 3000 is rounded to 2.4e-4, and so is the mean.
    np.testing.assert_allclose(y, wanted, rtol=0, atol=5e-4)


@pytest.mark.parametrize(("shape", "axes"), [((4,), (0, 1, 2)), ((3, 1, 1, 4), (1, 2))], ids=["channel", "joint"])
@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_the_norm_are_those_of_its_formula(shape, axes, train):
    norm = BatchNorm(shape, axes)
    with jax.enable_x64(True):
        x = jnp.asarray(3 + 2 * numbers(3, 2, 5, 4, dtype=np.float64))
        variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), fresh(norm, x))
        stats = variables["batch_stats"]

        def formula(params, x):
            mean = x.mean(axes, keepdims=True) if train else stats["mean"]
            var = x.var(axes, keepdims=True) if train else stats["var"]
            return (x - mean) / jnp.sqrt(var + 1e-5) * params["scale"] + params["bias"]

        def layer(params, x):
            return norm.apply({"params": params, "batch_stats": stats}, x, train=train, mutable=["batch_stats"])[0]

        def gradients(function):
            loss = jax.grad(lambda params, x: jnp.sin(function(params, x)).sum(), (0, 1))
            return jax.jit(loss)(variables["params"], x)

        for found, wanted in zip(jax.tree.leaves(gradients(layer)), jax.tree.leaves(gradients(formula))):
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10)


def test_no_gradient_flows_into_the_running_statistics():
    x, norm = numbers(3, 2, 5, 4), BatchNorm((4,))
    variables = fresh(norm, x)

    def loss(stats):
        rest = {"params": variables["params"], "batch_stats": stats}
        return jnp.square(norm.apply(rest, x, train=True, mutable=["batch_stats"])[0]).sum()

    assert not any(np.any(g) for g in jax.tree.leaves(jax.jit(jax.grad(loss))(variables["batch_stats"])))


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("use_bias", "norm", "train"),
    [
        (True, True, True),
        (False, True, False),
        (True, False, True),
        pytest.param(True, True, False, marks=pytest.mark.slow),
        pytest.param(False, True, True, marks=pytest.mark.slow),
    ],
)
def test_a_convolution_layer_is_a_convolution_with_bias_and_norm(use_bias, norm, train):
    x, layer = numbers(2, 2, 9, 3), TemporalConv(3, 4, 5, 2, 2, use_bias=use_bias, norm=norm)
    variables = fresh(layer, x)
    params = variables["params"]
    assert ("bias" in params, "norm" in params) == (use_bias, norm)
    y = by_loop(x, np.asarray(params["kernel"]), 2, 2)
    if use_bias:
        y = y + np.asarray(params["bias"])
    if norm:
        stats = variables["batch_stats"]["norm"]
        mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if train else (stats["mean"], stats["var"])
        y = (y - mean) / np.sqrt(var + 1e-5) * params["norm"]["scale"] + params["norm"]["bias"]
    found, _ = applied(layer, variables, x, train=train)
    np.testing.assert_allclose(found, y, rtol=0, atol=5e-5)


def test_a_bias_before_a_norm_moves_the_running_mean_and_has_no_gradient():
    x, layer = numbers(2, 2, 9, 3), TemporalConv(3, 4)
    variables = fresh(layer, x)
    params, old = variables["params"], variables["batch_stats"]["norm"]["mean"]

    def loss(bias):
        y, updates = layer.apply({**variables, "params": {**params, "bias": bias}}, x, True, mutable=["batch_stats"])
        return jnp.square(y).sum(), updates["batch_stats"]["norm"]["mean"]

    gradient, mean = jax.jit(jax.grad(loss, has_aux=True))(params["bias"])
    y = x @ np.asarray(params["kernel"][0]) + np.asarray(params["bias"])
    np.testing.assert_allclose(mean, 0.9 * old + 0.1 * y.mean((0, 1, 2)), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("train", [True, False])
def test_a_depthwise_layer_convolves_each_channel_on_its_own(train):
    x, layer = numbers(2, 2, 9, 4), DepthwiseConv(4, 5, 2, 2)
    variables = fresh(layer, x)
    kernel = np.asarray(variables["params"]["kernel"])
    y = np.concatenate([by_loop(x[..., c : c + 1], kernel[:, c : c + 1, None], 2, 2) for c in range(4)], -1)
    stats, params = variables["batch_stats"]["norm"], variables["params"]["norm"]
    mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if train else (stats["mean"], stats["var"])
    y = (y - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]
    found, _ = applied(layer, variables, x, train=train)
    np.testing.assert_allclose(found, y, rtol=0, atol=5e-5)


@pytest.mark.parametrize(
    "layer",
    [TemporalConv(4, 5, 3, 2), TemporalConv(4, 5, use_bias=False), DepthwiseConv(4, 5, 2, 2), BatchNorm((4,))],
    ids=["convolution", "without bias", "depthwise", "norm alone"],
)
def test_a_layer_of_folded_variables_gives_the_same(layer):
    x = numbers(2, 2, 9, 4)
    variables = fresh(layer, x)
    folded = fold_batch_norm(variables)
    assert folded.keys() == {"params"}
    found, expected = (jax.jit(layer.apply, static_argnums=2)(v, x, False) for v in (folded, variables))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("layer", [GraphConv(4, 5, 3), GroupedGraphConv(4, 3)], ids=["graph", "grouped"])
def test_a_graph_convolution_of_folded_variables_gives_the_same(layer):
    x, adjacency = numbers(2, 2, 9, 4), numbers(3, 2, 2)
    variables = fresh(layer, x, adjacency)
    apply = jax.jit(layer.apply, static_argnums=3)
    found, expected = (apply(v, x, adjacency, False) for v in (fold_batch_norm(variables), variables))
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("kind", "train"), [("shared", True), ("own channels", False)])
def test_layers_side_by_side_are_the_layers(kind, train):
    x = np.random.default_rng(0).standard_normal((2, 3, 12, 4)).astype(np.float32)

    class Layers(nn.Module):
        merged: bool

        @nn.compact
        def __call__(self, x):
            inputs = 4 if kind == "shared" else 2
            layers = [TemporalConv(inputs, 5, 3, 2, i + 1, name=f"layer_{i}") for i in range(2)]
            if self.merged:
                return side_by_side(layers, x, train, shared=kind == "shared")
            parts = [x, x] if kind == "shared" else jnp.split(x, 2, -1)
            return jnp.concatenate([layer(part, train) for layer, part in zip(layers, parts)], -1)

    drawn = Layers(False).init(jax.random.key(0), x)
    noise = np.random.default_rng(1)
    variables = jax.tree.map(lambda a: a + np.float32(noise.uniform(0.1, 1, a.shape)), drawn)

    def results(module):
        def scalar(params):
            y, changed = module.apply(variables | {"params": params}, x, mutable="batch_stats")
            return jnp.square(y - 1).sum(), (y, changed)

        return jax.jit(jax.grad(scalar, has_aux=True))(variables["params"])

    chex.assert_trees_all_close(results(Layers(True)), results(Layers(False)), rtol=1e-4, atol=1e-4)
