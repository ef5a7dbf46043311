"""Import of published-style PyTorch weights of the graph networks and of the lifting network.

State dicts come as a mapping from names to arrays, as `.npz`, or as `.pth`, which is read without executing code from
it: the unpickler knows five names (ordered dictionaries, tensors and their storages) and refuses every other.
"""

import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import flax.linen as nn
import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES
from infantjax.methods.ensemble_gcn.model import Architecture, GraphNetwork, ModuleSpec, StGcn, plan
from infantjax.models.entry import variable_shapes
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.weights.archive import DAMAGE, open_archive, read_npz

State = Mapping[str, Any]
Variables = dict[str, Any]

_IGNORED = ("num_batches_tracked",)
_INPUT_SHAPE = (150, len(GraphNetwork.skeleton.joints), 6)
_REMEDY = "give the weights together with the architecture they were trained for"


class _Place(NamedTuple):
    """Where one array of a state dict goes: collection, path, and how its axes are rearranged."""

    collection: str
    path: tuple[str, ...]
    arrange: Callable[[np.ndarray], np.ndarray]


def import_movement_outcome(state: State | str | Path, architecture: Architecture, *, lean: bool = False) -> Variables:
    """Variables of a `GraphNetwork` from a state dict of the released movement-outcome program.

    Args:
        state: mapping from PyTorch names to arrays, or a path to `.npz` (names as keys, with or without the prefix
            `state/`) or `.pth`.
        architecture: the architecture that the weights belong to.
        lean: leave out the parameters that are never used, for `GraphNetwork(..., lean=True)`.

    Returns:
        `{"params", "batch_stats", "constants"}` as nested dicts of NumPy arrays. The adjacency is taken from the state,
        with the tiny constant mask that the released program adds.

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    places = dict(_graph_network(architecture))
    where = state if isinstance(state, str | Path) else "state dict"
    variables = _place(_arrays(state), places, str(where))
    _check_shapes(variables, GraphNetwork(architecture), _INPUT_SHAPE, str(where))
    return _drop_unused(variables, architecture) if lean else variables


def import_st_gcn(state: State | str | Path) -> Variables:
    """Variables of `StGcn` from a state dict of the original ST-GCN with two input channels.

    Args and errors as for `import_movement_outcome`.
    """
    where = state if isinstance(state, str | Path) else "state dict"
    variables = _place(_arrays(state), dict(_st_gcn()), str(where))
    _check_shapes(variables, StGcn(), (*_INPUT_SHAPE[:2], 2), str(where))
    return variables


def import_videopose3d(state: State | str | Path, *, causal: bool = False) -> tuple[LiftingNetwork, Variables]:
    """The lifting network and its variables from a state dict of the public VideoPose3D program.

    The published files hold the state dict among other things, some of which would have to be executed; they are
    refused. Save it by itself, where PyTorch is and you trust the file: `torch.save(torch.load(path,
    weights_only=False)["model_pos"], "lifting.pth")`.

    Args:
        state: as for `import_movement_outcome`.
        causal: whether it was trained in the causal form, which the weights do not show.

    Returns:
        The network, its sizes read from the arrays, and `{"params", "batch_stats"}`.

    Raises:
        InputError: an array is missing, left over, of the wrong shape, or not finite: one line naming the first.
    """
    where = str(state) if isinstance(state, str | Path) else "state dict"
    arrays = _arrays(state)
    shapes = {name: array.shape for name, array in arrays.items() if array.ndim == 3}
    stages = sum(name.startswith("layers_conv.") for name in shapes) // 2
    kernels = ["expand_conv.weight", *(f"layers_conv.{2 * i}.weight" for i in range(stages))]
    if absent := [name for name in (*kernels, "shrink.weight") if name not in shapes]:
        raise InputError(where, f"lacks {_first(absent)}, or it is no kernel over time", "is it a VideoPose3D model?")
    channels, inputs, _ = shapes["expand_conv.weight"]
    network = LiftingNetwork(
        inputs=inputs // 2,
        outputs=shapes["shrink.weight"][0] // 3,
        widths=tuple(shapes[name][2] for name in kernels),
        channels=channels,
        causal=causal,
    )
    if inputs % 2 or shapes["shrink.weight"][0] % 3 or not all(width % 2 for width in network.widths):
        raise InputError(where, f"has layers that do not fit together: {dict(shapes)}"[:200], _REMEDY)
    variables = _place(arrays, dict(_videopose3d(stages)), where)
    _check_shapes(variables, network, (network.receptive_field, network.inputs, 2), where)
    return network, variables


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` or `.pth` file by name, without executing anything from it.

    Raises:
        InputError: not such a file, damaged, too large, or it holds anything but arrays.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({getattr(error, 'strerror', error)})", "check the path") from None
    if not path.is_file():
        raise InputError(path, "is not a file", "give a .npz or .pth state dict")
    if size > MAX_FILE_BYTES:
        raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        with path.open("rb") as stream:
            if stream.read(4) == b"PK\x03\x04":
                with open_archive(path) as archive:
                    if not all(name.endswith(".npy") for name in archive.namelist()):
                        return _read_torch_zip(path, archive)
                return read_npz(path)
            stream.seek(0)
            return _read_torch_legacy(path, stream)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(path, f"is not a readable weights file ({reason})", "give a .npz or .pth state dict") from None


# --- names -----------------------------------------------------------------------------------------------------------


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _conv_kernel(x: np.ndarray) -> np.ndarray:
    """(out, in, tap, 1) -> [tap, in, out]."""
    return x[..., 0].transpose(2, 1, 0)


def _kernel_over_time(x: np.ndarray) -> np.ndarray:
    """(out, in, tap) -> [tap, in, out]."""
    return x.transpose(2, 1, 0)


def _depthwise_kernel(x: np.ndarray) -> np.ndarray:
    """(channel, 1, tap, 1) -> [tap, channel]."""
    return x[:, 0, :, 0].T


def _linear_kernel(x: np.ndarray) -> np.ndarray:
    """(out, in) or (out, in, 1, 1) -> [in, out]."""
    return x.reshape(x.shape[0], x.shape[1]).T


def _graph_kernel(matrices: int) -> Callable[[np.ndarray], np.ndarray]:
    """(matrix * out, in, 1, 1) -> [in, matrix, out]."""
    return lambda x: x[..., 0, 0].reshape(matrices, -1, x.shape[1]).transpose(2, 0, 1)


def _grouped(matrices: int) -> Callable[[np.ndarray], np.ndarray]:
    """(matrix * out, ...) -> [matrix, out]."""
    return lambda x: x.reshape(matrices, -1)


def _pool_kernel(x: np.ndarray) -> np.ndarray:
    """(out, channel * joint, 1, 1), joint fastest -> [joint, channel, out]."""
    return x.reshape(x.shape[0], x.shape[0], -1).transpose(2, 1, 0)


def _data_norm(channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """(joint * channel) -> [joint, 1, 1, channel]."""
    return lambda x: x.reshape(-1, 1, 1, channels)


_Named = Iterator[tuple[str, _Place]]


def _norm(torch: str, *path: str, arrange: Callable[[np.ndarray], np.ndarray] = _same) -> _Named:
    yield f"{torch}.weight", _Place("params", (*path, "scale"), arrange)
    yield f"{torch}.bias", _Place("params", (*path, "bias"), arrange)
    yield f"{torch}.running_mean", _Place("batch_stats", (*path, "mean"), arrange)
    yield f"{torch}.running_var", _Place("batch_stats", (*path, "var"), arrange)


def _conv(torch: str, norm: str | None, *path: str, bias: bool = True, arrange: Callable = _conv_kernel) -> _Named:
    yield f"{torch}.weight", _Place("params", (*path, "kernel"), arrange)
    if bias:
        yield f"{torch}.bias", _Place("params", (*path, "bias"), _same)
    if norm is not None:
        yield from _norm(norm, *path, "norm")


def _excitation(torch: str, *path: str) -> _Named:
    yield f"{torch}.fc.0.weight", _Place("params", (*path, "squeeze"), _linear_kernel)
    yield f"{torch}.fc.2.weight", _Place("params", (*path, "excite"), _linear_kernel)


def _graph_network(a: Architecture) -> _Named:
    branches, _, main = plan(a)
    yield "A_input", _Place("constants", ("adjacency_input",), _same)
    if a.graph == "dis42":
        yield "A_main", _Place("constants", ("adjacency_main",), _same)
    yield from _norm("data_bn", "data_norm", arrange=_data_norm(6))
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
    yield from _conv("bottleneck_conv", "bottleneck_bn", "fuse")
    if a.pool == "spatial":
        yield from _conv("fcn_pool", None, "pool", arrange=_pool_kernel)
    yield from _conv("fcn", None, "classifier", arrange=_linear_kernel)


def _module(torch: str, importance: str, s: ModuleSpec, a: Architecture) -> _Named:
    yield importance, _Place("params", (s.name, "edge_importance"), _same)
    if s.residual in ("module", "dense") and not (s.stride == 1 and s.inputs == s.features):
        yield from _conv(f"{torch}.residual.0", f"{torch}.residual.1", s.name, "residual")
    yield from _spatial(f"{torch}.gcn", s)
    yield from _temporal(f"{torch}.tcn", s)
    yield from _attention(f"{torch}.attention", s.name, a.attention)


def _spatial(torch: str, s: ModuleSpec) -> _Named:
    path = (s.name, "spatial")
    if s.residual in ("block", "dense") and s.inputs != s.features:
        yield from _conv(f"{torch}.residual.0", f"{torch}.residual.1", *path, "residual")
    own_bias = s.block_type != "mbconv"
    for end in ("down", "up"):
        yield from _conv(f"{torch}.conv_{end}", f"{torch}.bn_{end}", *path, end, bias=own_bias)
    if s.block_type == "mbconv":
        weight = f"{torch}.depthwise_conv.conv.weight"
        yield weight, _Place("params", (*path, "graph", "kernel"), _grouped(s.matrices))
    else:
        weight, bias = f"{torch}.conv.conv.weight", f"{torch}.conv.conv.bias"
        yield weight, _Place("params", (*path, "graph", "kernel"), _graph_kernel(s.matrices))
        yield bias, _Place("params", (*path, "graph", "bias"), _grouped(s.matrices))
    yield from _norm(f"{torch}.bn", *path, "graph", "norm")
    if s.se_inner:
        yield from _excitation(f"{torch}.se", *path, "se")


def _temporal(torch: str, s: ModuleSpec) -> _Named:
    path = (s.name, "temporal")
    if s.residual in ("block", "dense") and s.stride > 1:
        yield from _conv(f"{torch}.residual.0", f"{torch}.residual.1", *path, "residual")
    for i in range(s.scales):
        scale = f"{torch}.temporal_branches.{i}"
        if s.block_type == "mbconv":
            yield from _conv(f"{scale}.0", f"{scale}.1", *path, f"up_{i}", bias=False)
            yield f"{scale}.2.weight", _Place("params", (*path, f"conv_{i}", "kernel"), _depthwise_kernel)
            yield from _norm(f"{scale}.3", *path, f"conv_{i}", "norm")
            yield from _conv(f"{scale}.5", f"{scale}.6", *path, f"down_{i}", bias=False)
        else:
            yield from _conv(f"{scale}.0", f"{scale}.1", *path, f"down_{i}")
            yield from _conv(f"{scale}.2", f"{scale}.3", *path, f"conv_{i}")
            yield from _conv(f"{scale}.4", f"{scale}.5", *path, f"up_{i}")
        if s.se_inner:
            yield from _excitation(f"{scale}.{4 if s.block_type == 'mbconv' else 7}", *path, f"se_{i}")
    yield from _conv(f"{torch}.conv", f"{torch}.bn", *path, "fuse")
    if s.outer_ratio:
        yield from _excitation(f"{torch}.outer_se", *path, "outer_se")


def _attention(torch: str, module: str, kind: str) -> _Named:
    path = (module, "attention")
    if kind == "null":
        return
    if kind == "frame":
        yield from _conv(f"{torch}.conv", None, *path, "frame", "conv")
    else:
        yield from _conv(f"{torch}.fcn.1", f"{torch}.fcn.2", *path, kind, "reduce")
        yield from _conv(f"{torch}.fcn.4", None, *path, kind, "expand")
    yield from _norm(f"{torch}.bn", *path, "norm")


def _st_gcn() -> _Named:
    yield "A", _Place("constants", ("adjacency",), _same)
    yield from _norm("data_bn", "data_norm", arrange=_data_norm(2))
    inputs = 2
    for i, features in enumerate(StGcn.widths):
        torch, path = f"st_gcn_networks.{i}", f"layer_{i}"
        yield f"edge_importance.{i}", _Place("params", (path, "edge_importance"), _same)
        yield f"{torch}.gcn.conv.weight", _Place("params", (path, "graph", "kernel"), _graph_kernel(3))
        yield f"{torch}.gcn.conv.bias", _Place("params", (path, "graph", "bias"), _grouped(3))
        yield from _norm(f"{torch}.tcn.0", path, "graph", "norm")
        yield from _conv(f"{torch}.tcn.2", f"{torch}.tcn.3", path, "conv")
        if i and inputs != features:
            yield from _conv(f"{torch}.residual.0", f"{torch}.residual.1", path, "residual")
        inputs = features
    yield from _conv("fcn", None, "classifier", arrange=_linear_kernel)


def _videopose3d(stages: int) -> _Named:
    yield from _conv("expand_conv", "expand_bn", "expand", bias=False, arrange=_kernel_over_time)
    for i in range(stages):
        for layer, name in ((2 * i, "conv"), (2 * i + 1, "mix")):
            torch = f"layers_conv.{layer}", f"layers_bn.{layer}"
            yield from _conv(*torch, f"block{i + 1}_{name}", bias=False, arrange=_kernel_over_time)
    yield from _conv("shrink", None, "shrink", arrange=_linear_kernel)


# --- placing ---------------------------------------------------------------------------------------------------------


def _arrays(state: State | str | Path) -> dict[str, np.ndarray]:
    raw = read_state(state) if isinstance(state, str | Path) else state
    prefix = "state/" if any(name.startswith("state/") for name in raw) else ""
    return {
        name.removeprefix(prefix): np.asarray(value)
        for name, value in raw.items()
        if name.startswith(prefix) and not name.endswith(_IGNORED)
    }


def _place(arrays: Mapping[str, np.ndarray], places: Mapping[str, _Place], where: str) -> Variables:
    if missing := sorted(set(places) - set(arrays)):
        raise InputError(where, f"lacks {_first(missing)} of {len(places)} arrays", _REMEDY)
    if extra := sorted(set(arrays) - set(places)):
        raise InputError(where, f"holds {_first(extra)}, which the network has not", _REMEDY)
    variables: Variables = {}
    for name, place in places.items():
        array = arrays[name]
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(where, f"{name} is not an array of finite numbers", "the weights are damaged")
        # Half precision is computed in float32; bytes in another order become native ones.
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
        node = variables.setdefault(place.collection, {})
        for part in place.path[:-1]:
            node = node.setdefault(part, {})
        try:
            node[place.path[-1]] = np.ascontiguousarray(place.arrange(array))
        except (ValueError, IndexError):
            raise InputError(where, f"{name} has shape {array.shape}, which does not fit", _REMEDY) from None
    return variables


def _first(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _check_shapes(variables: Variables, module: nn.Module, input_shape: tuple[int, ...], where: str) -> None:
    expected = variable_shapes(module, input_shape)
    found = dict(_leaves(variables))
    for path, leaf in _leaves(expected):
        if found[path].shape != leaf.shape:
            raise InputError(
                where,
                f"{'/'.join(path)} has shape {found[path].shape}, the architecture needs {leaf.shape}",
                _REMEDY,
            )


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _drop_unused(variables: Variables, architecture: Architecture) -> Variables:
    used = variable_shapes(GraphNetwork(architecture, lean=True), _INPUT_SHAPE)

    def pick(tree: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
        return {k: pick(tree[k], v) if isinstance(v, Mapping) else tree[k] for k, v in like.items()}

    return pick(variables, used)


# --- files -----------------------------------------------------------------------------------------------------------


_MAX_PICKLE_BYTES = 16 * 1024**2
"""Longest description of a state dict that is read; the arrays themselves lie beside it."""
_MAX_AXES = 8

_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


class _Tensor(NamedTuple):
    storage: tuple[str, np.dtype]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """Stands for the function that PyTorch calls for each tensor. Instances take no attributes from a pickle."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if max(len(shape), len(strides)) > _MAX_AXES:
            raise ValueError(f"it holds a tensor of {len(shape)} axes")
        if not all(isinstance(n, int) for n in (offset, *shape, *strides)):
            raise ValueError("it holds a tensor whose shape is not made of numbers")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _StateDict(OrderedDict):
    """The dictionary of a state dict: begins empty and takes no attributes.

    Else a few bytes could ask a thousand times for a copy of many items. PyTorch attaches versions of its layers.
    """

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes."""


class _StateUnpickler(pickle.Unpickler):
    """An unpickler that can make ordered dictionaries and descriptions of tensors, and nothing else."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _StateDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise InputError(self._path, f"asks for {module}.{name}, which may be code", "it was not loaded")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        _, dtype, key = pid[:3]
        if not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ValueError("unknown kind of storage")
        return key, dtype


