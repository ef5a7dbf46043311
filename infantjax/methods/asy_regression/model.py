"""Networks for the limbs of preterm infants in clips of depth frames: detection, regression, Asy-regression.

Source: Migliorelli et al. 2021, "Asy-regression" (table I for the asymmetric network). The detection network and the
standard regression come from Moccia et al. 2020, whose layer table could only be recalled, not read again: no parameter
counts are published to compare with. So `babypose-detection` is re-implemented from its description. Published: an
encoder and decoder of blocks with a branch for joints and one for connections, batch norm and ReLU behind every
convolution, maps by a sigmoid. Our choice: its widths and kernels, as recalled, and no long skip connections.

Kernels are written height x width x time in the papers; the layout here is `[batch, time, row, column, channel]`.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.initializers import Constant, TruncatedFanIn, parameter
from infantjax.nn.kernels.convolution import convolution
from infantjax.nn.kernels.depthwise import same_padding
from infantjax.nn.layers import BatchNorm
from infantjax.skeletons import Skeleton

Clip = Float[Array, "batch time row column channel"]

FRAMES, HEIGHT, WIDTH = 3, 96, 128
"""Frames of a clip, and its sides in pixels."""

_REGRESSION = (64, 128, 256, 256)
_DOWN, _UP = (64, 128, 256, 512), (256, 128, 64, 32)
_CUBE: tuple[tuple[int, int, int], ...] = ((3, 3, 3),)
_POINT: tuple[tuple[int, int, int], ...] = ((1, 1, 1),)
# 1x3x1, 1x1x3 and 3x1x1 of the paper as time x height x width.
_CASCADE = ((1, 1, 3), (3, 1, 1), (1, 3, 1))


class ClipConv(nn.Module):
    """Convolution over a clip with bias, batch norm and ReLU.

    Variables: `params` kernel `[time, row, column, in, out]`, bias `[out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        kernel_size: of the kernel over time, rows and columns.
        sampling: `down` halves rows and columns by a stride, `up` doubles them (both with 1 x 2 x 2 taps).
        norm: norm and ReLU behind it; a last layer has neither.
    """

    inputs: int
    features: int
    kernel_size: tuple[int, int, int] = (1, 1, 1)
    sampling: Literal["same", "down", "up"] = "same"
    norm: bool = True

    @nn.compact
    def __call__(self, x: Clip, train: bool) -> Clip:
        """Convolve, normalize, rectify. He normal kernels: our choice, the papers do not say."""
        kernel_size = self.kernel_size if self.sampling == "same" else (1, 2, 2)
        shape = (*kernel_size, self.inputs, self.features)
        kernel = parameter(self, "kernel", TruncatedFanIn(2.0), shape)
        bias = parameter(self, "bias", Constant(0), (self.features,))
        norm = (
            BatchNorm((self.features,), axes=(0, 1, 2, 3), epsilon=1e-3, momentum=0.01, name="norm")
            if self.norm
            else None
        )
        if norm is not None and not train:
            kernel, bias = norm.into(kernel, bias)
        if self.sampling == "up":
            y = _doubled(x, kernel)
            flops.record("convolution", y.size * self.inputs)
        else:
            strides = (1, 2, 2) if self.sampling == "down" else (1, 1, 1)
            padding = tuple(same_padding(*sizes) for sizes in zip(x.shape[1:4], kernel_size, strides))
            y = convolution(x, kernel, strides, (1, 1, 1), padding)
            flops.record("convolution", y.size * self.inputs * kernel_size[0] * kernel_size[1] * kernel_size[2])
        y = y + bias
        if norm is not None:
            y = jax.nn.relu(norm(y, train) if train else y)
        return y


def _doubled(x: Clip, kernel: Float[Array, "one 2 2 in out"]) -> Clip:
    """Transposed convolution by 1 x 2 x 2 with that stride: every output has one input, so it is one product."""
    y = jnp.einsum("btrci,uvio->btrucvo", x, kernel[0])
    return rearrange(y, "batch time row u column v channel -> batch time (row u) (column v) channel")


class DetectionNetwork(nn.Module):
    """The detection network: an encoder and decoder whose blocks have branches for joints and connections.

    Re-implemented from its description.

    Attributes:
        maps: joints and connections.
        narrow: divides the channels of all layers, for trials on a CPU; the published network has 1.
    """

    maps: int = 20
    narrow: int = 1

    @nn.compact
    def __call__(self, x: Clip, train: bool = False) -> tuple[Clip, dict[str, Any]]:
        """Scores of binary maps.

        Args:
            x: `[batch, time, row, column, 1]`; rows and columns are multiples of 16.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Logits `[batch, time, row, column, map]` and a dict with `maps`, their sigmoid.
        """
        x = ClipConv(x.shape[-1], 64 // self.narrow, (3, 3, 3), name="entry")(x, train)
        for number, width in enumerate(_DOWN, 1):
            x = self._block(f"down{number}", x, width // self.narrow, "down", train)
        for number, width in enumerate(_UP, 1):
            x = self._block(f"up{number}", x, width // self.narrow, "up", train)
        logits = ClipConv(x.shape[-1], self.maps, norm=False, name="maps")(x, train)
        return logits, {"maps": jax.nn.sigmoid(logits)}

    def _block(self, name: str, x: Clip, width: int, sampling: Any, train: bool) -> Clip:
        branches = []
        for branch in ("joints", "connections"):
            y = ClipConv(x.shape[-1], width, sampling=sampling, name=f"{name}_{branch}_{sampling}")(x, train)
            branches.append(ClipConv(width, width, (3, 3, 3), name=f"{name}_{branch}_conv")(y, train))
        joined = jnp.concatenate(branches, -1)
        return ClipConv(joined.shape[-1], 2 * width, name=f"{name}_mix")(joined, train)


class RegressionNetwork(nn.Module):
    """Four layers over the clip, two pointwise ones; of cubes, or of three asymmetric convolutions each.

    Attributes:
        maps: joints and connections.
        asymmetric: each 3x3x3 as 1x3x1, 1x1x3 and 3x1x1 in a row (Asy-regression).
        remat: compute activations again in the backward pass instead of keeping them: a batch of 16 needs 15 GB else.
        narrow: as in the detection network.
    """

    maps: int = 20
    asymmetric: bool = False
    remat: bool = False
    narrow: int = 1

    @nn.compact
    def __call__(self, x: Clip, train: bool = False) -> tuple[Clip, dict[str, Any]]:
        """Maps of joints and connections.

        Args:
            x: `[batch, time, row, column, 1 + map]`: a depth clip and the maps that were detected in it.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Maps `[batch, time, row, column, map]`, linear, and an empty dict.
        """
        conv: Any = nn.remat(ClipConv, static_argnums=(2,)) if self.remat else ClipConv
        kernels: Sequence[tuple[int, int, int]] = _CASCADE if self.asymmetric else _CUBE
        channels = x.shape[-1]
        for layer, width in enumerate((*_REGRESSION, 256), 1):
            for part, kernel_size in enumerate(kernels if layer <= len(_REGRESSION) else _POINT, 1):
                x = conv(channels, width // self.narrow, kernel_size, name=f"layer{layer}_{part}")(x, train)
                channels = width // self.narrow
        return ClipConv(channels, self.maps, norm=False, name="maps")(x, train), {}


def map_count(skeleton: Skeleton) -> int:
    """Maps of a keypoint set: its joints, and its limbs' connections."""
    return len(skeleton.joints) + len(connections(skeleton))


def connections(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """The connections that have a map, by index.

    For `babypose-12` shoulder-elbow, elbow-wrist, hip-knee and knee-ankle of each side, in the order of the joints;
    else the edges of the tree. The order of maps is our choice, the paper does not say.
    """
    if skeleton.name != "babypose-12":
        return tuple((parent, joint) for joint, parent in skeleton.edges)
    chains = (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    return tuple(
        (skeleton.index(f"{side}_{a}"), skeleton.index(f"{side}_{b}"))
        for chain in chains
        for side in ("right", "left")
        for a, b in pairwise(chain)
    )


def build(
    kind: str, skeleton: str | Skeleton = "babypose-12", **overrides: Any
) -> DetectionNetwork | RegressionNetwork:
    """A network for a keypoint set.

    Args:
        kind: `babypose-detection`, `babypose-regression` or `asy-regression`.
        skeleton: keypoint set.
        overrides: fields of the network.

    Raises:
        ValueError: unknown skeleton.
    """
    skeleton = skeletons.get(skeleton)
    maps = map_count(skeleton)
    if kind == "babypose-detection":
        return DetectionNetwork(**({"maps": maps} | overrides))
    return RegressionNetwork(**({"maps": maps, "asymmetric": kind == "asy-regression"} | overrides))


ENTRIES = tuple(
    ModelEntry(
        name=name,
        method="asy-regression",
        task="depth-pose",
        input_shape=(FRAMES, HEIGHT, WIDTH, channels),
        skeleton="babypose-12",
        features=(),
        published=Published(None, None, 1e9, source),
        build=partial(build, name),
        fidelity="interpretation" if name == "babypose-detection" else "published",
    )
    for name, channels, source in (
        ("babypose-detection", 1, "Moccia et al. 2020; re-implemented from its description, no counts printed"),
        ("babypose-regression", 21, "Moccia et al. 2020; no counts printed"),
        ("asy-regression", 21, "Migliorelli et al. 2021, table I; no counts printed"),
    )
)
