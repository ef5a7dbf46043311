"""Ensembles on disk: a folder with one `.safetensors` file per network and an index, `ensemble.json`.

Every byte is covered by a SHA-256: the index holds its own digest, the digest of each file and of each leaf. A file
that is cut, changed in one bit, missing or of another architecture is refused in one line. Nothing is pickled.

Files are named after their content, so writing over an existing ensemble never leaves a mixture: the old index refers
to the old files until the new index replaces it.
"""

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES, canonical_json, sha256, write_atomically
from infantjax.lazy import discover
from infantjax.recording.preprocessing import Preprocessing
from infantjax.settings import Share, check_fields, from_settings, to_settings
from infantjax.weights.archive import DAMAGE

FORMAT = "infantjax-ensemble"
VERSION = 2
INDEX = "ensemble.json"

Precision = Literal["float32", "float16", "int8"]
"""How arrays are stored."""

_FACTORS = ".factors"
_MAX_INDEX_BYTES = 64 * 1024**2
_REMEDY = "copy the ensemble again from where it came from"

Variables = dict[str, Any]
Predict = Callable[[Any, Any], Any]
"""From the variables of an ensemble and windows `[window, time, joint, 2]` to risks `[window, instance]`."""


@dataclass(frozen=True, eq=False)
class Member:
    """One network of an ensemble with the weights of all its training runs.

    Attributes:
        model: registry name.
        variables: nested dicts of arrays, each with a leading run axis.
        overrides: arguments for the entry's `build`, JSON-compatible.
    """

    model: str
    variables: Variables
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """Number of training runs: the length of the run axis."""
        return len(next(leaves(self.variables))[1])

    def __repr__(self) -> str:
        return f"Member({self.model!r}, runs={self.runs})"


@dataclass(frozen=True, kw_only=True)
class EnsembleInfo:
    """Metadata of an ensemble; a field at its default is unknown, or not used by the method.

    Attributes:
        method: registry name of the method.
        task: of networks that belong to no method: `pose` or `depth-pose`.
        settings: of the method, as its `from_settings` reads them.
        skeleton: name of the keypoint set that the networks read.
        preprocessing: of recordings, where the settings do not hold it.
        threshold: risk from which the decision is positive.
        validated: whether the ensemble was validated on infants.
        statement: the caveat that is printed with every value.
        notes: remarks on the training.
        training: record of the training: data, options, runs and metrics.
        calibration: out-of-fold risks, as `evaluation.risk_calibration.RiskCalibration.from_dict` reads them.
        moments: of the training recordings, as `recording.quality.moments.Moments.from_dict` reads them.
        extra: JSON-compatible entries of the method or task under names of their own.

    Raises:
        ValueError: a threshold that is not within 0..1.
    """

    method: str = ""
    task: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    skeleton: str = ""
    preprocessing: Preprocessing | None = None
    threshold: Share | None = None
    validated: bool = False
    statement: str = ""
    notes: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None
    moments: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-compatible; unknown fields are left out, and `extra` is not nested."""
        values = to_settings(self)
        extra, validated = values.pop("extra"), values.pop("validated")
        return {name: value for name, value in values.items() if value or value == 0} | {"validated": validated} | extra

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; what has no field becomes `extra`.

        Raises:
            ValueError: a value of another type or out of range.
        """
        names = {each.name for each in fields(cls)} - {"extra"}
        extra = {name: value for name, value in values.items() if name not in names}
        return from_settings(cls, {k: v for k, v in values.items() if k in names} | {"extra": extra})


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks, and what is needed to use them correctly.

    Attributes:
        members: the networks in order.
        info: metadata.
        digest: SHA-256 of the saved ensemble; empty before it is saved or loaded.
    """

    members: tuple[Member, ...]
    info: EnsembleInfo
    digest: str = ""

    def __repr__(self) -> str:
        members = ", ".join(f"{member.model} x {member.runs}" for member in self.members)
        return f"Ensemble({self.info.method or self.info.task}: {members})"

    @property
    def variables(self) -> tuple[Variables, ...]:
        """The weights of each member, nested dicts of arrays `[run, ...]`: a pytree."""
        return tuple(member.variables for member in self.members)

    def predict_fn(self, *, platform: Literal["cpu", "gpu", "tpu"] | None = None) -> Predict:
        """The networks as a pure function, for `jax.jit`, `jax.vmap`, `jax.grad` and arrays that are sharded.

            predict = ensemble.predict_fn()
            risks = predict(ensemble.variables, windows)  # [window, instance]

        `windows` are standardized positions `[window, time, joint, 2]` (`recording.preprocessing.standardize` and
        `recording.windows.cut`). Instances are the runs of the first member, then those of the second, and so on. Batch
        norm is folded inside. A call outside of transformations is compiled once for each number of windows. For a
        `jax.jit` of one's own on a CPU, `compiler_options=infantjax.cache.COMPILER_OPTIONS["cpu"]` make it as fast.

        Args:
            platform: that the function is computed on; None is JAX's default backend.

        Raises:
            InputError: the weights do not fit their networks.
            ValueError: the method gives no risk for windows.
        """
        name = self.info.method
        known = discover("PREDICTORS")
        if name not in known:
            raise ValueError(f"{name} gives no risk for windows alone; known: {', '.join(filter(None, known))}")
        return importlib.import_module(known[name]).predict_fn(self, platform)


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(path, array) of every leaf of nested dicts, sorted by path; path parts are joined by `/`."""
    for name in sorted(tree):
        value = tree[name]
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", np.asarray(value)


