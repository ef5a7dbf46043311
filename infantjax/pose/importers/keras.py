"""Import of the released pose weights: Keras files of EfficientPose and EfficientHourglass, and folded `.npz` arrays.

Of a Keras file nothing but arrays is read: its architecture and the byte code of its `Lambda` layers stay unread. The
member of the family follows from the names and shapes of its layers.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES
from infantjax.models.entry import variable_shapes
from infantjax.pose.networks.efficienthourglass import FRAMEWORK_RATIOS, EfficientHourglass
from infantjax.pose.networks.efficientnet import plan
from infantjax.pose.networks.efficientpose import PASSES, VARIANTS, EfficientPose
from infantjax.weights.archive import DAMAGE, open_archive, read_npz

Layers = dict[str, dict[str, np.ndarray]]
Variables = dict[str, Any]

_EPSILON = 1e-3
_REMEDY = "give a released EfficientPose or EfficientHourglass file"
_WIDTHS = {(40, False): "rt", (48, True): "i", (56, True): "ii", (64, True): "iii", (80, True): "iv"}
_LITE = {"0": "rt-lite", "2": "i-lite", "4": "ii-lite"}
_UPSCALING = ("upscaled_deconv1", "upscaled_deconv2", "upscaled_confs")


class Place(NamedTuple):
    """A convolution of the network and the layers of the file that hold it and its norm.

    Attributes:
        path: in the variables.
        convolution: layer.
        norm: layer; None where there is none.
    """

    path: tuple[str, ...]
    convolution: str
    norm: str | None = None


def import_efficientpose(path: str | Path) -> tuple[EfficientPose, Variables]:
    """A member of the EfficientPose family with its weights.

    Args:
        path: a released `.h5` file, or a `.npz` of arrays `LAYER/kernel` and `LAYER/bias` with the norms folded in.

    Returns:
        The network and its variables as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: not such a file, damaged, too large, a layer missing, left over, of another shape or not finite, or
            an upscaling that is not the fixed bilinear one: one line naming the first.
    """
    path = Path(path)
    return _efficientpose(_layers_of(path), path)


def _layers_of(path: Path) -> Layers:
    return _folded_layers(path) if path.suffix == ".npz" else read_keras(path)


def _efficientpose(layers: Layers, path: Path) -> tuple[EfficientPose, Variables]:
    folded = path.suffix == ".npz"
    network, variant = _network_of(layers, path)
    _require_bilinear(layers, network.keypoints, path)
    variables = variables_of(layers, list(places_of(network, variant)), path, folded)
    side = network.variant.side
    require_shapes(variables, variable_shapes(network, (side, side, 3)), path)
    return network, variables


def import_efficienthourglass(path: str | Path) -> tuple[EfficientHourglass, Variables]:
    """A Lite EfficientHourglass with its weights: `Block1to5`, the form of the released checkpoint, or `Block1to6`.

    The names of the other forms' squeeze-and-excitations are published nowhere; such files are refused.

    Args:
        path: a Keras checkpoint of the training framework. Its maps are at a quarter of the image's side; the network
            returned upscales them. Of six blocks none is public: the third bridge and step are named after the others.

    Returns:
        The network and its variables as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: as for `import_efficientpose`.
    """
    path = Path(path)
    return _efficienthourglass(read_keras(path), path)


def _efficienthourglass(layers: Layers, path: Path) -> tuple[EfficientHourglass, Variables]:
    lite = next((name for name in layers if name.startswith("efficientnet-lite")), "")
    if "stage1_confs" not in layers or lite[17:18] not in set("01234"):
        raise InputError(path, "is no EfficientHourglass of the Lite form", _REMEDY)
    keypoints = _array(layers["stage1_confs"], "kernel", "stage1_confs", path).shape[-1]
    deepest = 6 if "Bridge1_Res3_BN1" in layers else 5
    network = EfficientHourglass(f"l{lite[17]}", deepest, keypoints, FRAMEWORK_RATIOS)
    variables = variables_of(layers, list(hourglass_places(network.version, deepest)), path)
    require_shapes(variables, variable_shapes(network, (64, 64, 3)), path)
    return network, variables


def import_pose(path: str | Path) -> tuple[EfficientPose | EfficientHourglass, Variables]:
    """Whichever released pose network a file holds; see `import_efficientpose` and `import_efficienthourglass`."""
    path = Path(path)
    layers = _layers_of(path)
    return _efficienthourglass(layers, path) if "stage1_confs" in layers else _efficientpose(layers, path)


def is_pose_weights(path: str | Path) -> bool:
    """Whether a file may be one for `import_pose`: HDF5 with layers of Keras, or an archive of kernels."""
    import h5py

    path = Path(path)
    try:
        if path.suffix == ".npz":
            return any(name.endswith("/kernel.npy") for name in open_archive(path).namelist())
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("model_weights", file)
            return any(name.startswith("layer_names") for name in group.attrs)
    except DAMAGE:
        return False


def variables_of(layers: Layers, places: list[Place], path: Path, folded: bool = False) -> Variables:
    """All arrays of a file in the order of the network; nothing may be left over.

    Args:
        layers: of `read_keras`.
        places: where they go.
        path: the file, for messages.
        folded: the norms are folded into the convolutions.

    Raises:
        InputError: a layer is missing, left over, or not finite.
    """
    variables: Variables = {"params": {}, "batch_stats": {}}
    for place in places:
        _put(variables, place, layers, path, folded)
    used = {name for place in places for name in (place.convolution, place.norm) if name}
    if unused := sorted(set(layers) - used - set(_UPSCALING)):
        raise InputError(path, f"holds {unused[0]}, which the network has not", _REMEDY)
    return variables


def read_keras(path: Path, wanted: Collection[str | None] | None = None) -> Layers:
    """The arrays of a Keras file by layer and by name without `:0`; nothing else of it is read.

    Args:
        path: the file.
        wanted: names of layers; the others are passed over. None reads all.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    import h5py

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
        with h5py.File(path, "r", locking=False) as file:
            group, total = file.get("model_weights", file), 0
            layers: Layers = {}
            for layer in _names(group, "layer_names"):
                if wanted is not None and layer not in wanted:
                    continue
                arrays = {}
                for name in _names(group[layer], "weight_names"):
                    item = group[layer][name]
                    if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f" or item.external or item.is_virtual:
                        raise InputError(path, f"holds {layer}/{name}, which is no array of numbers", _REMEDY)
                    total += item.size * 4
                    if total > MAX_FILE_BYTES:
                        raise InputError(path, f"declares more than {MAX_FILE_BYTES} bytes of weights")
                    arrays[name.rsplit("/", 1)[-1].partition(":")[0]] = np.asarray(item, np.float32)
                if arrays:
                    layers[layer] = arrays
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
        raise InputError(path, f"is not a readable Keras file ({reason})", _REMEDY) from None
    if not layers:
        raise InputError(path, "holds no weights", _REMEDY)
    return layers


