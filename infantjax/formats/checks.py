"""Checks of any file before a format parses it, and translation of the errors of parsers.

A reader wraps every call of a parsing library in `damage`: whatever the library raises on a damaged file becomes one
`InputError`. Any other exception is a bug and stays visible.
"""

import csv
import os
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from infantjax.errors import InputError
from infantjax.files import MAX_ARCHIVE_RATIO, MAX_FILE_BYTES, MAX_FRAMES, MAX_POINTS

Kind = Literal["folder", "hdf5", "zip", "json", "text"]

_KIND_OF_SUFFIX: dict[str, Kind] = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".trc": "text",
    ".json": "json",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".npz": "zip",
}
WORDS: dict[Kind, str] = {
    "folder": "a folder",
    "hdf5": "an HDF5 file",
    "zip": "a zip archive",
    "json": "JSON",
    "text": "text",
}
# (offset, signature, name): other kinds of files, to tell the user what the file is.
_OTHER = (
    (4, b"ftyp", "a video (mp4 or mov)"),
    (0, b"\x1a\x45\xdf\xa3", "a video (mkv or webm)"),
    (0, b"RIFF", "a video (avi) or sound"),
    (0, b"\x89PNG", "an image (png)"),
    (0, b"\xff\xd8\xff", "an image (jpg)"),
    (0, b"GIF8", "an image (gif)"),
    (0, b"%PDF", "a PDF"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel or Word document"),
    (0, b"\x93NUMPY", "a bare .npy array, which has no joint names and no frame rate"),
    (0, b"\x80", "a Python pickle, which is never opened since it can run code"),
)
_SMALL = 1 << 20

_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    OverflowError,
    MemoryError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    csv.Error,
    pickle.UnpicklingError,
)


@contextmanager
def damage(path: str | Path, kind: str) -> Iterator[None]:
    """Translate the errors of parsers on damaged files to one `InputError`.

    Args:
        path: the file, for the message.
        kind: the expected kind of file, in words (`"an HDF5 file"`).

    Raises:
        InputError: for errors of h5py, zipfile, NumPy, json, csv and the operating system.
    """
    try:
        yield
    except InputError:
        raise
    except PermissionError:
        raise InputError(path, "cannot be opened: no permission", "change its permissions") from None
    except MemoryError:
        raise InputError(path, f"as {kind} asks for more memory than there is", "make the file anew") from None
    except _DAMAGE as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(path, f"is not {kind} that can be read ({reason})", "make the file anew") from error


def check_readable(path: str | Path) -> Path:
    """Check that a path can be opened, without opening it.

    Args:
        path: a file or a folder.

    Returns:
        The path as a `Path`.

    Raises:
        InputError: missing, a dangling or circular link, a pipe or device, no permission, empty, or too large.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        what = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise InputError(path, what, "check the name") from None
    except PermissionError:
        raise InputError(path, "cannot be opened: no permission", "change its permissions") from None
    except (OSError, ValueError) as error:  # a link to itself, or a name that the system refuses
        raise InputError(path, f"is not a name that can be opened ({error})", "check the name") from None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        # Opening a pipe would wait for a writer that may never come.
        raise InputError(path, "is a pipe or a device, not a file", "save its content to a file first")
    if not os.access(path, os.R_OK):
        raise InputError(path, "cannot be opened: no permission", "change its permissions")
    if status.st_size == 0 and path.is_file():
        raise InputError(path, "is empty", "export the keypoints again")
    if status.st_size > MAX_FILE_BYTES:
        what = f"has {status.st_size / 1e9:.1f} GB; at most {MAX_FILE_BYTES / 1e9:.1f} GB are read"
        raise InputError(path, what, "split the recording")
    return path


def kind_of(path: Path, trust_suffix: bool = True) -> Kind:
    """Find the kind of a file from its first bytes.

    Args:
        path: a file or folder that `check_readable` has passed.
        trust_suffix: refuse a file whose content is of another kind than its ending says.

    Raises:
        InputError: a kind without keypoints (a video, an image, a pickle, unknown bytes), or another kind than the
            ending says.
    """
    if path.is_dir():
        return "folder"
    with damage(path, "a file"), path.open("rb") as stream:
        head = stream.read(4096)
    expected = _KIND_OF_SUFFIX.get(path.suffix.lower()) if trust_suffix else None
    found = _kind_of_bytes(head)
    if found is None:
        what = next((words for at, sign, words in _OTHER if head[at : at + len(sign)] == sign), None)
        if what is not None:
            raise InputError(path, f"holds {what}", "give a file with keypoints")
        promised = f"is not {WORDS[expected]} although its name says so: " if expected else ""
        raise InputError(path, f"{promised}its bytes are of no known kind", "export the keypoints again")
    if expected is not None and found != expected:
        raise InputError(
            path,
            f"is named {path.suffix} but holds {WORDS[found]}",
            f"give {WORDS[expected]}, or rename it to what it is",
        )
    return found


def _kind_of_bytes(head: bytes) -> Kind | None:
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"
    text = head.removeprefix(b"\xef\xbb\xbf")
    # Tables have no control characters other than white space; images and archives begin with some.
    if any(byte < 32 and byte not in b"\t\n\r\f" for byte in text) or head[:1] == b"\x80":
        return None
    if any(head[at : at + len(sign)] == sign for at, sign, _ in _OTHER):
        return None
    return "json" if text.lstrip()[:1] in (b"{", b"[") else "text"


def check_unpacked(where: str | Path, unpacked: int, packed: int) -> None:
    """Refuse compressed data that are too large, before they are unpacked.

    Args:
        where: the file, and the part of it.
        unpacked: declared size, bytes.
        packed: size in the file, bytes.

    Raises:
        InputError: more than the largest file, or (above 1 MiB) more than the allowed ratio.
    """
    if unpacked > MAX_FILE_BYTES:
        raise InputError(where, f"declares {unpacked:.3g} bytes; at most {MAX_FILE_BYTES:.3g} are read", "split it")
    if unpacked > _SMALL and unpacked > MAX_ARCHIVE_RATIO * max(packed, 1):
        raise InputError(
            where,
            f"unpacks to {unpacked / max(packed, 1):.0f} times its size; at most {MAX_ARCHIVE_RATIO} times are allowed",
            "save it without compression",
        )


def check_shape(where: str | Path, frames: int, points: int, axes: int = 3) -> None:
    """Refuse more frames or points than the limits, before memory is allocated for them.

    Raises:
        InputError: over `MAX_FRAMES`, `MAX_POINTS`, or `MAX_FILE_BYTES` as float64.
    """
    if frames > MAX_FRAMES:
        raise InputError(where, f"has {frames} frames; at most {MAX_FRAMES} are read", "split the recording")
    if points > MAX_POINTS:
        raise InputError(where, f"has {points} points a frame; at most {MAX_POINTS} are read", "leave some out")
    if frames * points * axes * 8 > MAX_FILE_BYTES:
        raise InputError(
            where,
            f"has {frames} frames of {points} points, which take more than {MAX_FILE_BYTES / 1e9:.1f} GB",
            "split the recording",
        )
