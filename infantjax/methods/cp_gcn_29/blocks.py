"""CP-GCN-29: graph, temporal and attention layers; names inside are those of the reference implementation.

Activations are `[joint, batch, time, channel]`. Of `Shuffle` the shuffle has no effect, and in `V3` the squeezed values
replace the map instead of scaling it: both as in the reference implementation.

Source: the public code of ShapGCN (Tempel et al. 2025).
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.cp_gcn_29.architecture import Architecture, Layer
from infantjax.nn import attention, flops
from infantjax.nn.attention import Activation, ChannelAttention, FrameAttention, JointAttention, relu
from infantjax.nn.graph import GraphConv, Map
from infantjax.nn.initializers import Constant, parameter, variable
from infantjax.nn.layers import BatchNorm, DepthwiseConv, TemporalConv
from infantjax.skeletons import IN_MOTION_29, Skeleton

SQRT2 = 2.0**0.5
HOPS = 3
FRAMES = 9
"""Kernel length of the attention over frames."""

ACTIVATIONS: dict[str, Activation] = {**attention.ACTIVATIONS, "relu6": jax.nn.relu6, "hardswish": jax.nn.hard_swish}

PARTS = (
    ("left_shoulder", "left_elbow", "left_wrist", "left_little_finger", "left_index_finger"),
    ("right_shoulder", "right_elbow", "right_wrist", "right_little_finger", "right_index_finger"),
    ("left_hip", "left_knee", "left_ankle", "left_heel", "left_little_toe", "left_big_toe"),
    ("right_hip", "right_knee", "right_ankle", "right_heel", "right_little_toe", "right_big_toe"),
    ("head_top", "nose", "right_ear", "left_ear", "upper_neck", "thorax", "pelvis"),
)
"""Parts of the body in the order of the attention over parts."""

PART_OF = np.array([next(p for p, part in enumerate(PARTS) if j in part) for j in IN_MOTION_29.joints])
"""Part of each joint of in-motion-29."""


class GraphLayer(nn.Module):
    """Graph convolution with a learned mask, activation, then the residual.

    Variables: `params` edge_importance `[matrix, joint, joint]` and those of the layers; `constants` adjacency.
    """

    layer: Layer
    activation: Activation
    skeleton: Skeleton

    @nn.compact
    def __call__(self, x: Float[Array, "joint batch time in"], train: bool) -> Map:
        """Apply the layer."""
        s = self.layer

        def graph() -> np.ndarray:
            return skeletons.adjacency(self.skeleton, f"hops{HOPS}")[: s.matrices]

        adjacency = variable(self, "constants", "adjacency", graph).value
        importance = parameter(self, "edge_importance", Constant(1), adjacency.shape)
        convolution = GraphConv(s.inputs, s.features, s.matrices, gain=SQRT2, name="graph")
        y = self.activation(convolution(x, adjacency * importance, train))
        return y + (x if s.inputs == s.features else conv(s.inputs, s.features, "residual")(x, train))


def conv(inputs: int, features: int, name: str, kernel_size: int = 1, stride: int = 1, **options: Any) -> TemporalConv:
    """A convolution over time with its norm."""
    return TemporalConv(inputs, features, kernel_size, stride, gain=SQRT2, name=name, **options)


def depthwise(features: int, kernel_size: int, name: str, stride: int = 1) -> DepthwiseConv:
    """A depthwise convolution over time with a bias and its norm."""
    return DepthwiseConv(features, kernel_size, stride, gain=SQRT2, use_bias=True, name=name)


class TemporalLayer(nn.Module):
    """One of the six temporal layers, with its residual."""

    layer: Layer
    activation: Activation
    architecture: Architecture

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Float[Array, "joint batch time_out channel"]:
        """Apply the layer."""
        s, a, act = self.layer, self.architecture, self.activation
        c, k, stride = s.features, s.kernel_size, s.stride
        inner, wide = int(c // a.reduct_ratio), int(c * a.expand_ratio)
        residual = x if stride == 1 else conv(c, c, "residual", 1, stride)(x, train)
        if s.kind == "Basic":
            return act(conv(c, c, "conv", k, stride)(x, train)) + residual
        if s.kind == "Bottleneck":
            y = act(conv(c, inner, "reduct_conv")(x, train))
            y = act(conv(inner, inner, "conv", k, stride)(y, train))
            return act(conv(inner, c, "expand_conv")(y, train) + residual)
        if s.kind == "Sep":
            y = act(conv(c, wide, "expand_conv")(x, train))
            y = act(depthwise(wide, k, "depth_conv", stride)(y, train))
            return conv(wide, c, "point_conv")(y, train) + residual
        if s.kind == "SG":
            y = act(depthwise(c, k, "depth_conv1")(x, train))
            y = act(conv(inner, c, "point_conv2")(conv(c, inner, "point_conv1")(y, train), train))
            return depthwise(c, k, "depth_conv2", stride)(y, train) + residual
        if s.kind == "Shuffle":
            y = depthwise(inner, k, "depth_conv", stride)(conv(c, inner, "point_conv")(x, train), train)
            return act(conv(inner, c, "point_conv_expand")(y, train) + residual)
        y = depthwise(wide, k, "depth_conv", stride)(act(conv(c, wide, "expand_conv")(x, train)), train)
        y = rearrange(y.mean((0, 2)), "batch channel -> 1 batch 1 channel")
        y = relu(conv(wide, wide // 4, "squeeze", use_bias=False)(y, train))
        y = relu(conv(wide // 4, wide, "excite", use_bias=False)(y, train))
        return act(conv(wide, c, "point_conv")(y, train)) + residual


class PartAttention(nn.Module):
    """Weights over the parts of the body, for each channel; each joint takes that of its part."""

    features: int
    inner: int

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Float[Array, "joint batch one channel"]:
        """Attention weights; those of the parts sum to 1."""
        pooled = rearrange(x.mean((0, 2)), "batch channel -> 1 batch 1 channel")
        hidden = relu(conv(self.features, self.inner, "reduce")(pooled, train))
        scores = conv(self.inner, len(PARTS) * self.features, "expand", norm=False)(hidden, train)
        scores = rearrange(scores, "1 batch 1 (channel part) -> part batch 1 channel", part=len(PARTS))
        return jax.nn.softmax(scores, axis=0)[PART_OF]


class FrameJointAttention(nn.Module):
    """Weights over frames times weights over joints, for each channel."""

    features: int
    inner: int

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Attention weights, each within 0..1."""
        over_time = rearrange(x.mean(0), "batch time channel -> 1 batch time channel")
        over_joints = rearrange(x.mean(2), "joint batch channel -> 1 batch joint channel")
        both = jnp.concatenate([over_time, over_joints], 2)
        hidden = jax.nn.hard_swish(conv(self.features, self.inner, "reduce")(both, train))
        frames, joints = jnp.split(hidden, [x.shape[2]], axis=2)
        of_frame = jax.nn.sigmoid(conv(self.inner, self.features, "frames", norm=False)(frames, train))
        of_joint = jax.nn.sigmoid(conv(self.inner, self.features, "joints", norm=False)(joints, train))
        return of_frame * rearrange(of_joint, "1 batch joint channel -> joint batch 1 channel")


class AttentionLayer(nn.Module):
    """`act(norm(x * weights)) + x` with the weights of one of the five attentions."""

    layer: Layer
    activation: Activation
    architecture: Architecture

    @nn.compact
    def __call__(self, x: Map, train: bool) -> Map:
        """Attend."""
        c, kind = self.layer.features, self.architecture.att_lay
        inner = int(c // self.architecture.reduct_ratio)
        weights = {
            "fa": lambda: FrameAttention(FRAMES, name="weights"),
            "ca": lambda: ChannelAttention(c, relu, jax.nn.sigmoid, name="weights"),
            "ja": lambda: JointAttention(len(x), relu, name="weights"),
            "pa": lambda: PartAttention(c, inner, name="weights"),
            "stja": lambda: FrameJointAttention(c, inner, name="weights"),
        }[kind]()(x, train)
        flops.record("multiplication", x.size)
        return self.activation(BatchNorm((c,), name="norm")(x * weights, train)) + x