def nested(arrays: Mapping[str, Any]) -> Variables:
    """The inverse of `leaves`."""
    tree: Variables = {}
    for name, array in arrays.items():
        *parents, last = name.split("/")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = array
    return tree


def leaf_digest(array: np.ndarray) -> str:
    """SHA-256 of an array's dtype, shape and bytes."""
    return sha256(array)


# --- writing ---------------------------------------------------------------------------------------------------------


def save_ensemble(ensemble: Ensemble, directory: str | Path, *, precision: Precision = "float32") -> Ensemble:
    """Write an ensemble into a folder, which is made if it does not exist.

    Args:
        ensemble: what to save.
        directory: the folder.
        precision: how arrays are stored; the loaded weights are the rounded ones, in float32. `float16` where every
            value fits; `int8` for kernels, see `round_to_int8`, and float32 for all other arrays.

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
    entries = [_write_member(directory, i, member, precision) for i, member in enumerate(ensemble.members)]
    index = {"format": FORMAT, "version": VERSION, "info": ensemble.info.to_dict(), "members": entries}
    index["sha256"] = index_digest(index)
    write_atomically(directory / INDEX, canonical_json(index))
    for stale in directory.glob("[0-9]*-*.safetensors"):
        if stale.name not in {entry["file"] for entry in entries}:
            stale.unlink()
    return load_ensemble(directory)


def round_to_int8(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernels as whole numbers in -127..127 times a factor for each run and output channel.

    Args:
        kernels: `[run, ..., out]`.

    Returns:
        The numbers, int8 of the same shape, and the factors, float32, `[run, 1, ..., out]`; a channel of zeros has 1.
    """
    largest = np.abs(kernels).max(tuple(range(1, kernels.ndim - 1)), keepdims=True)
    factors = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(kernels / factors).astype(np.int8), factors


def index_digest(index: Mapping[str, Any]) -> str:
    """SHA-256 of an index without its own digest."""
    return sha256(canonical_json({k: v for k, v in index.items() if k != "sha256"}).encode())


def _write_member(directory: Path, number: int, member: Member, precision: Precision) -> dict[str, Any]:
    """Write the file of one network; returns its entry in the index."""
    arrays: dict[str, np.ndarray] = {}
    for path, array in leaves(member.variables):
        arrays |= _to_stored(path, array, precision)
    if len(lengths := {a.shape[:1] for a in arrays.values()}) != 1 or lengths & {(), (0,)}:
        raise ValueError(f"member {member.model}: arrays have no common run axis")
    data = safetensors.numpy.save(arrays)
    digest = sha256(data)
    name = f"{number:02d}-{member.model}-{digest[:12]}.safetensors"
    write_atomically(directory / name, data)
    return {
        "model": member.model,
        "overrides": dict(member.overrides),
        "runs": member.runs,
        "file": name,
        "bytes": len(data),
        "sha256": digest,
        "leaves": {path: leaf_digest(a) for path, a in arrays.items()},
    }


