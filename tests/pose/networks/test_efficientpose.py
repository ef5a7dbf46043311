"""EfficientPose against the published counts, the reference vectors of the public weights, and its own laws."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.nn.image import ImageConv, TransposedConv, double
from infantjax.nn.initializers import shapes
from infantjax.nn.kernels.depthwise import depthwise_convolution, same_padding
from infantjax.pose.importers.keras import import_pose
from infantjax.pose.networks import efficientnet
from infantjax.pose.networks.efficienthourglass import EfficientHourglass
from infantjax.pose.networks.efficientpose import VARIANTS, build

STORED = {"rt": 465_608, "i": 726_116, "ii": 1_740_380, "iii": 3_238_264, "iv": 6_571_542}
"""Values of a public file with all three heads, upscaling included."""


def variables_of(network):
    side = network.variant.side
    return shapes(network, jnp.zeros((1, side, side, 3)))


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in ("rt", "i") else pytest.mark.slow) for n in STORED])
def test_stored_values_are_those_of_the_released_file(name):
    upscaling = 3 * (16 * 16**2 + 16)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables_of(build(name)))) + upscaling == STORED[name]


@pytest.mark.parametrize(("arguments", "what"), [(("v",), "variant"), (("rt", "color"), "skeleton")])
def test_what_was_not_published_is_refused(arguments, what):
    with pytest.raises(ValueError, match=what):
        build(*arguments)


# --- the reference ---------------------------------------------------------------------------------------------------

FILES = {
    "efficientpose_rt_random": "EfficientPoseRT.h5",
    "efficientpose_rt_mpii": "EfficientPoseRT.h5",
    "efficientpose_i-lite_random": "EfficientPoseI_LITE.h5",
    "efficientpose_i-lite_mpii": "EfficientPoseI_LITE.h5",
    "efficientpose_ii-lite_mpii": "EfficientPoseII_LITE_folded_fp16.npz",
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == "efficientpose_rt_mpii" else pytest.mark.slow) for n in FILES]
)
def test_every_array_is_that_of_the_reference(name, shared, assert_golden):
    assert_golden(*import_pose(shared / "data" / "pose" / FILES[name]), name)


@pytest.mark.parametrize(
    ("file", "name", "keypoints"),
    [
        pytest.param("EfficientPoseI.h5", "i", 16, marks=pytest.mark.slow),
        ("EfficientPoseRT_LITE.h5", "rt-lite", 16),
        pytest.param("EfficientPoseII_folded_fp16.npz", "ii", 16, marks=pytest.mark.slow),
    ],
)
def test_the_other_released_files_are_read(file, name, keypoints, shared):
    network, variables = import_pose(shared / "data" / "pose" / file)
    assert network.variant == VARIANTS[name]
    assert network.keypoints == keypoints
    given, needed = (jax.tree.map(jnp.shape, dict(tree)) for tree in (variables, variables_of(network)))
    assert given == needed


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pointwise", "dense", "depthwise", "with bias", "transposed"])
def test_folded_norms_give_what_the_norms_give(kind):
    """Evaluation mode against the convolution, and behind it the norm by its running statistics."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 8, 8, 6)), jnp.float32)
    layer = {
        "pointwise": ImageConv(6, 5),
        "dense": ImageConv(6, 5, 3, 2),
        "depthwise": ImageConv(6, 6, 5, 1, True),
        "with bias": ImageConv(6, 5, 3, use_bias=True),
        "transposed": TransposedConv(6, 5),
    }[kind]
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.5, 2, leaf.shape).astype(np.float32), shapes(layer, x, train=False)
    )
    params, moving = variables["params"], variables["batch_stats"]["norm"]
    if kind == "depthwise":
        y = depthwise_convolution(x, params["kernel"])
    elif kind == "transposed":
        y = jax.lax.conv_transpose(x, params["kernel"].swapaxes(2, 3), (2, 2), "SAME", transpose_kernel=True)
    else:
        stride = (layer.stride, layer.stride)
        y = jax.lax.conv_general_dilated(
            x, params["kernel"], stride, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    y = y + params.get("bias", 0)
    norm = params["norm"]
    expected = (y - moving["mean"]) / jnp.sqrt(moving["var"] + 1e-3) * norm["scale"] + norm["bias"]
    scale = float(jnp.abs(expected).max())
    found = jax.jit(lambda v, x: layer.apply(v, x, False))(variables, x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize(
    "network",
    [
        efficientnet.Backbone("b0", 2),
        pytest.param(build("rt"), marks=pytest.mark.slow),
        pytest.param(EfficientHourglass("b0", deepest=5), marks=pytest.mark.slow),
    ],
    ids=["backbone", "efficientpose", "hourglass"],
)
def test_training_draws_random_numbers_only_to_drop_branches(network):
    def train(network):
        jax.eval_shape(lambda v, x: network.apply(v, x, True, mutable=["batch_stats"]), shapes(network, x), x)

    x = jnp.zeros((1, 64, 64, 3))
    train(network.clone(branch_dropout=0.0))
    with pytest.raises(flax.errors.InvalidRngError, match="dropout"):
        train(network)


@pytest.mark.parametrize(
    ("side", "kernel_size", "padding"), [(224, 3, (0, 1)), (224, 5, (1, 2)), (75, 3, (1, 1)), (75, 5, (2, 2))]
)
def test_a_stride_of_two_pads_as_the_reference(side, kernel_size, padding):
    assert same_padding(side, kernel_size, 2) == padding


def test_doubling_is_the_dense_transposed_convolution_with_the_stored_kernel():
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, 3, 4)), jnp.float32)
    profile = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    kernel = np.einsum("i,j,ab->ijab", profile, profile, np.eye(4, dtype=np.float32))
    dense = jax.lax.conv_transpose(x, kernel, (2, 2), "SAME", transpose_kernel=True)
    np.testing.assert_allclose(jax.jit(double)(x), dense, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        jax.jit(double)(jnp.ones((1, 2, 2, 1)))[0, 0, :, 0], [0.5625, 0.75, 0.75, 0.5625], atol=1e-7
    )
