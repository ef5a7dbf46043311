"""Ensembles on disk: what is saved is what is loaded, and no damaged or foreign file is."""

import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from infantjax import files
from infantjax.errors import InputError
from infantjax.weights import ensemble as store
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, leaves, load_ensemble, save_ensemble

INFO = EnsembleInfo(skeleton="in-motion-19", threshold=0.25, statement="made for a test", extra={"side": 96})


def member(model: str = "st-gcn", runs: int = 3, seed: int = 0) -> Member:
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=(runs, *shape)).astype(np.float32)

    params = {"layer_0": {"kernel": array(3, 4), "bias": array(4)}, "classifier": {"kernel": array(4, 2)}}
    return Member(model, {"params": params, "batch_stats": {"mean": array(4) ** 2}}, {"widths": [4, 8]})


def of_kernel(values: np.ndarray) -> Ensemble:
    return Ensemble((Member("st-gcn", {"params": {"kernel": values}}),), INFO)


@pytest.fixture
def saved(tmp_path) -> Path:
    save_ensemble(Ensemble((member(), member("kbest-gcn-2", 2, seed=1)), INFO), tmp_path / "ensemble")
    return tmp_path / "ensemble"


def refused(directory: Path, message: str | None = None) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(InputError, match=message) as caught:
        load_ensemble(directory)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


def edit(directory: Path, change, sign: bool = True) -> None:
    """Change the index as somebody would who knows how its digest is made, or (sign=False) who does not."""
    index = json.loads((directory / store.INDEX).read_text())
    change(index)
    if sign:
        index["sha256"] = store.index_digest(index)
    (directory / store.INDEX).write_text(files.canonical_json(index))


def replace_member(directory: Path, data: bytes) -> None:
    """Put other bytes in place of the first member, with all digests right."""

    def change(index):
        entry = index["members"][0]
        (directory / entry["file"]).write_bytes(data)
        entry["sha256"] = files.sha256(data)
        entry["bytes"] = len(data)

    edit(directory, change)


# --- round trip ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path):
    members = (member(), member("kbest-gcn-2", 2, seed=1))
    written = save_ensemble(Ensemble(members, INFO), tmp_path)
    loaded = load_ensemble(tmp_path)
    assert loaded.digest == written.digest
    assert loaded.info == INFO
    for found, expected in zip(loaded.members, members, strict=True):
        assert (found.model, dict(found.overrides)) == (expected.model, dict(expected.overrides))
        assert found.runs == expected.runs
        for (path, a), (other, b) in zip(leaves(found.variables), leaves(expected.variables), strict=True):
            assert path == other
            np.testing.assert_array_equal(a, b)


def test_the_same_ensemble_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_ensemble(Ensemble((member(),), INFO), tmp_path / name)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)


def test_saving_over_an_ensemble_leaves_nothing_of_it(saved):
    save_ensemble(Ensemble((member(seed=7),), INFO), saved)
    assert len(list(saved.glob("*.safetensors"))) == 1
    assert load_ensemble(saved).members[0].runs == 3


