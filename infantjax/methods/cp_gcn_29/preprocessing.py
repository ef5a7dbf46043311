"""CP-GCN-29, preprocessing: from keypoints to standardized positions, and from windows of these to four streams.

Points that look unintended and are kept, since the weights were trained with them: the second pair of the position
stream is relative to the nose; velocities and accelerations are zero in the last two frames; and the acceleration is
that of a low-pass filtered velocity, zero frames included.

Source: the public code of ShapGCN (Tempel et al. 2025). Its steps from pixels to positions are described in words only;
that they are those of the group's 19-point program (`recording.preprocessing.REFERENCE`) is derived.
"""

from dataclasses import replace
from functools import lru_cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax.methods.window_preprocessing import to_points
from infantjax.recording.cleaning import butterworth
from infantjax.recording.conversion import KNUCKLES
from infantjax.recording.features import build_features
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording
from infantjax.recording.windows import AnyArray
from infantjax.skeletons import IN_MOTION_29

Fingers = Literal["tip", "knuckle"]
"""Which point of a finger is taken from sets that have both; the source does not say which it means."""

HANDS_AND_FEET = IN_MOTION_29.joints[19:]
"""The points beyond those of in-motion-19."""

FEATURES = ("position", "relative", "velocity", "velocity2", "bone", "bone_angle")


def to_in_motion_29(
    recording: Recording, preprocessing: Preprocessing, fingers: Fingers = "tip", strict: bool = False
) -> Recording:
    """The 29 points of a recording that the network can read.

    Args:
        recording: of any keypoints that convert to in-motion-29.
        preprocessing: for the length of a window.
        fingers: see `Fingers`.
        strict: refuse points that have to be approximated.

    Raises:
        InputError: three coordinates, no movement, too short for a window, or a joint that is never seen.
    """
    tables = KNUCKLES if fingers == "knuckle" else None
    converted = to_points(recording, IN_MOTION_29, preprocessing, strict, tables)
    if invented := [joint for joint in HANDS_AND_FEET if joint in converted.approximated]:
        note = f"the network was never trained on approximated points of hands and feet, here {len(invented)} of 10"
        return replace(converted, notes=(*converted.notes, note))
    return converted


def build_inputs(
    positions: Float[AnyArray, "*batch time 29 2"], filter_velocity: bool = True
) -> Float[Array, "*batch time 29 16"]:
    """The four streams of windows of standardized positions, four channels each. Pure JAX.

    | stream | channels 0 and 1 | channels 2 and 3 |
    | --- | --- | --- |
    | position | `p[t]` | `p[t]` relative to the nose |
    | velocity | `p[t+1] - p[t]` | `(p[t+2] - p[t]) / 2` |
    | bone | `b = p - p[parent]` | `arccos(b / (length + 1e-4))` |
    | acceleration | `f[t+1] - f[t]` of velocity channels 0 and 1 | `(f[t+2] - f[t]) / 2` of channels 2 and 3 |

    Here `f` is the velocity after a low-pass filter over the window; both derivatives are 0 in the last two frames.

    Args:
        positions: windows.
        filter_velocity: filter the velocity before its derivative, as published.
    """
    x = build_features(positions, IN_MOTION_29, FEATURES)
    place, slow, fast, bone = x[..., :4], x[..., 4:6], x[..., 6:8] / 2, x[..., 8:]
    operators = derivatives(positions.shape[-3], filter_velocity).astype(np.float32)
    with jax.default_matmul_precision("highest"):
        acceleration = [jnp.einsum("st,...tvc->...svc", d, v) for d, v in zip(operators, (slow, fast))]
    return jnp.concatenate([place, slow, fast, bone, *acceleration], -1)


@lru_cache(maxsize=8)
def derivatives(frames: int, filtered: bool) -> Float[np.ndarray, "kind time time"]:
    """Filter and derivative of a window as matrices over its frames, float64: to the next frame, and the one after."""
    smooth = butterworth(np.eye(frames)) if filtered else np.eye(frames)
    found = np.zeros((2, frames, frames))
    found[0, :-2] = smooth[1:-1] - smooth[:-2]
    found[1, :-2] = (smooth[2:] - smooth[:-2]) / 2
    return found
