"""CIMA-Pose: DenseNet features and two stages of convolutions.

Source: Groos et al., Paper II (table 1), whose parameters and operations it has. No weights were published.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn.image import Image, ImageConv, double, pool
from infantjax.nn.layers import BatchNorm
from infantjax.skeletons import Skeleton

_EPSILON = 1.001e-5
_GROWTH = 32
_LAYERS = (6, 12)
_FEATURES = 128
_STAGE = ((3, 128, 1), (3, 64, 1), (3, 64, 2), (3, 64, 4), (1, 64, 1))  # taps, channels, dilation


class CimaPose(nn.Module):
    """The first two dense blocks of DenseNet-121, and two stages, the second of which reads the maps of the first.

    Attributes:
        keypoints: confidence maps.
        upscale: three fixed bilinear doublings after the maps.
    """

    keypoints: int = 16
    upscale: bool = True

    @nn.compact
    def __call__(self, x: Image, train: bool = False) -> tuple[Image, dict[str, Any]]:
        """Confidence maps of images.

        Args:
            x: normalized images, `[batch, side, side, 3]`.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Maps `[batch, side, side, keypoint]` (an eighth of the side without `upscale`), and a dict of `features`
            and of the maps `stage1_confs` and `stage2_confs`, `[batch, side / 8, side / 8, channel]`.
        """
        linear: dict[str, Any] = {"use_bias": True, "norm": False}
        features = ImageConv(256, _FEATURES, 3, **linear, name="features")(self._dense_net(x, train), train)
        features = jax.nn.relu(features)
        aux = {"features": features}
        y = features
        for stage in (1, 2):
            channels = y.shape[-1]
            for number, (kernel_size, width, dilation) in enumerate(_STAGE, 1):
                conv = ImageConv(
                    channels, width, kernel_size, dilation=dilation, **linear, name=f"stage{stage}_conv{number}"
                )
                y, channels = jax.nn.relu(conv(y, train)), width
            maps = ImageConv(channels, self.keypoints, **linear, name=f"stage{stage}_confs")(y, train)
            aux[f"stage{stage}_confs"] = maps
            y = jnp.concatenate([maps, features], -1)
        return double(double(double(maps))) if self.upscale else maps, aux

    def _dense_net(self, x: Image, train: bool) -> Image:
        norm: dict[str, Any] = {"epsilon": _EPSILON}
        x = ImageConv(3, 64, 7, 2, padding=3, **norm, name="stem")(x, train)
        x = jnp.pad(jax.nn.relu(x), ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = pool(x, "max", 3, 2)
        for block, layers in enumerate(_LAYERS, 1):
            for layer in range(1, layers + 1):
                name, channels = f"dense{block}_{layer}", x.shape[-1]
                y = self._normalized(x, f"{name}_norm", train)
                y = jax.nn.relu(ImageConv(channels, 4 * _GROWTH, **norm, name=f"{name}_conv1")(y, train))
                y = ImageConv(4 * _GROWTH, _GROWTH, 3, norm=False, name=f"{name}_conv2")(y, train)
                x = jnp.concatenate([x, y], -1)
            channels = x.shape[-1]
            x = self._normalized(x, f"transition{block}_norm", train)
            x = ImageConv(channels, channels // 2, norm=False, name=f"transition{block}")(x, train)
            if block < len(_LAYERS):
                x = pool(x, "mean", 2, 2)
        return x

    def _normalized(self, x: Image, name: str, train: bool) -> Image:
        return jax.nn.relu(BatchNorm((x.shape[-1],), epsilon=_EPSILON, momentum=0.01, name=name)(x, train))


def build(skeleton: str | Skeleton = "in-motion-19", **overrides: Any) -> CimaPose:
    """The network for a keypoint set.

    Args:
        skeleton: keypoint set.
        overrides: fields of `CimaPose`.

    Raises:
        ValueError: unknown skeleton.
    """
    skeleton = skeletons.get(skeleton)
    return CimaPose(**({"keypoints": len(skeleton.joints)} | overrides))


ENTRIES = (
    ModelEntry(
        name="cima-pose",
        method="cima-pose",
        task="pose",
        input_shape=(368, 368, 3),
        skeleton="in-motion-19",
        features=(),
        published=Published(2_380_495, "15645092494", 1, "Groos et al., Paper II table 1"),
        build=build,
        others={"mpii-16": Published(None, None, 1, "not printed")},
        normalization="imagenet",
    ),
)