def _names(group: Any, attribute: str) -> list[str]:
    # Keras splits an attribute over 64 KB into `layer_names0`, `layer_names1` and so on.
    parts = [attribute] if attribute in group.attrs else sorted(k for k in group.attrs if k.startswith(attribute))
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _folded_layers(path: Path) -> Layers:
    try:
        arrays = read_npz(path)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(path, f"is not a readable .npz file ({reason})", _REMEDY) from None
    layers: Layers = {}
    for name, values in arrays.items():
        layer, _, kind = name.rpartition("/")
        layers.setdefault(layer, {})[kind] = values.astype(np.float32)
    return layers


def _network_of(layers: Layers, path: Path) -> tuple[EfficientPose, str]:
    """The member of the family that has these layers, and its name."""
    lite = next((name for name in layers if name.startswith("efficientnet-lite")), None)
    width = layers.get("pass1_block1_mbconv1_skeleton_conv2", {}).get("kernel", np.empty(0)).shape[-1]
    variant = _LITE.get(lite[17]) if lite else _WIDTHS.get((width, "stem_conv_res2" in layers))
    head = layers.get("pass3_detection2_confs", {}).get("kernel")
    if variant is None or head is None:
        raise InputError(path, "is not of the EfficientPose family", _REMEDY)
    fields = layers.get("pass1_skeleton_pafs", {}).get("kernel")
    segments = 14 if fields is None else fields.shape[-1] // 2
    return EfficientPose(VARIANTS[variant], head.shape[-1], segments, early_heads=fields is not None), variant


