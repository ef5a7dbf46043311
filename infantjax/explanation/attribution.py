"""What a score rests on, for any network: gradients, Grad-CAM, occlusion, and whether a map can be believed.

Pure functions of a score, `score(x [batch, ...]) -> [batch]`, in which samples do not see each other (evaluation mode):

    score = lambda x: module.apply(variables, x)[0][:, 1]

Source: Simonyan et al. 2014 (gradients), Sundararajan et al. 2017 (integrated), Selvaraju et al. 2017 (Grad-CAM),
Zeiler and Fergus 2014 (occlusion), Adebayo et al. 2018 (the check).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infantjax.explanation.class_activation import class_weights

Score = Callable[[Float[Array, "batch *axes"]], Float[Array, " batch"]]


def gradient(score: Score, x: Float[Array, "batch *axes"]) -> Float[Array, "batch *axes"]:
    """How much each value of the input moves the score, with its sign.

    Args:
        score: of samples.
        x: samples.
    """
    return jax.grad(lambda x: score(x).sum())(x)


def integrated_gradients(
    score: Score, x: Float[Array, "batch *axes"], baseline: Float[Array, "*axes"] | float = 0.0, steps: int = 50
) -> Float[Array, "batch *axes"]:
    """What each value of the input adds to the score on the way from a baseline; all together are the difference.

    Gradients at the middles of equal steps: the sum over a sample misses the difference of the scores by an error that
    falls with the square of the steps.

    Args:
        score: of samples.
        x: samples.
        baseline: an input that says nothing, which broadcasts against the samples; chosen is 0, the mean of
            standardized features.
        steps: at least 1.

    Raises:
        ValueError: no steps.
    """
    if steps < 1:
        raise ValueError(f"integrated gradients need at least one step, got {steps}")
    away = x - baseline

    def add(total: Array, share: Array) -> tuple[Array, None]:
        return total + gradient(score, baseline + share * away), None

    total, _ = jax.lax.scan(add, jnp.zeros_like(x), (jnp.arange(steps, dtype=x.dtype) + 0.5) / steps)
    return away * total / steps


def grad_cam(head: Score, features: Float[Array, "batch time joint channel"]) -> Float[Array, "batch time joint"]:
    """Where a feature map speaks for the score, at least 0: channels weighed by their mean gradient.

    Behind a mean and one linear layer, as in the graph networks with global pooling, this is class activation up to a
    factor.

    Args:
        head: from the feature map to the score, for example `graph_head`.
        features: the feature map (`aux["features"]` of a graph network).
    """
    weights = gradient(head, features).mean(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * features).sum(axis=-1))


def graph_head(params: Mapping[str, Any]) -> Score:
    """What a graph network does behind its feature map: the score of CP less that of the other class.

    Args:
        params: of a network of `models.gcn`.
    """
    weights = class_weights(params, exact=True)
    bias, spatial = params["classifier"]["bias"], "pool" in params
    if spatial:
        bias = bias + params["pool"]["bias"] @ params["classifier"]["kernel"]

    def head(features: Float[Array, "batch time joint channel"]) -> Float[Array, " batch"]:
        of_joints = (features.mean(axis=1)[..., None] * weights).sum(axis=2)
        # Spatial pooling sums over the joints, global pooling takes their mean.
        logits = (of_joints.sum(axis=1) if spatial else of_joints.mean(axis=1)) + bias
        return logits[:, 1] - logits[:, 0]

    return head


def occlusion(
    score: Score,
    x: Float[Array, "batch time joint channel"],
    parts: Mapping[str, Sequence[int]],
    baseline: Float[Array, "*axes"] | float | None = None,
) -> dict[str, Float[Array, " batch"]]:
    """How much the score falls when a part of the body is hidden; negative where it rises.

    Args:
        score: of samples.
        x: what a keypoint network reads.
        parts: joints of each part, for example `skeletons.body_parts`.
        baseline: what hidden joints are replaced by, which broadcasts against the samples; None is the mean over time
            of each joint and channel: the part stands still. Bones and velocities of other joints stay as they are.
    """
    still = x.mean(axis=1, keepdims=True) if baseline is None else baseline
    whole = score(x)
    joints = jnp.arange(x.shape[2])[:, None]
    return {
        part: whole - score(jnp.where(jnp.isin(joints, jnp.asarray(tuple(hidden))), still, x))
        for part, hidden in parts.items()
    }


def by_joint(values: Float[Array, "batch time joint channel"]) -> Float[Array, " joint"]:
    """What a map of the input says of each joint: the sum over time and channels, as a mean over the samples.

    Sums of integrated gradients stay what each joint adds to the score. Gradients of either sign cancel: take their
    magnitudes first.

    Args:
        values: a map of the input, for example `integrated_gradients`, or `jnp.abs(gradient(...))`.
    """
    return values.sum(axis=(1, 3)).mean(axis=0)


def agreement_with_untrained(
    explain: Callable[[Any], Float[Array, "*axes"]], trained: Any, untrained: Any
) -> Float[Array, " draw"]:
    """Rank correlations of a map with the maps of networks that learnt nothing.

    A map that says what the network learnt changes with its weights: these lie about 0. Where they are high the map
    shows the input or the architecture, and explains nothing. NaN where a map is the same everywhere.

    Args:
        explain: from variables to a map, for one input.
        trained: variables of the network.
        untrained: the same of freshly drawn ones, stacked along a leading axis, for example
            `jax.jit(jax.vmap(lambda key: nn.initializers.initialize(module, key, x)))(keys)`.
    """
    ranks = _ranks(explain(trained))

    def correlation(variables: Any) -> Array:
        other = _ranks(explain(variables))
        return (ranks * other).sum() / jnp.sqrt(jnp.square(ranks).sum() * jnp.square(other).sum())

    return jax.lax.map(correlation, untrained)


def _ranks(values: Array) -> Array:
    """Ranks about their mean; equal values share one."""
    flat = values.reshape(-1)
    ordered = jnp.sort(flat)
    ranks = jnp.searchsorted(ordered, flat) + jnp.searchsorted(ordered, flat, side="right")
    return ranks - ranks.mean()
