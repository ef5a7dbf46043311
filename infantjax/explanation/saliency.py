"""What the score of any network depends on: gradients, Grad-CAM, Grad-CAM++, occlusion, and a check of such maps.

Pure functions of a score, `score(x [batch, ...]) -> [batch]`, whose samples are independent (evaluation mode):

    score = lambda x: module.apply(variables, x)[0][:, 1]

Source: Simonyan et al. 2014 (gradients), Sundararajan et al. 2017 (integrated), Selvaraju et al. 2017 (Grad-CAM),
Chattopadhay et al. 2018 (Grad-CAM++), Zeiler and Fergus 2014 (occlusion), Adebayo et al. 2018 (the check).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
from einops import reduce
from jaxtyping import Array, Float

from infantjax.explanation.class_activation import class_weights

Score = Callable[[Float[Array, " batch *axes"]], Float[Array, " batch"]]


def gradient(score: Score, x: Float[Array, " batch *axes"]) -> Float[Array, " batch *axes"]:
    """Derivative of the score by each value of the input.

    Args:
        score: of samples.
        x: samples.
    """
    return jax.grad(lambda x: score(x).sum())(x)


def integrated_gradients(
    score: Score, x: Float[Array, " batch *axes"], baseline: Float[Array, "*axes"] | float = 0.0, steps: int = 50
) -> Float[Array, " batch *axes"]:
    """What each value of the input adds to the score on the way from a baseline; their sum is the difference of scores.

    Gradients are taken at the middles of equal steps. The error of the sum falls with the square of the number of
    steps.

    Args:
        score: of samples.
        x: samples.
        baseline: a neutral input, which broadcasts against the samples; 0, the mean of standardized features, is our
            choice.
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
    """Which places of a feature map raise the score: its channels weighted by their mean gradient, at least 0.

    If a mean and one linear layer follow the feature map, this is class activation up to a factor.

    Args:
        head: from the feature map to the score, for example `graph_head`.
        features: the feature map (`aux["features"]` of a graph network).
    """
    chex.assert_rank(features, 4)
    weights = gradient(head, features).mean(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * features).sum(axis=-1))


def grad_cam_plus_plus(
    head: Score, features: Float[Array, "batch time joint channel"]
) -> Float[Array, "batch time joint"]:
    """As `grad_cam`, but each place has its own share in the weight of a channel, and only rising slopes count.

    A channel that is active at few places weighs as much as one that is active at many. With the slope g of the score
    S, the share of a place is g^2 / (2 g^2 + g^3 sum(features)), as published for the class score exp(S). Its factor
    exp(S), equal for all channels of a sample, is left out (our choice): it scales the map and overflows.

    Args:
        head: from the feature map to the score, for example `graph_head`.
        features: the feature map.
    """
    chex.assert_rank(features, 4)
    slopes = gradient(head, features)
    total = features.sum(axis=(1, 2), keepdims=True)
    # g^2 cancels; where the slope is 0, the place adds nothing.
    divisor = 2 + slopes * total
    shares = jnp.where(divisor != 0, 1 / jnp.where(divisor != 0, divisor, 1), 0)
    weights = (shares * jax.nn.relu(slopes)).sum(axis=(1, 2), keepdims=True)
    return jax.nn.relu((weights * features).sum(axis=-1))


def graph_head(params: Mapping[str, Any]) -> Score:
    """The layers of a graph network after its feature map: the logit of CP minus that of the other class.

    Args:
        params: parameters of a network with a classifier and, for spatial pooling, a layer `pool`.
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
    """Decrease of the score when a part of the body is hidden; negative where the score increases.

    Args:
        score: of samples.
        x: inputs of a keypoint network.
        parts: joints of each part, for example `skeletons.body_parts`.
        baseline: values of hidden joints, which broadcast against the samples; None is the mean over time of each joint
            and channel: the part stands still. Bones and velocities of other joints do not change.
    """
    chex.assert_rank(x, 4)
    still = x.mean(axis=1, keepdims=True) if baseline is None else baseline
    whole = score(x)
    joints = jnp.arange(x.shape[2])[:, None]
    return {
        part: whole - score(jnp.where(jnp.isin(joints, jnp.asarray(tuple(hidden))), still, x))
        for part, hidden in parts.items()
    }


def by_joint(values: Float[Array, "batch time joint channel"]) -> Float[Array, " joint"]:
    """Sum of a map over time and channels for each joint, as a mean over the samples.

    The sum of integrated gradients is what each joint adds to the score. Gradients of opposite sign cancel: take their
    magnitudes first.

    Args:
        values: a map of the input, for example `integrated_gradients`, or `jnp.abs(gradient(...))`.
    """
    chex.assert_rank(values, 4)
    return reduce(reduce(values, "batch time joint channel -> batch joint", "sum"), "batch joint -> joint", "mean")


def agreement_with_untrained(
    explain: Callable[[Any], Float[Array, "*axes"]], trained: Any, untrained: Any
) -> Float[Array, " draw"]:
    """Rank correlations of a map with the maps of untrained networks.

    The correlations are near 0 if the map depends on what the network learned. If they are high, the map shows the
    input or the architecture and explains nothing. NaN where a map is constant.

    Args:
        explain: from variables to a map, for one input.
        trained: variables of the network.
        untrained: the same of networks with random weights, stacked along a leading axis, for example
            `nn.initializers.initialize(module, keys, x)`.
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
