"""Class activation: how much each joint contributes to CP, from feature map and classifier of a graph network.

Source: Groos et al., Paper III (body part contributions), and its reference implementation, which is the default.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def class_weights(params: Mapping[str, Any], *, exact: bool = False) -> Float[Array, "joint channel classes"]:
    """Weight of every joint and channel of the feature map for each class.

    Args:
        params: the parameters of a graph network.
        exact: for networks with spatial pooling, go through the pooling layer, so that the map sums to the score up to
            biases. The reference implementation applies the classifier to the feature map directly and ignores that
            layer; so does the default. Networks with global pooling are not affected.
    """
    classifier = params["classifier"]["kernel"]
    if exact and "pool" in params:
        return params["pool"]["kernel"] @ classifier
    return classifier[None]


def contributions(
    features: Float[Array, "window time joint channel"], weights: Float[Array, "joint channel classes"]
) -> Float[Array, "window joint"]:
    """Contribution of each joint to CP in each window, 0..1.

    The map of the CP class minus that of the other class, each by its median over time, relative to the joint of the
    largest magnitude; negative values are 0. A window whose map is 0 everywhere gives zeros (NaN in the
    reference implementation).

    Args:
        features: the feature map before pooling (`aux["features"]`).
        weights: from `class_weights`; index 1 is CP.
    """
    maps = jnp.einsum("btvc,vck->kbvt", features, jnp.broadcast_to(weights, (features.shape[2], *weights.shape[1:])))
    score = _median(maps[1]) - _median(maps[0])
    largest = jnp.abs(score).max(-1, keepdims=True)
    # A compiled x / x may miss 1 by a rounding in either direction.
    return jnp.clip(jnp.where(largest > 0, score / jnp.where(largest > 0, largest, 1), 0), 0, 1)


def _median(x: Float[Array, "*axes time"]) -> Float[Array, "*axes"]:
    """Median over the last axis by the rank of each value: XLA's CPU backend compares much faster than it sorts."""
    count = x.shape[-1]
    before, here = x[..., None, :], x[..., :, None]
    earlier = jnp.arange(count)[None, :] < jnp.arange(count)[:, None]
    rank = ((before < here) | (before == here) & earlier).sum(-1)
    middle = (rank == (count - 1) // 2) | (rank == count // 2)
    return jnp.where(middle, x, 0).sum(-1) / middle.sum(-1)
