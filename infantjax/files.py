"""Files: atomic writes, locks, digests, canonical JSON, CSV, safe names and places, and the limits on input.

Every limit on input is defined here, documented in `docs/formats.md`, and enforced before memory is allocated.
"""

import csv
import ctypes
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError

MAX_FILE_BYTES = 2 * 1024**3
"""Largest keypoint file that is read."""
MAX_FRAMES = 10_000_000
"""Most frames of one recording."""
MAX_POINTS = 1_000
"""Most points (joints) of one frame."""
MAX_ARCHIVE_RATIO = 100
"""Largest ratio of unpacked to packed bytes of an archive member (.npz)."""
MAX_JSON_BYTES = 256 * 1024**2
"""Largest JSON file that is read: as objects it takes some ten times its size in memory."""
MAX_HDF5_BYTES = 512 * 1024**2
"""Most bytes of numbers that are read of an HDF5 file: two processes hold copies of them."""
MAX_LINE_CHARACTERS = 1_000_000
"""Longest line of a text table."""
MAX_COORDINATE = 1e6
"""Largest absolute coordinate, in the unit of the file."""
MIN_FPS = 5.0
"""Lowest frame rate of a recording whose movement can be assessed, hertz."""
MAX_FPS = 1_000.0
"""Highest frame rate, hertz."""

UMASK = "INFANTJAX_UMASK"
"""Environment variable with the permission bits that new files and folders lack; see `umask`."""
_STALE_SECONDS = 86_400.0
"""Age of a temporary file that its process has left behind; no file takes a day to write."""
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux
_CURRENT_FOLDER = -100  # AT_FDCWD of Linux

_FORMULA_STARTS = frozenset("=+-@＝＋－＠")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def write_atomically(path: str | Path, content: str | bytes | Iterable[bytes]) -> None:
    r"""Write a file whole or not at all: to a temporary name beside it, synced, then renamed over it.

    Only its owner can read it, see `umask`.

    Args:
        path: the file to write; its folder must exist.
        content: text (written as UTF-8 with `\n` line ends), bytes, or bytes in parts, which are not held together.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full; the old file, if any, is unchanged.
    """
    write_together({Path(path): content})


def write_together(contents: Mapping[Path, str | bytes | Iterable[bytes]]) -> None:
    """Write files of one folder as `write_atomically` does; none is renamed before all are written.

    Files of two calls are never there at once: a process that is killed between two renames leaves the later files
    missing. What a process that was killed left in the folder a day ago is removed.

    Raises:
        OSError: as `write_atomically`; its `filename` is the file that failed.
    """
    temporaries: dict[Path, str] = {}
    aside: dict[Path, str] = {}
    for folder in {path.parent for path in contents}:
        _remove_stale_once(folder)
    try:
        for path, content in contents.items():
            data = content.encode("utf-8", errors="replace") if isinstance(content, str) else content
            parts = [data] if isinstance(data, bytes) else data
            descriptor, temporaries[path] = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
            with os.fdopen(descriptor, "wb") as stream:
                stream.writelines(parts)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporaries[path], 0o666 & ~umask())
        for path in list(contents)[1:]:
            if path.is_file():
                os.replace(path, f"{temporaries[path]}-old")
                aside[path] = f"{temporaries[path]}-old"
        for path in contents:
            os.replace(temporaries[path], path)
            del temporaries[path]
    except OSError as error:
        error.filename = str(path)
        for path in aside.keys() & temporaries.keys():
            os.replace(aside[path], path)
        raise
    finally:
        for temporary in (*temporaries.values(), *aside.values()):
            Path(temporary).unlink(missing_ok=True)


def sha256(*parts: bytes | str | Path | np.ndarray) -> str:
    """Hexadecimal SHA-256 of everything that is given, in its order.

    Args:
        parts: bytes; text, as UTF-8; a `Path`, whose file is read in pieces; an array, with its dtype and shape.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as stream:
                while piece := stream.read(1 << 20):
                    digest.update(piece)
        elif isinstance(part, str):
            digest.update(part.encode("utf-8", "surrogateescape"))
        elif isinstance(part, bytes):
            digest.update(part)
        else:
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)  # no copy, even of a file
    return digest.hexdigest()


def git_blob_id(path: str | Path) -> str:
    """The id that git gives a file's content: SHA-1 of `blob <size>`, a zero byte and the content."""
    content = Path(path).read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON text that depends on the value only: sorted keys, two spaces, no NaN, a newline at the end.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot hold; use None.
    """
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def finite_or_none(value: Any) -> Any:
    """A value as JSON holds it, with all that lies in it: named tuples as objects, NaN and infinities as None."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: finite_or_none(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [finite_or_none(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str = ",", quotechar: str = '"') -> str:
    r"""A table as CSV text with `\n` line ends; None and NaN are empty.

    A text that a spreadsheet would take for a formula gets a leading apostrophe; `without_guard` removes it.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, quotechar=quotechar, lineterminator="\n")
    writer.writerow(map(_cell, head))
    writer.writerows(map(_cell, row) for row in rows)
    return stream.getvalue()


def without_guard(cell: str) -> str:
    """The text that `csv_text` wrote as this cell."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _cell(value: object) -> object:
    if isinstance(value, str):
        value = value.replace("\r", " ")  # the csv module would not quote it
        return f"'{value}" if _is_formula(value) else value
    return "" if value is None or value != value else value


def _is_formula(text: str) -> bool:
    """Whether the first character that shows is one that begins a formula."""
    return next((c for c in text if c.isprintable() and not c.isspace()), "") in _FORMULA_STARTS


