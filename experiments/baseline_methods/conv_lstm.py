"""ConvNets with an LSTM behind them: over the frames of a video, and over the tracks of each part of the body.

Source: Schmidt et al. 2019 (images) and Sakkos et al. 2021 (parts of the body), of which no code is public and the
sizes could not be read: an interpretation. Published: a ConvNet makes features of each frame, or of a part's tracks,
an LSTM reads them in order, and a linear layer classifies; each part has networks of its own. Our choice: everything
else.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from baseline_methods.protocol import Clip
from baseline_methods.spectra import part_tracks
from infantjax.nn.image import ImageConv
from infantjax.recording.recording import Recording


def frames_of(clip: Clip) -> Float[np.ndarray, "time height width 2"]:
    """Gray values about 0, and their change from the frame before; float32."""
    frames = clip.frames.astype(np.float32) / 255
    return np.stack([frames - 0.5, np.diff(frames, axis=0, prepend=frames[:1])], axis=-1)


class FrameLstm(nn.Module):
    """A ConvNet for each frame, and an LSTM over the frames.

    Attributes:
        widths: channels of the convolutions, each of stride 2.
        features: of the LSTM.
    """

    widths: Sequence[int] = (16, 32, 64)
    features: int = 64

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time height width 2"], train: bool = False
    ) -> tuple[Float[Array, "batch 2"], dict[str, Array]]:
        """Scores (index 1: abnormal), and the features of each frame.

        Args:
            x: `frames_of`.
            train: has no effect: there is neither norm nor dropout.
        """
        y = x.reshape(-1, *x.shape[2:])
        for width in self.widths:
            # Flax's layer is ten times slower in the loop of an epoch on a CPU.
            y = nn.relu(ImageConv(y.shape[-1], width, 3, 2, use_bias=True, norm=False)(y, train))
        y = y.mean(axis=(1, 2)).reshape(*x.shape[:2], -1)
        found: Any = nn.RNN(nn.OptimizedLSTMCell(self.features))(y)
        return nn.Dense(2)(found.mean(axis=1)), {"features": found}


def velocities_of(recording: Recording) -> Float[np.ndarray, "time part 2"]:
    """Velocity of each part of the body, in the unit of the keypoints per second; float32.

    Raises:
        InputError: as `spectra.part_tracks`.
    """
    return (np.diff(part_tracks(recording), axis=0) * recording.fps).astype(np.float32)


class _Part(nn.Module):
    """Convolutions over time, and an LSTM over what is left of it."""

    width: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch time 2"]) -> Float[Array, "batch channel"]:
        for _ in range(2):
            x = nn.relu(nn.Conv(self.width, (9,), strides=3)(x))
        found: Any = nn.RNN(nn.OptimizedLSTMCell(self.features))(x)
        return found.mean(axis=1)


class PartLstm(nn.Module):
    """A ConvNet and an LSTM for each part of the body, with weights of its own, and one linear layer over all.

    Attributes:
        width: channels of both convolutions.
        features: of each LSTM.
    """

    width: int = 32
    features: int = 32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time part 2"], train: bool = False
    ) -> tuple[Float[Array, "batch 2"], dict[str, Array]]:
        """Scores (index 1: abnormal), and the features of each part.

        Args:
            x: `velocities_of`.
            train: has no effect: there is neither norm nor dropout.
        """
        parts = nn.vmap(
            _Part, in_axes=2, out_axes=1, axis_size=x.shape[2], variable_axes={"params": 0}, split_rngs={"params": True}
        )(self.width, self.features)
        found = parts(x)
        return nn.Dense(2)(jnp.reshape(found, (len(x), -1))), {"features": found}
