"""Keras files of EfficientPose: what is read, what is refused, and that nothing in them runs."""

import h5py
import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.models.entry import variable_shapes
from infantjax.pose.importers import keras, keras_layers
from infantjax.pose.importers.keras import import_pose
from infantjax.pose.networks.efficienthourglass import FRAMEWORK_RATIOS, EfficientHourglass
from infantjax.pose.networks.efficientpose import build


def drawn(network, table):
    """Random numbers for a network, and the layers of a file that holds them."""
    rng = np.random.default_rng(0)
    draw = lambda leaf: rng.uniform(0.5, 1, leaf.shape).astype(np.float32)  # noqa: E731
    variables = jax.tree.map(draw, dict(variable_shapes(network, (64, 64, 3))))
    found = {}
    for place in table:
        params, statistics = variables["params"], variables["batch_stats"]
        for key in place.path:
            params, statistics = params[key], statistics.get(key, {})
        kernel = {"kernel": params["kernel"]}
        if place.path[-1] == "depthwise":
            kernel = {"depthwise_kernel": params["kernel"][..., None]}
        elif place.layer.startswith("conv2d_transpose"):
            kernel = {"kernel": params["kernel"].swapaxes(2, 3)}
        found[place.layer] = kernel | ({"bias": params["bias"]} if "bias" in params else {})
        if place.norm is not None:
            norm, moving = params["norm"], statistics["norm"]
            found[place.norm] = {"gamma": norm["scale"], "beta": norm["bias"]}
            found[place.norm] |= {"moving_mean": moving["mean"], "moving_variance": moving["var"]}
    return variables, found


@pytest.fixture(scope="module", params=[pytest.param("rt", marks=pytest.mark.slow), "rt-lite"])
def layers(request):
    network = build(request.param)
    variables, found = drawn(network, keras_layers.efficientpose_layers(network, request.param))
    return variables, found | {name: {"kernel": np.zeros((4, 4, 16, 16), np.float32)} for name in keras._UPSCALING}


def write(path, layers):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = '{"class_name": "Lambda", "config": {"function": ["4wEAAABz", null, null]}}'
        group = file.create_group("model_weights")
        # An attribute over 64 KB is split as Keras splits it.
        names = [name.encode() for name in layers] + [b"swish1_1"]
        group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:40], names[40:]
        group.create_group("swish1_1").attrs["weight_names"] = np.array([], "S1")
        for name, arrays in layers.items():
            layer = group.require_group(name)
            layer.attrs["weight_names"] = [f"inner/{kind}:0".encode() for kind in arrays]
            for kind, values in arrays.items():
                layer[f"inner/{kind}:0"] = values
    return path


def test_what_was_written_is_read(layers, tmp_path):
    variables, given = layers
    network, found = import_pose(write(tmp_path / "a.h5", given))
    assert network.early_heads
    jax.tree.map(np.testing.assert_array_equal, found, variables)


HEAD, BLOCK = "pass3_detection2_confs", "pass2_block1_mbconv1_detection1_conv2"


def without(layers, *names):
    return {name: arrays for name, arrays in layers.items() if name not in names}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: without(given, HEAD), "is not of the EfficientPose family"),
        (lambda given: without(given, BLOCK), f"missing parameter {BLOCK}/kernel"),
        (lambda given: without(given, f"{BLOCK}_bn"), f"missing parameter {BLOCK}_bn/beta and 3 more"),
        (
            lambda given: given | {"color": {"kernel": np.ones(3, np.float32)}},
            "unexpected parameter color/kernel",
        ),
        (lambda given: given | {HEAD: {"kernel": given[HEAD]["kernel"]}}, f"missing parameter {HEAD}/bias"),
        (lambda given: given | {HEAD: given[HEAD] | {"bias": np.ones(15, np.float32)}}, r"has shape \(15,\)"),
        (
            lambda given: given | {BLOCK: {"kernel": given[BLOCK]["kernel"] * np.nan}},
            f"{BLOCK}/kernel is not an array of finite numbers",
        ),
        (lambda given: given | {BLOCK: {"kernel": np.array([1, 2])}}, "is not an array of numbers"),
        (lambda given: {}, "holds no weights"),
    ],
)
def test_a_file_that_is_not_of_the_network_is_refused(layers, tmp_path, change, message):
    _, given = layers
    with pytest.raises(InputError, match=message):
        import_pose(write(tmp_path / "a.h5", change(given)))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(100)])
@pytest.mark.parametrize("name", ["a.h5", "a.npz"])
def test_a_file_of_another_kind_is_refused(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: is not a readable"):
        import_pose(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a readable Keras file"):
        import_pose(tmp_path / "nowhere.h5")


def test_arrays_outside_of_the_file_are_not_read(layers, tmp_path):
    _, given = layers
    path = write(tmp_path / "a.h5", given)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"][BLOCK]["inner"]
        shape = group["kernel:0"].shape
        del group["kernel:0"]
        (tmp_path / "other").write_bytes(bytes(4 * int(np.prod(shape))))
        group.create_dataset("kernel:0", shape, "f4", external=[(str(tmp_path / "other"), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(InputError, match="is not an array of numbers"):
        import_pose(path)


def test_an_array_that_declares_more_than_memory_is_refused(layers, tmp_path):
    _, given = layers
    path = write(tmp_path / "a.h5", given)
    with h5py.File(path, "r+") as file:
        group = file["model_weights"][BLOCK]["inner"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (1 << 20, 1 << 20), "f4", chunks=(1024, 1024))
    with pytest.raises(InputError, match="declares more than"):
        import_pose(path)


# --- EfficientHourglass ----------------------------------------------------------------------------------------------


def hourglass(deepest):
    network = EfficientHourglass("l0", deepest, 16, FRAMEWORK_RATIOS)
    return drawn(network, keras_layers.hourglass_layers("l0", deepest))


@pytest.mark.parametrize(("deepest", "values"), [(5, 844_560), pytest.param(6, 3_034_480, marks=pytest.mark.slow)])
def test_a_lite_hourglass_of_five_or_six_blocks_is_read(deepest, values, tmp_path):
    variables, given = hourglass(deepest)
    network, found = import_pose(write(tmp_path / "a.h5", given))
    assert (network.member, network.deepest) == ("l0", deepest)
    jax.tree.map(np.testing.assert_array_equal, found, variables)
    assert sum(leaf.size for leaf in jax.tree.leaves(found)) == values


def test_an_hourglass_of_another_form_is_refused(tmp_path):
    _, given = hourglass(5)
    other = {name.replace("efficientnet-lite0", "efficientnet-b0"): arrays for name, arrays in given.items()}
    with pytest.raises(InputError, match="not an EfficientHourglass of the Lite form"):
        import_pose(write(tmp_path / "a.h5", other))
    with pytest.raises(InputError, match="missing parameter batch_normalization_8/beta and 3 more"):
        import_pose(write(tmp_path / "a.h5", without(given, "batch_normalization_8")))
