"""Windows of a recording: where they start, cutting them, and where training windows may start.

Starts are NumPy on the host (they depend on a recording's length only); cutting and sampling are pure JAX.
"""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from infantjax.skeletons import Skeleton

WINDOW = 150
"""Frames of a window: 5 s at 30 Hz."""

Rotation = Literal["frame", "window_first", "none"]


def window_starts(length: int, window: int = WINDOW, stride: int | None = None) -> Int[np.ndarray, " window"]:
    """First frames of the evaluation windows of a recording, as released.

    Windows start at 0, `stride`, 2 `stride`, ... as long as they fit; then comes one more that ends with the
    recording. So the last frames are always covered, and **the last window occurs twice** when `length - window` is
    a multiple of `stride` (900 frames: ..., 675, 750, 750). The doubling looks unintended but published risks are
    medians over windows counted so.

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
    positions: Float[Array, "time joint coordinate"], starts: Int[Array, " window"], window: int = WINDOW
) -> Float[Array, "window time joint coordinate"]:
    """Windows of a recording.

    Args:
        positions: `[time, joint, 2]`, any dtype; NaN is kept.
        starts: first frame of every window; a start from which the window would not fit is moved until it does.
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
    windows: Float[Array, "*batch time joint 2"], skeleton: Skeleton, rotation: Rotation | str
) -> Float[Array, "*batch time joint 2"]:
    """The part of standardization that needs the window: its rotation, where the preprocessing has one.

    With `window_first` every window is turned about the origin by one angle, such that the trunk of its first frame
    points along +y (thorax above pelvis); a trunk of no length leaves the window as it is. With `frame` (done
    already, frame by frame) and `none` nothing happens.

    Args:
        windows: `[..., time, joint, 2]` standardized positions; NaN stays NaN, and a window whose first trunk is NaN
            becomes NaN.
        skeleton: gives the trunk.
        rotation: `normalization.Preprocessing.rotation`.

    Returns:
        Same shape and dtype.

    Raises:
        ValueError: unknown rotation, or `window_first` on a skeleton without trunk.

    Source: Groos et al., Paper III, supplement; the main text names no rotation, and its center is not stated (the
        origin after centering here). The released program rotates every frame instead.
    """
    if rotation not in get_args(Rotation):
        raise ValueError(f'unknown rotation "{rotation}"; known: {", ".join(get_args(Rotation))}')
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
    length: Shaped[Array, "..."] | int,
    part: Shaped[Array, "..."] | int,
    parts: Shaped[Array, "..."] | int,
    window: int = WINDOW,
) -> tuple[Int[Array, "..."], Int[Array, "..."]]:
    """Where the training window number `part` of `parts` may start, as released; arguments broadcast and may be traced.

    The recording is taken in `parts` pieces of `length // parts` frames; the window starts anywhere in its piece,
    both ends included, but never so late that it would not fit.

    Args:
        length: frames of the recording, at least `window` (not checked: it may be traced).
        part: 0 .. parts - 1.
        parts: windows that the recording gives in an epoch.
        window: frames of a window.

    Returns:
        (low, high), integers, both included.
    """
    size = length // parts
    last = length - window
    return jnp.minimum(part * size, last), jnp.minimum((part + 1) * size, last)


def sample_ranges(
    length: Shaped[Array, "*batch"] | int, parts: int, window: int = WINDOW
) -> tuple[Int[Array, "*batch part"], Int[Array, "*batch part"]]:
    """`sample_range` for every part of one recording, or of several: `(low [..., part], high [..., part])`.

    Args:
        length: frames of each recording, at least `window`.
        parts: windows that a recording gives in an epoch; a constant under `jit`.
        window: frames of a window.

    Returns:
        (low, high), integers, both included.

    Raises:
        ValueError: parts below 1.
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1, got {parts}")
    return sample_range(jnp.asarray(length)[..., None], jnp.arange(parts), parts, window)


def sample_parts(
    key: PRNGKeyArray, length: Shaped[Array, "*batch"] | int, parts: int, window: int = WINDOW
) -> Int[Array, "*batch part"]:
    """A random window start in every part of a recording: the released training sample of one epoch.

    Args:
        key: a JAX key.
        length: frames of each recording, at least `window`.
        parts: windows that a recording gives; a constant under `jit`.
        window: frames of a window.

    Returns:
        int32 `[..., part]`, each uniform on its `sample_ranges`.
    """
    low, high = sample_ranges(length, parts, window)
    return jax.random.randint(key, low.shape, low, high + 1)
