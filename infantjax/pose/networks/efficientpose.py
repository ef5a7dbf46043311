"""EfficientPose RT, I, II, III, IV and their Lite forms: keypoints of one person in an image.

Source: Groos et al., "EfficientPose: scalable single-person pose estimation" (Paper I); published weights. Where both
differ, the network follows the weights and an option says so (`low_level_tap`).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, PublicWeights, Published
from infantjax.nn.image import Image, ImageConv, InvertedResidual, add, double, e_swish, pool, relu6
from infantjax.pose.networks.efficientnet import BRANCH_DROPOUT, Backbone, plan
from infantjax.settings import require_one_of
from infantjax.skeletons import Skeleton

Tap = Literal["branch", "sum"]


@dataclass(frozen=True)
class Variant:
    """Sizes of one member of the family (Paper I, table 1).

    Attributes:
        side: height and width of the image.
        high: backbone of the whole image, three blocks of it.
        low: backbone of the image at half its side, two blocks of it; None in RT and the Lite forms.
        dense_nets: Mobile DenseNets of a pass.
    """

    side: int
    high: str
    low: str | None
    dense_nets: int

    @property
    def lite(self) -> bool:
        """Whether everything is built of what mobile accelerators have: ReLU6, no squeeze-and-excitation."""
        return self.high.startswith("l")


VARIANTS: dict[str, Variant] = {
    "rt": Variant(224, "b0", None, 1),
    "i": Variant(256, "b2", "b0", 1),
    "ii": Variant(368, "b4", "b0", 2),
    "iii": Variant(480, "b5", "b1", 3),
    "iv": Variant(600, "b7", "b3", 4),
    "rt-lite": Variant(224, "l0", None, 1),
    "i-lite": Variant(256, "l2", None, 1),
    "ii-lite": Variant(368, "l4", None, 2),
}


def name_passes(skeleton_pass: bool, passes: int) -> tuple[tuple[str, str], ...]:
    """Number and kind of each pass, as they name its layers: the skeleton pass, if any, then those for keypoints."""
    kinds = ["skeleton"] * skeleton_pass + [f"detection{number}" for number in range(1, passes + 1)]
    return tuple((f"pass{number}", kind) for number, kind in enumerate(kinds, 1))


PASSES = name_passes(skeleton_pass=True, passes=2)
"""Of the networks of the public files."""


class EfficientPose(nn.Module):
    """Two backbones, a pass for affinity fields and two for confidence maps, upscaled to the side of the image.

    `passes`, `skeleton_pass`, `cross_resolution` and `upscale` are what the tables 6 to 9 of Paper I vary;
    `networks.efficientpose_tables` registers those networks.

    Attributes:
        variant: sizes; `VARIANTS` holds the published ones.
        keypoints: confidence maps.
        segments: limbs with an affinity field.
        head_width: channels of a linear layer before the maps (128 in the networks fine-tuned on infants, where the
            layers that start from scratch are two); None for maps directly from the features.
        low_level_tap: low-level features before the last residual sum of their block (`branch`: published weights) or
            after it (`sum`: as the paper draws it).
        early_heads: the maps of passes 1 and 2, which only training needs; Lite files do not hold them.
        upscale: three fixed bilinear doublings after the maps.
        passes: detection passes, those for confidence maps; at least 1.
        skeleton_pass: whether a pass for affinity fields comes before them.
        cross_resolution: whether a variant with a low-level backbone has it.
        repeat_features: the first pass reads the features twice. Table 7's sizes without the skeleton pass need it
            (derived), its text does not say so.
        branch_dropout: of the backbones, in training.

    Source: Groos et al., Paper I.
    """

    variant: Variant
    keypoints: int = 16
    segments: int = 14
    head_width: int | None = None
    low_level_tap: Tap = "branch"
    early_heads: bool = True
    upscale: bool = True
    passes: int = 2
    skeleton_pass: bool = True
    cross_resolution: bool = True
    repeat_features: bool = False
    branch_dropout: float = BRANCH_DROPOUT

    @property
    def early_head_names(self) -> tuple[str, ...]:
        """Maps of all passes but the last, with `early_heads`."""
        early = name_passes(self.skeleton_pass, self.passes)[:-1]
        return tuple(f"{name}_{_maps_of(kind)}" for name, kind in early) if self.early_heads else ()

    @nn.compact
    def __call__(self, x: Image, train: bool = False) -> tuple[Image, dict[str, Any]]:
        """Confidence maps of images.

        Args:
            x: normalized images, `[batch, side, side, 3]`.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Maps `[batch, side, side, keypoint]` (an eighth of the side without `upscale`), and a dict of `stem`,
            `block1` to `block3` of the high-level backbone, and, all `[batch, side / 8, side / 8, channel]`, of the
            passes in their order `pass1_features` to `pass3_features`, `pass3_confs` and, with `early_heads`,
            `pass1_pafs` and `pass2_confs`. With other passes the names are numbered likewise.
        """
        v = self.variant
        aux = Backbone(v.high, 3, self.branch_dropout, name="high")(x, train)
        features = [aux["block3"]]
        if v.low and self.cross_resolution:
            halved = pool(x, "mean", 2, 2)
            tap = "block2_branch" if self.low_level_tap == "branch" else "block2"
            features.append(Backbone(v.low, 2, self.branch_dropout, name="low")(halved, train)[tap])
        read = jnp.concatenate(features, -1)
        y = jnp.concatenate([read, read], -1) if self.repeat_features else read
        passes = name_passes(self.skeleton_pass, self.passes)
        for name, kind in passes:
            if name != "pass1":
                y = jnp.concatenate([y, read], -1)
            y = self._pass(f"{name}_{kind}", y, train)
            aux[f"{name}_features"] = y
            if (name, kind) == passes[-1] or self.early_heads:
                outputs = 2 * self.segments if kind == "skeleton" else self.keypoints
                head = f"{name}_{_maps_of(kind)}"
                aux[head] = self._head(head, y, outputs)
        last = aux[f"{passes[-1][0]}_confs"]
        found = double(double(double(last))) if self.upscale else last
        return found, {key: value for key, value in aux.items() if not key.endswith("_branch")}

    def _pass(self, name: str, x: Image, train: bool) -> Image:
        """Mobile DenseNets in a row, from the second on with a residual sum; three times the width comes out."""
        width = plan(self.variant.high)[1][2].features
        act = relu6 if self.variant.lite else e_swish
        squeezed = 0 if self.variant.lite else width // 4

        def block(x: Image, dense_net: int, number: int) -> Image:
            made = InvertedResidual(
                x.shape[-1], 6 * width, width, 5, 1, squeezed, act, name=f"{name}_{dense_net}_{number}"
            )
            return made(x, train)

        for dense_net in range(1, self.variant.dense_nets + 1):
            a = block(x, dense_net, 1)
            b = jnp.concatenate([block(a, dense_net, 2), a], -1)
            c = jnp.concatenate([block(b, dense_net, 3), b], -1)
            x = add(c, x) if dense_net > 1 else c
        return x

    def _head(self, name: str, x: Image, outputs: int) -> Image:
        linear: dict[str, Any] = {"use_bias": True, "norm": False}
        if self.head_width:
            x = ImageConv(x.shape[-1], self.head_width, **linear, name=f"{name}_hidden")(x, False)
        return ImageConv(x.shape[-1], outputs, **linear, name=name)(x, False)


def _maps_of(kind: str) -> str:
    return "pafs" if kind == "skeleton" else "confs"


def build(variant: str, skeleton: str | Skeleton = "mpii-16", **overrides: Any) -> EfficientPose:
    """A published member of the family.

    Args:
        variant: a name of `VARIANTS`.
        skeleton: keypoint set. `mpii-16` has heads of one layer, all others those of two, as published for
            `in-motion-19`.
        overrides: fields of `EfficientPose`.

    Raises:
        ValueError: unknown variant or skeleton, or no detection pass.
    """
    require_one_of("variant", variant, tuple(VARIANTS))
    if (passes := overrides.get("passes", 2)) < 1:
        raise ValueError(f"passes must be at least 1, got {passes}")
    skeleton = skeletons.get(skeleton)
    published = {
        "keypoints": len(skeleton.joints),
        "segments": len(skeletons.segments(skeleton)),
        "head_width": None if skeleton.name == "mpii-16" else 128,
    }
    return EfficientPose(VARIANTS[variant], **(published | overrides))


_PUBLISHED: dict[str, tuple[int, str, int | None, str | None]] = {
    "rt": (460_284, "0.87", 481_336, "955490248"),
    "i": (719_736, "1.67", 743_476, "1785432722"),
    "ii": (1_732_944, "7.70", 1_759_372, "7944292598"),
    "iii": (3_229_772, "23.35", 3_258_888, "23777830318"),
    "iv": (6_560_938, "72.89", 6_595_430, "73621311041"),
    "rt-lite": (404_608, "0.86", None, None),
    "i-lite": (591_632, "1.54", None, None),
    "ii-lite": (1_464_960, "7.25", None, None),
}

_REPOSITORY = "https://raw.githubusercontent.com/daniegr/EfficientPose/78e4bd1913780dd565efe35db03a4aec75907e8c/models/"


def _file(name: str, git_blob: str, sha256: str, size: int, pckh50: float, pckh10: float) -> PublicWeights:
    scores = {"MPII validation PCKh@50": pckh50, "MPII validation PCKh@10": pckh10}
    return PublicWeights(_REPOSITORY + name, git_blob, "Apache-2.0", "MPII (adults)", size, sha256, scores)


_FILES = {
    "rt": _file(
        "keras/EfficientPoseRT.h5",
        "2a5c0e613054f76bcf82d84e5c17bd0504088c27",
        "508943cfdeb1d102d69aff4280b805c023585b0d9ae530344fb4c4fad3a175f1",
        2_452_288,
        82.9,
        23.6,
    ),
    "i": _file(
        "keras/EfficientPoseI.h5",
        "9dbca7eee777314d3a24c8dd9be0071bd6c92fd6",
        "003aea100c30c68103fb4c383fb8782f78adbea7a45451af85334327b79fc5bd",
        3_726_904,
        85.2,
        26.5,
    ),
    "ii": _file(
        "tflite/EfficientPoseII.tflite",
        "d36059331cc0aab3d716ff7ebc60bc20dd93503a",
        "0659b687e8c0d33f63855c2b196d355b317490a586275609e20787861a305ac3",
        3_536_244,
        88.2,
        30.2,
    ),
    "rt-lite": _file(
        "keras/EfficientPoseRT_LITE.h5",
        "02845a847aabe4894399625e7b8416368dc80cf7",
        "ce0c91259b075180177d070d0be1e71ff8695d7c123745efb950743aa90699ae",
        2_196_288,
        80.6,
        23.1,
    ),
    "i-lite": _file(
        "keras/EfficientPoseI_LITE.h5",
        "3bf4ccb8d57814c39c1d87054d9ccb3127b46aec",
        "3eb6eb2a595e47d3104590e6484533d64534e4b994397a9dd2bd3e5a11430516",
        3_069_760,
        83.7,
        27.7,
    ),
    "ii-lite": _file(
        "tflite/EfficientPoseII_LITE.tflite",
        "74561c01daa2e59ac03798d9eead16b473d16ef5",
        "e0d23ecf1f689e9394a2f3768d5e9aebc8457c5e88ef418fea35fe727f5c92cc",
        2_875_320,
        87.1,
        30.8,
    ),
}
"""The authors' files; their scores are those of the full-precision networks. II and II Lite are in half precision."""

ENTRIES = tuple(
    ModelEntry(
        name=f"efficientpose-{variant}",
        method="efficientpose",
        task="pose",
        input_shape=(VARIANTS[variant].side, VARIANTS[variant].side, 3),
        skeleton="mpii-16",
        features=(),
        published=Published(parameters, flops, 1e9, "Groos et al., thesis table B.1"),
        build=partial(build, variant),
        others={"in-motion-19": Published(other, other_flops, 1, "Groos et al., Paper II table 1")},
        normalization="lite" if VARIANTS[variant].lite else "imagenet",
        counted={"early_heads": False, "low_level_tap": "sum"},
        weights=(_FILES[variant],) if variant in _FILES else (),
    )
    for variant, (parameters, flops, other, other_flops) in _PUBLISHED.items()
)
