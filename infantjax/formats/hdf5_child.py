"""A program that reads an HDF5 file for `hdf5.py`: `python -P hdf5_child.py PATH LIMITS`, with the limits as JSON.

The HDF5 library can hang or crash on a damaged file, which no process can catch in itself. The program imports nothing
of the package, so that it starts fast. It writes a .npz to standard output: the arrays and attributes that the formats
need, and `info`, JSON with the names of the members, the groups of pandas, and an error if there is one.
"""

import json
import sys
from typing import Any

import numpy as np

TOP = {"tracks": "fiu", "point_scores": "fiu", "node_names": "SO", "track_names": "SO"}
ATTRIBUTES = ("dims", "values_block_0_kind")


class Unusable(Exception):
    """The file cannot be used; the message says why."""


def main(path: str, limits: dict[str, int]) -> None:
    """Read the file and write the answer to standard output."""
    info: dict[str, Any] = {"names": [], "groups": [], "error": None}
    arrays: dict[str, np.ndarray] = {}
    try:
        _limit_memory(limits["memory"])
        _read(path, limits, info, arrays)
    except Unusable as error:
        info["error"] = str(error)
    except Exception as error:  # whatever the library raises on a damaged file is the answer
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        info["error"] = f"is not an HDF5 file that can be read ({reason})"
    # Numbers as names: the file may call an array anything.
    info["arrays"] = list(arrays)
    encoded = np.frombuffer(json.dumps(info).encode(), dtype=np.uint8)
    np.savez(sys.stdout.buffer, info=encoded, **{str(i): a for i, a in enumerate(arrays.values())})  # type: ignore[arg-type]


def _read(path: str, limits: dict[str, int], info: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        members = _members(file)
        info["names"] = list(members)
        groups = {name: _members(item) for name, item in members.items() if isinstance(item, h5py.Group)}
        tables = {name: items for name, items in groups.items() if "table" in items or "block0_values" in items}
        info["groups"] = list(tables)
        wanted = {name: (members[name], kinds) for name, kinds in TOP.items() if name in members}
        if len(tables) == 1:
            ((group, items),) = tables.items()
            if "table" in items:
                wanted[f"{group}/table"] = items["table"], "V"
        for name, (item, kinds) in wanted.items():
            arrays |= _values(name, item, kinds, limits)
            arrays |= {f"{name}@{attribute}": value for attribute, value in _attributes(item).items()}


def _members(group: Any) -> dict[str, Any]:
    """The members that are stored in the file itself; links to other places are ignored."""
    import h5py

    return {n: group[n] for n in list(group)[:1000] if isinstance(group.get(n, getlink=True), h5py.HardLink)}


def _values(name: str, item: Any, kinds: str, limits: dict[str, int]) -> dict[str, np.ndarray]:
    import h5py

    if not isinstance(item, h5py.Dataset) or item.shape is None:
        raise Unusable(f"{name} is no array")
    if item.is_virtual or item.external:
        raise Unusable(f"{name} keeps its values in another file, which is not followed")
    dtype = item.dtype
    text = h5py.check_string_dtype(dtype) is not None
    if dtype.kind not in kinds or (dtype.kind == "O" and not text):
        raise Unusable(f"{name} holds values of type {dtype}")
    count = int(np.prod(item.shape, dtype=object))
    size, unpacked = count * dtype.itemsize, count * max(dtype.itemsize, 8)  # numbers become float64
    stored = min(item.id.get_storage_size(), limits["file"])
    if unpacked > limits["bytes"]:
        raise Unusable(f"{name} declares {unpacked:.3g} bytes; at most {limits['bytes']:.3g} are read")
    if size > limits["small"] and size > limits["ratio"] * max(stored, 1):
        raise Unusable(f"{name} unpacks to {size / max(stored, 1):.0f} times its size; {limits['ratio']} are allowed")
    if text:
        if item.size > limits["texts"]:
            raise Unusable(f"{name} holds {item.size} names")
        return {name: np.array([_text(v) for v in np.asarray(item[()]).ravel().tolist()], dtype=np.str_)}
    values = item[()]
    if dtype.names is None:
        return {name: np.asarray(values)}
    parts = {f"{name}/{field}": np.asarray(values[field]) for field in dtype.names[:8]}
    return {part: array for part, array in parts.items() if array.dtype.kind in "fiuS"}


def _text(value: Any) -> str:
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    if len(text) > 1000:
        raise Unusable("a name in it has more than 1000 characters")
    return text


def _attributes(item: Any) -> dict[str, np.ndarray]:
    """Attributes that are text, bytes (as uint8) or an integer."""
    found: dict[str, np.ndarray] = {}
    for name in ATTRIBUTES:
        if name in item.attrs:
            value = item.attrs[name]
            if isinstance(value, (bytes, np.bytes_)):
                found[name] = np.frombuffer(bytes(value), dtype=np.uint8)
            elif isinstance(value, (str, int, np.integer, np.bool_)):
                found[name] = np.array(value)
    return found


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
