"""Graph convolution over the joints, in the layout `[joint, batch, time, channel]`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float

from infantjax.nn import flops
from infantjax.nn.initializers import Constant, HeNormalFanOut, UniformFanIn, parameter
from infantjax.nn.kernels.convolution import pointwise
from infantjax.nn.kernels.folding import is_folded
from infantjax.nn.kernels.lowering import fusion_barrier, on_cpu
from infantjax.nn.layers import BatchNorm
from infantjax.skeletons import Skeleton

Map = Float[Array, "joint batch time channel"]
Graph = Float[Array, "matrix joint joint_out"]
"""Weights of what each joint gives to others."""

_FEW_CHANNELS = 8


def joints_first(x: Float[Array, "batch time joint channel"], skeleton: Skeleton, channels: int) -> Map:
    """The input in the layout inside of the networks.

    Raises:
        ValueError: another shape; the message has both.
    """
    joints = len(skeleton.joints)
    if x.ndim != 4 or x.shape[2:] != (joints, channels):
        raise ValueError(f"input must be [batch, time, {joints} joints, {channels} channels], got {x.shape}")
    return rearrange(x, "batch time joint channel -> joint batch time channel")


class Block(NamedTuple):
    """One matrix of a graph convolution with the input channels it reads: `kernel [in[start:stop], out]`."""

    start: int
    stop: int
    kernel: Array


def graph_product(x: Map, matrix: Float[Array, "joint_out joint"]) -> Map:
    """Multiply the joints by one matrix from the left."""
    _, batch, time, _ = x.shape
    flat = rearrange(fusion_barrier(x), "joint batch time channel -> joint (batch time channel)")
    split = "joint (batch time channel) -> joint batch time channel"
    return rearrange(matrix @ flat, split, batch=batch, time=time)


def graph_convolution(x: Map, adjacency: Graph, blocks: Sequence[Block]) -> Map:
    """Sum over the matrices `k` of `A[k]` applied over the joints and `kernel[k]` applied over the channels.

    On a CPU the adjacency goes first, which leaves fewer channels for the other product and is fast both ways.
    Elsewhere all matrices and kernels are one matrix from joints and channels to joints and channels, unless that would
    be larger than x: more arithmetic, but activations are read and written once in place of ten times
    (`benchmarks/compile_targets.py`).
    """
    channels, outputs = x.shape[-1], blocks[0].kernel.shape[-1]
    if not on_cpu() and adjacency[0].size * channels * outputs <= x.size:
        kernels = [jnp.pad(kernel, ((start, channels - stop), (0, 0))) for start, stop, kernel in blocks]
        matrix = jnp.einsum("kvw,kio->viwo", adjacency, jnp.stack(kernels))
        return jnp.einsum("vbti,viwo->wbto", x, matrix)
    # The CPU backend has no fast kernel for a product that reads its left factor transposed.
    transposed = fusion_barrier(rearrange(adjacency, "matrix joint joint_out -> matrix joint_out joint"))
    parts = [graph_product(x[..., block.start : block.stop], matrix) for matrix, block in zip(transposed, blocks)]
    if x.shape[-1] < _FEW_CHANNELS or sum(block.stop - block.start for block in blocks) < 2 * x.shape[-1]:
        # A product over two channels keeps no unit busy, and matrices that share the channels out would each write a
        # full output from a few of them: their channels side by side make it one product.
        return pointwise(jnp.concatenate(parts, -1), jnp.concatenate([block.kernel for block in blocks]))
    return sum(
        (pointwise(part, block.kernel) for part, block in zip(parts[1:], blocks[1:])),
        pointwise(parts[0], blocks[0].kernel),
    )


class GraphConv(nn.Module):
    """Graph convolution with its norm: a pointwise convolution to K groups of channels, summed over K matrices.

    The bias lies inside the sum over joints, as published, and is therefore spread by the adjacency.

    Variables: `params` kernel `[in, matrix, out]`, bias `[matrix, out]`, and those of the norm.

    Source: Yan et al. 2018 (ST-GCN); Groos et al., Paper III.
    """

    inputs: int
    features: int
    matrices: int
    gain: float = 1.0

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.inputs, self.matrices, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(self.gain, (1, 2)), shape)
        self.bias = parameter(self, "bias", UniformFanIn(self.inputs), shape[1:])
        self.batch_norm = BatchNorm((self.features,), name="norm")

    def __call__(self, x: Map, adjacency: Graph, train: bool) -> Map:
        """Convolve and normalize."""
        chex.assert_shape(x, (None, None, None, self.inputs))
        chex.assert_shape(adjacency, (self.matrices, len(x), None))
        spread = rearrange(jnp.einsum("kc,kvw->wc", self.bias, adjacency), "joint channel -> joint 1 1 channel")
        kernel = self.kernel
        flops.record("convolution", x.size * self.matrices * self.features)
        flops.record("adjacency", x.size // self.inputs * self.matrices * self.features * adjacency.shape[-1])
        if not train:
            kernel, spread = self.batch_norm.into(kernel, spread)
        blocks = [Block(0, self.inputs, kernel[:, k]) for k in range(self.matrices)]
        y = graph_convolution(x, adjacency, blocks) + spread
        return self.batch_norm(y, train) if train else y


class GroupedGraphConv(nn.Module):
    """The "depthwise" graph convolution of the inverted-residual block, with its norm.

    The reference implementation lays its outputs out by input channel and reads them by matrix: output channel `c` of
    matrix `k` is computed from input channel `(k * m + c) // K`, not from `c`. Weights were trained with that and it is
    kept; each matrix therefore reads one contiguous part of the channels.

    Variables: `params` kernel `[matrix, channel]` and those of the norm.

    Source: the reference implementation (movement-outcome); the paper says depthwise.
    """

    features: int
    matrices: int

    def setup(self) -> None:
        """Declare the variables."""
        shape = (self.matrices, self.features)
        self.kernel = parameter(self, "kernel", HeNormalFanOut(1.0, (0, 1)), shape)
        self.batch_norm: Any = None
        self.bias: Any = None
        if is_folded(self):
            self.bias = parameter(self, "bias", Constant(0), (self.features,))
        else:
            self.batch_norm = BatchNorm((self.features,), name="norm")

    def __call__(self, x: Map, adjacency: Graph, train: bool) -> Map:
        """Convolve and normalize."""
        kernel, bias = self.kernel, self.bias
        flops.record("convolution", x.size * self.matrices)
        flops.record("adjacency", x.size * self.matrices * adjacency.shape[-1])
        if self.batch_norm is not None and not train:
            kernel, bias = self.batch_norm.into(kernel, None)
        blocks = [self._block(k, kernel[k]) for k in range(self.matrices)]
        y = graph_convolution(x, adjacency, blocks)
        return self.batch_norm(y, train) if train else y + bias

    def _block(self, matrix: int, weights: jax.Array) -> Block:
        # The misaligned grouping as a small matrix with one weight a column: a product instead of a gather along the
        # minor axis, and only m / K of the channels pass through the adjacency.
        channels = np.arange(self.features)
        sources = (matrix * self.features + channels) // self.matrices
        start = matrix * self.features // self.matrices
        stop = (matrix * self.features + self.features - 1) // self.matrices + 1
        rows = np.arange(start, stop)
        return Block(start, stop, jnp.where(rows[:, None] == sources[None, :], weights[None, :], 0))
