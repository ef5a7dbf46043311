"""CP-GCN-29: import of the public weights, and of others in the same layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.files import git_blob_id
from infantjax.methods.cp_gcn_29 import CHECKPOINTS
from infantjax.methods.cp_gcn_29.architecture import RELEASED, Architecture, Layer, plan
from infantjax.methods.cp_gcn_29.blocks import HOPS, PART_OF
from infantjax.methods.cp_gcn_29.model import ENTRIES, STREAMS, CpGcn29Network
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member
from infantjax.weights.placement import REMEDY, Place, Places, State, Variables, arrays_of, conv, norm, place
from infantjax.weights.pytorch import read_checkpoint

STATEMENT = (
    "trained on private infants by others (ShapGCN, Apache-2.0); its metrics (AUC 0.946, sensitivity 17 of 18, "
    "specificity 89 of 102) come from the set that chose the epoch, and none on a test set were published; not "
    "validated through this pipeline. The tracker, the length of windows and the threshold that they were trained with "
    "are not published. Research use only."
)

_GRAPH = "(matrix features) inputs 1 1 -> inputs matrix features"
_GRAPH_BIAS = "(matrix features) -> matrix features"
_DEPTHWISE = "channel 1 tap 1 -> tap channel"
_CLASSIFIER = "features inputs 1 1 1 -> inputs features"
_INPUT_SHAPE = (225, 29, 16)

_CONVOLUTIONS = {
    "Basic": ("",),
    "Bottleneck": ("reduct_conv", "conv", "expand_conv"),
    "Sep": ("expand_conv", "depth_conv", "point_conv"),
    "SG": ("depth_conv1", "point_conv1", "point_conv2", "depth_conv2"),
    "V3": ("expand_conv", "depth_conv", "point_conv"),
    "Shuffle": ("point_conv", "depth_conv", "point_conv_expand"),
}
"""Convolutions of each temporal layer, each followed by its norm."""


def import_cp_gcn_29(state: State | str | Path, architecture: Architecture = RELEASED) -> Variables:
    """Variables of a `CpGcn29Network` from a state dict of the reference implementation.

    Args:
        state: mapping from PyTorch names to arrays, or the path of a `.npz` or `.pth` state dict, or of a checkpoint
            of the reference implementation (`.pth.tar`).
        architecture: the architecture that the weights belong to.

    Returns:
        `{"params", "batch_stats", "constants"}` as nested dicts of NumPy arrays; the adjacency is the stored one.

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    where = str(state) if isinstance(state, str | Path) else "state dict"
    if isinstance(state, str | Path) and Path(state).suffix == ".tar":
        state = read_public_checkpoint(state)[0]
    arrays = arrays_of(state)
    for name in [name for name in arrays if name.endswith(".att.joints")]:
        if not np.array_equal(arrays.pop(name), PART_OF):
            raise InputError(where, f"{name} has other parts of the body than in-motion-29", REMEDY)
    return place(arrays, dict(places(architecture)), CpGcn29Network(architecture), _INPUT_SHAPE, where)


def places(architecture: Architecture) -> Places:
    """Names of the reference implementation with their places in a `CpGcn29Network`."""
    stream, main = plan(architecture)
    for number, name in enumerate(STREAMS):
        yield from norm(f"input_stream.{number}.init_bn", name, "norm")
        for layer in stream:
            yield from _layer(layer, architecture, f"input_stream.{number}.", name)
    for layer in main:
        yield from _layer(layer, architecture, "main_stream.")
    yield from conv("classifier.fc", None, "classifier", axes=_CLASSIFIER)


def _layer(s: Layer, a: Architecture, prefix: str, *path: str) -> Places:
    torch, path = prefix + s.torch, (*path, s.name)
    if s.kind == "attention":
        yield from _attention(a.att_lay, f"{torch}.att", *path, "weights")
        yield from norm(f"{torch}.bn", *path, "norm")
        return
    if s.kind == "graph":
        sizes = {"matrix": s.matrices}
        yield f"{torch}.conv.A", Place("constants", (*path, "adjacency"))
        yield f"{torch}.conv.edge", Place("params", (*path, "edge_importance"))
        yield f"{torch}.conv.gcn.weight", Place("params", (*path, "graph", "kernel"), _GRAPH, sizes)
        yield f"{torch}.conv.gcn.bias", Place("params", (*path, "graph", "bias"), _GRAPH_BIAS, sizes)
        yield from norm(f"{torch}.bn", *path, "graph", "norm")
        has_residual = s.inputs != s.features
    elif s.kind == "Basic":
        yield from conv(f"{torch}.conv", f"{torch}.bn", *path, "conv")
        has_residual = s.stride != 1
    else:
        yield from _temporal(s, torch, *path)
        has_residual = s.stride != 1
    if has_residual:
        yield from conv(f"{torch}.residual.0", f"{torch}.residual.1", *path, "residual")


