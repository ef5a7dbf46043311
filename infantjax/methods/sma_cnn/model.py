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
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

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
        bias: where all biases begin; the paper's is a constant that it does not tell, zero is our choice.
    """

    features: tuple[int, int, int, int] = (48, 128, 256, 1024)
    dropout: float = 0.5
    bias: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch row time 1"], train: bool = False
    ) -> tuple[Float[Array, " batch"], dict[str, Any]]:
        """Scores of windows.

        Args:
            x: standardized tracks (`motion.limbs.windows`), rows x, y, z of each limb; no NaN.
            train: drop units (key `dropout`).

        Returns:
            Scores `[batch]` in points, not bounded, and a dict of the activations `conv1`, `pool1` to `pool3`,
            `[batch, limb, time, channel]`.

        Raises:
            ValueError: an input of another shape, or too few frames for the layers.
        """
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
        return Dense(units, 1, GlorotUniform(), Constant(self.bias), name="score")(x)[:, 0], aux

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
        skeleton: `limbs-4`, the hands and feet of `motion.limbs`.
        overrides: fields of `SmaCnn`.

    Raises:
        ValueError: another skeleton.
    """
    name = skeleton if isinstance(skeleton, str) else skeleton.name
    if name != "limbs-4":
        raise ValueError(f"sma-cnn reads the tracks of limbs-4, not of {name}")
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
