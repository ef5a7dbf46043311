"""Distances of found joints from measured ones, and weights of VideoPose3D in PyTorch's names, for `lifting.py`."""

from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float

from infantjax.pose.importers.videopose3d import places
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.weights.placement import Variables

Positions = Float[np.ndarray, "time joint 3"]


def mpjpe(found: Positions, measured: Positions, weights: Float[np.ndarray, "time joint"] | None = None) -> float:
    """Mean distance of found and measured joints, in their unit; weighted, the mean of weight times distance."""
    distance = np.linalg.norm(found - measured, axis=-1)
    return float((distance if weights is None else weights * distance).mean())


def p_mpjpe(found: Positions, measured: Positions) -> float:
    """`mpjpe` after each frame was shifted, turned and scaled onto the measured one as well as can be.

    Raises:
        ValueError: all joints of a frame lie in one place.
    """
    a, b = (points - points.mean(axis=1, keepdims=True) for points in (found, measured))
    sizes = [np.linalg.norm(points, axis=(1, 2), keepdims=True) for points in (a, b)]
    if min(size.min() for size in sizes) == 0:
        raise ValueError("all joints of a frame lie in one place")
    left, stretch, right = np.linalg.svd(a.swapaxes(1, 2) @ b)
    # A mirror image is no rotation: turn the weakest axis back.
    sign = np.sign(np.linalg.det(left @ right))
    left[:, :, -1] *= sign[:, None]
    stretch[:, -1] *= sign
    scale = stretch.sum(axis=1)[:, None, None] / sizes[0] ** 2
    return mpjpe(scale * a @ (left @ right), b)


def n_mpjpe(found: Positions, measured: Positions) -> float:
    """`mpjpe` after each frame was scaled to the measured one as well as can be.

    Raises:
        ValueError: all found joints of a frame lie at the origin.
    """
    size = np.square(found).sum(axis=(1, 2))
    if size.min() == 0:
        raise ValueError("all found joints of a frame lie at the origin")
    return mpjpe(((found * measured).sum(axis=(1, 2)) / size)[:, None, None] * found, measured)


def velocity_error(found: Positions, measured: Positions) -> float:
    """`mpjpe` of the differences between frames, in their unit a frame."""
    return mpjpe(np.diff(found, axis=0), np.diff(measured, axis=0))


def export_videopose3d(network: LiftingNetwork, variables: Variables) -> dict[str, Any]:
    """The state dict of a network in the names and axes of the public program: the inverse of the import.

    Args:
        network: gives the number of stages.
        variables: its weights.
    """
    state = {}
    for name, target in places(len(network.widths) - 1):
        leaf = variables[target.collection]
        for part in target.path:
            leaf = leaf[part]
        ours = " -> ".join(target.axes.split(" -> ")[::-1])
        state[name] = rearrange(np.asarray(leaf), ours) if target.axes else np.asarray(leaf)
    return state
