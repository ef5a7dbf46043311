"""Other runtimes compute what JAX computes, and are asked for only where they can."""

import sys
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.errors import MissingExtraError
from infantjax.nn.image import pool, relu6, swish, transposed
from infantjax.pose import PoseConfig, Tracker, load_pose_network
from infantjax.pose.export import maps_of
from infantjax.pose.runtime import exported_maps, fastest
from infantjax.pose.runtime.graph import Affine, Conv, trace
from infantjax.pose.runtime.onnx_file import onnx_model
from infantjax.pose.runtime.tflite_file import tflite_model

LIBRARIES = {"onnx": "onnxruntime", "litert": "ai_edge_litert"}
each_runtime = pytest.mark.parametrize("runtime", list(LIBRARIES))


@pytest.fixture(scope="module")
def network(pose_weights):
    return load_pose_network(pose_weights, side=64)


def images(number, side=64):
    return np.random.default_rng(number).integers(0, 256, (number, side, side, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def expected(network):
    return Tracker(network, PoseConfig(batch_size=2, flip=True)).find(images(3))


@each_runtime
def test_keypoints_are_those_of_jax_to_a_tenth_of_a_pixel(network, expected, runtime):
    pytest.importorskip(LIBRARIES[runtime])
    found = Tracker(network, PoseConfig(batch_size=2, flip=True, runtime=runtime)).find(images(3))
    np.testing.assert_allclose(64 * found.positions, 64 * np.asarray(expected.positions), rtol=0, atol=0.1)
    np.testing.assert_allclose(found.confidence, expected.confidence, rtol=0, atol=1e-4)


def test_norms_and_biases_are_inside_of_the_convolutions(network):
    counts = Counter(type(node) for node in trace(maps_of(network), (1, 64, 64, 3)).nodes)
    # The affine step is the normalization of the image, whose border must stay zero.
    assert (counts[Conv], counts[Affine]) == (43, 1)


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


@each_runtime
def test_every_operation_of_the_networks_is_written(runtime):
    pytest.importorskip(LIBRARIES[runtime])
    pixels = images(2, 16).astype(np.float32)
    graph, expected = trace(every_operation, pixels.shape), np.asarray(jax.jit(every_operation)(pixels))
    if runtime == "onnx":
        import onnxruntime

        found = onnxruntime.InferenceSession(onnx_model(graph)).run(None, {"pixels": pixels})[0]
    else:
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_content=tflite_model(graph))
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
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


@pytest.mark.parametrize(("absent", "expected"), [("onnx", "litert"), ("onnx ai_edge_litert", "jax")])
def test_the_fastest_is_the_first_that_is_installed(absent, expected, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    for name in absent.split():
        monkeypatch.setitem(sys.modules, name, None)
    assert fastest(PoseConfig()) == expected


@each_runtime
def test_a_missing_runtime_is_one_line_with_the_command(network, runtime, monkeypatch):
    for name in ("onnx", "onnxruntime", "ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"^this needs [\w-]+: pip install [^\n]*$"):
        exported_maps(network, runtime, 1)
