"""EfficientHourglass: one EfficientNet, bridges, and an up-path of trained transposed convolutions.

Source: Groos et al., "Towards human-level performance on automatic pose estimation of infant spontaneous movements"
(Paper II); the authors' training framework; its published checkpoint. Neither paper states how far the
squeeze-and-excitations squeeze: the framework divides by 3, 6 and 12, while the published parameters and operations of
the B4 network come out with 24 alone (derived). Both are offered (`se_ratios`).
"""

from functools import partial
from typing import Any

import flax.linen as nn

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, PublicWeights, Published
from infantjax.nn.image import (
    Activation,
    Image,
    ImageConv,
    InvertedResidual,
    SqueezeExcite,
    TransposedConv,
    add,
    double,
    relu6,
    swish,
)
from infantjax.nn.initializers import TruncatedFanIn
from infantjax.pose.networks.efficientnet import BRANCH_DROPOUT, Backbone, plan
from infantjax.settings import require_one_of
from infantjax.skeletons import Skeleton

FAMILY = tuple(f"{form}{size}" for form in "blh" for size in range(5))
"""`b`: Swish and squeeze-and-excitation; `l`: Lite backbone, ReLU6, none; `h`: Lite backbone, the rest as in `b`."""

FRAMEWORK_RATIOS = (3, 6, 12)
PUBLISHED_RATIOS = (24, 24, 24)

_STAGES = (2, 3, 5)  # blocks of the backbone at strides 4, 8, 16


class EfficientHourglass(nn.Module):
    """Confidence maps at a quarter of the image's side, from activations of several sides.

    Attributes:
        member: a name of `FAMILY`.
        deepest: last block of the backbone: 5, 6 or 7. In B0 and the Lite backbones 7 means 6, as in the framework.
        keypoints: confidence maps.
        se_ratios: by what the channels are divided inside the squeeze-and-excitations at strides 4, 8 and 16.
        upscale: two fixed bilinear doublings after the maps.
        branch_dropout: of the backbone, in training.
    """

    member: str = "b4"
    deepest: int = 7
    keypoints: int = 16
    se_ratios: tuple[int, int, int] = PUBLISHED_RATIOS
    upscale: bool = True
    branch_dropout: float = BRANCH_DROPOUT

    @property
    def version(self) -> str:
        """The version of the backbone."""
        return self.member if self.member[0] == "b" else f"l{self.member[1]}"

    @property
    def depth(self) -> int:
        """The last block of the backbone in use."""
        return 6 if self.deepest == 7 and (self.version == "b0" or self.version[0] == "l") else self.deepest

    @nn.compact
    def __call__(self, x: Image, train: bool = False) -> tuple[Image, dict[str, Any]]:
        """Confidence maps of images.

        Args:
            x: normalized images, `[batch, side, side, 3]`; the side is a multiple of 32.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Maps `[batch, side, side, keypoint]` (a quarter of the side without `upscale`), and a dict of `stem`,
            `block1`, ..., `bridge1` (a quarter of the side), `bridge2`, ..., `up1` (the deepest), `up2`, ..., after
            the sums, and `confs`, the maps before upscaling.
        """
        form, version, deepest = self.member[0], self.version, self.depth
        act: Activation = relu6 if form == "l" else swish
        found = Backbone(version, deepest, self.branch_dropout, name="backbone")(x, train)
        aux = {name: value for name, value in found.items() if not name.endswith("_branch")}
        blocks = plan(version)[1]
        stages = [stage for stage in _STAGES if stage < deepest]
        y, channels = aux[f"block{deepest}"], blocks[deepest - 1].features
        for step, (number, stage) in enumerate(reversed(list(enumerate(stages, 1))), 1):
            width, ratio = blocks[stage - 1].features, self.se_ratios[number - 1]
            aux[f"bridge{number}"] = InvertedResidual(
                width,
                6 * width,
                width,
                5,
                1,
                0 if form == "l" else max(1, 6 * width // ratio),
                act,
                use_bias=True,
                activate_last=True,
                first_activation=relu6 if form == "h" else act,
                initializer=TruncatedFanIn(1.0),
                name=f"bridge{number}",
            )(aux[f"block{stage}"], train)
            initializer = TruncatedFanIn(1 / (step + 1))
            y = act(TransposedConv(channels, width, initializer, name=f"up{step}")(y, train))
            y = aux[f"up{step}"] = add(y, aux[f"bridge{number}"])
            if form != "l":
                y = SqueezeExcite(width, max(1, width // ratio), act, initializer, name=f"up{step}_se")(y)
            channels = width
        head = ImageConv(
            channels, self.keypoints, use_bias=True, norm=False, initializer=TruncatedFanIn(1.0), name="confs"
        )
        aux["confs"] = head(y, train)
        return double(double(aux["confs"])) if self.upscale else aux["confs"], aux


def build(member: str, skeleton: str | Skeleton = "mpii-16", **overrides: Any) -> EfficientHourglass:
    """A member of the family: B4 as published, the others with the ratios of the framework.

    Args:
        member: a name of `FAMILY`.
        skeleton: keypoint set.
        overrides: fields of `EfficientHourglass`.

    Raises:
        ValueError: unknown member or skeleton.
    """
    require_one_of("member", member, tuple(FAMILY))
    skeleton = skeletons.get(skeleton)
    ratios = PUBLISHED_RATIOS if member == "b4" else FRAMEWORK_RATIOS
    published: dict[str, Any] = {"keypoints": len(skeleton.joints), "se_ratios": ratios}
    return EfficientHourglass(member, **(published | overrides))


_SIDES = (224, 256, 288, 320, 384)  # our choice: that of the backbone, rounded up to a multiple of 32
_UNPRINTED = Published(None, None, 1, "not printed; the training framework offers it")

_L0 = PublicWeights(
    address="https://raw.githubusercontent.com/DeepInMotion/Markerless/18b94c2c560052f880aeec1f0dd9102264d30fe2/"
    "models/pretrained/MPII_128x128_EfficientHourglassL0_Block1to5_weights.hdf5",
    git_blob="90e882aefb3329f05e96a09e07b5b9992d1fb227",
    license="Apache-2.0",
    trained_on="MPII (adults), images of 128 x 128",
    size=4_122_376,
    sha256="44532dc96b8d23c72d4a582a04557c5f9c9d055055d5fd168cf22a91d85f3ae2",
)

ENTRIES = tuple(
    ModelEntry(
        name=f"efficienthourglass-{member}",
        method="efficienthourglass",
        task="pose",
        input_shape=(608, 608, 3) if member == "b4" else (_SIDES[int(member[1])], _SIDES[int(member[1])], 3),
        skeleton="mpii-16",
        features=(),
        published=(
            Published(18_696_471, "26.62", 1e9, "Groos et al., thesis table B.1") if member == "b4" else _UNPRINTED
        ),
        build=partial(build, member),
        others={
            "in-motion-19": (
                Published(18_699_936, "27009544472", 1, "Groos et al., Paper II table 1")
                if member == "b4"
                else _UNPRINTED
            )
        },
        normalization="imagenet" if member[0] == "b" else "lite",
        weights=(_L0,) if member == "l0" else (),
    )
    for member in sorted(FAMILY, key=lambda member: (member != "b4", FAMILY.index(member)))
)