def _unpickle(path: Path, stream: IO[bytes]) -> Any:
    """The next pickle of a stream, whose declared sizes are those of a state dict.

    An unpickler allocates its memo up to the largest index and its strings before it reads them.
    """
    start = stream.tell()
    head = io.BytesIO(stream.read(_MAX_PICKLE_BYTES))
    for code, argument, _ in pickletools.genops(head):
        if code.proto > 2:
            raise ValueError(f"it is pickled with {code.name}, which a state dict does not need")
        if "PUT" in code.name and not 0 <= int(argument or 0) < head.tell():
            raise ValueError(f"it numbers an object {argument}")
    end = head.tell()
    stream.seek(start + end)
    return _StateUnpickler(path, io.BytesIO(head.getvalue()[:end])).load()


def _tensors(tree: Any, storages: Callable[[str, np.dtype], np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(tree, Mapping):
        raise ValueError("no state dict")
    arrays: dict[str, np.ndarray] = {}
    total = 0
    for name, tensor in tree.items():
        if not isinstance(tensor, _Tensor) or not isinstance(name, str):
            raise ValueError("it holds something other than named tensors")
        data = storages(*tensor.storage)
        offset, shape, strides = tensor.offset, tensor.shape, tensor.strides
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if min((offset, *shape, *strides)) < 0 or (0 not in shape and last >= len(data)):
            raise ValueError(f"{name} reaches outside its storage")
        total += int(np.prod(shape, dtype=object)) * data.itemsize
        if total > MAX_FILE_BYTES:
            raise ValueError(f"its tensors would take more than {MAX_FILE_BYTES} bytes")
        view = np.lib.stride_tricks.as_strided(
            data[offset:], shape, [s * data.itemsize for s in strides], writeable=False
        )
        arrays[name] = np.array(view)
    return arrays


def _read_torch_zip(path: Path, archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
    if index is None:
        raise ValueError("neither .npy members nor a PyTorch state dict")
    folder = index.removesuffix("data.pkl")
    with archive.open(index) as stream:
        tree = _unpickle(path, io.BytesIO(stream.read(_MAX_PICKLE_BYTES)))

    @lru_cache(maxsize=1)
    def storage(key: str, dtype: np.dtype) -> np.ndarray:
        return np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)

    return _tensors(tree, storage)


def _read_torch_legacy(path: Path, stream: IO[bytes]) -> dict[str, np.ndarray]:
    # Five pickles (magic number, protocol, system, state dict, storage keys), then each storage behind its length.
    for _ in range(3):
        _unpickle(path, stream)
    tree, keys = _unpickle(path, stream), _unpickle(path, stream)
    dtypes = {t.storage[0]: t.storage[1] for t in tree.values() if isinstance(t, _Tensor)}
    size = os.fstat(stream.fileno()).st_size
    storages = {}
    for key in keys:
        length = stream.read(8)
        count, dtype = int.from_bytes(length, "little"), dtypes[key]
        if len(length) < 8 or count * dtype.itemsize > size - stream.tell():
            raise ValueError("it is cut off")
        storages[key] = np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)
    return _tensors(tree, lambda key, dtype: storages[key])