def places_of(network: EfficientPose, variant: str) -> Iterator[Place]:
    """Where the convolutions of EfficientPose lie in it, and in a file of the released form."""
    v = network.variant
    yield from backbone_places(("high",), v.high, 3, "_res1")
    if v.low:
        yield from backbone_places(("low",), v.low, 2, "_res2")
    for number, kind in PASSES:
        for dense_net in range(1, v.dense_nets + 1):
            for block in (1, 2, 3):
                layer = f"{number}_block{dense_net}_mbconv{block}_{kind}_"
                here = (f"{number}_{kind}_{dense_net}_{block}",)
                yield Place((*here, "expand"), f"{layer}conv1", f"{layer}conv1_bn")
                yield Place((*here, "depthwise"), f"{layer}dconv1", f"{layer}dconv1_bn")
                if not v.lite:
                    yield Place((*here, "se", "squeeze"), f"{layer}se_se_squeeze_conv")
                    yield Place((*here, "se", "excite"), f"{layer}se_se_excite_conv")
                yield Place((*here, "project"), f"{layer}conv2", f"{layer}conv2_bn")
    if network.early_heads:
        yield Place(("pass1_pafs",), "pass1_skeleton_pafs")
        yield Place(("pass2_confs",), "pass2_detection1_confs")
    yield Place(("pass3_confs",), "pass3_detection2_confs")


def backbone_places(name: tuple[str, ...], version: str, blocks: int, suffix: str = "") -> Iterator[Place]:
    """Where the convolutions of a backbone lie in a network, and in a file.

    Args:
        name: of the backbone in the network; empty for the backbone itself.
        version: of the backbone.
        blocks: how many of the seven.
        suffix: of the layers' names, in files with two backbones; Lite files have none.
    """
    if version.startswith("l"):
        yield from _lite_backbone(version, blocks, name)
        return
    yield Place((*name, "stem"), f"stem_conv{suffix}", f"stem_bn{suffix}")
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            layer = f"block{number}{chr(ord('a') + repeat)}"
            here = (*name, layer)
            if block.expansion > 1:
                yield Place((*here, "expand"), f"{layer}_expand_conv{suffix}", f"{layer}_expand_bn{suffix}")
            yield Place((*here, "depthwise"), f"{layer}_dwconv{suffix}", f"{layer}_bn{suffix}")
            yield Place((*here, "se", "squeeze"), f"{layer}_se_reduce{suffix}")
            yield Place((*here, "se", "excite"), f"{layer}_se_expand{suffix}")
            yield Place((*here, "project"), f"{layer}_project_conv{suffix}", f"{layer}_project_bn{suffix}")


def _lite_backbone(version: str, blocks: int, name: tuple[str, ...]) -> Iterator[Place]:
    model = f"efficientnet-lite{version[1]}/model"

    def norm(part: str, number: int) -> str:
        return f"{part}/tpu_batch_normalization{f'_{number}' if number else ''}/FusedBatchNormV3_0"

    yield Place((*name, "stem"), f"{model}/stem/conv2d/Conv2D_0", norm(f"{model}/stem", 0))
    index = 0
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            part, here = f"{model}/blocks_{index}", (*name, f"block{number}{chr(ord('a') + repeat)}")
            expanded = int(block.expansion > 1)
            if expanded:
                yield Place((*here, "expand"), f"{part}/conv2d/Conv2D_0", norm(part, 0))
            yield Place((*here, "depthwise"), f"{part}/depthwise_conv2d/depthwise_0", norm(part, expanded))
            last = "conv2d_1" if expanded else "conv2d"
            yield Place((*here, "project"), f"{part}/{last}/Conv2D_0", norm(part, expanded + 1))
            index += 1


def hourglass_places(version: str, deepest: int) -> Iterator[Place]:
    """Where the convolutions of a Lite EfficientHourglass lie in it, and in a file: norms are numbered through.

    Args:
        version: of the backbone.
        deepest: block of the backbone: 5 with two bridges and steps up, 6 with three.
    """
    bridges = range(1, 4 if deepest == 6 else 3)
    yield from backbone_places(("backbone",), version, deepest)
    for bridge in bridges:
        here, layer, first = (f"bridge{bridge}",), f"Bridge1_Res{bridge}_", 3 * bridge - 2
        for part, name, norm in (("expand", "BN1", 0), ("depthwise", "dConv", 1), ("project", "BN2", 2)):
            yield Place((*here, part), layer + name, f"batch_normalization_{first + norm}")
    for step in bridges:
        number = 3 * len(bridges) + step
        yield Place((f"up{step}",), f"conv2d_transpose_{step}", f"batch_normalization_{number}")
    yield Place(("confs",), "stage1_confs")


