"""Safe reading of .npz and .zip archives from elsewhere: sizes are checked before allocation; no objects, no code."""

import io
import pickle
import struct
import tokenize
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from infantjax.files import MAX_ARCHIVE_RATIO, MAX_FILE_BYTES

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Errors that the standard library and NumPy raise on damaged or crafted files."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_MAX_HEADER_BYTES = 10_000  # NumPy's own limit


def open_archive(source: Path | IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive whose members are inside it and unpack to no more than the limits.

    Raises:
        ValueError: a member lies outside, or they unpack to too much.
        zipfile.BadZipFile: no archive.
    """
    archive = zipfile.ZipFile(source)
    members = archive.infolist()
    # Members may overlap, so their packed sizes can add up to more than the file.
    packed = min(sum(m.compress_size for m in members), _size(source))
    total = sum(m.file_size for m in members)
    if total > MAX_FILE_BYTES or total > MAX_ARCHIVE_RATIO * max(packed, 1):
        raise ValueError(f"it would unpack to {total} bytes")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("it holds a member outside the archive")
    return archive


def _size(source: Path | IO[bytes]) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.seek(0, io.SEEK_END)


def read_npz(source: Path | IO[bytes]) -> dict[str, np.ndarray]:
    """The arrays of a .npz by name, without pickle.

    Raises:
        One of `DAMAGE`: no such archive, objects in it, or more bytes declared than there are.
    """
    with open_archive(source) as archive:
        return {name.removesuffix(".npy"): read_member(archive, name) for name in archive.namelist()}


def _header(stream: IO[bytes], name: str, length: int) -> bytes:
    """The header of an array, the bytes of its length included."""
    prefix = stream.read(length)
    size = int.from_bytes(prefix, "little")
    header = stream.read(min(size, _MAX_HEADER_BYTES + 1))
    if len(header) > _MAX_HEADER_BYTES:
        raise ValueError(f"{name} has a header of {size} bytes")
    if len(prefix) < length or len(header) < size:
        raise ValueError(f"EOF in the header of {name}")
    return prefix + header


@lru_cache(maxsize=1024)
def _declared(version: tuple[int, int], header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype that a header declares. Archives have many arrays but few shapes."""
    return _HEADERS[version](io.BytesIO(header))


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One array of an open .npz. Raises as `read_npz`."""
    member = archive.getinfo(name)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"{name} has an unknown version {version}")
        shape, column_major, dtype = _declared(version, _header(stream, name, 2 if version == (1, 0) else 4))
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which are never loaded")
        # The declared shape determines the allocation, so it must agree with the bytes in the archive.
        held = member.file_size - stream.tell()
        if min(shape, default=0) < 0 or int(np.prod(shape, dtype=object)) * dtype.itemsize != held:
            raise ValueError(f"{name} declares shape {shape} but holds {held} bytes")
        # `np.lib.format.read_array` would parse the header again, which takes most of the time of a small array.
        content = bytearray(stream.read())
    return np.ndarray(shape, dtype, content, order="F" if column_major else "C")
