"""VideoPose3D: from the keypoints of a video to positions in space, by dilated convolutions over time.

Source: Pavllo et al. 2019, "3D human pose estimation in video with temporal convolutions and semi-supervised
training". The public program and its weights are under a license for non-commercial use: the network is written anew
here, and no weights come with it. It was trained on adults; MAM lifts the keypoints of infants with it.

| filter widths | receptive field | parameters, 17 joints in and out |
| --- | --- | --- |
| 3, 3, 3 | 27 | 8 555 571 |
| 3, 3, 3, 3 | 81 | 12 753 971 |
| 3, 3, 3, 3, 3 | 243 | 16 952 371 |

Variables: `params`, and `batch_stats`, which training changes.
"""

from typing import Any

import flax.linen as nn
import jax
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.initializers import UniformFanIn, parameter
from infantjax.nn.kernels.convolution import pointwise, valid_convolution
from infantjax.nn.layers import BatchNorm, Dense
from infantjax.skeletons import Skeleton

Activations = Float[Array, "one batch time channel"]


class ValidConv(nn.Module):
    """Convolution over time without padding and bias, norm, ReLU and dropout.

    Variables: `params` kernel `[tap, in, out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        kernel_size: of the kernel.
        dilation: frames between taps.
        dropout: share of units that training drops.
    """

    inputs: int
    features: int
    kernel_size: int
    dilation: int
    dropout: float

    @nn.compact
    def __call__(self, x: Activations, train: bool, strided: bool) -> Activations:
        """Convolve; `strided` takes neighboring frames, as many as taps at a time, instead of dilated ones."""
        shape = (self.kernel_size, self.inputs, self.features)
        kernel = parameter(self, "kernel", UniformFanIn(self.kernel_size * self.inputs), shape)
        frames = x.shape[2]
        if strided:
            whole = frames // self.kernel_size
            x = x[:, :, : whole * self.kernel_size]
            x = rearrange(x, "one batch (time tap) channel -> one batch time (tap channel)", time=whole)
            y = pointwise(x, rearrange(kernel, "tap inputs outputs -> (tap inputs) outputs"))
        else:
            y = valid_convolution(x, kernel, self.dilation)
        flops.record("convolution", y.size * self.kernel_size * self.inputs)
        # Not into the kernel, also where it is constant: that is larger than the activations of a minute of video.
        y = BatchNorm((self.features,), name="norm")(y, train)
        return nn.Dropout(self.dropout)(jax.nn.relu(y), deterministic=not train)


class LiftingNetwork(nn.Module):
    """The temporal model: every output frame sees `receptive_field` input frames.

    Attributes:
        inputs: keypoints in.
        outputs: joints out.
        widths: taps of each stage; odd.
        channels: of every layer.
        causal: each output frame is the last of those it sees instead of the middle one; the same weights.
        dropout: share of units that training drops.
    """

    inputs: int = 17
    outputs: int = 17
    widths: tuple[int, ...] = (3, 3, 3, 3, 3)
    channels: int = 1024
    causal: bool = False
    dropout: float = 0.25

    @property
    def receptive_field(self) -> int:
        """Frames that an output frame sees: the product of the widths."""
        return int(np.prod(self.widths))

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time keypoint 2"], train: bool = False, strided: bool = False
    ) -> tuple[Float[Array, "batch time_out joint 3"], dict[str, Any]]:
        """Positions relative to the root.

        Args:
            x: keypoints, x in -1..1 over the image's width and y alike (`pose.lifting.screen`); no NaN.
            train: normalize by the batch, update `batch_stats`, and drop units (key `dropout`).
            strided: one output frame for every `receptive_field` input frames, by strides in place of dilations: the
                form for training, with the same weights.

        Returns:
            `[batch, time - receptive_field + 1, joint, 3]`, meters if so trained, or with `strided`
            `[batch, time // receptive_field, joint, 3]`; and an empty dict.

        Raises:
            ValueError: an input of another shape, fewer frames than the receptive field, or an even width.
        """
        if x.ndim != 4 or x.shape[2:] != (self.inputs, 2):
            raise ValueError(f"x must be [batch, time, {self.inputs}, 2], got {x.shape}")
        if x.shape[1] < self.receptive_field:
            raise ValueError(f"{x.shape[1]} frames are fewer than the receptive field of {self.receptive_field}")
        if any(width % 2 == 0 for width in self.widths):
            raise ValueError(f"filter widths must be odd, got {self.widths}")
        conv: dict[str, Any] = {"features": self.channels, "dropout": self.dropout}
        y = rearrange(x, "batch time keypoint coordinate -> 1 batch time (keypoint coordinate)")
        y = ValidConv(2 * self.inputs, kernel_size=self.widths[0], dilation=1, **conv, name="expand")(y, train, strided)
        dilation = self.widths[0]
        for number, width in enumerate(self.widths[1:], 1):
            before = y
            first = ValidConv(self.channels, kernel_size=width, dilation=dilation, **conv, name=f"block{number}_conv")
            second = ValidConv(self.channels, kernel_size=1, dilation=1, **conv, name=f"block{number}_mix")
            y = second(first(y, train, strided), train, False)
            place = width - 1 if self.causal else width // 2
            kept = before[:, :, place::width] if strided else before[:, :, place * dilation :]
            y = kept[:, :, : y.shape[2]] + y
            dilation *= width
        y = Dense(self.channels, 3 * self.outputs, UniformFanIn(self.channels), name="shrink")(y)
        return rearrange(y, "1 batch time (joint coordinate) -> batch time joint coordinate", coordinate=3), {}


def build(skeleton: str | Skeleton = "human36m-17", **overrides: Any) -> LiftingNetwork:
    """The network for a keypoint set, which is that of its input and of its output.

    Args:
        skeleton: keypoint set.
        overrides: fields of `LiftingNetwork`.

    Raises:
        ValueError: unknown skeleton.
    """
    joints = len(skeletons.get(skeleton).joints)
    return LiftingNetwork(**({"inputs": joints, "outputs": joints} | overrides))


ENTRIES = (
    ModelEntry(
        name="videopose3d",
        method="videopose3d",
        task="lifting",
        input_shape=(243, 17, 2),
        skeleton="human36m-17",
        features=(),
        published=Published(16_952_371, None, 1e9, "Pavllo et al. 2019, public program: 243 frames"),
        build=build,
    ),
)
