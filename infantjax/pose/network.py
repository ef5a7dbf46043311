"""A pose network with its weights and all that is needed to feed it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.models.efficientpose import EfficientPose
from infantjax.skeletons import Skeleton
from infantjax.weights import import_pose

_SKELETONS = {16: "mpii-16", 19: "in-motion-19"}


@dataclass(frozen=True, eq=False)
class PoseNetwork:
    """What a file of weights gives.

    Attributes:
        module: the network, without upscaling and without the heads that only training needs.
        variables: its weights.
        skeleton: the keypoints of its maps.
        side: height and width of its input, pixels.
        pixels: how its input is normalised, a name of `pictures.NORMALISATIONS`.
        name: for the provenance.
        digest: SHA-256 of the file.
    """

    module: nn.Module
    variables: Any
    skeleton: Skeleton
    side: int
    pixels: Literal["imagenet", "lite", "vgg"]
    name: str
    digest: str


def load_network(path: str | Path, side: int | None = None, skeleton: str | None = None) -> PoseNetwork:
    """A released pose network from its file.

    Args:
        path: a file for `weights.import_pose`.
        side: height and width of the input, pixels, a multiple of 32; None is that of the network, and 128 for
            EfficientHourglass, as of the released checkpoint.
        skeleton: name of the keypoint set; None is the published one of so many keypoints.

    Raises:
        InputError: the file cannot be used, or a side or skeleton does not fit it.
    """
    path = Path(path)
    module, variables = import_pose(path)
    skeleton = skeleton or _SKELETONS.get(module.keypoints, "")
    try:
        known = skeletons.get(skeleton)
    except ValueError as error:
        raise InputError(path, f"has {module.keypoints} keypoints; {error}", "name their skeleton") from None
    if len(known.joints) != module.keypoints:
        raise InputError(path, f"has {module.keypoints} keypoints, {known.name} has {len(known.joints)}")
    own, multiple = (module.variant.side, 8) if isinstance(module, EfficientPose) else (128, 32)
    side = side or own
    if side % multiple or not 32 <= side <= 2048:
        raise InputError(path, f"cannot read pictures of side {side}", f"give a multiple of {multiple} within 32..2048")
    if isinstance(module, EfficientPose):
        lite, name = module.variant.lite, f"EfficientPose, backbone {module.variant.high}"
        needed = {"params": dict(variables["params"]), "batch_stats": variables["batch_stats"]}
        for unread in ("pass1_pafs", "pass2_confs"):
            needed["params"].pop(unread, None)
        module, variables = module.clone(early_heads=False, upscale=False), needed
    else:
        lite, name = module.member[0] != "b", f"EfficientHourglass {module.member}, {module.deepest} blocks"
        module = module.clone(upscale=False)
    pixels: Literal["imagenet", "lite"] = "lite" if lite else "imagenet"
    return PoseNetwork(module, variables, known, side, pixels, f"{name}, side {side}", sha256(path))
