"""The few metrics that training needs on the device; `evaluation` has the rest, and a test holds both equal.

All of them take padded arrays: what is padding has weight 0 or lies beyond a count, and changes no bit of the result.
"""

import chex
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def auc(
    scores: Float[Array, " n"], labels: Int[Array, " n"], weights: Float[Array, " n"] | None = None
) -> Float[Array, ""]:
    """Area under the ROC curve, ties counted half.

    Args:
        scores: `[n]`; a NaN anywhere with a weight above 0 gives 0.5, as in the reference implementation.
        labels: `[n]`, 1 is positive.
        weights: `[n]` of each sample; None is 1. Exact for weights 0 and 1.

    Returns:
        float32 in 0..1; NaN if one class has no weight.

    Source: Groos et al., the reference implementation, movement-outcome (`roc_auc_score` of scikit-learn on the host).
    """
    chex.assert_rank(scores, 1)
    weights = jnp.ones_like(scores) if weights is None else weights
    chex.assert_equal_shape([scores, labels, weights])
    unknown = jnp.any(jnp.isnan(scores) & (weights > 0))
    positive, negative = weights * (labels == 1), weights * (labels != 1)
    # A positive beats the negatives strictly below it and draws with those at its level. Sums of halves are exact in
    # float32, so neither the order of the additions nor padding shows.
    below = (scores[None, :] < scores[:, None]) + 0.5 * (scores[None, :] == scores[:, None])
    area = jnp.sum(positive[:, None] * negative[None, :] * below) / (jnp.sum(positive) * jnp.sum(negative))
    return jnp.where(unknown & jnp.isfinite(area), 0.5, area)


def median_over_windows(
    risks: Float[Array, " window"], index: Int[Array, "infant slot"], count: Int[Array, " infant"]
) -> Float[Array, " infant"]:
    """Median of each infant's window risks; the mean of the two middle ones when their number is even.

    Args:
        risks: `[window]` of all infants.
        index: `[infant, slot]` which windows are an infant's; slots from `count` on are padding.
        count: `[infant]` number of windows; 0 (padding) gives NaN.
    """
    slots = jnp.arange(index.shape[1])
    ascending = jnp.sort(jnp.where(slots < count[:, None], risks[index], jnp.inf), axis=1)
    middle = jnp.stack([(count - 1) // 2, count // 2], axis=1)
    median = jnp.take_along_axis(ascending, jnp.maximum(middle, 0), axis=1).mean(axis=1)
    return jnp.where(count > 0, median, jnp.nan)


def cross_entropy(logits: Float[Array, "*n 2"], labels: Int[Array, "*n"]) -> Float[Array, "*n"]:
    """Cross-entropy of each sample, natural logarithm."""
    chex.assert_shape(logits, (*labels.shape, 2))
    of_label = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(logits, axis=-1) - of_label


def balanced(total: Float[Array, "2"], count: Float[Array, "2"]) -> Float[Array, ""]:
    """Mean over the classes of the mean within each, of per-class sums; a class without samples is left out.

    Source: Groos et al., the reference implementation's validation loss.
    """
    present = count > 0
    return jnp.sum(jnp.where(present, total / jnp.maximum(count, 1), 0)) / jnp.maximum(jnp.sum(present), 1)
