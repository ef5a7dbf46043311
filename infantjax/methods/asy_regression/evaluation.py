"""Overlap of the detected maps with the annotated ones."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from infantjax.methods.asy_regression.model import FRAMES, connections
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.methods.asy_regression.training import ClipData
from infantjax.pose.codec.limb import DiscCodec


def overlap_of_maps(network: DepthNetwork, data: ClipData, clips: Sequence[int], radius: float) -> dict[str, float]:
    """How well the detection network finds the binary maps of joints and of connections.

    Dice is twice the pixels that are in both maps, over the sum of those in each; recall the share of the annotated
    pixels that were detected. Both are counted over the pixels of all clips and averaged over the maps.

    Args:
        network: both networks.
        data: annotated frames.
        clips: first frames.
        radius: of the discs that it was trained with, pixels.

    Source: Moccia et al. 2020, as recalled; pooling over all clips is our choice.
    """
    codec = DiscCodec(connections(data.skeleton), radius)

    @jax.jit
    def count(variables: object, frames: jax.Array, points: jax.Array) -> jax.Array:
        found = network.detector.apply(variables, frames[None, ..., None])[1]["maps"][0] > 0.5  # type: ignore[arg-type,index]
        wanted = codec.encode(points, *frames.shape[1:]) > 0.5
        return jnp.stack([maps.sum((0, 1, 2)) for maps in (found & wanted, found, wanted)])

    counts = [
        count(
            network.variables[0], jnp.asarray(data.frames[at : at + FRAMES]), jnp.asarray(data.points[at : at + FRAMES])
        )
        for at in clips
    ]
    both, found, wanted = np.sum(np.asarray(counts, np.float64), axis=0)
    joints, seen = len(data.skeleton.joints), wanted > 0
    overlap = {}
    for part, maps in {"joints": slice(None, joints), "connections": slice(joints, None)}.items():
        if seen[maps].any():
            dice, recall = 2 * both / np.maximum(found + wanted, 1), both / np.maximum(wanted, 1)
            overlap[f"Dice of {part}"] = float(dice[maps][seen[maps]].mean())
            overlap[f"recall of {part}"] = float(recall[maps][seen[maps]].mean())
    return overlap
