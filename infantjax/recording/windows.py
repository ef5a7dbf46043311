"""Windows of a recording: starts for evaluation, cutting, and ranges of starts for training.

Starts are computed with NumPy on the host, since they depend on the length of a recording only. Cutting and sampling
are pure JAX.
"""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from infantjax.recording.preprocessing import WINDOW, Rotation
from infantjax.settings import require_one_of
from infantjax.skeletons import Skeleton

AnyArray = Array | np.ndarray
"""Arrays of JAX and NumPy alike."""


def window_starts(length: int, window: int = WINDOW, stride: int | None = None) -> Int[np.ndarray, " window"]:
    """First frames of the evaluation windows of a recording, as in the reference implementation.

    Windows start at 0, `stride`, 2 `stride`, ... as long as they fit; one more window ends with the recording. So the
    last frames are always covered, and **the last window occurs twice** when `length - window` is a multiple of
    `stride` (900 frames: ..., 675, 750, 750). The repetition looks unintended, but published risks are medians over
    these windows.

    Args:
        length: frames of the recording.
        window: frames of a window.
        stride: frames between starts; None is half a window, as published.

    Returns:
        int32 `[window]`, ascending.

    Raises:
        ValueError: the recording is shorter than a window, or window or stride are below 1.
    """
    stride = window // 2 if stride is None else stride
    if window < 1 or stride < 1:
        raise ValueError(f"window and stride must be at least 1 frame, got {window} and {stride}")
    if length < window:
        raise ValueError(f"a recording of {length} frames is shorter than one window of {window} frames")
    last = length - window
    return np.append(np.arange(0, last + 1, stride), last).astype(np.int32)


def cut(
    positions: Float[AnyArray, "time joint coordinate"], starts: Int[AnyArray, " window"], window: int = WINDOW
) -> Float[Array, "window frame joint coordinate"]:
    """Windows of a recording.

    Args:
        positions: `[time, joint, 2]`, any dtype; NaN is kept.
        starts: first frame of every window; a start that is too late is moved to the last one that fits.
        window: frames of a window; a constant under `jit`.

    Returns:
        `[window, time, joint, 2]`, dtype of the positions.

    Raises:
        ValueError: the recording is shorter than a window.
    """
    positions = jnp.asarray(positions)
    if positions.shape[0] < window:
        raise ValueError(f"positions of {positions.shape[0]} frames are shorter than one window of {window} frames")
    return jax.vmap(lambda start: jax.lax.dynamic_slice_in_dim(positions, start, window))(jnp.asarray(starts))


def align_windows(
    windows: Float[AnyArray, "*batch time joint 2"], skeleton: Skeleton, rotation: Rotation | str
) -> Float[AnyArray, "*batch time joint 2"]:
    """Rotate each window so that the trunk of its first frame is upright, if the preprocessing asks for it.

    `window_first` rotates a window about the origin by one angle, so that the trunk of its first frame points along +y
    (thorax above pelvis). It leaves a window as it is whose first trunk has length zero. `frame` (already applied to
    each frame) and `none` do nothing.

    Args:
        windows: `[..., time, joint, 2]` standardized positions; NaN stays NaN, and a window whose first trunk is NaN
            becomes NaN.
        skeleton: gives the trunk.
        rotation: as in `preprocessing.Preprocessing`.

    Returns:
        Same shape and dtype.

    Raises:
        ValueError: unknown rotation, or `window_first` on a skeleton without trunk.

    Source: Groos et al., Paper III, supplement. The center of rotation is not stated; the origin after centering is our
        choice. The reference implementation rotates every frame instead.
    """
    require_one_of("rotation", rotation, get_args(Rotation))
    if rotation != "window_first":
        return windows
    upper, lower = skeleton.trunk_indices
    trunk = windows[..., :1, upper, None, :] - windows[..., :1, lower, None, :]
    squared = jnp.sum(trunk**2, axis=-1)
    length = jnp.sqrt(jnp.where(squared == 0, 1, squared))
    cosine, sine = jnp.where(squared == 0, 1, trunk[..., 1] / length), trunk[..., 0] / length
    x, y = windows[..., 0], windows[..., 1]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def sample_range(
    length: Shaped[AnyArray, "..."] | int,
    part: Shaped[AnyArray, "..."] | int,
    parts: Shaped[AnyArray, "..."] | int,
    window: int = WINDOW,
) -> tuple[Int[Array, "..."], Int[Array, "..."]]:
    """Range of starts of training window `part` of `parts`, as in the reference implementation.

    The recording is divided into `parts` pieces of `length // parts` frames. A window starts anywhere in its piece,
    both ends included, but no later than it fits. Arguments broadcast and may be traced.

    Args:
        length: frames of the recording, at least `window` (not checked: it may be traced).
        part: 0 .. parts - 1.
        parts: windows of the recording in one epoch.
        window: frames of a window.

    Returns:
        (low, high), integers, both included.
    """
    size = length // parts
    last = length - window
    return jnp.minimum(part * size, last), jnp.minimum((part + 1) * size, last)