def _to_stored(path: str, array: np.ndarray, precision: Precision) -> dict[str, np.ndarray]:
    """The arrays of the file that hold one leaf."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
        rounded = array.astype(np.float16) if precision == "float16" else array
    if not np.isfinite(array).all():
        raise ValueError(f"{path} holds values that are not finite in float32")
    if precision == "int8" and path.endswith("/kernel") and array.ndim > 2:
        numbers, factors = round_to_int8(array)
        return {path: numbers, path + _FACTORS: factors}
    return {path: rounded if np.isfinite(rounded).all() else array}


# --- reading ---------------------------------------------------------------------------------------------------------


def load_ensemble(directory: str | Path) -> Ensemble:
    """Read an ensemble and check every digest.

    Returns:
        The ensemble, arrays as float32 with their leading run axis.

    Raises:
        InputError: no ensemble there, damaged, of an older or newer format, or holding values that are not finite.
    """
    directory = Path(directory)
    index = _read_index(directory)
    try:
        members = tuple(_read_member(directory, entry) for entry in index["members"])
        if not members:
            raise ValueError("it holds no members")
        info = EnsembleInfo.from_dict(index["info"])
    except (SafetensorError, *DAMAGE) as error:
        # The digests agree, so this is not damage: `save_ensemble` never wrote these files.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(directory / INDEX, f"is not the index of an ensemble ({reason})", _REMEDY) from None
    return Ensemble(members, info, index["sha256"])


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
    if index.get("version") == 1:
        raise InputError(path, "was written by an older version of infantjax", "train it again")
    if index.get("version") != VERSION:
        version = str(index.get("version"))[:20]
        raise InputError(path, f"has format version {version}, this program knows {VERSION}", "update infantjax")
    try:
        intact = index["sha256"] == index_digest(index)
    except (KeyError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise InputError(path, "is damaged: its digest does not match", _REMEDY)
    return index


def _read_member(directory: Path, entry: Mapping[str, Any]) -> Member:
    path = directory / Path(entry["file"]).name
    data = _read_file(path, entry["bytes"])
    if sha256(data) != entry["sha256"]:
        raise InputError(path, f"is damaged{_damaged_leaf(data, entry)}: its digest does not match", _REMEDY)
    arrays = dict(sorted(_from_stored(path, safetensors.numpy.load(data)).items()))
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(path, f"{name} holds values that are not finite numbers", _REMEDY)
        if array.shape[:1] != (entry["runs"],) or not len(array):
            raise InputError(path, f"{name} has no run axis of length {entry['runs']}", _REMEDY)
    if not arrays:
        raise InputError(path, "holds no arrays", _REMEDY)
    variables = nested({name: array.astype(np.float32) for name, array in arrays.items()})
    return Member(str(entry["model"]), variables, dict(entry["overrides"]))


def _read_file(path: Path, expected: int) -> bytes:
    """The bytes of a file, whose size is checked before they are read."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES or not path.is_file():
            raise InputError(path, f"is not a file of at most {MAX_FILE_BYTES} bytes", _REMEDY)
        if size != expected:
            raise InputError(path, f"is damaged: it has {size} bytes, its index says {expected}", _REMEDY)
        return path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", _REMEDY) from None


def _from_stored(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The leaves that the arrays of a file hold; kernels in int8 are multiplied by their factors."""
    for name in [name for name in arrays if name.endswith(_FACTORS)]:
        factors, kernel = arrays.pop(name), name.removesuffix(_FACTORS)
        numbers = arrays.get(kernel, np.zeros(0))
        shape = (*numbers.shape[:1], *[1] * (numbers.ndim - 2), *numbers.shape[-1:])
        if numbers.dtype != np.int8 or factors.shape != shape:
            raise InputError(path, f"{name} does not fit {kernel}", _REMEDY)
        arrays[kernel] = numbers * factors
    return arrays


def _damaged_leaf(data: bytes, entry: Mapping[str, Any]) -> str:
    """The leaf that is damaged, if the header of the file is intact."""
    try:
        arrays = safetensors.numpy.load(data)
        return next(f" at {name}" for name, digest in entry["leaves"].items() if leaf_digest(arrays[name]) != digest)
    except (SafetensorError, StopIteration, *DAMAGE):
        return ""