def test_an_ensemble_whose_replacement_is_cut_off_is_unchanged(saved, monkeypatch):
    before = load_ensemble(saved).digest
    write = store.write_atomically

    def full(path, content):
        if path.name == store.INDEX:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(store, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        save_ensemble(Ensemble((member(seed=7),), INFO), saved)
    assert load_ensemble(saved).digest == before


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_in_float32_are_not_saved(tmp_path, value):
    with pytest.raises(ValueError, match="params/kernel holds values that are not finite"):
        save_ensemble(of_kernel(np.array([[1.0, value]])), tmp_path)
    assert not (tmp_path / store.INDEX).exists()


def test_members_without_a_common_run_axis_are_not_saved(tmp_path):
    bad = Member("st-gcn", {"params": {"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}})
    with pytest.raises(ValueError, match="no common run axis"):
        save_ensemble(Ensemble((bad,), INFO), tmp_path)


# --- fewer bits ------------------------------------------------------------------------------------------------------


def test_half_precision_rounds_halves_the_files_and_keeps_what_it_cannot_hold(tmp_path):
    values = np.random.default_rng(0).normal(size=(2, 100, 100)).astype(np.float32)
    save_ensemble(of_kernel(values), tmp_path / "full")
    half = save_ensemble(of_kernel(values), tmp_path / "half", precision="float16")
    sizes = [sum(p.stat().st_size for p in (tmp_path / n).glob("*.safetensors")) for n in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    kernel = half.members[0].variables["params"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, values.astype(np.float16).astype(np.float32))
    large = save_ensemble(of_kernel(np.full((2, 3), 1e6, np.float32)), tmp_path / "large", precision="float16")
    np.testing.assert_array_equal(large.members[0].variables["params"]["kernel"], np.full((2, 3), 1e6))


def with_kernels() -> Ensemble:
    rng = np.random.default_rng(0)
    layer = {"kernel": rng.normal(size=(2, 3, 4, 5)).astype(np.float32), "bias": np.ones((2, 5), np.float32)}
    layer["kernel"][0, ..., 1] = 0
    return Ensemble((Member("st-gcn", {"params": {"layer": layer}}),), INFO)


def test_kernels_in_eight_bits_are_off_by_half_a_step_of_their_channel_once(tmp_path):
    ensemble = with_kernels()
    layer = ensemble.members[0].variables["params"]["layer"]
    once = save_ensemble(ensemble, tmp_path / "a", precision="int8")
    loaded = once.members[0].variables["params"]["layer"]
    step = np.abs(layer["kernel"]).max((1, 2), keepdims=True) / 127
    assert (np.abs(loaded["kernel"] - layer["kernel"]) <= step / 2 * (1 + 1e-5)).all()
    assert (loaded["kernel"][0, ..., 1] == 0).all()
    np.testing.assert_array_equal(loaded["bias"], layer["bias"])
    assert loaded["kernel"].dtype == np.float32
    twice = save_ensemble(once, tmp_path / "b", precision="int8")
    for (_, a), (_, b) in zip(leaves(once.members[0].variables), leaves(twice.members[0].variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("of", ["params/layer/kernel", "params/layer/other"])
def test_factors_of_another_kernel_are_refused(tmp_path, of):
    save_ensemble(with_kernels(), tmp_path, precision="int8")
    [file] = tmp_path.glob("*.safetensors")
    arrays = safetensors.numpy.load_file(file)
    arrays[f"{of}.factors"] = np.ones((1, 1, 1, 5), np.float32)
    replace_member(tmp_path, safetensors.numpy.save(arrays))
    refused(tmp_path, r"factors does not fit")


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ensemble.json", "00-*.safetensors", "01-*.safetensors"])
def test_every_flipped_bit_is_refused(saved, name):
    (path,) = saved.glob(name)
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    # White space behind the value is the one thing in a JSON text that no digest of the value can cover.
    places = len(intact.rstrip()) if path.suffix == ".json" else len(intact)
    for place, bit in zip(rng.choice(places, 100, replace=False), rng.integers(8, size=100)):
        damaged = bytearray(intact)
        damaged[place] ^= 1 << bit
        if path.suffix == ".json" and same_value(damaged, intact):
            continue
        path.write_bytes(damaged)
        refused(saved)
    path.write_bytes(intact)
    load_ensemble(saved)


def same_value(damaged: bytes, intact: bytes) -> bool:
    try:
        return json.loads(damaged) == json.loads(intact)
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["ensemble.json", "00-*.safetensors", "01-*.safetensors"])
def test_every_cut_is_refused(saved, name):
    (path,) = saved.glob(name)
    intact = path.read_bytes()
    for share in (0, 0.01, 0.3, 0.5, 0.9, 0.99):
        path.write_bytes(intact[: int(share * len(intact))])
        refused(saved)
    path.unlink()
    assert path.name in refused(saved)


def test_the_members_of_two_ensembles_cannot_be_exchanged(saved):
    first, second = sorted(saved.glob("*.safetensors"))
    shutil.copy(second, first)
    refused(saved, "is damaged")


def test_damage_is_named_with_the_array_that_it_hit(saved):
    (path,) = saved.glob("00-*.safetensors")
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    data[start + header["params/layer_0/kernel"]["data_offsets"][0]] ^= 1
    path.write_bytes(data)
    refused(saved, "is damaged at params/layer_0/kernel: its digest does not match")


@pytest.mark.parametrize(
    "change",
    [
        *(lambda index, name=name: index["info"].update({name: "other"}) for name in INFO.to_dict()),
        lambda index: index.update(sha256="0" * 64),
        lambda index: index.pop("sha256"),
    ],
)
def test_an_edited_index_is_refused(saved, change):
    edit(saved, change, sign=False)
    refused(saved, "is damaged: its digest does not match")


# --- other folders and files -----------------------------------------------------------------------------------------


def test_a_folder_without_an_ensemble_is_refused(tmp_path):
    refused(tmp_path / "nowhere", "is not a folder")
    refused(tmp_path, "holds no ensemble.json")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is not a folder")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("[1, 2]", "is not the index of an ensemble"),
        ('{"format": "other"}', "is not the index of an ensemble"),
        ("[" * 100_000, "cannot be read"),
        (
            '{"format": "infantjax-ensemble", "version": 1, "members": []}',
            "was written by an older version of infantjax; train it again",
        ),
        ('{"format": "infantjax-ensemble", "version": 3}', "has format version 3, this program knows 2"),
        ('{"format": "infantjax-ensemble"}', "has format version None"),
        ('{"format": "infantjax-ensemble", "version": 2, "sha256": NaN}', "is damaged"),
    ],
)
def test_another_index_is_refused(tmp_path, text, message):
    (tmp_path / store.INDEX).write_text(text)
    refused(tmp_path, message)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index.pop("members"),
        lambda index: index.update(members=[]),
        lambda index: index.update(members=[1]),
        lambda index: index.update(info=None),
        lambda index: index["members"][0].pop("file"),
        lambda index: index["members"][0].update(file="a\0b"),
        lambda index: index["members"][0].update(file="../.."),
        lambda index: index["members"][0].update(runs=4),
        lambda index: index["members"][0].update(bytes=7),
        lambda index: index["members"][0].update(overrides=3),
    ],
)
def test_a_crafted_index_with_the_right_digest_is_refused(saved, change):
    edit(saved, change)
    refused(saved)


def declaring(shape: list[int], end: int, held: int = 0, dtype: str = "F32") -> bytes:
    """A file whose header declares an array that may not be there."""
    header = json.dumps({"params/kernel": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(held)


def of_arrays(**arrays: np.ndarray) -> bytes:
    return safetensors.numpy.save({name.replace("__", "/"): a for name, a in arrays.items()})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (declaring([3, 10**9], 12 * 10**9), "is not the index"),
        (declaring([3, 10**9], 0), "is not the index"),
        (declaring([2**62, 2**62], 0), "is not the index"),
        (declaring([3, 2], 20, 20), "is not the index"),
        (declaring([3, 2], 24, 30), "is not the index"),
        (declaring([3, 2], 24, 24, "X99"), "is not the index"),
        (declaring([3, 2], 12, 12, "BF16"), None),
        ((10**15).to_bytes(8, "little"), "is not the index"),
        (b"", "is not the index"),
        (b"PK\x03\x04 and no more", "is not the index"),
        (of_arrays(), "holds no arrays"),
        (of_arrays(params__kernel=np.full((3, 2), np.nan, np.float32)), "not finite"),
        (of_arrays(params__kernel=np.ones((3, 2), np.int32)), "not finite"),
        (of_arrays(params__kernel=np.ones((2, 2), np.float32)), "has no run axis of length 3"),
        (of_arrays(params__kernel=np.ones((), np.float32)), "has no run axis of length 3"),
        (of_arrays(params=np.ones((3, 2), np.float32), params__kernel=np.ones((3, 2), np.float32)), None),
    ],
)
def test_files_of_other_arrays_are_refused_before_memory_is_allocated(saved, data, message):
    replace_member(saved, data)
    tracemalloc.start()
    try:
        refused(saved, message)
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("the file was read"))
    refused(saved, "is not a file of at most 100 bytes")
