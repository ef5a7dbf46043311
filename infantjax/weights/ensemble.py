"""Saving and loading of ensembles: a folder with one `.npz` a member and an `ensemble.json` that commits them.

Every byte is covered by a SHA-256: the JSON carries its own digest, the digest of each member file and of each leaf.
A file that is cut, flipped in one bit, missing or of another architecture is refused in one line. Nothing is pickled.

Member files are named after their content, so writing over an existing ensemble never leaves a mixture: the old JSON
points at the old files until the new one is renamed into its place.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_ARCHIVE_RATIO, MAX_FILE_BYTES, canonical_json, sha256, write_atomically
from infantjax.weights.archive import DAMAGE, open_archive, read_member, read_npz

FORMAT = "infantjax-ensemble"
VERSION = 1
INDEX = "ensemble.json"

Precision = Literal["float32", "float16", "int8"]
"""How arrays are stored."""

_FACTORS = ".factors"
_MAX_INDEX_BYTES = 64 * 1024**2

Variables = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Member:
    """One architecture with the weights of its instances.

    Attributes:
        model: registry name.
        variables: nested dicts of arrays, each with a leading run axis (one entry an instance).
        overrides: arguments for the entry's `build`, JSON-compatible.
    """

    model: str
    variables: Variables
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def instances(self) -> int:
        """Number of trained instances: the length of the run axis."""
        return len(next(leaves(self.variables))[1])


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members, and what is needed to use them correctly.

    Attributes:
        members: the architectures in order.
        info: JSON-compatible: `skeleton`, `preprocessing`, `threshold`, `validated`, `statement` (the caveat printed
            with every risk), `training` (how the weights came about).
        digest: SHA-256 of the saved ensemble; empty before it is saved or loaded.
    """

    members: tuple[Member, ...]
    info: Mapping[str, Any]
    digest: str = ""


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(path, array) of every leaf of nested dicts, sorted by path; path parts are joined by `/`."""
    for name in sorted(tree):
        value = tree[name]
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", np.asarray(value)


def leaf_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's dtype, shape and bytes."""
    return sha256(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())


def save_ensemble(ensemble: Ensemble, directory: str | Path, *, precision: Precision = "float32") -> Ensemble:
    """Write an ensemble into a folder, which is made if it does not exist.

    Args:
        ensemble: what to save.
        directory: the folder.
        precision: how arrays are stored; the loaded weights are the rounded ones, in float32. `float16` where every
            value fits; `int8` for kernels, see `rounded_to_int8`, and float32 for all else.

    Returns:
        The ensemble as it will be loaded, with its digest.

    Raises:
        OSError: the folder cannot be written; an ensemble that was there before is unchanged.
        ValueError: there are no members, an array is not finite, or a member's arrays have no common run axis.
    """
    if not ensemble.members:
        raise ValueError("an ensemble needs at least one member")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, member in enumerate(ensemble.members):
        arrays: dict[str, np.ndarray] = {}
        for path, array in leaves(member.variables):
            arrays |= _stored(path, array, precision)
        if len(lengths := {a.shape[:1] for a in arrays.values()}) != 1 or lengths & {(), (0,)}:
            raise ValueError(f"member {member.model}: arrays have no common run axis")
        data = _npz(arrays)
        name = f"{number:02d}-{member.model}-{sha256(data)[:12]}.npz"
        write_atomically(directory / name, data)
        entries.append(
            {
                "model": member.model,
                "overrides": dict(member.overrides),
                "instances": member.instances,
                "file": name,
                "sha256": sha256(data),
                "leaves": {path: leaf_digest(a) for path, a in arrays.items()},
            }
        )
    index = {"format": FORMAT, "version": VERSION, "info": dict(ensemble.info), "members": entries}
    index["sha256"] = _index_digest(index)
    write_atomically(directory / INDEX, canonical_json(index))
    for stale in directory.glob("[0-9][0-9]-*.npz"):
        if stale.name not in {e["file"] for e in entries}:
            stale.unlink()
    return load_ensemble(directory)


def load_ensemble(directory: str | Path) -> Ensemble:
    """Read an ensemble and check every digest.

    Returns:
        The ensemble, arrays as float32 with their leading run axis.

    Raises:
        InputError: no ensemble there, damaged, of a newer format, or holding values that are not finite.
    """
    directory = Path(directory)
    index = _read_index(directory)
    try:
        members = tuple(_read_member(directory, entry) for entry in index["members"])
        if not members or not isinstance(index["info"], dict):
            raise ValueError("it holds no members or no info")
    except DAMAGE as error:
        # The digests agree, so this was not damaged on the way: it was never written by `save_ensemble`.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(directory / INDEX, f"is not the index of an ensemble ({reason})", _REMEDY) from None
    return Ensemble(members, index["info"], index["sha256"])


