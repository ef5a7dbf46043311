"""Saliency of Baby Moves: gradients of the logit by each series of each clip.

Source: Passmore et al., Baby Moves, which describes vanilla gradients; no code of them is public. Our choice where
the text says nothing: magnitudes, not squares, and the logit of the whole video, so that the attention takes part.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from jaxtyping import Array, Float

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


def of_points(saliency: Float[Array, "*batch 46"]) -> Float[Array, "*batch 18"]:
    """The saliency of each body point: of its x and its y; angles are left out."""
    points = saliency[..., : 2 * len(BABY_MOVES_18.joints)]
    return reduce(points, "... (joint coordinate) -> ... joint", "sum", coordinate=2)
