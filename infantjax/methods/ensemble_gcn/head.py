"""Input and output that the graph networks have in common: the layout inside, pooling, and the classifier."""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float

from infantjax.nn import flops
from infantjax.nn.graph import Map
from infantjax.nn.initializers import HeNormalFanOut, UniformFanIn, parameter
from infantjax.nn.layers import Dense


class SpatialPool(nn.Module):
    """Mean over time, then one linear layer over joints and channels; no norm, no activation."""

    @nn.compact
    def __call__(self, x: Map) -> Float[Array, "batch channel"]:
        """Pool."""
        joints, batch, _, channels = x.shape
        shape = (joints, channels, channels)
        kernel = parameter(self, "kernel", HeNormalFanOut(1.0, (2,)), shape)
        bias = parameter(self, "bias", UniformFanIn(joints * channels), (channels,))
        pooled = x.mean(2)
        _count_final_pooling(pooled)
        flops.record("convolution", batch * joints * channels * channels)
        return jnp.einsum("vbc,vco->bo", pooled, kernel) + bias


def classify(
    x: Map, pooled: Float[Array, "batch channel"], classes: int
) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
    """Scores, and what they come from; called within a module, which owns the layer `classifier`."""
    bias = UniformFanIn(pooled.shape[-1])
    logits = Dense(pooled.shape[-1], classes, HeNormalFanOut(1.0), bias, name="classifier")(pooled)
    return logits, {"features": rearrange(x, "joint batch time channel -> batch time joint channel"), "pooled": pooled}


def global_mean(x: Map) -> Float[Array, "batch channel"]:
    """Mean over joints and time."""
    pooled = x.mean((0, 2))
    _count_final_pooling(pooled)
    return pooled


def _count_final_pooling(pooled: Array) -> None:
    # The published program averages over the persons of a video as well, of whom there is one: counted twice.
    flops.record("pooling", 2 * pooled.size)
