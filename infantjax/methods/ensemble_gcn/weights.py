"""Import of published-style PyTorch weights of the graph networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infantjax.methods.ensemble_gcn.architecture import Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.plan import ModuleSpec, plan
from infantjax.methods.ensemble_gcn.st_gcn import StGcn
from infantjax.models.entry import variable_shapes
from infantjax.weights.placement import (
    DEPTHWISE,
    LINEAR,
    POINTWISE,
    Place,
    Places,
    State,
    Variables,
    conv,
    norm,
    place,
)

_JOINTS = len(GraphNetwork.skeleton.joints)
_INPUT_SHAPE = (150, _JOINTS, 6)

_GRAPH = "(matrix features) inputs 1 1 -> inputs matrix features"
_GRAPH_DEPTHWISE = "(matrix features) 1 1 1 -> matrix features"
_GRAPH_BIAS = "(matrix features) -> matrix features"
_POOL = "features (channel joint) 1 1 -> joint channel features"
_DATA_NORM = "(joint channel) -> joint 1 1 channel"


def import_movement_outcome(state: State | str | Path, architecture: Architecture, *, lean: bool = False) -> Variables:
    """Variables of a `GraphNetwork` from a state dict of the reference implementation, movement-outcome.

    Args:
        state: mapping from PyTorch names to arrays, or a path to `.npz` (names as keys, with or without the prefix
            `state/`) or `.pth`.
        architecture: the architecture that the weights belong to.
        lean: leave out the parameters that are never used, for `GraphNetwork(..., lean=True)`.

    Returns:
        `{"params", "batch_stats", "constants"}` as nested dicts of NumPy arrays. The adjacency is taken from the state,
        with the tiny constant mask that the reference implementation adds.

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    variables = place(state, dict(graph_network_places(architecture)), GraphNetwork(architecture), _INPUT_SHAPE)
    if not lean:
        return variables
    return _select(variables, variable_shapes(GraphNetwork(architecture, lean=True), _INPUT_SHAPE))


def import_st_gcn(state: State | str | Path) -> Variables:
    """Variables of `StGcn` from a state dict of the original ST-GCN with two input channels.

    Args and errors as for `import_movement_outcome`.
    """
    return place(state, dict(st_gcn_places()), StGcn(), (*_INPUT_SHAPE[:2], 2))


