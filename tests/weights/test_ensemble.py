"""Ensembles on the disk: what is saved is what is loaded, and nothing that was touched is loaded."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from infantjax import files
from infantjax.errors import InputError
from infantjax.weights import ensemble as store
from infantjax.weights.ensemble import Ensemble, Member, leaves, load_ensemble, save_ensemble

INFO = {"skeleton": "in-motion-19", "threshold": 0.25, "statement": "made for a test"}


def member(model: str = "st-gcn", instances: int = 3, seed: int = 0) -> Member:
    rng = np.random.default_rng(seed)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=(instances, *shape)).astype(np.float32)

    params = {"layer_0": {"kernel": array(3, 4), "bias": array(4)}, "classifier": {"kernel": array(4, 2)}}
    return Member(model, {"params": params, "batch_stats": {"mean": array(4) ** 2}}, {"widths": [4, 8]})


@pytest.fixture
def saved(tmp_path) -> Path:
    save_ensemble(Ensemble((member(), member("kbest-gcn-2", 2, seed=1)), INFO), tmp_path / "ensemble")
    return tmp_path / "ensemble"


def refused(directory: Path, message: str | None = None) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(InputError, match=message) as caught:
        load_ensemble(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def edit(directory: Path, change, sign: bool = True) -> None:
    """Change the index as somebody would who knows how its digest is made, or (sign=False) who does not."""
    index = json.loads((directory / store.INDEX).read_text())
    change(index)
    if sign:
        index["sha256"] = store._index_digest(index)
    (directory / store.INDEX).write_text(files.canonical_json(index))


def replace_member(directory: Path, data: bytes) -> None:
    """Put other bytes in place of the first member, with all digests right."""

    def change(index):
        entry = index["members"][0]
        (directory / entry["file"]).write_bytes(data)
        entry["sha256"] = files.sha256(data)

    edit(directory, change)


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=allow_pickle)
    return stream.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


# --- round trip ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path):
    members = (member(), member("kbest-gcn-2", 2, seed=1))
    written = save_ensemble(Ensemble(members, INFO), tmp_path)
    loaded = load_ensemble(tmp_path)
    assert loaded.digest == written.digest
    assert dict(loaded.info) == INFO
    for found, expected in zip(loaded.members, members, strict=True):
        assert (found.model, dict(found.overrides)) == (expected.model, dict(expected.overrides))
        assert found.instances == expected.instances
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
    assert len(list(saved.glob("*.npz"))) == 1
    assert load_ensemble(saved).members[0].instances == 3


def test_an_ensemble_cut_off_while_it_is_replaced_is_still_the_old_one(saved, monkeypatch):
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


def test_half_precision_rounds_and_halves_the_files(tmp_path):
    rng = np.random.default_rng(0)
    wide = Member("st-gcn", {"params": {"kernel": rng.normal(size=(2, 100, 100)).astype(np.float32)}})
    save_ensemble(Ensemble((wide,), INFO), tmp_path / "full")
    half = save_ensemble(Ensemble((wide,), INFO), tmp_path / "half", precision="float16")
    sizes = [sum(p.stat().st_size for p in (tmp_path / n).glob("*.npz")) for n in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    kernel = half.members[0].variables["params"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, wide.variables["params"]["kernel"].astype(np.float16).astype(np.float32))


def test_half_precision_keeps_what_it_cannot_hold_in_full(tmp_path):
    large = Member("st-gcn", {"params": {"kernel": np.full((2, 3), 1e6, np.float32)}})
    loaded = save_ensemble(Ensemble((large,), INFO), tmp_path, precision="float16")
    np.testing.assert_array_equal(loaded.members[0].variables["params"]["kernel"], np.full((2, 3), 1e6))


def test_weights_of_zeros_are_loaded_although_they_shrink_a_thousandfold(tmp_path):
    zeros = Member("st-gcn", {"params": {"kernel": np.zeros((7, 200, 200), np.float32)}})
    loaded = save_ensemble(Ensemble((zeros,), INFO), tmp_path)
    assert loaded.members[0].variables["params"]["kernel"].shape == (7, 200, 200)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite_in_float32_are_not_saved(tmp_path, value):
    bad = Member("st-gcn", {"params": {"kernel": np.array([[1.0, value]])}})
    with pytest.raises(ValueError, match="params/kernel holds values that are not finite"):
        save_ensemble(Ensemble((bad,), INFO), tmp_path)
    assert not (tmp_path / store.INDEX).exists()


def test_members_without_a_common_run_axis_are_not_saved(tmp_path):
    bad = Member("st-gcn", {"params": {"a": np.zeros((2, 3)), "b": np.zeros((3, 3))}})
    with pytest.raises(ValueError, match="no common run axis"):
        save_ensemble(Ensemble((bad,), INFO), tmp_path)


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ensemble.json", "00-*.npz", "01-*.npz"])
def test_every_flipped_bit_is_refused(saved, name):
    (path,) = saved.glob(name)
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    # White space behind the value is the one thing in a JSON text that no digest of the value can cover.
    places = len(intact.rstrip()) if path.suffix == ".json" else len(intact)
    for place, bit in zip(rng.choice(places, 200, replace=False), rng.integers(8, size=200)):
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


@pytest.mark.parametrize("name", ["ensemble.json", "00-*.npz", "01-*.npz"])
def test_every_cut_is_refused(saved, name):
    (path,) = saved.glob(name)
    intact = path.read_bytes()
    for share in (0, 0.01, 0.3, 0.5, 0.9, 0.99):
        path.write_bytes(intact[: int(share * len(intact))])
        refused(saved)


@pytest.mark.parametrize("name", ["00-*.npz", "01-*.npz"])
def test_a_missing_member_is_refused(saved, name):
    (path,) = saved.glob(name)
    path.unlink()
    assert path.name in refused(saved, "cannot be read")


def test_the_members_of_two_ensembles_cannot_be_exchanged(saved):
    first, second = sorted(saved.glob("*.npz"))
    shutil.copy(second, first)
    refused(saved, "is damaged.*its digest does not match")


def test_damage_is_named_with_the_array_that_it_hit(saved):
    (path,) = saved.glob("00-*.npz")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        header = archive.getinfo("params/layer_0/kernel.npy").header_offset
    data[header + 80] ^= 1
    path.write_bytes(data)
    refused(saved, "is damaged at params/layer_0/kernel")


@pytest.mark.parametrize("field", ["threshold", "statement", "skeleton"])
def test_an_edited_index_is_refused(saved, field):
    edit(saved, lambda index: index["info"].update({field: "other"}), sign=False)
    refused(saved, "is damaged: its digest does not match")


def test_an_edited_digest_is_refused(saved):
    edit(saved, lambda index: index.update(sha256="0" * 64), sign=False)
    refused(saved, "is damaged: its digest does not match")
    edit(saved, lambda index: index.pop("sha256"), sign=False)
    refused(saved, "is damaged: its digest does not match")


# --- what is no ensemble ---------------------------------------------------------------------------------------------


def test_a_folder_that_is_none_holds_none_or_is_empty_is_refused(tmp_path):
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
        ('{"format": "infantjax-ensemble", "version": 2}', "has format version 2, this program knows 1"),
        ('{"format": "infantjax-ensemble"}', "has format version None"),
        ('{"format": "infantjax-ensemble", "version": 1, "sha256": NaN}', "is damaged"),
    ],
)
def test_another_json_is_refused(tmp_path, text, message):
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
        lambda index: index["members"][0].update(instances=4),
        lambda index: index["members"][0].update(overrides=3),
    ],
)
def test_a_crafted_index_with_the_right_digest_is_refused(saved, change):
    edit(saved, change)
    refused(saved)


# --- crafted archives with the right digests -------------------------------------------------------------------------


class _Touch:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_objects_in_an_archive_are_refused_and_run_nothing(saved, tmp_path):
    marker = tmp_path / "marker"
    objects = np.array([_Touch(marker)] * 3, dtype=object)
    replace_member(saved, zipped({"params/kernel.npy": npy(objects, allow_pickle=True)}))
    refused(saved, "Python objects, which are never loaded")
    assert not marker.exists()


def declared(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (declared((3, 10**12)), "declares shape"),
        (declared((3, -4)), "declares shape"),
        (declared((3, 2), b"\0" * 20), "declares shape"),
        (b"\x93NUMPY\x09\x00abc", "unknown version"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "EOF"),
        (b"\x93NUMPY\x01\x00\x08\x00{'a': (\n", "is not the index of an ensemble"),
        (npy(np.full((3, 2), np.nan, np.float32)), "not finite"),
        (npy(np.ones((3, 2), np.int32)), "not finite"),
        (npy(np.ones((2, 2), np.float32)), "is not of 3 instances"),
        (npy(np.ones((), np.float32)), "is not of 3 instances"),
    ],
)
def test_arrays_that_are_not_weights_are_refused(saved, data, message):
    replace_member(saved, zipped({"params/kernel.npy": data}))
    refused(saved, message)


def test_an_array_that_declares_terabytes_is_refused_before_memory_is_asked_for(saved, monkeypatch):
    def allocated(*args, **kwargs):
        raise AssertionError("the array was read")

    replace_member(saved, zipped({"params/kernel.npy": declared((3, 10**9))}))
    monkeypatch.setattr(np.lib.format, "read_array", allocated)
    refused(saved, r"declares shape \(3, 1000000000\) but holds 0 bytes")


def test_an_archive_that_unpacks_to_too_much_is_refused(saved):
    zeros = npy(np.zeros((3, 1_000_000), np.float32))
    replace_member(saved, zipped({"params/kernel.npy": zeros}, zipfile.ZIP_DEFLATED))
    refused(saved, "would unpack to 12000128 bytes")


@pytest.mark.parametrize("name", ["../params/kernel.npy", "/params/kernel.npy"])
def test_a_member_outside_the_archive_is_refused(saved, name):
    replace_member(saved, zipped({name: npy(np.ones((3, 2), np.float32))}))
    refused(saved, "holds a member outside the archive")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 and no more",
        zipped({}),
        zipped({"params.npy": npy(np.ones((3, 2), np.float32)), "params/kernel.npy": npy(np.ones((3, 2), np.float32))}),
    ],
    ids=["empty", "no zip", "no arrays", "an array and a folder of one name"],
)
def test_no_archive_of_weights_is_refused(saved, data):
    replace_member(saved, data)
    refused(saved)


def test_a_member_larger_than_the_limit_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("the file was read"))
    refused(saved, "is not a file of at most 100 bytes")


# --- fewer bits ------------------------------------------------------------------------------------------------------


def with_kernels(seed: int = 0) -> Ensemble:
    rng = np.random.default_rng(seed)
    params = {
        "layer": {"kernel": rng.normal(size=(2, 3, 4, 5)).astype(np.float32), "bias": np.ones((2, 5), np.float32)}
    }
    params["layer"]["kernel"][0, ..., 1] = 0
    return Ensemble((Member("st-gcn", {"params": params}),), INFO)


def test_kernels_in_eight_bits_are_off_by_half_a_step_of_their_channel(tmp_path):
    ensemble = with_kernels()
    layer = ensemble.members[0].variables["params"]["layer"]
    loaded = save_ensemble(ensemble, tmp_path, precision="int8").members[0].variables["params"]["layer"]
    step = np.abs(layer["kernel"]).max((1, 2), keepdims=True) / 127
    assert (np.abs(loaded["kernel"] - layer["kernel"]) <= step / 2 * (1 + 1e-5)).all()
    assert (loaded["kernel"][0, ..., 1] == 0).all()
    np.testing.assert_array_equal(loaded["bias"], layer["bias"])
    assert loaded["kernel"].dtype == np.float32


def test_eight_bits_once_rounded_stay_what_they_are(tmp_path):
    once = save_ensemble(with_kernels(), tmp_path / "a", precision="int8")
    twice = save_ensemble(once, tmp_path / "b", precision="int8")
    for (_, a), (_, b) in zip(leaves(once.members[0].variables), leaves(twice.members[0].variables), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_factors_of_another_kernel_are_refused(tmp_path):
    save_ensemble(with_kernels(), tmp_path, precision="int8")
    [file] = tmp_path.glob("*.npz")
    with np.load(file) as archive:
        arrays = {name: npy(archive[name]) for name in archive.files}
    arrays["params/layer/kernel.factors"] = npy(np.ones((1, 1, 1, 5), np.float32))
    replace_member(tmp_path, zipped({f"{name}.npy": data for name, data in arrays.items()}))
    refused(tmp_path, r"kernel\.factors does not fit")
