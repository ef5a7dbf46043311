"""HDF5 that someone else wrote: declared sizes, links and types are checked before anything is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.motion.readers.edge import check_unpacked, damage


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An HDF5 file open for reading; errors of the library about its content become `InputError`."""
    import h5py

    with damage(path, "an HDF5 file"), h5py.File(path, "r", locking=False) as file:
        yield file


def members(group: Any) -> dict[str, Any]:
    """Groups and data sets that lie in the file itself; links to elsewhere are left out."""
    import h5py

    links = {name: group.get(name, getlink=True) for name in group}
    return {name: group[name] for name, link in links.items() if isinstance(link, h5py.HardLink)}


def is_group(item: Any) -> bool:
    """Whether a member is a group (and not a data set or a type)."""
    import h5py

    return isinstance(item, h5py.Group)


def array(path: Path, group: Any, name: str, kinds: str = "fiu") -> np.ndarray:
    """The values of a data set.

    Args:
        path: the file, for messages.
        group: an open file or group.
        name: of the data set in it.
        kinds: allowed NumPy type kinds (`f`, `i`, `u`, `S`; `O` is text of variable length; `V` a table).

    Raises:
        InputError: absent, a link to elsewhere, of another type, or declared larger than allowed.
    """
    import h5py

    where = f"{path} ({name})"
    item = members(group).get(name)
    if not isinstance(item, h5py.Dataset):
        raise InputError(where, "there is no such data set in the file", "export the file again")
    if item.is_virtual or item.external:
        raise InputError(where, "keeps its values in another file, which is not followed", "copy them into one file")
    try:
        dtype = item.dtype
    except TypeError as error:
        raise InputError(where, f"has a type that cannot be read ({error})", "export the file again") from None
    text = h5py.check_string_dtype(dtype) is not None
    if (dtype.kind == "O" and not text) or dtype.kind not in kinds or item.shape is None:
        raise InputError(where, f"holds values of type {dtype}", "export the file again")
    stored = min(item.id.get_storage_size(), path.stat().st_size)
    check_unpacked(where, int(np.prod(item.shape, dtype=object)) * dtype.itemsize, stored)
    return np.asarray(item[()])


def texts(path: Path, group: Any, name: str) -> list[str]:
    """The entries of a data set of text."""
    return [_text(value) for value in array(path, group, name, "SO").ravel().tolist()]


def attribute(item: Any, name: str) -> Any:
    """An attribute as the file has it, or None."""
    try:
        return item.attrs.get(name)
    except TypeError:
        return None


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
