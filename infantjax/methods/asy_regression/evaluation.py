"""How good the depth networks are on clips: distances of the limbs, and overlap of the detected maps."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from infantjax.methods.asy_regression.model import FRAMES, connections
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.methods.asy_regression.training import ClipData
from infantjax.pose.codec.limb import DiscCodec
from infantjax.pose.metrics import LimbError, limb_errors


class Overlap(NamedTuple):
    """Agreement of binary maps, counted over the pixels of all clips and averaged over the maps.

    Attributes:
        dice: twice the pixels that are in both, over the sum of those in each.
        recall: share of the annotated pixels that were detected.
    """

    dice: float
    recall: float


def rmsd_of_limbs(network: DepthNetwork, data: ClipData, clips: Sequence[int]) -> dict[str, LimbError]:
    """Errors of each limb in pixels of the frames.

    Args:
        network: both networks.
        data: annotated frames.
        clips: first frames.
    """
    frames = np.asarray(data.frames)
    found = [network.find(frames[None, first : first + FRAMES]).positions[0] for first in clips]
    true = np.stack([data.points[first : first + FRAMES] for first in clips])
    return limb_errors(np.stack(found), np.asarray(true, np.float64), data.skeleton)


def overlap_of_maps(network: DepthNetwork, data: ClipData, clips: Sequence[int], radius: float) -> dict[str, Overlap]:
    """How well the detection network finds the binary maps of joints and of connections.

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
    dice, recall = 2 * both / np.maximum(found + wanted, 1), both / np.maximum(wanted, 1)
    parts = {"joints": slice(None, joints), "connections": slice(joints, None)}
    return {
        name: Overlap(float(dice[part][seen[part]].mean()), float(recall[part][seen[part]].mean()))
        for name, part in parts.items()
        if seen[part].any()
    }
