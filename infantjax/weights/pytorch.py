"""Reading of PyTorch state dicts without executing code from them.

The unpickler knows seven names (ordered dictionaries, tensors and the kinds of their storages) and refuses every other.
A state dict may also come as `.npz` or `.safetensors`. In a checkpoint of a training, which holds objects of other
kinds beside the weights, these become inert placeholders and are left out.
"""

import contextlib
import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES
from infantjax.weights.archive import DAMAGE, open_archive, read_npz

_MAX_PICKLE_BYTES = 16 * 1024**2
"""Largest pickle of a state dict that is read; the arrays are stored beside it."""
_MAX_AXES = 8

Storages = Callable[[str, np.dtype], np.ndarray]
"""The values of a storage, by its key and dtype."""

_DTYPES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz`, `.pth` or `.safetensors` file by name, without executing anything from it.

    Raises:
        InputError: not such a file, damaged, too large, or it holds anything but arrays.
    """
    with _readable(path, "weights file", "give a .npz, .pth or .safetensors state dict") as path:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.numpy import load_file

            try:
                return load_file(path)
            except SafetensorError as error:
                raise ValueError(str(error)) from None
        if zipfile.is_zipfile(path):
            with open_archive(path) as archive:
                npz = all(name.endswith(".npy") for name in archive.namelist())
            if npz:
                return read_npz(path)
        return _read_torch(path, _StateUnpickler, _tensors)


def read_checkpoint(path: str | Path, keys: Sequence[str]) -> dict[str, Any]:
    """Some entries of the dictionary in a checkpoint of a training, without executing anything from it.

    Args:
        path: a file that PyTorch wrote.
        keys: of the entries; those that it lacks are left out.

    Returns:
        By key nested dictionaries of arrays, texts, numbers and None. Anything else is left out.

    Raises:
        InputError: not such a file, damaged, or too large.
    """

    def entries(tree: Any, storages: Storages) -> dict[str, Any]:
        if not isinstance(tree, Mapping):
            raise ValueError("it holds no dictionary")
        return {key: _plain(tree[key], storages) for key in keys if key in tree}

    with _readable(path, "checkpoint", "download it again") as path:
        return _read_torch(path, _CheckpointUnpickler, entries)


@contextlib.contextmanager
def _readable(path: str | Path, what: str, remedy: str) -> Iterator[Path]:
    """A file whose size is allowed; damage becomes one line."""
    path = _require_file(path)
    try:
        yield path
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(path, f"is not a readable {what} ({reason})", remedy) from None


def _require_file(path: str | Path) -> Path:
    path = Path(path)
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read ({getattr(error, 'strerror', error)})", "check the path") from None
    if not path.is_file():
        raise InputError(path, "is not a file", "give a .npz, .pth or .safetensors state dict")
    if size > MAX_FILE_BYTES:
        raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
    return path


class _Tensor(NamedTuple):
    storage: tuple[str, np.dtype]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RebuildTensor:
    """Replaces the function that PyTorch calls for each tensor. A pickle cannot set attributes of it."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if max(len(shape), len(strides)) > _MAX_AXES:
            raise ValueError(f"it holds a tensor of {len(shape)} axes")
        if not all(isinstance(n, int) for n in (offset, *shape, *strides)):
            raise ValueError("it holds a tensor whose shape is not made of numbers")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _StateDict(OrderedDict):
    """The dictionary of a state dict: starts empty and ignores attributes, such as PyTorch's versions of layers.

    Otherwise a few bytes could request many copies of a long dictionary.
    """

    def __init__(self) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes."""


class _StateUnpickler(pickle.Unpickler):
    """An unpickler that creates ordered dictionaries and descriptions of tensors, and nothing else.

    Attributes:
        kinds: dtype of each storage that the pickle names.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self._path = path
        self.kinds: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _StateDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise InputError(self._path, f"requests {module}.{name}, which may be code", "it was not loaded")

    def persistent_load(self, pid: Any) -> tuple[str, np.dtype]:
        _, dtype, key = pid[:3]
        if not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ValueError("unknown kind of storage")
        self.kinds[key] = dtype
        return key, dtype


class _Placeholder(dict):
    """Stands for an object of an unknown kind; whatever the pickle does with it is ignored."""

    def __new__(cls, *_: Any, **__: Any) -> "_Placeholder":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setitem__(self, key: Any, value: Any) -> None:
        """Ignore entries."""

    def __setstate__(self, state: Any) -> None:
        """Ignore attributes."""

    def append(self, value: Any) -> None:
        """Ignore elements."""

    def extend(self, values: Any) -> None:
        """Ignore elements."""


class _CheckpointUnpickler(_StateUnpickler):
    """An unpickler that creates a placeholder for whatever it does not know."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except InputError:
            return _Placeholder


def _unpickle(
    path: Path, stream: IO[bytes], unpickler: type[_StateUnpickler] = _StateUnpickler
) -> tuple[Any, dict[str, np.dtype]]:
    """The next pickle of a stream and the storages that it names, after its declared sizes are checked.

    An unpickler allocates its memo up to the largest index, and strings before it reads them.
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
    loader = unpickler(path, io.BytesIO(head.getvalue()[:end]))
    return loader.load(), loader.kinds


def _tensors(tree: Any, storages: Storages) -> dict[str, np.ndarray]:
    if not isinstance(tree, Mapping):
        raise ValueError("it holds no state dict")
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


def _plain(tree: Any, storages: Storages) -> Any:
    """Nested dictionaries of arrays and plain values."""
    if isinstance(tree, _Placeholder) or not isinstance(tree, Mapping):
        return tree if isinstance(tree, str | int | float | None) else None
    tensors = {name: value for name, value in tree.items() if isinstance(value, _Tensor)}
    others = {
        name: _plain(value, storages)
        for name, value in tree.items()
        if isinstance(name, str)
        and (isinstance(value, str | int | float | None | Mapping) and not isinstance(value, _Placeholder | _Tensor))
    }
    return others | _tensors(tensors, storages)


def _read_torch(
    path: Path, unpickler: type[_StateUnpickler], convert: Callable[[Any, Storages], dict[str, Any]]
) -> dict[str, Any]:
    """The content of a file of PyTorch, new or old, converted while it is open."""
    if zipfile.is_zipfile(path):
        with open_archive(path) as archive:
            return convert(*_open_torch_zip(path, archive, unpickler))
    with path.open("rb") as stream:
        return convert(*_open_torch_legacy(path, stream, unpickler))


def _open_torch_zip(path: Path, archive: zipfile.ZipFile, unpickler: type[_StateUnpickler]) -> tuple[Any, Storages]:
    """Content of the pickle of an archive, and the reader of the storages of its tensors."""
    index = next((n for n in archive.namelist() if n.endswith("/data.pkl")), None)
    if index is None:
        raise ValueError("neither .npy members nor a PyTorch state dict")
    folder = index.removesuffix("data.pkl")
    with archive.open(index) as stream:
        tree, _ = _unpickle(path, io.BytesIO(stream.read(_MAX_PICKLE_BYTES)), unpickler)

    @lru_cache(maxsize=1)
    def storage(key: str, dtype: np.dtype) -> np.ndarray:
        return np.frombuffer(archive.read(f"{folder}data/{key}"), dtype)

    return tree, storage


def _open_torch_legacy(path: Path, stream: IO[bytes], unpickler: type[_StateUnpickler]) -> tuple[Any, Storages]:
    """Content of the pickle of a file before PyTorch 1.6, and the reader of the storages of its tensors."""
    # Five pickles (magic number, protocol, system, content, storage keys), then each storage behind its length.
    for _ in range(3):
        _unpickle(path, stream)
    (tree, kinds), (keys, _) = _unpickle(path, stream, unpickler), _unpickle(path, stream)
    size = os.fstat(stream.fileno()).st_size
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        length = stream.read(8)
        count, start = int.from_bytes(length, "little"), stream.tell()
        end = start + count * kinds[key].itemsize
        if len(length) < 8 or end > size:
            raise ValueError("it is cut off")
        places[key] = start, count
        stream.seek(end)

    @lru_cache(maxsize=1)
    def storage(key: str, dtype: np.dtype) -> np.ndarray:
        start, count = places[key]
        stream.seek(start)
        return np.frombuffer(stream.read(count * dtype.itemsize), dtype, count)

    return tree, storage
