"""From the names of a PyTorch state dict to the variables of a network: a table of places, each with its axes.

An importer yields `(name, Place)` pairs in the order of the network's layers, by `conv`, `norm` and `Place` itself;
`place` puts the arrays there and refuses what does not fit, in one line.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from einops import EinopsError, rearrange

from infantjax.errors import InputError
from infantjax.models.entry import variable_shapes
from infantjax.weights.pytorch import read_state

State = Mapping[str, Any]
Variables = dict[str, Any]

CONV = "features inputs tap 1 -> tap inputs features"
"""Axes of a convolution over time that PyTorch holds as a 2-D one."""
CONV_1D = "features inputs tap -> tap inputs features"
DEPTHWISE = "channel 1 tap 1 -> tap channel"
POINTWISE = "features inputs 1 1 -> inputs features"
POINTWISE_1D = "features inputs 1 -> inputs features"
LINEAR = "features inputs -> inputs features"

REMEDY = "give the weights together with the architecture they were trained for"
_IGNORED = ("num_batches_tracked",)


class Place(NamedTuple):
    """Where one array of a state dict goes.

    Attributes:
        collection: of the variables.
        path: in the collection.
        axes: einops pattern from PyTorch's layout to ours; empty where they are equal.
        sizes: of axes that the pattern splits.
    """

    collection: str
    path: tuple[str, ...]
    axes: str = ""
    sizes: Mapping[str, int] = {}


Places = Iterator[tuple[str, Place]]


def norm(torch: str, *path: str, axes: str = "", **sizes: int) -> Places:
    """The places of a batch norm."""
    yield f"{torch}.weight", Place("params", (*path, "scale"), axes, sizes)
    yield f"{torch}.bias", Place("params", (*path, "bias"), axes, sizes)
    yield f"{torch}.running_mean", Place("batch_stats", (*path, "mean"), axes, sizes)
    yield f"{torch}.running_var", Place("batch_stats", (*path, "var"), axes, sizes)


def conv(torch: str, torch_norm: str | None, *path: str, bias: bool = True, axes: str = CONV, **sizes: int) -> Places:
    """The places of a convolution and of its batch norm, if it has one."""
    yield f"{torch}.weight", Place("params", (*path, "kernel"), axes, sizes)
    if bias:
        yield f"{torch}.bias", Place("params", (*path, "bias"))
    if torch_norm is not None:
        yield from norm(torch_norm, *path, "norm")


def arrays_of(state: State | str | Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict or its file by name, without the prefix `state/` and without batch counters."""
    raw = read_state(state) if isinstance(state, str | Path) else state
    prefix = "state/" if any(name.startswith("state/") for name in raw) else ""
    return {
        name.removeprefix(prefix): np.asarray(value)
        for name, value in raw.items()
        if name.startswith(prefix) and not name.endswith(_IGNORED)
    }


def place(
    state: State | str | Path,
    places: Mapping[str, Place],
    module: nn.Module,
    input_shape: tuple[int, ...],
    where: str = "",
) -> Variables:
    """The variables of a network from a state dict.

    Args:
        state: mapping from PyTorch names to arrays, or the path of a `.npz` or `.pth`.
        places: where each array goes.
        module: the network, for the shapes of its variables.
        input_shape: of one example.
        where: names the state dict in messages; empty for its path.

    Returns:
        Collections as nested dicts of NumPy arrays, float32 (float64 where the state has it).

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    where = where or (str(state) if isinstance(state, str | Path) else "state dict")
    arrays = arrays_of(state)
    if missing := sorted(set(places) - set(arrays)):
        raise InputError(where, f"missing parameter {shorten(missing)} of {len(places)}", REMEDY)
    if extra := sorted(set(arrays) - set(places)):
        raise InputError(where, f"unexpected parameter {shorten(extra)}", REMEDY)
    variables: Variables = {}
    for name, target in places.items():
        node = variables.setdefault(target.collection, {})
        for part in target.path[:-1]:
            node = node.setdefault(part, {})
        node[target.path[-1]] = _arranged(name, arrays[name], target, where)
    _require_shapes(variables, variable_shapes(module, input_shape), where)
    return variables


def shorten(names: list[str]) -> str:
    """The first of some names and how many there are besides."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _arranged(name: str, array: np.ndarray, target: Place, where: str) -> np.ndarray:
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(where, f"{name} is not an array of finite numbers", "the weights are damaged")
    # Half precision is computed in float32; bytes in another order become native ones.
    array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    try:
        arranged = rearrange(array, target.axes, **target.sizes) if target.axes else array
    except EinopsError:
        raise InputError(where, f"{name} has shape {array.shape}, which does not fit", REMEDY) from None
    return np.ascontiguousarray(arranged)


def _require_shapes(variables: Variables, expected: Mapping[str, Any], where: str) -> None:
    found = dict(_leaves(variables))
    for path, leaf in _leaves(expected):
        if found[path].shape != leaf.shape:
            what = f"{'/'.join(path)} has shape {found[path].shape}, the architecture needs {leaf.shape}"
            raise InputError(where, what, REMEDY)


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value
