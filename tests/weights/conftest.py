"""PyTorch files written byte by byte: tests of reading them need no PyTorch, and can craft what it never writes."""

import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest

ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
_STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values) -> bytes:
    return b"(" + b"".join(integer(v) for v in values) + b"t"


def tensor(key, storage, count, shape, strides, offset=0) -> bytes:
    """A tensor as PyTorch pickles it: a call of `_rebuild_tensor_v2` on a storage named by a persistent id."""
    pid = b"(" + text("storage") + b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu") + integer(count)
    arguments = pid + b"tQ" + integer(offset) + numbers(shape) + numbers(strides) + b"\x89" + ORDERED_DICT
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def pickled(items: Mapping[str, bytes]) -> bytes:
    return b"\x80\x02" + ORDERED_DICT + b"(" + b"".join(text(k) + v for k, v in items.items()) + b"u."


def tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    return {
        name: tensor(
            str(i),
            _STORAGES[a.dtype.str],
            a.size,
            a.shape,
            [s // a.itemsize for s in np.empty(a.shape, a.dtype).strides],
        )
        for i, (name, a) in enumerate(arrays.items())
    }


def storages(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    return {str(i): np.ascontiguousarray(a).tobytes() for i, a in enumerate(arrays.values())}


def zipped(state: bytes, data: Mapping[str, bytes], extra: Mapping[str, bytes] = {}) -> bytes:
    """The current format: a zip archive with a pickle and one member a storage."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", state)
        for key, content in data.items():
            archive.writestr(f"archive/data/{key}", content)
        for name, content in extra.items():
            archive.writestr(name, content)
    return stream.getvalue()


def legacy(state: bytes, data: Mapping[str, tuple[int, bytes]]) -> bytes:
    """The old format: five pickles, then each storage behind its length in elements."""
    head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = [struct.pack("<Q", count) + content for count, content in data.values()]
    return b"".join([*head, state, pickle.dumps(list(data), 2), *tail])


@pytest.fixture(scope="session")
def torch_file() -> SimpleNamespace:
    """Writers of PyTorch files: `zipped(arrays)`, `legacy(arrays)`, and the parts to craft others."""
    return SimpleNamespace(
        zipped=lambda arrays: zipped(pickled(tensors(arrays)), storages(arrays)),
        legacy=lambda arrays: legacy(
            pickled(tensors(arrays)), {k: (a.size, s) for (k, s), a in zip(storages(arrays).items(), arrays.values())}
        ),
        zip_of=zipped,
        legacy_of=legacy,
        pickled=pickled,
        tensor=tensor,
        text=text,
    )