def require_local(path: str | Path) -> None:
    """Refuse the address of another place, such as `gs://bucket/x`, of which a `Path` would make a folder `gs:` here.

    The commands replace those of `places.SCHEMES` before by local copies.

    Raises:
        InputError: the path begins with a scheme.
    """
    if _ADDRESS.match(str(path)):
        raise InputError(
            path,
            "is an address, not a path of this machine",
            "give a local path; the commands also take gs://BUCKET/NAME and s3://BUCKET/NAME",
        )


def refuse_inputs(outputs: Iterable[str | Path], inputs: Iterable[str | Path]) -> None:
    """Refuse to write over what is read. Links and other spellings of a name are followed.

    Args:
        outputs: files and folders that will be written.
        inputs: files and folders that are read; a folder stands for itself and for the files in it.

    Raises:
        InputError: an output is an input.
    """
    read = {identity for path in inputs for identity in _identities(Path(path))}
    for path in outputs:
        if _identity(Path(path)) in read:
            raise InputError(path, "is also an input, which is never written over", "give another place")


def _identities(path: Path) -> Iterator[tuple[int, int] | str]:
    """Of a file or folder, and of the files in the folder."""
    yield _identity(path)
    with suppress(OSError), os.scandir(path) as entries:
        yield from (_identity(Path(entry.path)) for entry in entries if not entry.is_dir())


def _identity(path: Path) -> tuple[int, int] | str:
    """Identity that all names of a file share; of a file that does not exist its absolute name."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return status.st_dev, status.st_ino


def safe_stem(name: str) -> str:
    """A file stem made of a free text: no separators or control characters, at most 100 characters.

    Args:
        name: any text, for example the name of a recording.
    """
    text = unicodedata.normalize("NFC", name)
    text = re.sub(r"[^\w.\-+ ]", "_", text).strip(" .").lstrip("-")
    return text[:100] or "recording"


def unique_names(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """The names in their order; one that occurred before, in any case of its letters, gets a number: `a`, `a-2`.

    Args:
        names: with repetitions.
        taken: names that none of them may get.
    """
    seen, counts, unique = {name.casefold() for name in taken}, dict[str, int](), []
    for name in names:
        candidate, key = name, name.casefold()
        while candidate.casefold() in seen:
            counts[key] = counts.get(key, 1) + 1
            candidate = f"{name}-{counts[key]}"
        seen.add(candidate.casefold())
        unique.append(candidate)
    return unique


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """A sorting key by which numbers in names count as numbers: frame 10 comes behind frame 9."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name)]


class FolderInUseError(InputError):
    """Another process holds the lock of a folder."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a folder for this process. The folder is made if it is missing; the lock ends with the process.

    Temporary files and folders that a killed process left there a day ago are removed.

    Raises:
        FolderInUseError: another process holds the lock.
        InputError: the folder cannot be made or written, or is an address.
    """
    from filelock import FileLock, Timeout

    require_local(directory)
    lock = FileLock(directory / ".lock", timeout=0)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_special(Path(lock.lock_file))
        lock.acquire()
    except FileExistsError:
        raise InputError(directory, "is a file, a folder is needed", "give another place") from None
    except Timeout:
        raise FolderInUseError(
            directory, "is in use by another process", "wait for it, or give another place"
        ) from None
    except OSError as error:
        raise InputError(directory, f"cannot be written ({error.strerror})", "give another place") from None
    with lock:
        _remove_stale(directory)
        yield


@cache
def _remove_stale_once(directory: Path) -> None:
    """The first time that this process writes a file there: to list a large folder for each file would be slow."""
    _remove_stale(directory)


def _remove_stale(directory: Path) -> None:
    """Remove what processes that were killed did not finish."""
    for path in directory.glob(".tmp-*"):
        with suppress(OSError):
            if path.lstat().st_mtime < time.time() - _STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _refuse_special(path: Path) -> None:
    """Refuse a lock file that is a pipe, link or folder: opening it may wait for ever or empty another file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise InputError(path, "is not a plain file and cannot be a lock", "remove it or give another place")


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all, also in place of another one.

    Args:
        target: its path; parents are made.

    Yields:
        An empty folder beside the target. At the end it becomes the target; after an error it is removed, and what was
        at the target is unchanged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.parent / f".tmp-{target.name}-{secrets.token_hex(4)}"
    fresh.mkdir()
    fresh.chmod(0o777 & ~umask())
    try:
        yield fresh
        if not target.exists():
            os.replace(fresh, target)
        elif not _exchanged(fresh, target):
            _replace_in_two_steps(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names at once, so that neither is ever missing; False where the system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    names = (_CURRENT_FOLDER, os.fsencode(one), _CURRENT_FOLDER, os.fsencode(other))
    return rename is not None and rename(*names, _EXCHANGE) == 0


def _replace_in_two_steps(fresh: Path, target: Path) -> None:
    """Put a folder in place of another; a process that is killed between leaves that beside it."""
    old = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    os.replace(target, old)
    try:
        os.replace(fresh, target)
    except BaseException:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def umask() -> int:
    """The permission bits that new files and folders lack: all of the group and of others.

    The environment variable `INFANTJAX_UMASK` replaces them by an octal number, such as 007 for a group that shares
    results.

    Raises:
        InputError: the variable holds something else.
    """
    text = os.environ.get(UMASK) or "077"
    if not re.fullmatch("[0-7]{3,4}", text):
        raise InputError(UMASK, f'is "{text[:20]}"', "give an octal number: 077, or 007 for a shared group")
    return int(text, 8) & 0o077
