"""The module of the searched graph network: a spatial block, a temporal block, and attention.

Points that look unintended but are real, and are kept because parameter counts and outputs need them:

1. basic blocks own two pointwise convolutions with norms that are never used, and a temporal block of one scale owns a
   fusing convolution and possibly a squeeze-and-excitation that are never used (`lean=True` leaves them out; outputs
   are the same);
2. the grouped graph convolution mixes channels (`nn.graph.GroupedGraphConv`);
3. inverted-residual temporal blocks always own an outer squeeze-and-excitation.

Activations are `[joint, batch, time, channel]`.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from infantjax.methods.ensemble_gcn.plan import ModuleSpec
from infantjax.nn import flops
from infantjax.nn.attention import Activation, Attention, SqueezeExcitation
from infantjax.nn.graph import Graph, GraphConv, GroupedGraphConv, Map
from infantjax.nn.initializers import Constant, parameter
from infantjax.nn.kernels.convolution import pointwise, sparse_temporal_convolution
from infantjax.nn.kernels.folding import is_folded
from infantjax.nn.kernels.lowering import on_cpu
from infantjax.nn.layers import DepthwiseConv, TemporalConv, side_by_side

_SQRT2 = 2.0**0.5


class SpatialBlock(nn.Module):
    """Convolution over the joints: basic, bottleneck or inverted residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(self, x: Map, adjacency: Graph, train: bool) -> Map:
        """Convolve, excite, add the block residual, activate."""
        s, act = self.spec, self.activation
        if s.block_type == "basic":
            if self.is_initializing() and not self.lean:
                nothing = jnp.zeros((1, 1, 1, s.inputs))
                nothing = TemporalConv(s.inputs, s.features, gain=_SQRT2, name="down")(nothing, False)
                TemporalConv(s.features, s.features, gain=_SQRT2, name="up")(nothing, False)
            y = GraphConv(s.inputs, s.features, s.matrices, name="graph")(x, adjacency, train)
        elif s.block_type == "bottleneck":
            inner = s.features // s.factor
            y = act(TemporalConv(s.inputs, inner, gain=_SQRT2, name="down")(x, train))
            y = act(GraphConv(inner, inner, s.matrices, name="graph")(y, adjacency, train))
            y = TemporalConv(inner, s.features, gain=_SQRT2, name="up")(y, train)
        else:
            inner = max(12, s.inputs * s.factor)
            y = act(TemporalConv(s.inputs, inner, gain=_SQRT2, use_bias=False, name="up")(x, train))
            y = act(GroupedGraphConv(inner, s.matrices, name="graph")(y, adjacency, train))
            if s.se_inner:
                y = SqueezeExcitation(inner, s.se_inner, act, name="se")(y)
            y = TemporalConv(inner, s.features, gain=_SQRT2, use_bias=False, name="down")(y, train)
        if s.se_inner and s.block_type != "mbconv":
            y = SqueezeExcitation(s.features, s.se_inner, act, name="se")(y)
        if s.block_residual:
            y = y + (x if s.inputs == s.features else TemporalConv(s.inputs, s.features, name="residual")(x, train))
        return act(y)