_REMEDY = "copy the ensemble again from where it came from"


def rounded_to_int8(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernels as whole numbers in -127..127 times a factor for each run and output channel.

    Args:
        kernels: `[run, ..., out]`.

    Returns:
        The numbers, int8 of the same shape, and the factors, float32, `[run, 1, ..., out]`; a channel of zeros has 1.
    """
    largest = np.abs(kernels).max(tuple(range(1, kernels.ndim - 1)), keepdims=True)
    factors = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(kernels / factors).astype(np.int8), factors


def _stored(path: str, array: np.ndarray, precision: Precision) -> dict[str, np.ndarray]:
    """What stands in the file for an array."""
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
        rounded = array.astype(np.float16) if precision == "float16" else array
    if not np.isfinite(array).all():
        raise ValueError(f"{path} holds values that are not finite in float32")
    if precision == "int8" and path.endswith("/kernel") and array.ndim > 2:
        numbers, factors = rounded_to_int8(array)
        return {path: numbers, path + _FACTORS: factors}
    return {path: rounded if np.isfinite(rounded).all() else array}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a compressed .npz that depend on the arrays only (no time stamps)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{path}.npy", (1980, 1, 1, 0, 0, 0))
            data = content.getvalue()
            # What shrinks beyond the ratio that is read again (zeros, say) is stored as it is.
            small = len(zlib.compress(data)) * MAX_ARCHIVE_RATIO < 2 * len(data)
            info.compress_type = zipfile.ZIP_STORED if small else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return stream.getvalue()


def _index_digest(index: Mapping[str, Any]) -> str:
    return sha256(canonical_json({k: v for k, v in index.items() if k != "sha256"}).encode())


def _read_index(directory: Path) -> dict[str, Any]:
    path = directory / INDEX
    if not directory.is_dir():
        raise InputError(directory, "is not a folder", "give the folder that `infantjax crossval` wrote")
    try:
        if path.stat().st_size > _MAX_INDEX_BYTES or not path.is_file():
            raise InputError(path, "is not the index of an ensemble", _REMEDY)
        index = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(directory, f"holds no {INDEX}", "give the folder that `infantjax crossval` wrote") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"cannot be read ({type(error).__name__})", _REMEDY) from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise InputError(path, "is not the index of an ensemble", _REMEDY)
    if index.get("version") != VERSION:
        version = str(index.get("version"))[:20]
        raise InputError(path, f"has format version {version}, this program knows {VERSION}", "update infantjax")
    try:
        intact = index["sha256"] == _index_digest(index)
    except (KeyError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise InputError(path, "is damaged: its digest does not match", _REMEDY)
    return index


def _read_member(directory: Path, entry: Mapping[str, Any]) -> Member:
    path = directory / Path(entry["file"]).name
    try:
        if path.stat().st_size > MAX_FILE_BYTES or not path.is_file():
            raise InputError(path, f"is not a file of at most {MAX_FILE_BYTES} bytes", _REMEDY)
        data = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from None
    if sha256(data) != entry["sha256"]:
        raise InputError(path, f"is damaged{_damaged_leaf(data, entry)}: its digest does not match", _REMEDY)
    variables: Variables = {}
    arrays = read_npz(io.BytesIO(data))
    for name in [name for name in arrays if name.endswith(_FACTORS)]:
        factors, kernel = arrays.pop(name), name.removesuffix(_FACTORS)
        numbers = arrays.get(kernel, np.zeros(0))
        if numbers.dtype != np.int8 or factors.shape != (
            *numbers.shape[:1],
            *[1] * (numbers.ndim - 2),
            numbers.shape[-1],
        ):
            raise InputError(path, f"{name} does not fit {kernel}", _REMEDY)
        arrays[kernel] = numbers * factors
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(path, f"{name} holds values that are not finite numbers", _REMEDY)
        if array.shape[:1] != (entry["instances"],) or not len(array):
            raise InputError(path, f"{name} is not of {entry['instances']} instances", _REMEDY)
        *parents, last = name.split("/")
        node = variables
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = array.astype(np.float32)
    if not variables:
        raise InputError(path, "holds no arrays", _REMEDY)
    return Member(str(entry["model"]), variables, dict(entry["overrides"]))


def _damaged_leaf(data: bytes, entry: Mapping[str, Any]) -> str:
    """Which leaf a damaged file's damage hit, as far as it can still be read."""
    try:
        with open_archive(io.BytesIO(data)) as archive:
            for name, digest in entry["leaves"].items():
                try:
                    intact = leaf_digest(read_member(archive, f"{name}.npy")) == digest
                except DAMAGE:
                    intact = False
                if not intact:
                    return f" at {name}"
    except DAMAGE:
        pass
    return ""
