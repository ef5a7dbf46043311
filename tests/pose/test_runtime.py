"""ONNX Runtime computes what JAX computes, and is asked for only where it can."""

import sys
from collections import Counter
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.errors import MissingExtraError
from infantjax.nn.image import pool, relu6, swish, transposed
from infantjax.pose import PoseConfig, Tracker, load_pose_network
from infantjax.pose.export import exported_maps, fastest, maps_of
from infantjax.pose.onnx_model import onnx_model, trace


@pytest.fixture(scope="module")
def network(pose_weights):
    return load_pose_network(pose_weights, side=64)


def images(number, side=64):
    return np.random.default_rng(number).integers(0, 256, (number, side, side, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def expected(network):
    return Tracker(network, PoseConfig(batch_size=2, flip=True)).find(images(3))


def test_keypoints_are_those_of_jax_to_a_tenth_of_a_pixel(network, expected):
    pytest.importorskip("onnxruntime")
    found = Tracker(network, PoseConfig(batch_size=2, flip=True, runtime="onnx")).find(images(3))
    np.testing.assert_allclose(64 * found.positions, 64 * np.asarray(expected.positions), rtol=0, atol=0.1)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=0, atol=1e-4)


def test_norms_and_biases_are_inside_of_the_convolutions(network):
    counts = Counter(node.op for node in trace(maps_of(network), (1, 64, 64, 3)))
    # The affine step is the normalization of the image, whose border must stay zero.
    assert (counts["Conv"], counts["Affine"]) == (43, 1)


def every_operation(x):
    """Of what the image networks have."""
    rng = np.random.default_rng(0)
    dense, up, deep = (jnp.asarray(rng.standard_normal(s), jnp.float32) for s in ((3, 3, 3, 4), (4, 4, 4, 4), (8, 2)))
    x = jax.lax.conv_general_dilated(
        x / 255 - 0.5, dense, (2, 2), ((0, 1), (0, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = swish(x) + jnp.array([0.1, 0.2, 0.3, 0.4])
    small = pool(jnp.pad(relu6(y), ((0, 0), (1, 1), (1, 1), (0, 0))), "max", 3, 2)
    y = y * jax.nn.sigmoid(y.mean((1, 2), keepdims=True)) + transposed(small, up)
    y = jnp.concatenate([y, jnp.where(y > 0, y, jnp.array([0.1, 0.2, 0.3, 0.4]) * y)], -1)
    y = pool(y, "mean", 2, 2)
    return (y.reshape(-1, 8) @ deep).reshape(*y.shape[:-1], 2)


@pytest.mark.parametrize("change", [lambda x: x.reshape(1, 2, 8, 3), lambda x: x.reshape(16, 3).reshape(1, 8, 2, 3)])
def test_rows_and_columns_that_are_divided_anew_are_refused(change):
    with pytest.raises(NotImplementedError, match="no such reshape outside of JAX"):
        trace(lambda x: change(x) * 2, (1, 4, 4, 3))


def test_every_operation_of_the_networks_is_written():
    onnxruntime = pytest.importorskip("onnxruntime")
    pixels = images(2, 16).astype(np.float32)
    content, expected = onnx_model(every_operation, pixels.shape), np.asarray(jax.jit(every_operation)(pixels))
    found = onnxruntime.InferenceSession(content).run(None, {"pixels": pixels})[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "function",
    [jnp.sin, lambda x: 1 / x, lambda x: x[:, ::2], lambda x: x.sum(1), lambda x: jnp.where(x > 0, x, 0.0)],
    ids=["sin", "quotient", "slice", "sum of rows", "choice"],
)
def test_an_operation_that_is_not_known_is_named(function):
    with pytest.raises(NotImplementedError, match="outside of JAX"):
        trace(function, (1, 8, 8, 3))


@pytest.mark.parametrize("options", [{"scales": (0.75, 1.0)}, {"person": "central"}, {"dtype": "bfloat16"}])
def test_what_only_jax_does_is_refused_or_left_to_jax(options):
    with pytest.raises(ValueError, match=rf"{next(iter(options))} needs the runtime jax, not onnx"):
        PoseConfig(runtime="onnx", **options)
    assert fastest(PoseConfig(**options)) == "jax"


@pytest.mark.parametrize("absent", ["onnx", "onnxruntime"])
def test_jax_is_the_fastest_where_onnx_runtime_is_missing_which_is_one_line_with_the_command(
    network, absent, monkeypatch
):
    monkeypatch.setitem(sys.modules, absent, None)
    assert fastest(PoseConfig()) == "jax"
    network = replace(network, digest="")  # no model of it was kept
    with pytest.raises(MissingExtraError, match=r"^this needs [\w-]+: pip install [^\n]*$"):
        exported_maps(network, 1)