def _put(variables: Variables, place: Place, layers: Layers, path: Path, folded: bool) -> None:
    """The arrays of one convolution and its norm, in the order of axes of `nn.image.ImageConv`."""
    conv = _layer(layers, place.convolution, path)
    kernel = conv.get("kernel", conv.get("depthwise_kernel"))
    if kernel is None:
        raise InputError(path, f"lacks {place.convolution}/kernel", _REMEDY)
    if place.path[-1] == "depthwise":
        kernel = kernel[..., 0]
    elif place.convolution.startswith("conv2d_transpose"):
        kernel = kernel.swapaxes(2, 3)
    params: dict[str, Any] = {"kernel": kernel}
    statistics: dict[str, np.ndarray] = {}
    if place.norm is None:
        params["bias"] = _array(conv, "bias", place.convolution, path)
    elif folded:
        bias = _array(conv, "bias", place.convolution, path)
        params["norm"] = {"scale": np.ones_like(bias), "bias": bias}
        statistics = {"mean": np.zeros_like(bias), "var": np.full_like(bias, 1 - _EPSILON)}
    else:
        if "bias" in conv:
            params["bias"] = conv["bias"]
        norm = _layer(layers, place.norm, path)
        scale, bias, mean, var = (
            _array(norm, kind, place.norm, path) for kind in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        params["norm"], statistics = {"scale": scale, "bias": bias}, {"mean": mean, "var": var}
    for values in (*conv.values(), *statistics.values()):
        if not np.isfinite(values).all():
            raise InputError(path, f"holds {place.convolution} with values that are not finite", _REMEDY)
    nest(variables["params"], place.path, params)
    if statistics:
        nest(variables["batch_stats"], (*place.path, "norm"), statistics)


def _layer(layers: Layers, name: str, path: Path) -> dict[str, np.ndarray]:
    if name not in layers:
        raise InputError(path, f"lacks {name}", _REMEDY)
    return layers[name]


def _array(layer: dict[str, np.ndarray], kind: str, name: str, path: Path) -> np.ndarray:
    if kind not in layer:
        raise InputError(path, f"lacks {name}/{kind}", _REMEDY)
    return layer[kind]


def nest(tree: dict[str, Any], path: tuple[str, ...], leaf: dict[str, Any]) -> None:
    """Put leaves into nested dicts at a path."""
    for key in path:
        tree = tree.setdefault(key, {})
    tree.update(leaf)


def _require_bilinear(layers: Layers, keypoints: int, path: Path) -> None:
    """The upscaling of a file must be what the network computes instead of it."""
    profile = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    fixed = np.einsum("i,j,ab->ijab", profile, profile, np.eye(keypoints, dtype=np.float32))
    for name in _UPSCALING:
        if name in layers:
            kernel, bias = (_array(layers[name], kind, name, path) for kind in ("kernel", "bias"))
            if not np.array_equal(kernel, fixed) or bias.any():
                raise InputError(path, f"holds {name} with an upscaling that is not bilinear", _REMEDY)


def require_shapes(variables: Variables, needed: Mapping[str, Any], path: Path, remedy: str = _REMEDY) -> None:
    """Every array is there and of the shape that the network needs.

    Raises:
        InputError: one is not; the message names the first.
    """
    for kind in ("params", "batch_stats"):
        for where, leaf in _leaves(needed[kind]):
            found: Any = variables[kind]
            for key in where:
                found = found.get(key) if isinstance(found, dict) else None
            if found is None or found.shape != leaf.shape:
                has = "nothing" if found is None else f"an array of shape {found.shape}"
                raise InputError(path, f"holds {has} for {'/'.join(where)} of shape {leaf.shape}", remedy)


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(tree, dict):
        yield path, tree
        return
    for key, part in tree.items():
        yield from _leaves(part, (*path, key))
