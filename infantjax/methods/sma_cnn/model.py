"""SMA CNN: a motor score from the tracks of hands and feet.

Source: a workshop paper on 15 infants with spinal muscular atrophy type I, scored with the extremity items of CHOP
INTEND (0 to 72 points). Neither code nor weights are public. Published are the layers and their shapes; the number
of parameters follows from them. Our choice, as the paper does not say, and options: dropout of one half, and biases
that begin at zero.

| layer | output, channels x limbs x frames | parameters |
| --- | --- | --- |
| convolution 3x3, stride 3x3: one limb's x, y, z in three frames | 48 x 4 x 300 | 480 |
| ReLU, largest of three frames, every second, rounded up | 48 x 4 x 150 | |
| convolution 3x3, padding 1: neighboring limbs | 128 x 4 x 150 | 55 424 |
| ReLU, largest of three, rounded up | 128 x 4 x 75 | |
| convolution 1x7 | 256 x 4 x 69 | 229 632 |
| ReLU, largest of three | 256 x 4 x 34 | |
| linear, ReLU, dropout | 1024 | 35 652 608 |
| linear | 1 | 1 025 |

Variables: `params` only.

Two further heads are our choice: the share of a scale in place of points, for normalized scores (the paper tried
normalized labels without gain and does not say how), and ordinal regression by cumulative links (`cumulative_loss`).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.initializers import Constant, GlorotUniform, parameter
from infantjax.nn.kernels.convolution import pointwise, valid_convolution
from infantjax.nn.layers import Dense
from infantjax.skeletons import Skeleton

LIMBS, AXES, FRAMES = 4, 3, 900
"""Limbs, axes of each, and frames of a window: 30 s at 30 Hz."""

Activations = Float[Array, "batch limb time channel"]


class SmaCnn(nn.Module):
    """The network for windows of any length, and for any number of limbs in a fixed order.

    Attributes:
        features: channels of the three convolutions, and units of the first linear layer.
        dropout: share of units that training drops behind it.
        bias: where all biases begin; the paper's is a constant that it does not state, zero is our choice.
        scale: the linear layer gives a share of this scale; None is points, as published.
        levels: ordered levels from one end of the scale to the other, for ordinal regression; 0 is without.
    """

    features: tuple[int, int, int, int] = (48, 128, 256, 1024)
    dropout: float = 0.5
    bias: float = 0.0
    scale: tuple[float, float] | None = None
    levels: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch row time 1"], train: bool = False
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """Scores of windows.

        Args:
            x: standardized tracks (`preprocessing.windows`), rows x, y, z of each limb; no NaN.
            train: drop units (key `dropout`).

        Returns:
            Scores `[batch]` in points, not bounded (with levels the expected one, within the scale), and a dict of the
            activations `conv1`, `pool1` to `pool3`, `[batch, limb, time, channel]`; with levels also `latent`
            `[batch]` and `thresholds` `[levels - 1]`.

        Raises:
            ValueError: an input of another shape, too few frames for the layers, or levels without a scale.
        """
        if self.levels and (self.levels < 2 or self.scale is None):
            raise ValueError(f"levels must be at least 2 and need a scale, got {self.levels} and {self.scale}")
        if x.ndim != 4 or x.shape[1] % AXES or x.shape[3] != 1:
            raise ValueError(f"x must be [batch, {AXES} rows a limb, time, 1], got {x.shape}")
        frames = x.shape[2]
        if frames < 108:
            raise ValueError(f"windows of {frames} frames are too short for the layers, which need 108")
        one, two, three, units = self.features
        patches = "batch (limb coordinate) (time frame) 1 -> batch limb time (coordinate frame)"
        x = rearrange(x[:, :, : frames // 3 * 3], patches, coordinate=AXES, frame=3)
        x = self._convolve("conv1", (AXES, 3, 1, one), x, lambda x, k: pointwise(x, k[0]))
        aux = {"conv1": x}
        # The largest of frames whose negative ones are zero, with half of the zeroing.
        aux["pool1"] = x = jax.nn.relu(pool(x))
        beside = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = jnp.concatenate([beside[:, :-2], beside[:, 1:-1], beside[:, 2:]], axis=-1)
        x = self._convolve("conv2", (3, 3, one, two), x, valid_convolution)
        aux["pool2"] = x = jax.nn.relu(pool(x))
        x = self._convolve("conv3", (1, 7, two, three), x, valid_convolution)
        aux["pool3"] = x = jax.nn.relu(pool(x))
        x = rearrange(x, "batch limb time channel -> batch (limb time channel)")
        x = jax.nn.relu(Dense(x.shape[-1], units, GlorotUniform(), Constant(self.bias), name="dense")(x))
        x = nn.Dropout(self.dropout)(x, deterministic=not train)
        latent = Dense(units, 1, GlorotUniform(), Constant(self.bias), name="score")(x)[:, 0]
        if self.scale is None:
            return latent, aux
        low, high = self.scale
        if not self.levels:
            return low + (high - low) * latent, aux
        offsets = parameter(self, "thresholds_bias", Constant(0), (self.levels - 1,))
        aux |= {"latent": latent, "thresholds": rising_thresholds(offsets)}
        above = jax.nn.sigmoid(latent[:, None] - aux["thresholds"]).sum(axis=1)
        return low + (high - low) / (self.levels - 1) * above, aux

    def _convolve(self, name: str, shape: tuple[int, int, int, int], x: Activations, lowering: Any) -> Activations:
        """A convolution over limbs and time, whose rows are among the channels of x already, with bias."""
        kernel = parameter(self, f"{name}_kernel", GlorotUniform(), shape)
        bias = parameter(self, f"{name}_bias", Constant(self.bias), shape[-1:])
        rows, kernel_size, inputs, _ = shape
        if name == "conv1":
            kernel = rearrange(kernel, "row time inputs outputs -> 1 (row time inputs) outputs")
        else:
            kernel = rearrange(kernel, "row time inputs outputs -> time (row inputs) outputs")
        y = lowering(x, kernel) + bias
        flops.record("convolution", y.size * rows * kernel_size * inputs)
        return y


_REACH = 3.0
"""Thresholds begin evenly spaced from minus this log-odds to plus this."""
_SMALLEST_GAP = 1e-4
"""Least distance of two thresholds, so that every level keeps a probability above zero."""


def rising_thresholds(offsets: Float[Array, " threshold"]) -> Float[Array, " threshold"]:
    """Thresholds that rise strictly, whatever the parameters: the first one, then gaps by softplus (our choice).

    Args:
        offsets: parameters; with zeros the thresholds are evenly spaced.
    """
    gap = 2 * _REACH / max(len(offsets) - 1, 1)
    gaps = jax.nn.softplus(offsets[1:] + np.log(np.expm1(gap))) + _SMALLEST_GAP
    first = offsets[:1] - (_REACH if len(offsets) > 1 else 0)
    return jnp.cumsum(jnp.concatenate([first, gaps]))


def cumulative_loss(
    latent: Float[Array, " batch"], thresholds: Float[Array, " threshold"], levels: Int[Array, " batch"]
) -> Float[Array, ""]:
    """Mean negative log-likelihood of ordered levels by cumulative links (proportional odds).

    P(level <= k) = sigmoid(threshold_k - latent), for each threshold k. A level lies between two of them.

    Args:
        latent: of the network.
        thresholds: rising.
        levels: from 0 to the number of thresholds.

    Source: McCullagh 1980, Regression models for ordinal data.
    """
    below = jnp.append(thresholds, jnp.inf)[levels] - latent
    above = latent - jnp.concatenate([jnp.full(1, -jnp.inf), thresholds])[levels]
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which loses no digits where both are near 1.
    inner = -jnp.expm1(-(below + above))
    return -(jax.nn.log_sigmoid(below) + jax.nn.log_sigmoid(above) + jnp.log(inner)).mean()


@jax.custom_vjp
def pool(x: Activations) -> Activations:
    """The largest of three frames, at every second one; the last window is cut off at the border, not left out.

    Of equal frames the first has the gradient.
    """
    first, second, third = _parts(x)
    return jnp.maximum(jnp.maximum(first, second), third)


def _parts(x: Activations) -> tuple[Activations, Activations, Activations]:
    """The first, second and third frame of every window."""
    frames = -(-(x.shape[2] - 3) // 2) + 1
    x = jnp.pad(x, ((0, 0), (0, 0), (0, 2 * frames + 1 - x.shape[2]), (0, 0)), constant_values=-jnp.inf)
    return x[:, :, :-1:2], x[:, :, 1::2], x[:, :, 2::2]


def _pool_forward(x: Activations) -> tuple[Activations, Activations]:
    return pool(x), x


def _pool_backward(x: Activations, gradient: Activations) -> tuple[Activations]:
    """Every frame's share, written once; the gradient that JAX derives takes several passes over the frames."""
    first, second, third = _parts(x)
    is_first = (first >= second) & (first >= third)
    is_second = ~is_first & (second >= third)
    # The third frame of a window is the first of the next.
    one, more = ((0, 0), (0, 0), (1, 0), (0, 0)), ((0, 0), (0, 0), (0, 1), (0, 0))
    even = jnp.pad(jnp.where(is_first, gradient, 0), more)
    even += jnp.pad(jnp.where(is_first | is_second, 0, gradient), one)
    odd = jnp.pad(jnp.where(is_second, gradient, 0), more)
    both = rearrange(jnp.stack([even, odd], axis=3), "batch limb time two channel -> batch limb (time two) channel")
    return (both[:, :, : x.shape[2]],)


pool.defvjp(_pool_forward, _pool_backward)


def build(skeleton: str | Skeleton = "limbs-4", **overrides: Any) -> SmaCnn:
    """The network; it reads four limbs in a fixed order.

    Args:
        skeleton: `limbs-4`, hands and feet.
        overrides: fields of `SmaCnn`.
    """
    return SmaCnn(**overrides)


ENTRIES = (
    ModelEntry(
        name="sma-cnn",
        method="sma-cnn",
        task="score",
        input_shape=(LIMBS * AXES, FRAMES, 1),
        skeleton="limbs-4",
        features=(),
        published=Published(
            None, None, 1e9, "the paper's table of layers, which prints no count; 35 939 169 follow from it"
        ),
        build=build,
        fidelity="published",
    ),
)
