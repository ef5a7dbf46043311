"""From keypoints in an image to positions in space, and their distance from measured ones.

Source: Pavllo et al. 2019 (VideoPose3D), which was trained on adults. Nothing here was validated on infants.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.skeletons import Skeleton

Positions = Float[np.ndarray, "time joint 3"]


def screen(
    pixels: Float[np.ndarray, "*time keypoint 2"], width: float, height: float
) -> Float[np.ndarray, "*time keypoint 2"]:
    """Pixels as the network reads them: the image's width becomes -1..1, and y has the same unit and its middle at 0.

    Args:
        pixels: `[..., keypoint, 2]`; NaN stays.
        width: of the image, pixels.
        height: of the image, pixels.

    Raises:
        ValueError: an image without size.
    """
    if not min(width, height) > 0:
        raise ValueError(f"an image has a width and a height above 0, got {width} and {height}")
    return np.asarray(pixels, np.float64) / width * 2 - np.array([1, height / width])


def lift(
    network: LiftingNetwork,
    variables: Mapping[str, Any],
    keypoints: Float[Array, "time keypoint 2"],
    skeleton: Skeleton | None = None,
) -> Float[Array, "time joint 3"]:
    """Positions of a whole recording: its first and last frames are repeated as far as the network sees.

    Args:
        network: the lifting network; a causal one sees repeated frames in front only.
        variables: its weights.
        keypoints: `screen` coordinates, no NaN.
        skeleton: of keypoints and joints; with it the result is the mean with that of the mirrored recording. None
            does without.

    Returns:
        As many frames, relative to the root.
    """
    reach = network.receptive_field - 1
    before = reach if network.causal else reach // 2

    @jax.jit
    def positions(x: Array) -> Array:
        padded = jnp.pad(x, ((before, reach - before), (0, 0), (0, 0)), mode="edge")
        return network.apply(variables, padded[None])[0][0]

    keypoints = jnp.asarray(keypoints, jnp.float32)
    straight = positions(keypoints)
    if skeleton is None:
        return straight
    return (straight + _mirrored(positions(_mirrored(keypoints, skeleton)), skeleton)) / 2


def _mirrored(points: Float[Array, "time joint axis"], skeleton: Skeleton) -> Float[Array, "time joint axis"]:
    return points[:, np.array(skeleton.mirror)].at[..., 0].multiply(-1)


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
