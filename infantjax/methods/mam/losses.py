"""MAM, losses: triplets of annotated clips, closeness of instances to the centers of the two classes."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

Squares = Literal["sum", "mean"]


def triplet(z: Float[Array, "clip width"], labels: Int[Array, " clip"], margin: float = 0.4) -> Float[Array, ""]:
    """Mean of `max(0, d(a, p) - d(a, n) + margin)` with Euclidean distances of embeddings scaled to unit length.

    All triplets count (our choice).

    Args:
        z: embeddings.
        labels: classes; a clip a, another p of its class and one n of the other make a triplet.
        margin: 0.4 as published.

    Returns:
        0 where there is no triplet.
    """
    unit = z * lax.rsqrt(jnp.maximum(jnp.sum(z**2, axis=-1, keepdims=True), 1e-12))
    squared = jnp.sum((unit[:, None] - unit[None]) ** 2, axis=-1)
    # The root has no slope at zero.
    apart = jnp.where(squared > 1e-12, jnp.sqrt(jnp.where(squared > 1e-12, squared, 1)), 0)
    same = labels[:, None] == labels[None]
    positive, negative = same & ~jnp.eye(len(z), dtype=bool), ~same
    valid = positive[:, :, None] & negative[:, None, :]
    excess = apart[:, :, None] - apart[:, None, :] + margin
    return jnp.where(valid, jax.nn.relu(excess), 0).sum() / jnp.maximum(valid.sum(), 1)


def presence(p: Float[Array, "video instance"], risk: Array, share: float = 0.1) -> Float[Array, "video instance"]:
    """How far each instance counts as fidgety for the closeness loss; without gradient.

    Args:
        p: probabilities of fidgety movements.
        risk: `[video]` which ones are risk: of these all but the highest are 0, for they hold few fidgety movements.
        share: of a risk video's instances that stay, rounded up.
    """
    p = lax.stop_gradient(p)
    highest = jnp.sort(p, axis=1)[:, p.shape[1] - math.ceil(share * p.shape[1]), None]
    return jnp.where(risk[:, None] & (p < highest), 0, p)


def closeness(
    z: Float[Array, "*n width"], p: Float[Array, "*n"], centers: Float[Array, "2 width"], squares: Squares = "sum"
) -> Float[Array, ""]:
    """Mean of `p |z - c_F|^2 + (1 - p) |z - c_N|^2`; published is its purpose, the formula is our choice.

    Embeddings are normalized, so their entries are about 1: the mean of squares is about as large as the other losses,
    their sum the width times as large.

    Args:
        z: embeddings of instances.
        p: how far each counts as fidgety; without gradient.
        centers: c_N and c_F, of embeddings without and with fidgety movements; without gradient.
        squares: `|.|^2` is the sum over entries, or the mean.
    """
    p, centers = lax.stop_gradient(p), lax.stop_gradient(centers)
    over = jnp.mean if squares == "mean" else jnp.sum
    without, fidgety = (over((z - center) ** 2, axis=-1) for center in centers)
    return (p * fidgety + (1 - p) * without).mean()


def moved(
    centers: Float[Array, "2 width"], z: Float[Array, "clip width"], weights: Float[Array, "2 clip"], rate: float = 0.1
) -> Float[Array, "2 width"]:
    """Running means, one step further; a class without weight stays. Without gradient.

    Args:
        centers: so far.
        z: embeddings.
        weights: of each in either class.
        rate: share of the new mean.
    """
    z, weights = lax.stop_gradient(z), lax.stop_gradient(weights)
    total = weights.sum(axis=1, keepdims=True)
    mean = weights @ z / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, centers + rate * (mean - centers), centers)
