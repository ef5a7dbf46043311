"""Reading of PyTorch state dicts: exact, from every kind of file, and without running what a file asks for."""

import io
import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import save_file

from infantjax.errors import InputError
from infantjax.weights import pytorch
from infantjax.weights.pytorch import read_checkpoint, read_state


def refused(read, *arguments, message: str | None = None) -> str:
    """The one line with which something is refused."""
    with pytest.raises(InputError, match=message) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


# --- files of PyTorch ------------------------------------------------------------------------------------------------


class _Rebuild:
    """Pickles as a tensor does: a call of torch's function with a storage that is named, not included."""

    def __init__(self, storage, offset, shape, strides, kind="FloatStorage") -> None:
        self.arguments = (_Storage(storage, kind), offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class _Storage:
    def __init__(self, key, kind) -> None:
        self.key, self.kind = key, kind


class _StorageKind:
    def __init__(self, name) -> None:
        self.name = name

    def __reduce__(self):
        return self.name


def _rebuild_tensor_v2() -> None:
    """Stands for torch's function of this name."""


class _TorchPickler(pickle._Pickler):
    """Writes what torch.save writes, without torch."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def persistent_id(self, value):
        return ("storage", _StorageKind(value.kind), value.key, "cpu", 1) if isinstance(value, _Storage) else None

    def save_global(self, value, name=None):
        if isinstance(name, str) and name.endswith("Storage"):
            self.write(f"ctorch\n{name}\n".encode())
        elif value is _rebuild_tensor_v2:
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
        else:
            super().save_global(value, name)

    dispatch[type(_rebuild_tensor_v2)] = save_global


def torch_pickle(value) -> bytes:
    stream = io.BytesIO()
    _TorchPickler(stream, 2).dump(value)
    return stream.getvalue()


_KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def described(weights: dict[str, np.ndarray]) -> tuple[OrderedDict, dict[str, bytes]]:
    tree, data = OrderedDict(), {}
    for number, (name, array) in enumerate(weights.items()):
        array = np.ascontiguousarray(array)
        strides = tuple(s // array.itemsize for s in array.strides)
        tree[name] = _Rebuild(str(number), 0, array.shape, strides, _KINDS[array.dtype.str[1:]])
        data[str(number)] = array.tobytes()
    return tree, data


def write_zip(path: Path, weights: dict[str, np.ndarray]) -> None:
    tree, data = described(weights)
    write_raw_zip(path, torch_pickle(tree), data)


def write_raw_zip(path: Path, pickled: bytes, data: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        for key, content in data.items():
            archive.writestr(f"archive/data/{key}", content)


def write_legacy(path: Path, weights: dict[str, np.ndarray]) -> None:
    tree, data = described(weights)
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tree, list(data)]
    body = (
        (len(content) // weights[name].itemsize).to_bytes(8, "little") + content
        for name, content in zip(tree, data.values())
    )
    path.write_bytes(b"".join([*map(torch_pickle, head), *body]))


WEIGHTS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bn.running_mean": np.array([1.5, -2.5]),
    "half": np.array([0.5], np.float16),
    "bn.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_the_arrays_of_a_file_are_read_with_their_shapes_and_types(tmp_path, write):
    write(tmp_path / "a.pth", WEIGHTS)
    found = read_state(tmp_path / "a.pth")
    assert list(found) == list(WEIGHTS)
    for name, expected in WEIGHTS.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.peers
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_pytorch_wrote_is_read(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    weights = OrderedDict((k, torch.from_numpy(np.array(v))) for k, v in WEIGHTS.items())
    weights["turned"] = torch.arange(6.0).reshape(2, 3).T
    weights["part"] = torch.arange(10.0)[3:5]
    torch.save(weights, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = read_state(tmp_path / "a.pth")
    for name, expected in weights.items():
        np.testing.assert_array_equal(found[name], expected.numpy())


@pytest.mark.peers
@pytest.mark.parametrize("legacy", [False, True])
def test_an_entry_of_a_checkpoint_is_read_and_nothing_else_is_executed(tmp_path, legacy):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters(), amsgrad=True)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = np.random.RandomState(1)
    content = {"epoch": 3, "random_state": state, "optimizer": optimizer.state_dict(), "model_pos": layer.state_dict()}
    torch.save(content, tmp_path / "a.bin", _use_new_zipfile_serialization=not legacy)
    found = read_checkpoint(tmp_path / "a.bin", ("model_pos", "epoch", "absent"))
    assert (set(found), found["epoch"]) == ({"model_pos", "epoch"}, 3)
    for name, expected in layer.state_dict().items():
        np.testing.assert_array_equal(found["model_pos"][name], expected.numpy())


# --- crafted files ---------------------------------------------------------------------------------------------------


class _Run:
    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def crafted(marker: Path):
    yield "os.mkdir", _Run(os.mkdir, str(marker))
    yield "pathlib.Path.touch", _Run(Path.touch, marker)
    yield "eval", _Run(eval, f"__import__('os').mkdir({str(marker)!r})")
    yield "exec within a tensor's place", OrderedDict(weight=_Run(exec, f"__import__('os').mkdir({str(marker)!r})"))
    yield "getattr", _Run(getattr, "", "join")


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize("kind", ["zip", "legacy", "first"])
@pytest.mark.parametrize("protocol", [0, 2])
def test_a_file_that_asks_for_code_is_refused_and_runs_nothing(tmp_path, case, kind, protocol):
    marker, path = tmp_path / "marker", tmp_path / "a.pth"
    _, value = list(crafted(marker))[case]
    payload = pickle.dumps(value, protocol)
    if kind == "zip":
        write_raw_zip(path, payload, {})
    elif kind == "legacy":
        path.write_bytes(b"".join(map(torch_pickle, [1, 1001, {}])) + payload + torch_pickle([]))
    else:
        path.write_bytes(payload)
    assert str(path) in refused(read_state, path, message="which may be code; it was not loaded")
    assert not marker.exists()
    # The payload is real: an unpickler that knows every name would have run it.
    if case < 4:
        pickle.loads(payload)
        assert marker.exists()


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_pickle_of_another_protocol_is_refused_before_it_is_loaded(tmp_path, protocol):
    marker = tmp_path / "marker"
    write_raw_zip(tmp_path / "a.pth", pickle.dumps(_Run(os.mkdir, str(marker)), protocol), {})
    refused(read_state, tmp_path / "a.pth", message="which a state dict does not need")
    assert not marker.exists()


def test_a_pickle_that_numbers_an_object_far_ahead_is_refused_before_memory_is_asked_for(tmp_path):
    # An unpickler makes room for all numbers up to the largest: these few bytes would take 16 GB.
    for tail in (b"r\xff\xff\xff\x7f.", b"p2147483647\n."):
        write_raw_zip(tmp_path / "a.pth", b"\x80\x02}" + tail, {})
        refused(read_state, tmp_path / "a.pth", message="it numbers an object 2147483647")


DATA = {"0": np.arange(6, dtype=np.float32).tobytes(), "1": b""}


@pytest.mark.parametrize(
    "tensor",
    [
        _Rebuild("0", 0, (7,), (1,)),
        _Rebuild("0", 3, (4,), (1,)),
        _Rebuild("0", -1, (2,), (1,)),
        _Rebuild("0", 5, (2,), (-1,)),
        _Rebuild("0", 0, (2, 3), (4, 1)),
        _Rebuild("0", 0, (-2,), (1,)),
        _Rebuild("1", 0, (), ()),
        _Rebuild("1", 0, (1,), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, tensor):
    write_raw_zip(tmp_path / "a.pth", torch_pickle({"w": tensor}), DATA)
    refused(read_state, tmp_path / "a.pth", message="w reaches outside its storage")


BOMBS = {
    # A dictionary made of a list, again and again: each copy as long as the file.
    "copies of a dictionary": b"ccollections\nOrderedDict\n(]tR.",
    "a tensor of many axes": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(" + b"K\x01" * 9 + b"t)tR.",
    # A text repeated as often as a number says.
    "a stride of text": b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00(J\xff\xff\xff\x7ft(X\x01\x00\x00\x00atetR.",
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=BOMBS)
def test_a_few_bytes_that_ask_for_much_memory_are_refused(tmp_path, body):
    write_raw_zip(tmp_path / "a.pth", b"\x80\x02" + body, DATA)
    tracemalloc.start()
    try:
        refused(read_state, tmp_path / "a.pth")
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_a_storage_is_named_by_text(tmp_path):
    # A tuple of two tuples of two tuples ...: as text it doubles with each.
    doubling: tuple = ()
    for _ in range(12):
        doubling = (doubling, doubling)
    write_raw_zip(tmp_path / "a.pth", torch_pickle({"w": _Rebuild(doubling, 0, (6,), (1,))}), DATA)
    refused(read_state, tmp_path / "a.pth", message="unknown kind of storage")


@pytest.mark.parametrize("name", [b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"])
@pytest.mark.parametrize("state", [b"}", b"(N}X\x01\x00\x00\x00aNst"], ids=["attributes", "slots"])
def test_a_pickle_sets_no_attributes_of_what_it_names(tmp_path, name, state):
    write_raw_zip(
        tmp_path / "a.pth", b"\x80\x02" + name + state.replace(b"}", b"}X\x01\x00\x00\x00aNs", 1) + b"b.", DATA
    )
    refused(read_state, tmp_path / "a.pth")
    assert not hasattr(pytorch._StateDict, "a")


def test_attributes_of_a_dictionary_are_passed_over(tmp_path):
    """PyTorch attaches the versions of its layers to a state dict."""
    tree = OrderedDict(w=_Rebuild("0", 0, (6,), (1,)))
    tree._metadata = OrderedDict(version=1)
    write_raw_zip(tmp_path / "a.pth", torch_pickle(tree), DATA)
    assert list(read_state(tmp_path / "a.pth")) == ["w"]


def test_tensors_that_would_take_more_than_the_limit_are_refused_before_memory_is_asked_for(tmp_path, monkeypatch):
    write_raw_zip(tmp_path / "one.pth", torch_pickle({"w": _Rebuild("0", 0, (10**6, 10**6), (0, 0))}), DATA)
    refused(read_state, tmp_path / "one.pth", message="its tensors would take more than")
    many = {f"w{i}": _Rebuild("0", 0, (6,), (1,)) for i in range(100)}
    write_raw_zip(tmp_path / "many.pth", torch_pickle(many), DATA)
    assert len(read_state(tmp_path / "many.pth")) == 100
    size = (tmp_path / "many.pth").stat().st_size
    monkeypatch.setattr(pytorch, "MAX_FILE_BYTES", size)
    many = {f"w{i}": _Rebuild("0", 0, (6, 6), (0, 1)) for i in range(100)}
    write_raw_zip(tmp_path / "many.pth", torch_pickle(many), DATA)
    refused(read_state, tmp_path / "many.pth", message="its tensors would take more than|is larger than")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "it holds no state dict"),
        ({"w": 3}, "something other than named tensors"),
        ({3: _Rebuild("0", 0, (6,), (1,))}, "something other than named tensors"),
        ({"w": _Rebuild("9", 0, (6,), (1,))}, "archive/data/9"),
        ({"w": _Rebuild("0", "a", (6,), (1,))}, "is not a readable weights file"),
        ({"w": _Rebuild("0", 0, (6, 1), (1,))}, "is not a readable weights file"),
        ({"w": _Rebuild("0", 0, 6, 1)}, "is not a readable weights file"),
        ({"w": _Rebuild("0", 0, (6,), (1,), "BoolStorage")}, "requests torch.BoolStorage"),
    ],
)
def test_a_pickle_that_is_no_state_dict_is_refused(tmp_path, value, message):
    write_raw_zip(tmp_path / "a.pth", torch_pickle(value), DATA)
    refused(read_state, tmp_path / "a.pth", message=message)


# --- files that are damaged or something else ------------------------------------------------------------------------


def files(tmp_path: Path):
    rng = np.random.default_rng(0)
    weights = {f"layer.{i}.weight": rng.normal(size=(3, 4)).astype(np.float32) for i in range(4)}
    write_zip(tmp_path / "zip.pth", weights)
    write_legacy(tmp_path / "legacy.pth", weights)
    np.savez_compressed(tmp_path / "arrays.npz", **weights)
    save_file(weights, tmp_path / "arrays.safetensors")
    return weights


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "arrays.npz", "arrays.safetensors"])
def test_a_cut_file_is_refused(tmp_path, name):
    files(tmp_path)
    intact = (tmp_path / name).read_bytes()
    for share in np.linspace(0, 0.99, 15):
        (tmp_path / f"cut-{name}").write_bytes(intact[: int(share * len(intact))])
        refused(read_state, tmp_path / f"cut-{name}")


def test_a_file_cut_within_the_length_of_an_empty_array_is_refused(tmp_path):
    write_legacy(tmp_path / "a.pth", WEIGHTS)
    intact = (tmp_path / "a.pth").read_bytes()
    for missing in range(1, 9):
        (tmp_path / "a.pth").write_bytes(intact[:-missing])
        refused(read_state, tmp_path / "a.pth", message="it is cut off")


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "arrays.npz", "arrays.safetensors"])
def test_a_file_with_a_flipped_byte_is_read_or_refused_in_one_line(tmp_path, name):
    """Such a file carries no digest (or a check sum that a few of its bytes escape): it may be read, never crash."""
    files(tmp_path)
    intact = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(1)
    refusals = 0
    for place in rng.choice(len(intact), 120, replace=len(intact) < 120):
        damaged = bytearray(intact)
        damaged[place] ^= int(rng.integers(1, 256))
        (tmp_path / f"damaged-{name}").write_bytes(damaged)
        try:
            read_state(tmp_path / f"damaged-{name}")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            refusals += 1
    assert refusals > 24


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a readable weights file"),
        (b"time,joint\n1,2\n", "is not a readable weights file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is not a readable weights file"),
        (bytes(1000), "is not a readable weights file"),
        (b"PK\x03\x04" + bytes(1000), "is not a readable weights file"),
        (b"\x80\x02" + b"(" * 100_000 + b".", "is not a readable weights file"),
    ],
    ids=["empty", "text", "hdf5", "zeros", "no zip", "deep"],
)
def test_another_kind_of_file_is_refused(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    refused(read_state, tmp_path / "a.pth", message=message)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(read_state, tmp_path / "nowhere.pth", message="cannot be read")
    refused(read_state, tmp_path, message="is not a file")
    os.mkfifo(tmp_path / "pipe")
    refused(read_state, tmp_path / "pipe", message="is not a file")


def test_an_npz_with_objects_is_refused_and_runs_nothing(tmp_path):
    marker = tmp_path / "marker"
    np.savez(tmp_path / "a.npz", A_input=np.array([_Run(os.mkdir, str(marker))], dtype=object))
    refused(read_state, tmp_path / "a.npz", message="Python objects, which are never loaded")
    assert not marker.exists()


@pytest.mark.parametrize("name", ["../data.pkl", "/archive/data.pkl"])
def test_a_member_outside_the_archive_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr(name, torch_pickle({}))
    refused(read_state, tmp_path / "a.pth", message="holds a member outside the archive")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", w=np.zeros(5_000_000, np.float32))
    refused(read_state, tmp_path / "a.npz", message="would unpack to 20000128 bytes")


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path, monkeypatch):
    write_zip(tmp_path / "a.pth", WEIGHTS)
    monkeypatch.setattr(pytorch, "MAX_FILE_BYTES", 10)
    refused(read_state, tmp_path / "a.pth", message="is larger than 10 bytes")
