"""Variables of a graph network for evaluation alone: norms are folded, and scales composed with their fusion.

Behind the last convolution of each scale of a temporal block stands a linear fusion: together they are one affine map.
Composed, and with the taps of all dilations in one convolution, assessing takes a third less time.
"""

from itertools import chain
from typing import Any

import flax.linen as nn

from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.plan import ModuleSpec, plan
from infantjax.nn.kernels.folding import fold_batch_norm


def fold(network: nn.Module, variables: Any) -> dict[str, Any]:
    """Variables with which a network computes the same in evaluation mode, with fewer operations."""
    folded = fold_batch_norm(variables)
    if isinstance(network, GraphNetwork):
        branches, _, main = plan(network.architecture)
        for spec in chain(*branches, main):
            if spec.composable:
                module = folded["params"][spec.name]
                module["temporal"] = compose_scales(spec, module["temporal"])
    return folded


def compose_scales(spec: ModuleSpec, temporal: dict[str, Any]) -> dict[str, Any]:
    """Compose the scales of a temporal block with their fusion.

    Args:
        spec: sizes of the module.
        temporal: parameters of its temporal block, whose norms are folded.

    Returns:
        The parameters with `taps_n` of all scales (basic blocks), or `openings` of all scales side by side,
        `opening_bias_i` and `last_i`, and with `bias`, in place of openings, last convolutions and fusion.
    """
    first, last = {"basic": (None, "conv"), "bottleneck": ("down", "up"), "mbconv": ("up", "down")}[spec.block_type]
    left, fuse = dict(temporal), temporal["fuse"]
    del left["fuse"]
    lasts = [left.pop(f"{last}_{i}") for i in range(spec.scales)]
    parts = [fuse["kernel"][0][i * spec.features :][: spec.features] for i in range(spec.scales)]
    left["bias"] = fuse["bias"] + sum(each["bias"] @ part for each, part in zip(lasts, parts))
    kernels = [each["kernel"] @ part for each, part in zip(lasts, parts)]
    arrays = kernels[0].__array_namespace__()
    if first is None:
        taps = {frame: arrays.zeros_like(kernels[0][0]) for frames in spec.frames for frame in frames}
        for i, kernel in enumerate(kernels):
            for row, weights in enumerate(kernel):
                taps[(i + 1) * (row - len(kernel) // 2)] += weights
        return left | {f"taps_{n}": arrays.stack([taps[f] for f in frames]) for n, frames in enumerate(spec.frames)}
    openings = [left.pop(f"{first}_{i}") for i in range(spec.scales)]
    left["openings"] = arrays.concatenate([each["kernel"][0] for each in openings], -1)
    left |= {f"opening_bias_{i}": each["bias"] for i, each in enumerate(openings)}
    return left | {f"last_{i}": kernel[0] for i, kernel in enumerate(kernels)}
