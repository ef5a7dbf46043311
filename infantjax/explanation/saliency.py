"""Which joints a score of a graph network depends on, by the method that is asked for.

Source: Simonyan et al. 2014 (saliency), Chattopadhay et al. 2018 (Grad-CAM++); class activation as in
`class_activation`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infantjax.explanation.class_activation import class_weights, contributions

Explain = Literal["class-activation", "grad-cam++", "saliency"]
"""Names of the methods."""

Score = Callable[[Float[Array, " batch *axes"]], Float[Array, " batch"]]
"""A score of samples that are independent of each other (evaluation mode)."""

LABELS: Mapping[Explain, str] = {
    "class-activation": "how strongly each point spoke for a higher risk, relative to the strongest one",
    "grad-cam++": "how strongly each point spoke for a higher risk by Grad-CAM++, relative to the strongest one",
    "saliency": "how strongly the score depends on each point, in either direction, relative to the strongest one",
}
"""Meaning of the values, in words, for reports."""


def gradient(score: Score, x: Float[Array, " batch *axes"]) -> Float[Array, " batch *axes"]:
    """Derivative of the score by each value of the input.

    Args:
        score: of samples.
        x: samples.
    """
    return jax.grad(lambda x: score(x).sum())(x)


def grad_cam_plus_plus(
    head: Score, features: Float[Array, "batch time joint channel"]
) -> Float[Array, "batch time joint"]:
    """Positions of a feature map that raise the score: its channels, weighted by rising slopes, at least 0.

    Each position has its own share in the weight of a channel, so that a channel that is active at few positions weighs
    as much as one that is active at many. With the slope g of the score S, the share of a position is
    g^2 / (2 g^2 + g^3 sum(features)), as published for the class score exp(S). Its factor exp(S), equal for all
    channels of a sample, is left out (our choice): it scales the map and overflows.

    Args:
        head: from the feature map to the score, for example `graph_head`.
        features: the feature map.
    """
    slopes = gradient(head, features)
    total = features.sum(axis=(1, 2), keepdims=True)
    # g^2 cancels; where the slope is 0, the position adds nothing.
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


def explained(
    apply: Callable[[Array], Any],
    params: Mapping[str, Any],
    x: Float[Array, "window time joint channel"],
    how: Explain,
    *,
    exact: bool = False,
) -> tuple[Float[Array, "window 2"], Float[Array, "window joint"]]:
    """Logits of a graph network, and a value of each joint of each window, 0..1, the largest of a window 1.

    Saliency is the magnitude of the gradient of the logit of CP minus that of the other class, summed over time and
    channels; Grad-CAM++ the mean of its map over time (both our choice).

    Args:
        apply: the network, from its input to logits and a dict with `features`.
        params: of the network.
        x: windows.
        how: the method.
        exact: class activation goes through spatial pooling, see `class_weights`.
    """
    logits, aux = apply(x)
    if how == "class-activation":
        return logits, contributions(aux["features"], class_weights(params, exact=exact))
    if how == "grad-cam++":
        values = grad_cam_plus_plus(graph_head(params), aux["features"]).mean(axis=1)
    else:
        slopes = gradient(lambda x: jnp.squeeze(jnp.diff(apply(x)[0]), -1), x)
        values = jnp.abs(slopes).sum(axis=(1, 3))
    return logits, relative(values)


def relative(values: Float[Array, "*axes joint"]) -> Float[Array, "*axes joint"]:
    """Values of joints, at least 0, as shares of the largest; 0 where all are 0."""
    largest = values.max(axis=-1, keepdims=True)
    return jnp.where(largest > 0, values / jnp.where(largest > 0, largest, 1), 0)
