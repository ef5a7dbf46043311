"""Batch norm folded into the kernels before it, once for all calls in evaluation mode.

A norm in evaluation mode is an affine map of the running statistics. Computed within the program it is a dozen
operations on a few numbers for each of some hundred norms: six of ten kernels that XLA compiles, and a tenth of the
time of a window of the ensemble. They are computed once instead.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import numpy as np


def fold_batch_norm(variables: Any, epsilon: float = 1e-5) -> dict[str, Any]:
    """Variables of one network without running statistics; applied in evaluation mode they give the same.

    A norm whose layer has a kernel of its own goes into that kernel and its bias. Any other keeps `scale` and `bias`,
    which are then the whole map.

    Args:
        variables: of a network of `TemporalConv`, `DepthwiseConv`, `GraphConv`, `GroupedGraphConv` and `BatchNorm`
            layers, whose norms follow their kernels directly; NumPy's arrays, or JAX's, also while they are traced.
        epsilon: of the norms.
    """

    def fold(params: Any, stats: Any) -> Any:
        if not isinstance(params, Mapping):
            return params
        if "mean" in stats:
            arrays = stats["var"].__array_namespace__()
            scale = params["scale"] / arrays.sqrt(stats["var"] + np.float32(epsilon))
            return {"scale": scale, "bias": params["bias"] - stats["mean"] * scale}
        folded = {name: fold(each, stats.get(name, {})) for name, each in params.items()}
        # The bias of a graph convolution, one a matrix, is spread by the adjacency before the norm.
        if {"kernel", "norm"} <= folded.keys() and np.ndim(folded.get("bias", 0)) < 2:
            norm = folded.pop("norm")
            folded["kernel"] = folded["kernel"] * norm["scale"]
            folded["bias"] = folded.get("bias", np.float32(0)) * norm["scale"] + norm["bias"]
        return folded

    rest = {name: each for name, each in variables.items() if name not in ("params", "batch_stats")}
    return {**rest, "params": fold(variables["params"], variables.get("batch_stats", {}))}


def is_folded(module: nn.Module, name: str = "norm") -> bool:
    """Whether the variables of a submodule are gone because they were folded into others; call it in `setup`."""
    return not module.is_initializing() and not module.has_variable("params", name)
