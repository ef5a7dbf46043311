"""VideoPose3D: from the keypoints of a video to positions in space, by dilated convolutions over time.

Source: Pavllo et al. 2019, "3D human pose estimation in video with temporal convolutions and semi-supervised
training". The public program and its weights are under a licence for non-commercial use: the network is written anew
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
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.models.entry import Entry, Published
from infantjax.nn import counting
from infantjax.nn.conv import Dense, Norm, pointwise
from infantjax.nn.initialisers import UniformFanIn, parameter
from infantjax.skeletons import Skeleton

Activations = Float[Array, "one batch time channel"]


class ValidConv(nn.Module):
    """Convolution over time without padding and bias, norm, ReLU and dropout.

    Variables: `params` kernel `[tap, in, out]`, and those of the norm.

    Attributes:
        inputs: input channels.
        features: output channels.
        taps: of the kernel.
        dilation: frames between taps.
        dropout: share of units that training drops.
    """

    inputs: int
    features: int
    taps: int
    dilation: int
    dropout: float

    @nn.compact
    def __call__(self, x: Activations, train: bool, strided: bool) -> Activations:
        """Convolve; `strided` takes neighbouring frames, as many as taps at a time, instead of dilated ones."""
        shape = (self.taps, self.inputs, self.features)
        kernel = parameter(self, "kernel", UniformFanIn(self.taps * self.inputs), shape)
        frames = x.shape[2]
        if strided:
            whole = frames // self.taps
            x = x[:, :, : whole * self.taps].reshape(*x.shape[:2], whole, self.taps * self.inputs)
            y = pointwise(x, kernel.reshape(-1, self.features))
        elif self.taps == 3 and _pays(frames - 2 * self.dilation, self.dilation):
            y = _three_taps(x, kernel, self.dilation)
        else:
            outputs = frames - self.dilation * (self.taps - 1)
            taps = [x[:, :, tap * self.dilation :][:, :, :outputs] for tap in range(self.taps)]
            y = pointwise(jnp.concatenate(taps, -1), kernel.reshape(-1, self.features))
        counting.record("convolution", y.size * self.taps * self.inputs)
        # Not into the kernel, also where it is constant: that is larger than the activations of a minute of video.
        y = Norm((self.features,), name="norm")(y, train)
        return nn.Dropout(self.dropout)(jax.nn.relu(y), deterministic=not train)


def _pays(outputs: int, dilation: int) -> bool:
    """Whether `_three_taps` multiplies less than the definition: it fills up to pairs of frames a dilation apart."""
    filled = -(-outputs // (2 * dilation)) * 2 * dilation
    return 2 * filled < 3 * outputs


def _three_taps(x: Activations, kernel: Float[Array, "tap in out"], dilation: int) -> Activations:
    """A convolution of three taps by two thirds of the multiplications: four products for two output frames.

    Of four frames a dilation apart, `d0` to `d3`, and taps `g0` to `g2`

        y0 = d0 g0 + d1 g1 + d2 g2 = (d0 - d2) g0 + m + n
        y1 = d1 g0 + d2 g1 + d3 g2 = m - n - (d1 - d3) g2
        m = (d1 + d2) (g0 + g1 + g2) / 2,  n = (d2 - d1) (g0 - g1 + g2) / 2

    (Winograd 1980). Channels are so many that the sums cost little beside the products.
    """
    channels, frames = x.shape[-1], x.shape[2] - 2 * dilation
    blocks = -(-frames // (2 * dilation))
    x = jnp.pad(x, ((0, 0), (0, 0), (0, 2 * dilation * (blocks + 1) - x.shape[2]), (0, 0)))
    x = x.reshape(*x.shape[:2], blocks + 1, 2, dilation, channels)
    d0, d1, d2, d3 = x[:, :, :-1, 0], x[:, :, :-1, 1], x[:, :, 1:, 0], x[:, :, 1:, 1]
    outer = (kernel[0] + kernel[2]) / 2
    m = pointwise(d1 + d2, outer + kernel[1] / 2)
    n = pointwise(d2 - d1, outer - kernel[1] / 2)
    y0, y1 = pointwise(d0 - d2, kernel[0]) + m + n, m - n - pointwise(d1 - d3, kernel[2])
    y = jnp.stack([y0, y1], axis=3)
    return y.reshape(*x.shape[:2], -1, kernel.shape[-1])[:, :, :frames]


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
            train: normalise by the batch, update `batch_stats`, and drop units (key `dropout`).
            strided: one output frame for every `receptive_field` input frames, by strides in place of dilations: the
                form for training, with the same weights.

        Returns:
            `[batch, time - receptive_field + 1, joint, 3]`, metres if so trained, or with `strided`
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
        batch, frames = x.shape[:2]
        conv: dict[str, Any] = {"features": self.channels, "dropout": self.dropout}
        y = x.reshape(1, batch, frames, 2 * self.inputs)
        y = ValidConv(2 * self.inputs, taps=self.widths[0], dilation=1, **conv, name="expand")(y, train, strided)
        dilation = self.widths[0]
        for number, width in enumerate(self.widths[1:], 1):
            before = y
            first = ValidConv(self.channels, taps=width, dilation=dilation, **conv, name=f"block{number}_conv")
            second = ValidConv(self.channels, taps=1, dilation=1, **conv, name=f"block{number}_mix")
            y = second(first(y, train, strided), train, False)
            place = width - 1 if self.causal else width // 2
            kept = before[:, :, place::width] if strided else before[:, :, place * dilation :]
            y = kept[:, :, : y.shape[2]] + y
            dilation *= width
        y = Dense(self.channels, 3 * self.outputs, UniformFanIn(self.channels), name="shrink")(y)
        return y.reshape(batch, -1, self.outputs, 3), {}


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
    Entry(
        name="videopose3d",
        system="mam",
        task="lifting",
        input_shape=(243, 17, 2),
        skeleton="human36m-17",
        features=(),
        published=Published(16_952_371, None, 1e9, "Pavllo et al. 2019, public program: 243 frames"),
        build=build,
    ),
)
