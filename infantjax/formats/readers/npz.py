"""The .npz format of infantjax: arrays and JSON, which store a recording without loss.

Arrays: `keypoints [time, joint, 2|3]`, `fps`, `joints` (text, `[joint]`), optionally `confidence [time, joint]`, and
`info` (the bytes of a JSON object: name, skeleton, metadata, approximated, history, notes). The first three suffice.
It is written without compression and read without pickle.
"""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_JSON_BYTES, MAX_POINTS, write_atomically
from infantjax.formats.checks import check_shape, check_unpacked, damage
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks
from infantjax.recording.recording import Recording
from infantjax.settings import from_settings, to_settings
from infantjax.skeletons import Skeleton

_KINDS = {"keypoints": "fiu", "confidence": "fiu", "fps": "fiu", "joints": "U", "info": "u"}


def recognizes(source: Source) -> bool:
    """Whether the file is an archive."""
    return source.kind == "zip"


def read(source: Source, individual: str | None) -> Tracks:
    """Read an archive of arrays.

    Raises:
        InputError: an array is missing, is of the wrong shape or type, holds objects, or unpacks to too much.
    """
    path = source.path
    with damage(path, "an .npz archive"), zipfile.ZipFile(path) as archive:
        arrays = {name: _array(path, archive, name) for name in _KINDS if f"{name}.npy" in archive.namelist()}
    if absent := [name for name in ("keypoints", "joints") if name not in arrays]:
        raise InputError(
            path,
            f'has no array "{absent[0]}"',
            "it needs keypoints [time, joint, 2], joints and fps: docs/formats.md shows how to save them",
        )
    keypoints = np.asarray(arrays["keypoints"], dtype=np.float64)
    joints = [str(j) for j in arrays["joints"].ravel()]
    if keypoints.ndim != 3 or keypoints.shape[1] != len(joints) or keypoints.shape[2] not in (2, 3):
        raise InputError(
            path, f"keypoints have shape {keypoints.shape}, expected (time, {len(joints)}, 2 or 3)", "save them again"
        )
    confidence = None
    if "confidence" in arrays:
        confidence = np.asarray(arrays["confidence"], dtype=np.float64)
        if confidence.shape != keypoints.shape[:2]:
            raise InputError(
                path, f"confidence has shape {confidence.shape}, expected {keypoints.shape[:2]}", "save it again"
            )
    rate = float(arrays["fps"].ravel()[0]) if "fps" in arrays else None
    tracks = Tracks(joints=joints, keypoints=keypoints, confidence=confidence, fps=rate)
    return _with_info(path, tracks, arrays["info"]) if "info" in arrays else tracks


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    member = archive.getinfo(f"{name}.npy")
    where = f"{path} ({name})"
    check_unpacked(where, member.file_size, member.compress_size)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:
            raise InputError(where, f"is an array of an unknown version {version}", "save it again with NumPy")
        shape, _, dtype = read_header[version](stream)
        if dtype.kind not in _KINDS[name]:
            what = "Python objects, which are never loaded" if dtype.hasobject else f"values of type {dtype}"
            raise InputError(where, f"holds {what}", "save it as a plain array of numbers or text")
        # The declared shape decides what is allocated, so it must agree with what the archive really holds.
        declared = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
        if declared < 0 or declared != member.file_size - stream.tell():
            raise InputError(
                where, f"declares {declared} bytes but holds {member.file_size - stream.tell()}", "save it again"
            )
        _check_declared(where, name, shape, declared)
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _check_declared(where: str, name: str, shape: tuple[int, ...], size: int) -> None:
    """Refuse an array by its declared shape: numbers become float64, eight times the size of int8."""
    axes = {"keypoints": 3, "confidence": 2}.get(name)
    if axes is not None:
        if len(shape) != axes:
            raise InputError(where, f"has shape {shape}, expected {axes} axes", "save it again")
        check_shape(where, *shape)
    elif name == "fps" and shape not in ((), (1,)):
        raise InputError(where, f"has shape {shape}, expected one number", "save one number")
    elif size > MAX_JSON_BYTES or (name == "joints" and np.prod(shape, dtype=object) > MAX_POINTS):
        raise InputError(where, f"has shape {shape}, which is too large", "save it again")


def _with_info(path: Path, tracks: Tracks, data: np.ndarray) -> Tracks:
    with damage(path, "JSON"):
        info = json.loads(data.tobytes())
    if not isinstance(info, dict):
        raise InputError(path, "info is not a JSON object", "save it again")

    def field(name: str, kind: type, default: Any) -> Any:
        value = info.get(name, default)
        if not isinstance(value, kind):
            raise InputError(path, f"info: {name} is not {kind.__name__}", "save it again")
        return value

    try:
        skeleton = from_settings(Skeleton, field("skeleton", dict, {}) | {"joints": tracks.joints})
    except (TypeError, ValueError) as error:
        raise InputError(path, f"info: the skeleton cannot be used ({error})", "save it again") from None
    return replace(
        tracks,
        name=field("name", str, "") or None,
        notes=tuple(str(n) for n in field("notes", list, [])),
        metadata=field("metadata", dict, {}),
        skeleton=skeleton,
        approximated={str(k): str(v) for k, v in field("approximated", dict, {}).items()},
        history=tuple(str(h) for h in field("history", list, [])),
    )


def write(recording: Recording, path: Path) -> None:
    """Write all of a recording; reading it gives an equal one."""
    skeleton = recording.skeleton
    info = {
        "version": 1,
        "name": recording.name,
        "skeleton": {name: value for name, value in to_settings(skeleton).items() if name != "joints"},
        "metadata": dict(recording.metadata),
        "approximated": dict(recording.approximated),
        "history": recording.history,
        "notes": recording.notes,
    }
    arrays: dict[str, Any] = {
        "keypoints": recording.keypoints,
        "fps": np.float64(recording.fps),
        "joints": np.array(skeleton.joints),
        "info": np.frombuffer(json.dumps(info, sort_keys=True).encode("utf-8"), dtype=np.uint8),
    }
    if recording.confidence is not None:
        arrays["confidence"] = np.asarray(recording.confidence, dtype=np.float64)
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    write_atomically(path, stream.getvalue())
