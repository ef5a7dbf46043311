"""Convolutions over time: every lowering against a plain loop, gradients against those that JAX derives, the norm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax
from jax.test_util import check_grads

from infantjax.cache import shorten_compilation
from infantjax.nn import conv
from infantjax.nn.conv import (
    Affine,
    Conv,
    DepthwiseConv,
    Norm,
    temporal_convolution,
    unrolled,
    use_lowering,
    valid_convolution,
)

FEW = settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True)
"""Every example compiles programs of its own shapes."""

shapes = st.fixed_dictionaries(
    {
        "frames": st.integers(1, 13),
        "taps": st.sampled_from([1, 3, 5, 9]),
        "stride": st.integers(1, 3),
        "dilation": st.integers(1, 3),
        # Up to two inputs, and fewer than twenty outputs, take ways of their own.
        "inputs": st.sampled_from([1, 2, 3]),
        "outputs": st.sampled_from([1, 4, 21]),
    }
)


def numbers(*shape, seed=0, dtype=np.float32) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def by_loop(x, kernel, stride=1, dilation=1) -> np.ndarray:
    """The definition, in float64: taps are centered, zeros around, every stride-th frame."""
    frames, taps = x.shape[2], kernel.shape[0]
    y = np.zeros((*x.shape[:2], (frames - 1) // stride + 1, kernel.shape[2]))
    for out in range(y.shape[2]):
        for tap in range(taps):
            frame = out * stride + (tap - (taps - 1) // 2) * dilation
            if 0 <= frame < frames:
                y[:, :, out] += x[:, :, frame].astype(np.float64) @ kernel[tap].astype(np.float64)
    return y


def arrays(s, dtype=np.float32):
    return numbers(2, 2, s["frames"], s["inputs"], dtype=dtype), numbers(
        s["taps"], s["inputs"], s["outputs"], dtype=dtype
    )


@pytest.mark.parametrize("lowering", ["convolution", "matmul"])
@FEW
@given(s=shapes)
def test_each_lowering_is_the_definition(lowering, s):
    x, kernel = arrays(s)
    with use_lowering(lowering):
        y = jax.jit(lambda x, k: temporal_convolution(x, k, s["stride"], s["dilation"]))(x, kernel)
    np.testing.assert_allclose(y, by_loop(x, kernel, s["stride"], s["dilation"]), rtol=0, atol=2e-5)


@pytest.mark.parametrize("lowering", ["convolution", "matmul"])
@settings(FEW, max_examples=8)
@given(s=shapes)
def test_gradients_are_those_that_jax_derives_for_its_own_convolution(lowering, s):
    stride, dilation = s["stride"], s["dilation"]

    def plain(x, kernel):
        flat, margin = x.reshape(-1, *x.shape[2:]), dilation * (s["taps"] - 1) // 2
        axes = ("NWC", "WIO", "NWC")
        y = lax.conv_general_dilated(flat, kernel, (stride,), [(margin, margin)], None, (dilation,), axes)
        return y.reshape(*x.shape[:2], *y.shape[1:])

    @jax.jit
    def both(x, kernel, gradient):
        ours, pull = jax.vjp(lambda x, k: temporal_convolution(x, k, stride, dilation), x, kernel)
        theirs, their_pull = jax.vjp(plain, x, kernel)
        return (ours, *pull(gradient)), (theirs, *their_pull(gradient))

    with jax.enable_x64(True), use_lowering(lowering):
        x, kernel = arrays(s, np.float64)
        gradient = numbers(2, 2, (s["frames"] - 1) // stride + 1, s["outputs"], seed=1, dtype=np.float64)
        for found, wanted in zip(*both(x, kernel, gradient), strict=True):
            assert found.dtype == np.float64
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lowering", ["convolution", "matmul"])
def test_gradients_are_the_slopes(lowering):
    with jax.enable_x64(True), use_lowering(lowering):
        x, kernel = numbers(2, 1, 8, 3, dtype=np.float64), numbers(3, 3, 4, dtype=np.float64)
        check_grads(lambda x, k: temporal_convolution(x, k, 2, 2), (x, kernel), order=1, modes=["rev"])


def test_gradients_inside_a_loop_over_runs_are_those_of_each_run():
    x, kernels = numbers(2, 2, 9, 3), numbers(3, 5, 3, 4)

    def slope(kernel):
        return jax.grad(lambda k: jnp.square(temporal_convolution(x, k, 2, 1)).sum())(kernel)

    one = jax.jit(slope)
    expected = np.stack([one(k) for k in kernels])
    np.testing.assert_allclose(jax.jit(lambda k: lax.map(slope, k))(kernels), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(slope))(kernels), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lowering", ["convolution", "matmul"])
def test_convolution_is_the_same_compiled_and_for_each_run_alone(lowering):
    x, kernels = numbers(2, 2, 9, 3), numbers(2, 5, 3, 4)
    with use_lowering(lowering):
        alone = np.stack([temporal_convolution(x, k, 2, 2) for k in kernels])
        np.testing.assert_allclose(jax.jit(lambda k: temporal_convolution(x, k, 2, 2))(kernels[0]), alone[0], atol=1e-5)
        np.testing.assert_allclose(jax.vmap(lambda k: temporal_convolution(x, k, 2, 2))(kernels), alone, atol=1e-5)


def test_the_lowering_of_a_block_ends_with_it():
    def operations() -> str:
        return str(jax.make_jaxpr(lambda x, k: temporal_convolution(x, k))(numbers(1, 1, 5, 3), numbers(3, 3, 4)))

    own = operations()
    with use_lowering("matmul"):
        assert "conv_general_dilated" not in operations()
        with use_lowering("convolution"):
            assert "conv_general_dilated" in operations()
        assert "conv_general_dilated" not in operations()
    assert operations() == own


def test_every_backend_has_a_lowering():
    assert set(conv.LOWERINGS) == {"cpu", "gpu", "tpu"}
    assert set(conv.LOWERINGS.values()) <= {"convolution", "matmul"}


# --- depthwise -------------------------------------------------------------------------------------------------------


@settings(FEW, max_examples=6)
@given(s=shapes)
def test_depthwise_convolution_is_a_grouped_one(s):
    channels, stride, dilation = s["outputs"], s["stride"], s["dilation"]
    x, kernel = numbers(2, 2, s["frames"], channels), numbers(s["taps"], channels)
    margin = dilation * (s["taps"] - 1) // 2
    outputs = len(range(0, s["frames"], stride))

    def grouped(x, kernel):
        return lax.conv_general_dilated(
            x.reshape(-1, *x.shape[2:]),
            kernel[:, None],
            (stride,),
            [(margin, margin)],
            rhs_dilation=(dilation,),
            dimension_numbers=("NWC", "WIO", "NWC"),
            feature_group_count=channels,
        ).reshape(2, 2, outputs, channels)

    @jax.jit
    def with_gradients(x, kernel, weights):
        ways = grouped, lambda x, kernel: conv.depthwise_temporal_convolution(x, kernel, stride, dilation)
        return [(y, *pull(weights)) for y, pull in (jax.vjp(way, x, kernel) for way in ways)]

    both = with_gradients(x, kernel, numbers(2, 2, outputs, channels, seed=1))
    for expected, found, tolerance in zip(*both, (1e-5, 1e-4, 1e-4)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


# --- affine maps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_a_pointwise_convolution_is_a_matrix_product_whatever_the_number_of_inputs(inputs):
    x, kernel = numbers(3, 2, 5, inputs), numbers(inputs, 4)
    np.testing.assert_allclose(conv.pointwise(x, kernel), x @ kernel, rtol=0, atol=1e-5)
    gradient = jax.grad(lambda k: jnp.square(conv.pointwise(x, k)).sum())(kernel)
    np.testing.assert_allclose(gradient, 2 * np.einsum("jbti,jbto->io", x, x @ kernel), rtol=1e-4, atol=1e-4)


def affine(taps, inputs, outputs, seed) -> Affine:
    return Affine(jnp.asarray(numbers(taps, inputs, outputs, seed=seed)), jnp.asarray(numbers(outputs, seed=seed)))


def test_one_map_after_another_is_their_composition():
    x, first, second = numbers(2, 2, 9, 3), affine(5, 3, 4, 1), affine(1, 4, 6, 2)
    np.testing.assert_allclose(first.then(second)(x, 2), second(first(x, 2)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("outputs", [4, 10, 12, 16, 20, 30, 36])
def test_maps_side_by_side_are_each_alone(outputs):
    # More than 256 rows, from where on the number of columns is rounded up.
    x, maps = numbers(4, 5, 20, 6), [affine(1, 6, outputs, 1), affine(1, 6, 3, 2), affine(1, 6, outputs, 3)]
    together, alone = jax.jit(lambda maps, x: (conv.side_by_side(maps, x), [m(x) for m in maps]))(maps, x)
    for found, each, m in zip(together, alone, maps, strict=True):
        np.testing.assert_allclose(found, each, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found, np.einsum("jbti,io->jbto", x, m.kernel[0]) + m.bias, rtol=0, atol=1e-5)


# --- taps at any frames ----------------------------------------------------------------------------------------------


def without_padding(x, kernel, dilation):
    outputs = x.shape[2] - dilation * (len(kernel) - 1)
    return sum(x[:, :, tap * dilation :][:, :, :outputs] @ weights for tap, weights in enumerate(kernel))


@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(("frames", "dilation"), [(20, 1), (21, 1), (35, 3), (42, 5)])
def test_pairs_of_frames_with_fewer_products_are_the_definition(frames, dilation, taps):
    x, kernel = numbers(1, 2, frames, 5, dtype=np.float64), numbers(taps, 5, 4, dtype=np.float64)
    expected = without_padding(x, kernel, dilation)

    @jax.jit
    def both(x, kernel):
        return conv._in_pairs(x, kernel, dilation), valid_convolution(x, kernel, dilation)

    with jax.enable_x64(True):
        found, chosen = both(x, kernel)
    np.testing.assert_allclose(found[:, :, : expected.shape[2]], expected, atol=1e-12)
    np.testing.assert_allclose(chosen, expected, atol=1e-12)


def test_gradients_of_pairs_of_frames_are_those_of_the_definition():
    x, kernel = numbers(1, 2, 16, 5), numbers(7, 5, 4)

    def gradients(convolution):
        return jax.jit(jax.grad(lambda x, kernel: (convolution(x, kernel, 1) ** 2).sum(), (0, 1)))(x, kernel)

    for found, expected in zip(gradients(valid_convolution), gradients(without_padding)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_pairs_of_frames_are_filled_up_only_where_that_saves_products():
    def multiplied(frames):
        products = jax.make_jaxpr(valid_convolution, static_argnums=2)(
            jnp.zeros((1, 1, frames, 5)), jnp.zeros((3, 5, 4)), 81
        )
        return str(products).count("dot_general[")

    assert multiplied(1500 + 162) == 4
    assert multiplied(1 + 162) == 1, "a single frame, whose pair would be filled up with 161"


@pytest.mark.parametrize("lowering", ["convolution", "matmul"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("length", "channels"), [(7, 3), (9, 48), (5, 30)])
def test_taps_of_several_dilations_are_the_sum_of_the_dilated_convolutions(lowering, stride, length, channels):
    x = numbers(2, 2, 21, channels) / channels**0.5
    kernels = [numbers(length, channels, 4, seed=i) for i in (1, 2, 3)]
    frames = [{(tap - length // 2) * d: k[tap] for tap in range(length)} for d, k in enumerate(kernels, 1)]
    taps = {i: sum(f[i] for f in frames if i in f) for i in {*frames[0], *frames[1], *frames[2]}}

    @jax.jit
    def dilated(x, kernels):
        return sum(temporal_convolution(x, k, stride, d) for d, k in enumerate(kernels, 1))

    with use_lowering(lowering):
        found = jax.jit(lambda x, taps: conv.scattered_convolution(x, taps, stride))(x, taps)
    expected = dilated(x, kernels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("frames", [(-9, -6), (6, 9), (-8, 8), (0, 1), (-3, 0, 3, 6)])
def test_gradients_of_taps_to_one_side_are_those_of_the_shifted_products(frames):
    x = numbers(2, 3, 13, 4)
    taps = {i: jnp.asarray(numbers(4, 5, seed=i % 7)) for i in frames}
    weights = numbers(2, 3, 7, 5, seed=9)

    def ours(x, taps):
        return (conv.scattered_convolution(x, taps, 2) * weights).sum()

    def shifted(x, taps):
        padded = jnp.pad(x, ((0, 0), (0, 0), (10, 10), (0, 0)))
        return (sum(padded[:, :, 10 + i : 23 + i : 2] @ k for i, k in taps.items()) * weights).sum()

    both = (jax.tree.leaves(jax.jit(jax.grad(way, (0, 1)))(x, taps)) for way in (ours, shifted))
    for found, expected in zip(*both):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@given(st.sets(st.integers(-15, 15), min_size=1, max_size=14), st.floats(0, 5))
def test_runs_hold_every_frame_and_cost_no_more_than_one_dense_run(frames, overhead):
    found = conv.runs(frames, overhead)
    held = [i for run in found for i in run]
    assert len(held) == len(set(held))
    assert set(held) == frames or held == list(range(min(frames), max(frames) + 1))
    assert len(held) + overhead * (len(found) - 1) <= max(frames) - min(frames) + 1


def test_runs_of_the_published_dilations():
    frames = {(tap - 3) * d for d in (1, 2, 3) for tap in range(7)}
    assert conv.runs(frames, 1) == [range(-4, 5), range(-9, -3, 3), range(6, 12, 3)]
    assert conv.runs(frames, 5) == [range(-9, 10)]


# --- norm ------------------------------------------------------------------------------------------------------------


def fresh(module, x, seed=0):
    """Variables with statistics, scales and offsets that are not those of a new norm."""
    variables = module.init(jax.random.key(seed), x, train=False)
    leaves, tree = jax.tree.flatten(variables)
    return jax.tree.unflatten(tree, [a + 0.5 * np.abs(numbers(*a.shape, seed=i)) for i, a in enumerate(leaves)])


@pytest.mark.parametrize(("shape", "axes"), [((4,), (0, 1, 2)), ((3, 1, 1, 4), (1, 2))], ids=["channel", "joint"])
def test_norm_follows_the_published_formula(shape, axes):
    x, norm = 3 + 2 * numbers(3, 2, 5, 4), Norm(shape, axes)
    variables = fresh(norm, x)
    scale, bias = (np.asarray(variables["params"][k], np.float64) for k in ("scale", "bias"))
    mean, var = (np.asarray(variables["batch_stats"][k], np.float64) for k in ("mean", "var"))

    wanted = (x - mean) / np.sqrt(var + 1e-5) * scale + bias
    np.testing.assert_allclose(norm.apply(variables, x, train=False), wanted, rtol=0, atol=1e-5)

    batch_mean, batch_var = (getattr(x.astype(np.float64), f)(axes).reshape(shape) for f in ("mean", "var"))
    y, updates = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    wanted = (x - batch_mean) / np.sqrt(batch_var + 1e-5) * scale + bias
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-5)
    count = x.size / batch_mean.size
    stats = updates["batch_stats"]
    np.testing.assert_allclose(stats["mean"], 0.9 * mean + 0.1 * batch_mean, rtol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.9 * var + 0.1 * batch_var * count / (count - 1), rtol=1e-6)


@pytest.mark.parametrize("rows", [(4, 4), (1, 11)], ids=["in one loop", "rows that no unrolling divides"])
@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4)], ids=["channel", "joint"])
def test_norm_of_activations_far_from_zero_keeps_its_digits(rows, shape):
    x = (3000 + numbers(*rows, 7, 4)).astype(np.float32)
    axes = (0, 1, 2) if shape == (4,) else (1, 2)
    if axes == (1, 2):
        x, shape = x.reshape(1, -1, 7, 4), (1, 1, 1, 4)
    norm = Norm(shape, axes)
    y, _ = norm.apply(norm.init(jax.random.key(0), x, train=False), x, train=True, mutable=["batch_stats"])
    exact = x.astype(np.float64)
    wanted = (exact - exact.mean(axes, keepdims=True)) / np.sqrt(exact.var(axes, keepdims=True) + 1e-5)
    # A float32 near 3000 is rounded to 2.4e-4, and so is the mean.
    np.testing.assert_allclose(y, wanted, rtol=0, atol=5e-4)


@pytest.mark.peers
def test_norm_is_that_of_the_published_framework():
    torch = pytest.importorskip("torch", reason='PyTorch is an extra: pip install "infantjax[bench]"')
    x, norm = 3 + 2 * numbers(3, 2, 5, 4), Norm((4,))
    variables = fresh(norm, x)
    peer = torch.nn.BatchNorm1d(4)
    with torch.no_grad():
        for name, value in {**variables["params"], **variables["batch_stats"]}.items():
            target = {"scale": peer.weight, "bias": peer.bias, "mean": peer.running_mean, "var": peer.running_var}[name]
            target.copy_(torch.tensor(np.array(value)))
        y, updates = norm.apply(variables, x, train=True, mutable=["batch_stats"])
        np.testing.assert_allclose(y.reshape(-1, 4), peer(torch.tensor(x).reshape(-1, 4)), rtol=0, atol=1e-5)
    np.testing.assert_allclose(updates["batch_stats"]["mean"], peer.running_mean, rtol=1e-6)
    np.testing.assert_allclose(updates["batch_stats"]["var"], peer.running_var, rtol=1e-6)


def test_statistics_of_one_value_are_finite():
    x, norm = numbers(1, 1, 1, 4), Norm((4,))
    y, updates = norm.apply(norm.init(jax.random.key(0), x, train=False), x, train=True, mutable=["batch_stats"])
    assert all(np.isfinite(a).all() for a in jax.tree.leaves((y, updates)))


def test_initializing_in_training_mode_leaves_the_statistics_as_they_start():
    x, norm = 3 + numbers(3, 2, 5, 4), Norm((4,))
    stats = norm.init(jax.random.key(0), x, train=True)["batch_stats"]
    np.testing.assert_array_equal(stats["mean"], np.zeros(4))
    np.testing.assert_array_equal(stats["var"], np.ones(4))


@pytest.mark.parametrize(("shape", "axes"), [((4,), (0, 1, 2)), ((3, 1, 1, 4), (1, 2))], ids=["channel", "joint"])
@pytest.mark.parametrize("train", [True, False])
def test_gradients_of_the_norm_are_those_of_its_formula(shape, axes, train):
    norm = Norm(shape, axes)
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
    x, norm = numbers(3, 2, 5, 4), Norm((4,))
    variables = fresh(norm, x)

    def loss(stats):
        rest = {"params": variables["params"], "batch_stats": stats}
        return jnp.square(norm.apply(rest, x, train=True, mutable=["batch_stats"])[0]).sum()

    assert not any(np.any(g) for g in jax.tree.leaves(jax.grad(loss)(variables["batch_stats"])))


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_a_convolution_layer_is_a_convolution_with_bias_and_norm(use_bias, norm, train):
    x, layer = numbers(2, 2, 9, 3), Conv(3, 4, 5, 2, 2, use_bias=use_bias, norm=norm)
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
    found, _ = layer.apply(variables, x, train=train, mutable=["batch_stats"])
    np.testing.assert_allclose(found, y, rtol=0, atol=5e-5)


def test_a_bias_before_a_norm_moves_the_running_mean_and_has_no_gradient():
    x, layer = numbers(2, 2, 9, 3), Conv(3, 4)
    variables = fresh(layer, x)
    params, old = variables["params"], variables["batch_stats"]["norm"]["mean"]

    def loss(bias):
        y, updates = layer.apply({**variables, "params": {**params, "bias": bias}}, x, True, mutable=["batch_stats"])
        return jnp.square(y).sum(), updates["batch_stats"]["norm"]["mean"]

    gradient, mean = jax.grad(loss, has_aux=True)(params["bias"])
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
    found, _ = layer.apply(variables, x, train=train, mutable=["batch_stats"])
    np.testing.assert_allclose(found, y, rtol=0, atol=5e-5)


def test_sums_run_over_as_many_rows_as_the_compiler_unrolls(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "")
    assert [unrolled(rows) for rows in (16, 12, 14, 11)] == [(8, 0), (6, 0), (7, 0), (8, 5)]
    shorten_compilation()
    assert [unrolled(rows) for rows in (16, 12, 14, 11)] == [(4, 0), (4, 0), (7, 0), (4, 1)]
