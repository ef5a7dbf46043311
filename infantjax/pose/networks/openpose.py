"""OpenPose as trained in the papers on MPII and In-Motion Poses.

Source: Groos et al., Paper I (table 3), Paper II (table 1). Neither prints the layers, and no weights were published:
the structure is derived: among those tried, it alone gives both published parameter counts to the digit. Our choice,
as neither paper says: the order of concatenations, the initial slope of the PReLUs.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.image import Image, ImageConv, double, pool
from infantjax.nn.initializers import Constant, parameter
from infantjax.skeletons import Skeleton

_VGG = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512))
_FEATURES = (256, 128)
_FIRST, _LATER = (96, 256), (128, 512)  # width of a dense block, channels before the maps
_BLOCKS = 5
_LINEAR: dict[str, Any] = {"use_bias": True, "norm": False}


class PReLU(nn.Module):
    """x where positive, else x times a slope a channel.

    Attributes:
        features: channels.
        slope: initial; 0.25 or 0 is our choice, none is published.
        operations: what the published tool counts for a value.
    """

    features: int
    slope: float = 0.25
    operations: int = 2

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Apply the slopes."""
        slopes = parameter(self, "slope", Constant(self.slope), (self.features,))
        flops.record("activation", self.operations * x.size + self.features)
        return jnp.where(x > 0, x, slopes * x)


class OpenPose(nn.Module):
    """VGG-19 features, four stages for affinity fields and two for confidence maps.

    Attributes:
        keypoints: confidence maps.
        segments: limbs with an affinity field of two channels.
        upscale: three fixed bilinear doublings after the maps: on In-Motion, not on MPII.
        slope: of every PReLU at the start.
    """

    keypoints: int = 16
    segments: int = 14
    upscale: bool = False
    slope: float = 0.25

    @nn.compact
    def __call__(self, x: Image, train: bool = False) -> tuple[Image, dict[str, Any]]:
        """Confidence maps of images.

        Args:
            x: normalized images, `[batch, side, side, 3]`.
            train: for gradients that are fast inside of loops; the network has no norms.

        Returns:
            Maps `[batch, side, side, keypoint]` (an eighth of the side without `upscale`), and a dict of `features`,
            `field1_pafs` to `field4_pafs`, and `heatmap1_confs`, `heatmap2_confs`,
            `[batch, side / 8, side / 8, channel]`.
        """
        channels = x.shape[-1]
        for block, widths in enumerate(_VGG, 1):
            if block > 1:
                x = pool(x, "max", 2, 2)
            for number, width in enumerate(widths, 1):
                x = jax.nn.relu(ImageConv(channels, width, 3, **_LINEAR, name=f"vgg{block}_{number}")(x, train))
                channels = width
        for number, width in enumerate(_FEATURES, 1):
            x = self._conv(f"features{number}", x, width, 3, train)
        aux = {"features": x}
        y = x
        for number in range(1, 5):
            fields = self._stage(f"field{number}", y, _FIRST if number == 1 else _LATER, 2 * self.segments, train)
            aux[f"field{number}_pafs"] = fields
            y = jnp.concatenate([x, fields], -1)
        for number in (1, 2):
            maps = self._stage(f"heatmap{number}", y, _FIRST if number == 1 else _LATER, self.keypoints, train)
            aux[f"heatmap{number}_confs"] = maps
            y = jnp.concatenate([x, maps], -1)
        # The published count of operations omits the shapes of these three layers only.
        return double(double(double(maps, False), False), False) if self.upscale else maps, aux

    def _conv(self, name: str, x: Image, width: int, kernel_size: int, train: bool) -> Image:
        x = ImageConv(x.shape[-1], width, kernel_size, **_LINEAR, name=name)(x, train)
        return PReLU(width, self.slope, 2 if self.upscale else 3, name=f"{name}_prelu")(x)

    def _stage(self, name: str, x: Image, widths: tuple[int, int], outputs: int, train: bool) -> Image:
        dense, before = widths
        for block in range(1, _BLOCKS + 1):
            parts = []
            for number in (1, 2, 3):
                x = self._conv(f"{name}_block{block}_conv{number}", x, dense, 3, train)
                parts.append(x)
            x = jnp.concatenate(parts, -1)
        x = self._conv(f"{name}_last", x, before, 1, train)
        return ImageConv(before, outputs, **_LINEAR, name=f"{name}_maps")(x, False)


def build(skeleton: str | Skeleton = "mpii-16", **overrides: Any) -> OpenPose:
    """The network for a keypoint set.

    Args:
        skeleton: keypoint set.
        overrides: fields of `OpenPose`.

    Raises:
        ValueError: unknown skeleton.
    """
    skeleton = skeletons.get(skeleton)
    published = {
        "keypoints": len(skeleton.joints),
        "segments": len(skeletons.segments(skeleton)),
        "upscale": skeleton.name != "mpii-16",
    }
    return OpenPose(**(published | overrides))


ENTRIES = (
    ModelEntry(
        name="openpose",
        method="openpose",
        task="pose",
        input_shape=(368, 368, 3),
        skeleton="mpii-16",
        features=(),
        published=Published(25_939_664, "160.36", 1e9, "Groos et al., thesis table B.1"),
        build=build,
        others={"in-motion-19": Published(26_011_743, "161077013640", 1, "Groos et al., Paper II table 1")},
        normalization="vgg",
    ),
)
