"""MAM, preprocessing: preparation, the inputs that were compared, clips, and their labels.

Source: Gao, Yao, Tian et al. 2023, through a published summary: the full methods text was not at hand. Published: 25
frames per second, 17 joints, the running mean of five frames, the inputs, clips of 240 frames overlapping by 90 and, to
localize, one every 20, labeled by the half of their frames. Our choice: how a recording is resampled and normalized,
the ends of the running mean, that a distance input has a channel for each other joint, the first frame of differences,
and what becomes of a remainder.

Preparation and clips run on the host; `inputs` is pure JAX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int

from infantjax.errors import InputError
from infantjax.recording import cleaning
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.settings import Count, check_fields, require_one_of
from infantjax.skeletons import HUMAN36M_17

RATE = 25.0
"""Frames per second."""
CLIP, STEP, LOCALIZATION_STEP = 240, 150, 20
"""Frames of a clip, between the starts of two instances of a video, and between two clips that localize."""

Input = Literal["coordinates", "velocities", "accelerations", "distances"]
Distance = Literal["euclidean", "per-axis"]
Positions = Float[np.ndarray, "time joint axis"]


@dataclass(frozen=True)
class Preprocessing:
    """How a recording is prepared.

    Attributes:
        dimensions: 2, or 3 after lifting; 3 did better in the paper.
        smooth: width of the running mean in frames, odd.

    Raises:
        ValueError: a value out of range.
    """

    dimensions: Literal[2, 3] = 2
    smooth: Count = 5

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.smooth % 2:
            raise ValueError(f"smooth must be an odd number of frames, got {self.smooth}")


def prepare(recording: Recording, smooth: int = 5) -> Positions:
    """The 17 joints at 25 frames per second, smoothed, from the pelvis and in trunk lengths.

    Gaps are interpolated and the rate is changed linearly; then comes the running mean; the pelvis is subtracted in
    every frame, and the median distance from pelvis to thorax becomes one (all but rate and mean are our choice).

    Args:
        recording: of any keypoint set that has these joints, in two dimensions or lifted to three.
        smooth: odd width of the running mean, frames.

    Returns:
        float64 `[time, joint, axis]` in the order of human36m-17, no NaN.

    Raises:
        InputError: no frames, a joint that was never seen, or a trunk without length.
        ValueError: as `running_mean`.
    """
    converted = convert(recording, HUMAN36M_17)
    unseen = converted.missing.all(axis=0)
    if unseen.any():
        joint = HUMAN36M_17.joints[int(np.flatnonzero(unseen)[0])]
        raise InputError(recording.name, f"has no {joint.replace('_', ' ')} in any frame", "mam needs all 17 joints")
    points = cleaning.resample(cleaning.fill_gaps(converted.keypoints), recording.fps, RATE)
    points = running_mean(points, smooth)
    upper, lower = HUMAN36M_17.trunk_indices
    trunk = float(np.median(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1)))
    if not trunk > 0:
        raise InputError(recording.name, "has a trunk without length", "check pelvis and thorax (or the shoulders)")
    return (points - points[:, lower, None]) / trunk


def running_mean(series: Float[np.ndarray, " time *series"], width: int = 5) -> Float[np.ndarray, " time *series"]:
    """Mean over a window of frames about each one; towards the ends it shrinks on both sides alike (our choice).

    Args:
        series: no NaN.
        width: odd number of frames; 1 changes nothing.

    Raises:
        ValueError: a width that is even or below 1.
    """
    if width < 1 or width % 2 == 0:
        raise ValueError(f"width must be an odd number of frames, got {width}")
    series = np.asarray(series, np.float64)
    at = np.arange(len(series))
    reach = np.minimum(np.minimum(at, len(series) - 1 - at), width // 2)
    sums = np.concatenate([np.zeros((1, *series.shape[1:])), np.cumsum(series, axis=0)])
    count = (2 * reach + 1).reshape(-1, *[1] * (series.ndim - 1))
    return (sums[at + reach + 1] - sums[at - reach]) / count


def inputs(
    positions: Float[Array, "*batch time joint axis"],
    names: Sequence[Input] = ("distances",),
    distance: Distance = "euclidean",
) -> Float[Array, "*batch time joint channel"]:
    """Inputs of the network for clips, stacked along channels in the order of `names`.

    | name | channels | definition |
    | --- | --- | --- |
    | `coordinates` | axes | positions |
    | `velocities` | axes | first differences times 25; zero in the first frame |
    | `accelerations` | axes | second differences times 625; zero in the first two frames |
    | `distances` | joints | `D[t, i, j]`, the distance of joints i and j; joint j's channels are `D[t, :, j]` |

    Distances do not change when the infant is turned or shifted. With `per-axis` they are one for each axis, axes times
    joints channels, and change when it is turned: another reading of "across spatial dimensions". Published is that
    distances did best, in three dimensions better than in two.

    Args:
        positions: any leading axes; two or three coordinates, in trunk lengths; NaN passes through.
        names: which inputs, in which order.
        distance: how two joints are compared.

    Raises:
        ValueError: no or unknown names, an unknown distance, or positions of another shape.
    """
    _require(names, distance)
    positions = jnp.asarray(positions)
    if positions.ndim < 3 or positions.shape[-1] not in (2, 3):
        raise ValueError(f"positions must be [..., time, joint, 2 or 3], got {positions.shape}")
    velocities = _difference(positions, 1)
    parts = {
        "coordinates": lambda: positions,
        "velocities": lambda: velocities,
        "accelerations": lambda: _difference(velocities, 2),
        "distances": lambda: _distances(positions, distance),
    }
    return jnp.concatenate([parts[name]() for name in names], axis=-1)


def channels(
    names: Sequence[Input] = ("distances",), axes: int = 3, joints: int = 17, distance: Distance = "euclidean"
) -> int:
    """Number of channels of `inputs`.

    Raises:
        ValueError: no or unknown names, or an unknown distance.
    """
    _require(names, distance)
    of_distances = joints * (axes if distance == "per-axis" else 1)
    return sum(of_distances if name == "distances" else axes for name in names)


def _require(names: Sequence[str], distance: str) -> None:
    if not names or not set(names) <= set(get_args(Input)):
        raise ValueError(f"inputs are some of {', '.join(get_args(Input))}, got {', '.join(names) or 'none'}")
    require_one_of("distance", distance, get_args(Distance))


def _difference(series: Array, first: int) -> Array:
    """Change a second, zero before the frame `first`, which is the first that has one."""
    change = RATE * (series[..., first:, :, :] - series[..., first - 1 : -1, :, :])
    return jnp.pad(change, [(0, 0)] * (series.ndim - 3) + [(min(first, series.shape[-3]), 0), (0, 0), (0, 0)])


def _distances(positions: Array, distance: Distance) -> Array:
    apart = positions[..., :, None, :] - positions[..., None, :, :]
    if distance == "per-axis":
        return rearrange(jnp.abs(apart), "... joint other coordinate -> ... joint (other coordinate)")
    # Written out: a sum over two or three neighbors is a slow loop of its own.
    squared = sum(apart[..., axis] ** 2 for axis in range(positions.shape[-1]))
    # The root has no slope at zero, which is all of the diagonal.
    return jnp.where(squared == 0, 0, jnp.sqrt(jnp.where(squared == 0, 1, squared)))


def clip_starts(frames: int, clip: int = CLIP, step: int = STEP, remainder: bool = True) -> Int[np.ndarray, " clip"]:
    """First frames of the instances of a video; a video shorter than a clip gives one, which `cut` fills up.

    Args:
        frames: of the video, at least 1.
        clip: frames of a clip.
        step: frames between starts.
        remainder: one more clip that ends with the video, where the last one does not (our choice).

    Raises:
        ValueError: frames, clip or step below 1.
    """
    if min(frames, clip, step) < 1:
        raise ValueError(f"frames, clip and step must be at least 1, got {frames}, {clip} and {step}")
    last = max(frames - clip, 0)
    starts = np.arange(0, last + 1, step)
    return np.append(starts, last).astype(np.int32) if remainder and last % step else starts.astype(np.int32)


def localization_starts(frames: int, clip: int = CLIP, step: int = LOCALIZATION_STEP) -> Int[np.ndarray, " clip"]:
    """First frames of the clips that localize: one every 0.8 s, no remainder.

    Raises:
        ValueError: as `clip_starts`.
    """
    return clip_starts(frames, clip, step, remainder=False)


def cut(
    positions: Positions, starts: Int[np.ndarray, " clip"], clip: int = CLIP
) -> tuple[Float[np.ndarray, "clip time joint axis"], Int[np.ndarray, " clip"]]:
    """Clips of a video, and how many frames of each are real: behind its end the last frame is repeated.

    Args:
        positions: of the video, at least one frame.
        starts: first frames.
        clip: frames of a clip.
    """
    starts = np.asarray(starts)
    rows = starts[:, None] + np.arange(clip)
    real = np.clip(len(positions) - starts, 0, clip).astype(np.int32)
    return np.asarray(positions)[np.minimum(rows, len(positions) - 1)], real


def clip_labels(
    fidgety: Bool[np.ndarray, " time"] | Int[np.ndarray, " time"], starts: Int[np.ndarray, " clip"], clip: int = CLIP
) -> Int[np.ndarray, " clip"]:
    """1 where more than half of a clip's frames are annotated as fidgety movements, else 0.

    Args:
        fidgety: `[time]` 0 or 1 for every frame, at the rate of the clips.
        starts: first frames.
        clip: frames of a clip; of one that reaches beyond the end the real frames count.
    """
    sums = np.concatenate([[0], np.cumsum(np.asarray(fidgety) != 0)])
    ends = np.minimum(np.asarray(starts) + clip, len(fidgety))
    return (2 * (sums[ends] - sums[starts]) > ends - starts).astype(np.int32)