def _temporal(s: Layer, torch: str, *path: str) -> Places:
    for name in _CONVOLUTIONS[s.kind]:
        if not name.startswith("depth_conv"):
            yield from conv(f"{torch}.{name}.0", f"{torch}.{name}.1", *path, name)
            continue
        yield f"{torch}.{name}.0.weight", Place("params", (*path, name, "kernel"), _DEPTHWISE)
        yield f"{torch}.{name}.0.bias", Place("params", (*path, name, "bias"))
        yield from norm(f"{torch}.{name}.1", *path, name, "norm")
    if s.kind == "V3":
        torch = f"{torch}.squeez_excite"
        yield from conv(f"{torch}.1", f"{torch}.2", *path, "squeeze", bias=False)
        yield from conv(f"{torch}.4", f"{torch}.5", *path, "excite", bias=False)


def _attention(kind: str, torch: str, *path: str) -> Places:
    if kind == "fa":
        yield from conv(f"{torch}.conv", None, *path, "conv")
    elif kind == "stja":
        yield from conv(f"{torch}.fcn.0", f"{torch}.fcn.1", *path, "reduce")
        yield from conv(f"{torch}.conv_t", None, *path, "frames")
        yield from conv(f"{torch}.conv_v", None, *path, "joints")
    else:
        yield from conv(f"{torch}.fcn.1", f"{torch}.fcn.2", *path, "reduce")
        yield from conv(f"{torch}.fcn.4", None, *path, "expand")


# --- files -----------------------------------------------------------------------------------------------------------


def read_public_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The state dict and the choices of the architecture in a checkpoint of the reference implementation.

    The choices are empty where they are missing or no plain values.

    Raises:
        InputError: the file cannot be read, or is no such checkpoint.
    """
    content = read_checkpoint(path, ("model", "actions"))
    parts = content.get("model")
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise InputError(path, "holds no model of three parts", "give a checkpoint of ShapGCN")
    state = {name: array for part in parts.values() for name, array in part.items()}
    if unnamed := [name for name, array in state.items() if not isinstance(array, np.ndarray)]:
        raise InputError(path, f"{unnamed[0]} is no array", "give a checkpoint of ShapGCN")
    choices = content.get("actions")
    return state, choices if isinstance(choices, dict) else {}


def import_ensemble(path: str | Path) -> Ensemble:
    """The public weights as an ensemble of one network, with the settings that are known of their training.

    Args:
        path: the downloaded `student_model_9999.pth.tar`.

    Raises:
        InputError: another file, damaged, or of another architecture.
    """
    from infantjax.methods.cp_gcn_29.method import CpGcn29

    entry = ENTRIES[0]
    if not Path(path).is_file():
        raise InputError(path, "is not a file", f"download it from {entry.weights[0].address}")
    blob = git_blob_id(path)
    if blob not in CHECKPOINTS["weights"]:
        raise InputError(path, f"has the git blob id {blob}, not that of the public weights", "download it again")
    state, choices = read_public_checkpoint(path)
    try:
        architecture = Architecture.from_choices(choices)
    except (ValueError, TypeError) as error:
        raise InputError(path, f"names another architecture ({error})", "give the public weights") from None
    variables = import_cp_gcn_29(state, architecture)
    overrides = architecture.to_choices() if architecture != RELEASED else {}
    method = CpGcn29(overrides=overrides)
    hops = skeletons.adjacency(skeletons.IN_MOTION_29, f"hops{HOPS}")
    stored = [array for name, array in state.items() if name.endswith(".A")]
    agree = all(np.allclose(array, hops[: len(array)], atol=1e-6) for array in stored)
    training = {
        "git_blob": blob,
        "architecture": architecture.to_choices(),
        "license": entry.weights[0].license,
        "published": dict(entry.published.scores),
        "notes": [f"stored adjacency: {'' if agree else 'not '}that of in-motion-29{'' if agree else ', and used'}"],
    }
    info = EnsembleInfo(
        method=method.name,
        settings=method.settings,
        skeleton=method.skeleton,
        threshold=method.threshold,
        statement=STATEMENT,
        training=training,
    )
    return Ensemble((Member(entry.name, _with_runs(variables), overrides),), info)


def _with_runs(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays with a leading axis of one run."""
    return {k: _with_runs(v) if isinstance(v, Mapping) else np.asarray(v)[None] for k, v in tree.items()}
