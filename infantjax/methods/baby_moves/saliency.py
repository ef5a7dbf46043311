"""Saliency of Baby Moves: gradients of the logit by each series of each clip.

Source: Passmore et al., Baby Moves, which describes vanilla gradients; no code of them is public. Our choice where
the text says nothing: magnitudes, not squares, and the logit of the whole video, so that the attention takes part.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float

from infantjax.methods.baby_moves.model import FRAMES, STEP, BabyMoves
from infantjax.skeletons import BABY_MOVES_18


def clip_saliency(
    module: BabyMoves, variables: Any, series: Float[Array, "time 46"], metadata: Float[Array, "2"] | None = None
) -> Float[Array, "clip 46"]:
    """Gradient of the logit of a video by each series of each clip.

    Args:
        module: the network.
        variables: its weights.
        series: of the video.
        metadata: age and cohort, for a network that reads them.

    Returns:
        Magnitude of the gradient by the clip's input, summed over its frames. Clips overlap; each is an input of its
        own.
    """
    starts = np.arange(0, len(series) - FRAMES + 1, STEP)
    clips = jnp.asarray(series)[starts[:, None] + np.arange(FRAMES)]
    known = None if metadata is None else jnp.asarray(metadata)[None]
    gradient = jax.grad(lambda clips: module.apply(variables, clips[None], known)[0][0])(clips)
    return jnp.abs(gradient).sum(axis=1)


class BodyMap(NamedTuple):
    """Saliency by place; x and y of a point are added, angles stand apart.

    Attributes:
        points: `[..., 18]` in the order of `baby-moves-18`.
        angles: `[..., 10]` in the order of `preprocessing.ANGLES`.
    """

    points: Float[Array, "*batch 18"]
    angles: Float[Array, "*batch 10"]


def body_map(saliency: Float[Array, "*batch 46"]) -> BodyMap:
    """The saliency of each body point and of each angle.

    Args:
        saliency: of the 46 series, of clips or a mean over clips, videos or repeats.
    """
    joints = len(BABY_MOVES_18.joints)
    points = rearrange(saliency[..., : 2 * joints], "... (joint coordinate) -> ... joint coordinate", coordinate=2)
    return BodyMap(points.sum(axis=-1), saliency[..., 2 * joints :])


class Extremes(NamedTuple):
    """Clips of high and of low saliency, `[video, clip]` each."""

    high: Bool[np.ndarray, "video clip"]
    low: Bool[np.ndarray, "video clip"]


def extremes(saliency: Float[np.ndarray, "video clip 46"], high: float = 90, low: float = 10) -> Extremes:
    """Clips whose total saliency lies above one and below another percentile of all clips of all videos.

    Args:
        saliency: `clip_saliency` of videos of one length.
        high: percentile; published 90.
        low: percentile; published 10.

    Raises:
        ValueError: percentiles not in order within 0..100.
    """
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles must rise within 0..100, got {low} and {high}")
    total = np.asarray(saliency).sum(axis=-1)
    above, below = np.percentile(total, [high, low])
    return Extremes(total > above, total < below)


class Movement(NamedTuple):
    """How a point moves within a clip, in the unit of the keypoints.

    Attributes:
        distance: `[clip, 18]` mean distance from the point's mean position over the recording.
        deviation: `[clip, 18]` standard deviation of that distance over the clip's frames.
    """

    distance: Float[np.ndarray, "clip 18"]
    deviation: Float[np.ndarray, "clip 18"]


def movement(keypoints: Float[np.ndarray, "time 18 2"]) -> Movement:
    """Movement within clips, for the published comparison of high and low saliency; NaN where a point was never seen.

    Published: in clips of high saliency points are nearer to their mean position and vary less.

    Args:
        keypoints: of a prepared recording (`preprocessing.prepare`).
    """
    distance = np.linalg.norm(keypoints - keypoints.mean(axis=0), axis=-1)
    starts = np.arange(0, len(distance) - FRAMES + 1, STEP)
    clips = distance[starts[:, None] + np.arange(FRAMES)]
    return Movement(clips.mean(axis=1), clips.std(axis=1))