def _select(tree: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of nested dicts that another one has as well."""
    return {k: _select(tree[k], v) if isinstance(v, Mapping) else tree[k] for k, v in like.items()}


def graph_network_places(a: Architecture) -> Places:
    """Names of the reference implementation with their places in a `GraphNetwork`."""
    branches, _, main = plan(a)
    yield "A_input", Place("constants", ("adjacency_input",))
    if a.graph == "dis42":
        yield "A_main", Place("constants", ("adjacency_main",))
    yield from norm("data_bn", "data_norm", axes=_DATA_NORM, channel=6)
    for b, modules in enumerate(branches):
        for i, spec in enumerate(modules):
            importance = f"edge_importance_input.{b * len(modules) + i:05d}"
            yield from _module(f"st_gcn_input.{b}.{i}", importance, spec, a)
    for j, spec in enumerate(main):
        # Only dis42 gives the main modules a series of their own.
        importance = (
            f"edge_importance_main.{j:05d}"
            if a.graph == "dis42"
            else f"edge_importance_input.{3 * a.num_input_modules + j:05d}"
        )
        yield from _module(f"st_gcn_main.{j}", importance, spec, a)
    yield from conv("bottleneck_conv", "bottleneck_bn", "fuse")
    if a.pool == "spatial":
        yield from conv("fcn_pool", None, "pool", axes=_POOL, joint=_JOINTS)
    yield from conv("fcn", None, "classifier", axes=POINTWISE)


def _module(torch: str, importance: str, s: ModuleSpec, a: Architecture) -> Places:
    yield importance, Place("params", (s.name, "edge_importance"))
    if s.residual in ("module", "dense") and not (s.stride == 1 and s.inputs == s.features):
        yield from conv(f"{torch}.residual.0", f"{torch}.residual.1", s.name, "residual")
    yield from _spatial(f"{torch}.gcn", s)
    yield from _temporal(f"{torch}.tcn", s)
    yield from _attention(f"{torch}.attention", s.name, a.attention)


def _spatial(torch: str, s: ModuleSpec) -> Places:
    path = (s.name, "spatial")
    if s.residual in ("block", "dense") and s.inputs != s.features:
        yield from conv(f"{torch}.residual.0", f"{torch}.residual.1", *path, "residual")
    own_bias = s.block_type != "mbconv"
    for end in ("down", "up"):
        yield from conv(f"{torch}.conv_{end}", f"{torch}.bn_{end}", *path, end, bias=own_bias)
    if s.block_type == "mbconv":
        weight = f"{torch}.depthwise_conv.conv.weight"
        yield weight, Place("params", (*path, "graph", "kernel"), _GRAPH_DEPTHWISE, {"matrix": s.matrices})
    else:
        weight, bias = f"{torch}.conv.conv.weight", f"{torch}.conv.conv.bias"
        yield weight, Place("params", (*path, "graph", "kernel"), _GRAPH, {"matrix": s.matrices})
        yield bias, Place("params", (*path, "graph", "bias"), _GRAPH_BIAS, {"matrix": s.matrices})
    yield from norm(f"{torch}.bn", *path, "graph", "norm")
    if s.se_inner:
        yield from _excitation(f"{torch}.se", *path, "se")


def _temporal(torch: str, s: ModuleSpec) -> Places:
    path = (s.name, "temporal")
    if s.residual in ("block", "dense") and s.stride > 1:
        yield from conv(f"{torch}.residual.0", f"{torch}.residual.1", *path, "residual")
    for i in range(s.scales):
        scale = f"{torch}.temporal_branches.{i}"
        if s.block_type == "mbconv":
            yield from conv(f"{scale}.0", f"{scale}.1", *path, f"up_{i}", bias=False)
            yield f"{scale}.2.weight", Place("params", (*path, f"conv_{i}", "kernel"), DEPTHWISE)
            yield from norm(f"{scale}.3", *path, f"conv_{i}", "norm")
            yield from conv(f"{scale}.5", f"{scale}.6", *path, f"down_{i}", bias=False)
        else:
            yield from conv(f"{scale}.0", f"{scale}.1", *path, f"down_{i}")
            yield from conv(f"{scale}.2", f"{scale}.3", *path, f"conv_{i}")
            yield from conv(f"{scale}.4", f"{scale}.5", *path, f"up_{i}")
        if s.se_inner:
            yield from _excitation(f"{scale}.{4 if s.block_type == 'mbconv' else 7}", *path, f"se_{i}")
    yield from conv(f"{torch}.conv", f"{torch}.bn", *path, "fuse")
    if s.outer_ratio:
        yield from _excitation(f"{torch}.outer_se", *path, "outer_se")


def _attention(torch: str, module: str, kind: str) -> Places:
    path = (module, "attention")
    if kind == "null":
        return
    if kind == "frame":
        yield from conv(f"{torch}.conv", None, *path, "frame", "conv")
    else:
        yield from conv(f"{torch}.fcn.1", f"{torch}.fcn.2", *path, kind, "reduce")
        yield from conv(f"{torch}.fcn.4", None, *path, kind, "expand")
    yield from norm(f"{torch}.bn", *path, "norm")


def _excitation(torch: str, *path: str) -> Places:
    yield f"{torch}.fc.0.weight", Place("params", (*path, "squeeze"), LINEAR)
    yield f"{torch}.fc.2.weight", Place("params", (*path, "excite"), LINEAR)


def st_gcn_places() -> Places:
    """Names of the original ST-GCN with their places in `StGcn`."""
    yield "A", Place("constants", ("adjacency",))
    yield from norm("data_bn", "data_norm", axes=_DATA_NORM, channel=2)
    inputs = 2
    for i, features in enumerate(StGcn.widths):
        torch, path = f"st_gcn_networks.{i}", f"layer_{i}"
        yield f"edge_importance.{i}", Place("params", (path, "edge_importance"))
        yield f"{torch}.gcn.conv.weight", Place("params", (path, "graph", "kernel"), _GRAPH, {"matrix": 3})
        yield f"{torch}.gcn.conv.bias", Place("params", (path, "graph", "bias"), _GRAPH_BIAS, {"matrix": 3})
        yield from norm(f"{torch}.tcn.0", path, "graph", "norm")
        yield from conv(f"{torch}.tcn.2", f"{torch}.tcn.3", path, "conv")
        if i and inputs != features:
            yield from conv(f"{torch}.residual.0", f"{torch}.residual.1", path, "residual")
        inputs = features
    yield from conv("fcn", None, "classifier", axes=POINTWISE)
