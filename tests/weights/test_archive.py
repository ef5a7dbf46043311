"""Archives of arrays: what they declare is checked against what they hold before memory is asked for."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from infantjax.weights import archive
from infantjax.weights.archive import DAMAGE, open_archive, read_npz

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b/c": np.array(2.5), "empty": np.zeros((0, 4), np.int8)}


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return stream


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version, allow_pickle=True)
    return stream.getvalue()


def declaring(shape, descr: str = "<f4", data: bytes = bytes(16)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read_as_they_were_written(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(ARRAYS)
    for name, expected in ARRAYS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_both_orders_and_both_versions_are_read(order, version):
    array = np.asarray(ARRAYS["a"], order=order)
    np.testing.assert_array_equal(read_npz(npz({"a.npy": npy(array, version)}))["a"], array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (declaring((10**12,)), r"declares shape \(1000000000000,\) but holds 16 bytes"),
        (declaring((2**62, 2**62)), "but holds 16 bytes"),
        (declaring((3,)), "but holds 16 bytes"),
        (declaring((5,)), "but holds 16 bytes"),
        (declaring((-4,)), r"declares shape \(-4,\)"),
        (declaring((-2, -2)), r"declares shape \(-2, -2\)"),
        (declaring((2,), "|O"), "holds Python objects"),
        (npy(np.array([{}], object)), "holds Python objects"),
        (npy(ARRAYS["a"], (3, 0)), "unknown version"),
    ],
)
def test_a_member_that_declares_what_it_does_not_hold_is_refused_before_memory_is_asked_for(content, message):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_npz(npz({"a.npy": content}))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text", npy(ARRAYS["a"])[:40], npy(ARRAYS["a"])[:-1]])
def test_a_member_that_is_no_array_raises_what_damage_raises(content):
    with pytest.raises(DAMAGE):
        read_npz(npz({"a.npy": content}))


def test_what_unpacks_to_a_hundred_times_its_size_is_refused():
    stream = npz({"a.npy": npy(np.zeros(1_000_000, np.float32))}, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="it would unpack to 4000128 bytes"):
        open_archive(stream)


def test_members_that_overlap_count_once(monkeypatch):
    """A directory may name one piece of the file many times; each time it would be unpacked anew."""
    stream = npz({"a.npy": npy(ARRAYS["a"])})
    with zipfile.ZipFile(stream, "a") as written:
        (only,) = written.infolist()
        for i in range(1000):
            again = zipfile.ZipInfo(f"b{i}.npy")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, name, getattr(only, name))
            written.filelist.append(again)
        written._didModify = True
    size = len(stream.getvalue())
    with zipfile.ZipFile(stream) as held:
        total = sum(m.file_size for m in held.infolist())
    open_archive(stream)  # within the ratio to the whole file: the directory has its size too
    monkeypatch.setattr(archive, "MAX_ARCHIVE_RATIO", total / size * 0.9)
    with pytest.raises(ValueError, match=f"it would unpack to {total} bytes"):
        open_archive(stream)


def test_more_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match="it would unpack to"):
        open_archive(npz({"a.npy": npy(ARRAYS["a"])}))


@pytest.mark.parametrize("name", ["../a.npy", "/a.npy", "x/../../a.npy"])
def test_a_member_outside_the_archive_is_refused(name):
    with pytest.raises(ValueError, match="a member outside the archive"):
        open_archive(npz({name: b""}))
