"""A pose network with its weights and all that is needed to feed it: loaded, saved, and found in the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, UInt8

from infantjax import models, skeletons
from infantjax.errors import InputError, one_line
from infantjax.files import sha256
from infantjax.pose import DEFAULT_WEIGHTS
from infantjax.pose.codec.heatmap import HeatmapCodec, Points
from infantjax.pose.images import Normalization, normalize
from infantjax.pose.importers.keras import import_pose
from infantjax.pose.networks.efficientpose import EfficientPose
from infantjax.pose.networks.openpose import OpenPose
from infantjax.skeletons import Skeleton
from infantjax.weights import public
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, Precision, load_ensemble, save_ensemble

_SKELETONS = {16: "mpii-16", 19: "in-motion-19"}


@dataclass(frozen=True, eq=False)
class PoseEstimator:
    """A pose network with its weights.

    Attributes:
        module: the network; from `load_pose_network` without upscaling and without the heads that only training needs.
        variables: its weights.
        skeleton: the keypoints of its maps.
        side: height and width of its input, pixels.
        normalization: of its input, a name of `images.NORMALIZATIONS`.
        name: for the provenance.
        digest: SHA-256 of the file, or of the saved network.
        affinity_fields: name of the affinity fields among the network's further outputs, by which persons are told
            apart; None without them.
        statement: of a trained network, what it was trained on; reports show it.
        decoder: a name of `pose.DECODERS`, the rule for its maps where none is asked for.
    """

    module: nn.Module
    variables: Any
    skeleton: Skeleton
    side: int
    normalization: Normalization
    name: str
    digest: str
    affinity_fields: str | None = None
    statement: str = ""
    decoder: str = "smoothed"

    def predict_fn(self, decoder: str | None = None) -> Callable[[Any, UInt8[Array, "image side side 3"]], Points]:
        """A pure function from variables and crops (`crop.crop_array`) to keypoints, for `jit`, `vmap` and sharding.

        Args:
            decoder: a name of `pose.DECODERS`; None takes the network's own.

        Raises:
            ValueError: unknown decoder.
        """
        codec = HeatmapCodec(decoder or self.decoder)

        def predict(variables: Any, crops: Array) -> Points:
            maps = self.module.apply(variables, normalize(crops, self.normalization))[0]
            return codec.decode(maps, self.side)

        return predict


def load_pose_network(
    weights: str | Path = DEFAULT_WEIGHTS,
    side: int | None = None,
    skeleton: str | None = None,
    *,
    early_heads: bool = False,
    offline: bool | None = None,
    quiet: bool = True,
) -> PoseEstimator:
    """Load a pose network from a published file, or from a folder that training or `save_pose_network` wrote.

    Args:
        weights: a file for `weights.import_pose`, a folder, or the name of public weights (`weights.public.table`),
            whose file is fetched where it is not on this machine.
        side: height and width of the input, pixels, a multiple of 32 (EfficientPose: 8); None takes that of the
            network, and 128 for EfficientHourglass files, as in the published checkpoint.
        skeleton: name of the keypoint set; None takes the published one of so many keypoints, or that of the folder.
        early_heads: keep the heads of EfficientPose's first passes: the affinity fields, which cost little and tell
            persons apart, and the heads that only training needs.
        offline: fetch nothing; None asks the environment (`weights.public.OFFLINE`).
        quiet: show no progress of fetching.

    Raises:
        InputError: the file cannot be fetched or used, or the side or skeleton does not fit it.
    """
    path = public.find(weights, offline=offline, quiet=quiet)
    network = _load_folder(path) if path.is_dir() else _load_file(path, skeleton)
    module = network.module
    if skeleton not in (None, network.skeleton.name):
        raise InputError(path, f"has the keypoints of {network.skeleton.name}, not of {skeleton}")
    side = side or network.side
    multiple = 8 if isinstance(module, EfficientPose) else 32
    if side % multiple or not 32 <= side <= 2048:
        raise InputError(path, f"cannot read images of side {side}", f"give a multiple of {multiple} within 32..2048")
    variables = network.variables
    if isinstance(module, EfficientPose) and not early_heads:
        unneeded = module.early_head_names
        needed = {name: leaf for name, leaf in variables["params"].items() if not name.startswith(unneeded)}
        module, variables = module.clone(early_heads=False), {**variables, "params": needed}
    return replace(
        network,
        module=module.clone(upscale=False),
        variables=variables,
        side=side,
        name=f"{network.name}, side {side}",
        affinity_fields=_affinity_fields(module),
    )


def save_pose_network(
    network: PoseEstimator,
    directory: str | Path,
    info: Mapping[str, Any] | None = None,
    *,
    precision: Precision = "float32",
) -> str:
    """Write a network with its weights into a folder, which `load_pose_network` reads.

    Args:
        network: of a registered kind.
        directory: created if missing.
        info: JSON-compatible, stored beside the weights: how they came about.
        precision: how arrays are stored, see `weights.save_ensemble`.

    Returns:
        The network's digest.

    Raises:
        OSError: the folder cannot be written; its previous content is unchanged.
        ValueError: the network is not of a registered kind.
    """
    return save_ensemble(as_ensemble(network, info), directory, precision=precision).digest


def as_ensemble(network: PoseEstimator, info: Mapping[str, Any] | None = None) -> Ensemble:
    """A network as the ensemble of one member that `save_pose_network` writes.

    Raises:
        ValueError: the network is not of a registered kind.
    """
    name, overrides = registry_name(network.module, network.skeleton)
    stacked = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32)[None], dict(network.variables))
    described = {
        "task": "pose",
        "skeleton": network.skeleton.name,
        "side": network.side,
        "normalization": network.normalization,
        "decoder": network.decoder,
    }
    return Ensemble((Member(name, stacked, overrides),), EnsembleInfo.from_dict({**(info or {}), **described}))


def registry_name(module: nn.Module, skeleton: Skeleton) -> tuple[str, dict[str, Any]]:
    """Registry name of a network, and the arguments of `build` that give it.

    Raises:
        ValueError: the network is not of a registered kind.
    """
    for name in models.names():
        if (entry := models.get(name)).task != "pose":
            continue
        built = entry.build(skeleton=skeleton)
        same = (getattr(built, sizes, None) == getattr(module, sizes, None) for sizes in ("variant", "member"))
        if type(built) is type(module) and all(same):
            values = {f.name: getattr(module, f.name) for f in fields(module) if f.name not in ("parent", "name")}
            return name, {key: value for key, value in values.items() if value != getattr(built, key)}
    raise ValueError(f"{type(module).__name__} is not a registered pose network")


def _affinity_fields(module: nn.Module) -> str | None:
    if isinstance(module, OpenPose):
        return "field4_pafs"
    return "pass1_pafs" if "pass1_pafs" in getattr(module, "early_head_names", ()) else None


def _load_file(path: Path, skeleton: str | None) -> PoseEstimator:
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
    return PoseEstimator(module, variables, known, side, "lite" if lite else "imagenet", name, sha256(path))


def _load_folder(directory: Path) -> PoseEstimator:
    ensemble = load_ensemble(directory)
    info, member = ensemble.info, ensemble.members[0]
    if info.task != "pose":
        depth = info.task == "depth-pose"
        remedy = "use `infantjax pose depth`" if depth else "give the folder that `infantjax train pose` wrote"
        raise InputError(directory, "holds no pose network", remedy)
    try:
        skeleton, normalization = skeletons.get(info.skeleton), info.extra["normalization"]
        overrides = {k: tuple(v) if isinstance(v, list) else v for k, v in member.overrides.items()}
        module = models.get(member.model).build(skeleton=skeleton, **overrides)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(directory, f"was written by another version ({error})", "train or convert it again") from None
    variables = jax.tree.map(lambda leaf: leaf[0], member.variables)
    return PoseEstimator(
        module,
        variables,
        skeleton,
        info.extra["side"],
        normalization,
        member.model,
        ensemble.digest,
        statement=one_line(info.statement),
        decoder=info.extra.get("decoder", "smoothed"),
    )