class TemporalBlock(nn.Module):
    """Convolutions over time at several dilations side by side: basic, bottleneck or inverted residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(self, x: Map, residual: Map | float, train: bool) -> Map:
        """Convolve, fuse the scales, excite, add the residuals, activate."""
        s, act = self.spec, self.activation
        if s.composable and is_folded(self, "fuse"):
            y = self._composed_scales(x)
        elif self._merges_scales():
            fuse = TemporalConv(s.scales * s.features, s.features, name="fuse")
            y = fuse(self._merged_scales(x, train), train)
        else:
            scales = []
            for i in range(s.scales):
                y = self._last(i)(self._hidden(i, self._opened(i, x, train), train), train)
                if s.se_inner and s.block_type != "mbconv":
                    y = SqueezeExcitation(s.features, s.se_inner, act, name=f"se_{i}")(y)
                scales.append(y)
            y = scales[0]
            if s.scales > 1:
                fuse = TemporalConv(s.scales * s.features, s.features, name="fuse")
                y = fuse(jnp.concatenate(scales, -1), train)
        if s.outer_ratio and s.scales > 1:
            y = SqueezeExcitation(s.features, s.outer_ratio, act, name="outer_se")(y)
        if self.is_initializing() and not self.lean:
            self._own_unused()
        if s.block_residual:
            down = TemporalConv(s.features, s.features, stride=s.stride, name="residual") if s.stride > 1 else None
            y = y + (down(x, train) if down else x)
        return act(y + residual)

    def _merges_scales(self) -> bool:
        """Whether scales are computed side by side: but on a CPU, where they can be and nobody looks into them.

        Depthwise convolutions are not: filled with zeros, those of kbest-gcn-2 move 15 % more bytes on an H100.
        """
        asked = flops.is_open() or self.is_initializing() or self.is_mutable_collection("intermediates")
        able = self.spec.scales > 1 and not self.spec.se_inner and self.spec.block_type != "mbconv"
        return able and not on_cpu() and not asked

    def _merged_scales(self, x: Array, train: bool) -> Array:
        """All scales before their fusion, each operation for all of them at once."""
        act, scales = self.activation, range(self.spec.scales)
        last = [self._last(i) for i in scales]
        if self.spec.block_type == "basic":
            return side_by_side(last, x, train, shared=True)
        y = act(side_by_side([self._opening(i) for i in scales], x, train, shared=True))
        y = act(side_by_side([self._middle(i) for i in scales], y, train))
        return side_by_side(last, y, train)

    def _opened(self, i: int, x: Array, train: bool) -> Array:
        """Scale i up to its opening; a basic block has none."""
        return x if self.spec.block_type == "basic" else self._opening(i)(x, train)

    def _opening(self, i: int) -> TemporalConv:
        """The pointwise convolution that scale i begins with."""
        s = self.spec
        if s.block_type == "bottleneck":
            return TemporalConv(s.features, s.inner, gain=_SQRT2, name=f"down_{i}")
        return TemporalConv(s.features, s.inner, gain=_SQRT2, use_bias=False, name=f"up_{i}")

    def _hidden(self, i: int, x: Array, train: bool) -> Array:
        """Scale i from behind its opening up to its last convolution."""
        s, act = self.spec, self.activation
        if s.block_type == "basic":
            return x
        y = act(self._middle(i)(act(x), train))
        if s.block_type == "mbconv" and s.se_inner:
            y = SqueezeExcitation(s.inner, s.se_inner, act, name=f"se_{i}")(y)
        return y

    def _middle(self, i: int) -> Any:
        """The dilated convolution of scale i, of a block that is not basic."""
        s = self.spec
        if s.block_type == "bottleneck":
            return TemporalConv(s.inner, s.inner, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")
        return DepthwiseConv(s.inner, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")

    def _last(self, i: int) -> TemporalConv:
        """The last convolution of scale i."""
        s = self.spec
        if s.block_type == "basic":
            return TemporalConv(s.features, s.features, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")
        if s.block_type == "bottleneck":
            return TemporalConv(s.inner, s.features, gain=_SQRT2, name=f"up_{i}")
        return TemporalConv(s.inner, s.features, gain=_SQRT2, use_bias=False, name=f"down_{i}")

    def _composed_scales(self, x: Array) -> Array:
        """All scales and their fusion, of the variables that `model.compose_scales` makes."""
        s = self.spec
        bias = parameter(self, "bias", Constant(0), (s.features,))
        if s.block_type == "basic":
            kernels = {
                frames: parameter(self, f"taps_{n}", Constant(0), (len(frames), s.features, s.features))
                for n, frames in enumerate(s.frames)
            }
            return sparse_temporal_convolution(x, kernels, s.stride) + bias
        openings = parameter(self, "openings", Constant(0), (s.features, s.scales * s.inner))
        y = bias
        for i, opened in enumerate(jnp.split(pointwise(x, openings), s.scales, axis=-1)):
            opened = opened + parameter(self, f"opening_bias_{i}", Constant(0), (s.inner,))
            last = parameter(self, f"last_{i}", Constant(0), (s.inner, s.features))
            y = y + pointwise(self._hidden(i, opened, False), last)
        return y

    def _own_unused(self) -> None:
        s, act = self.spec, self.activation
        nothing = jnp.zeros((1, 1, 1, s.features))
        if s.block_type == "basic":
            for i in range(s.scales):
                TemporalConv(s.features, s.features, gain=_SQRT2, name=f"down_{i}")(nothing, False)
                TemporalConv(s.features, s.features, gain=_SQRT2, name=f"up_{i}")(nothing, False)
        if s.scales == 1:
            TemporalConv(s.features, s.features, name="fuse")(nothing, False)
            if s.outer_ratio:
                SqueezeExcitation(s.features, s.outer_ratio, act, name="outer_se")(nothing)


class GraphModule(nn.Module):
    """Spatial block, temporal block, attention, with the module's edge importance and residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(self, x: Map, adjacency: Graph, train: bool) -> Map:
        """Apply the module."""
        s, act = self.spec, self.activation
        importance = parameter(self, "edge_importance", Constant(1), adjacency.shape)
        flops.record("multiplication", adjacency.size)
        residual: Array | float = 0.0
        if s.module_residual:
            same = s.stride == 1 and s.inputs == s.features
            residual = x if same else TemporalConv(s.inputs, s.features, stride=s.stride, name="residual")(x, train)
        y = SpatialBlock(s, act, self.lean, name="spatial")(x, adjacency * importance, train)
        y = TemporalBlock(s, act, self.lean, name="temporal")(y, residual, train)
        if s.attention != "null":
            y = Attention(s.attention, s.features, x.shape[0], s.kernel_size, act, name="attention")(y, train)
        return y
