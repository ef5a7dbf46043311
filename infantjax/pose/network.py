"""A pose network with its weights and all that is needed to feed it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax
import numpy as np

from infantjax import models, skeletons
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.pose.keras_weights import import_pose
from infantjax.pose.networks.efficientpose import EfficientPose
from infantjax.pose.networks.openpose import OpenPose
from infantjax.skeletons import Skeleton
from infantjax.weights.ensemble import Ensemble, Member, Precision, load_ensemble, save_ensemble

_SKELETONS = {16: "mpii-16", 19: "in-motion-19"}


@dataclass(frozen=True, eq=False)
class PoseNetwork:
    """What a file of weights gives.

    Attributes:
        module: the network; from `load_network` without upscaling and the heads that only training needs.
        variables: its weights.
        skeleton: the keypoints of its maps.
        side: height and width of its input, pixels.
        pixels: how its input is normalized, a name of `pictures.NORMALIZATIONS`.
        name: for the provenance.
        digest: SHA-256 of the file, or of the saved network.
        fields: name of its affinity fields among its further outputs, by which persons are told apart; None if it has
            none.
    """

    module: nn.Module
    variables: Any
    skeleton: Skeleton
    side: int
    pixels: Literal["imagenet", "lite", "vgg"]
    name: str
    digest: str
    fields: str | None = None


def load_network(
    path: str | Path, side: int | None = None, skeleton: str | None = None, *, early_heads: bool = False
) -> PoseNetwork:
    """A pose network from a released file, or from the folder that training wrote.

    Args:
        path: a file for `weights.import_pose`, or a folder of `save_network`.
        side: height and width of the input, pixels, a multiple of 32 (EfficientPose: 8); None is that of the network,
            and 128 for EfficientHourglass files, as of the released checkpoint.
        skeleton: name of the keypoint set; None is the published one of so many keypoints, or the one of the folder.
        early_heads: keep the heads of EfficientPose's first passes: affinity fields, which cost a little and tell
            persons apart, and what only training needs.

    Raises:
        InputError: the file cannot be used, or a side or skeleton does not fit it.
    """
    path = Path(path)
    network = _saved(path) if path.is_dir() else _released(path, skeleton)
    module = network.module
    if skeleton not in (None, network.skeleton.name):
        raise InputError(path, f"has the keypoints of {network.skeleton.name}, not of {skeleton}")
    side = side or network.side
    multiple = 8 if isinstance(module, EfficientPose) else 32
    if side % multiple or not 32 <= side <= 2048:
        raise InputError(path, f"cannot read pictures of side {side}", f"give a multiple of {multiple} within 32..2048")
    variables = network.variables
    if isinstance(module, EfficientPose) and not early_heads:
        needed = {name: leaf for name, leaf in variables["params"].items() if not name.startswith(_EARLY)}
        module, variables = module.clone(early_heads=False), {**variables, "params": needed}
    return replace(
        network,
        module=module.clone(upscale=False),
        variables=variables,
        side=side,
        name=f"{network.name}, side {side}",
        fields=_fields_of(module),
    )


_EARLY = ("pass1_pafs", "pass2_confs")
"""Heads of EfficientPose that its last maps do not need."""


def _fields_of(module: nn.Module) -> str | None:
    if isinstance(module, OpenPose):
        return "field4_pafs"
    return "pass1_pafs" if getattr(module, "early_heads", False) else None


def _released(path: Path, skeleton: str | None) -> PoseNetwork:
    module, variables = import_pose(path)
    skeleton = skeleton or _SKELETONS.get(module.keypoints, "")
    try:
        known = skeletons.get(skeleton)
    except ValueError as error:
        raise InputError(path, f"has {module.keypoints} keypoints; {error}", "name their skeleton") from None
    if len(known.joints) != module.keypoints:
        raise InputError(path, f"has {module.keypoints} keypoints, {known.name} has {len(known.joints)}")
    if isinstance(module, EfficientPose):
        side, lite, name = module.variant.side, module.variant.lite, f"EfficientPose, backbone {module.variant.high}"
    else:
        side, lite, name = 128, module.member[0] != "b", f"EfficientHourglass {module.member}, {module.deepest} blocks"
    return PoseNetwork(module, variables, known, side, "lite" if lite else "imagenet", name, sha256(path))


def save_network(
    network: PoseNetwork,
    directory: str | Path,
    info: Mapping[str, Any] | None = None,
    *,
    precision: Precision = "float32",
) -> str:
    """Write a network with its weights into a folder, which `load_network` reads.

    Args:
        network: of a registered kind.
        directory: made if missing.
        info: JSON-compatible, stored beside it: how the weights came about.
        precision: how arrays are stored, see `weights.save_ensemble`.

    Returns:
        Its digest.

    Raises:
        OSError: the folder cannot be written; what was there before is unchanged.
        ValueError: the network is of no registered kind.
    """
    name, overrides = registered(network.module, network.skeleton)
    one = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32)[None], dict(network.variables))
    described = {"task": "pose", "skeleton": network.skeleton.name, "side": network.side, "pixels": network.pixels}
    ensemble = Ensemble((Member(name, one, overrides),), {**(info or {}), **described})
    return save_ensemble(ensemble, directory, precision=precision).digest


def _saved(directory: Path) -> PoseNetwork:
    ensemble = load_ensemble(directory)
    info, member = ensemble.info, ensemble.members[0]
    if info.get("task") != "pose":
        raise InputError(directory, "holds no pose network", "give the folder that `infantjax train --task pose` wrote")
    try:
        skeleton = skeletons.get(info["skeleton"])
        overrides = {k: tuple(v) if isinstance(v, list) else v for k, v in member.overrides.items()}
        module = models.get(member.model).build(skeleton=skeleton, **overrides)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(directory, f"does not fit this program ({error})", "update infantjax") from None
    variables = jax.tree.map(lambda leaf: leaf[0], member.variables)
    return PoseNetwork(module, variables, skeleton, info["side"], info["pixels"], member.model, ensemble.digest)


def registered(module: nn.Module, skeleton: Skeleton) -> tuple[str, dict[str, Any]]:
    """Registry name of a network, and the arguments of `build` that give it.

    Raises:
        ValueError: the network is of no registered kind.
    """
    for name in models.names():
        if (entry := models.get(name)).task != "pose":
            continue
        built = entry.build(skeleton=skeleton)
        same = (getattr(built, sizes, None) == getattr(module, sizes, None) for sizes in ("variant", "member"))
        if type(built) is type(module) and all(same):
            values = {f.name: getattr(module, f.name) for f in fields(module) if f.name not in ("parent", "name")}
            return name, {key: value for key, value in values.items() if value != getattr(built, key)}
    raise ValueError(f"{type(module).__name__} is no registered pose network")
