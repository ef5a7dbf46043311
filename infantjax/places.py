"""Places in a cloud, `gs://` and `s3://`: files and folders of which a process works on local copies.

Everything else in this package works on local paths. A `WorkingCopy` fetches what lies at an address into the cache;
`publish` writes back what has changed since. A local path that is no copy of a place is left alone, so whoever writes
results may call `publish` for any path.

A file is whole or absent at a place. Files appear there in the order in which they were written here, and old ones
disappear last. So a reader finds the old ensemble or the new one: its files are named by their content, and its index
follows them. Other folders may be found half new. A file that another process has changed since it was fetched is never
written over, but there is no lock: two processes must not write to one folder.

Access is by fsspec. The comparison of both sides is our own: `fsspec.generic.rsync` writes over a file that another
process has changed, and takes half-written files for whole ones.
"""

import contextlib
import itertools
import json
import os
import re
import secrets
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from infantjax.cache import user_folder
from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import FolderInUseError, canonical_json, locked, write_atomically
from infantjax.progress import LOGGER

SCHEMES = ("gs", "s3", "memory")
"""Of addresses. `memory` is the file system of fsspec that lasts as long as the process, for tests."""

_ADDRESS = re.compile(rf"({'|'.join(SCHEMES)}):/+([^/].*?)/*")
_KNOWN, _LOCK = ".known.json", ".publishing"
_TEMPORARY = re.compile(r"(^|/)\.|\.lock$|-journal$|\.orbax-checkpoint-tmp")
"""Names that are neither fetched nor published: hidden and half-written files, locks, the journal of SQLite."""
_LOGIN = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
}
_DENIED = re.compile("credential|token|auth|forbidden|denied|permission|signature|accesskey", re.IGNORECASE)


class UnreachableError(InputError):
    """A place does not answer."""


class _Object(NamedTuple):
    """A file of a place: its path there, what changes with its content, and its size in bytes."""

    path: str
    identity: str
    size: int


def parse(text: str | Path) -> str | None:
    """The address that an option names, `gs://bucket/name`; None for all else. A `Path` has lost one of its slashes.

    Raises:
        InputError: the address has a part that is no name, such as `..`.
    """
    if (found := _ADDRESS.fullmatch(str(text))) is None:
        return None
    if not {"", ".", ".."}.isdisjoint(found[2].split("/")):
        raise InputError(text, "is no address of a file or folder", "give one such as gs://bucket/folder")
    return f"{found[1]}://{found[2]}"


def shown(text: str) -> str:
    """A text in which addresses stand in place of the paths of their local copies."""
    return re.sub(rf"{re.escape(str(_folder()))}/\d+/({'|'.join(SCHEMES)})/", r"\1://", text)


def is_copy(path: str | Path) -> bool:
    """Whether a local path is the copy of a place."""
    return _located(Path(path)) is not None


class WorkingCopy:
    """Local copies of files and folders of places.

    Args:
        root: the folder that holds them, which this process uses alone; see `working_copy`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def fetch(self, address: str) -> Path:
        """Make the local copy of a file or folder equal to the place; what is equal is not read again.

        Args:
            address: as `parse` gives it.

        Returns:
            The path of the copy, which does not exist where there is nothing at the address; its parent does.

        Raises:
            InputError: the place cannot be read, or a name there cannot be a name here.
            MissingExtraError: the library for this place is not installed.
        """
        name = address.replace("://", "/", 1)
        local, known = self.root / name, _read_known(self.root)
        with _reaching(address):
            fs, path = _connect(address)
            try:
                there = _list(fs, path, name)
            except FileNotFoundError:
                there = {}
            stale = {n: o for n, o in there.items() if known.get(n) != [o.identity, *_stamp(self.root / n)]}
            self._remove_all_but(local, there)
            if stale:
                LOGGER.info("fetching %d of %d file(s) of %s", len(stale), len(there), address)
            try:
                for n, each in stale.items():
                    _download(fs, each, self.root / n)
                    known[n] = [each.identity, *_stamp(self.root / n)]
            finally:
                kept = {n: entry for n, entry in known.items() if n in there or not _is_below(n, name)}
                _write_known(self.root, kept)
        local.parent.mkdir(parents=True, exist_ok=True)
        return local

    def _remove_all_but(self, local: Path, there: Mapping[str, _Object]) -> None:
        """Remove what is left of earlier work and is not at the place."""
        kept = {self.root / name for name in there}
        for path in sorted((local, *local.rglob("*")), reverse=True):  # a folder comes behind what lies in it
            if path.is_file() and path not in kept:
                path.unlink()
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()


@contextlib.contextmanager
def working_copy() -> Iterator[WorkingCopy]:
    """The first folder of local copies that no other process uses. It stays in the cache for the next one.

    Raises:
        InputError: the cache cannot be written.
    """
    folder = _folder()
    with contextlib.suppress(OSError):  # reported by `locked`
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as stack:
        for number in itertools.count():
            with contextlib.suppress(FolderInUseError):
                stack.enter_context(locked(folder / str(number)))
                break
        yield WorkingCopy(folder / str(number))


def require_writable(address: str) -> None:
    """Refuse a place that cannot be written, by writing an empty file and removing it.

    Raises:
        InputError: it cannot be written.
        MissingExtraError: the library for this place is not installed.
    """
    with _reaching(address):
        fs, path = _connect(address)
        probe = f"{path}{'.' if '/' in path.strip('/') else '/.'}probe-{secrets.token_hex(4)}"
        fs.pipe_file(probe, b"")
        fs.rm_file(probe)


def publish(path: str | Path) -> int:
    """Write a file or folder back to its place, where the path is the copy of one; files that did not change stay.

    Args:
        path: local path; nothing happens where it is no copy.

    Returns:
        Number of files that were written or removed there.

    Raises:
        UnreachableError: the place does not answer; what was not published is published by the next call.
        InputError: the place cannot be written, or another process has changed a file there.
    """
    if (found := _located(Path(path))) is None:
        return 0
    root, name = found
    address = name.replace("/", "://", 1)
    with FileLock(root / _LOCK):
        known = _read_known(root)
        here = _local_files(root, name)
        changed = [n for n in here if known.get(n, [None])[1:] != here[n]]
        gone = [n for n in known if _is_below(n, name) and n not in here]
        if not changed and not gone:
            return 0
        with _reaching(address):
            fs, place = _connect(address)
            there = _list(fs, place, name)
            for n in (*changed, *gone):
                if n in there and there[n].identity != known.get(n, [None])[0]:
                    where = n.replace("/", "://", 1)
                    raise InputError(where, "was written by another process", "let one process at a time write there")
            try:
                for n in filter(lambda n: (root / n).exists(), changed):
                    _upload(fs, root / n, place + n.removeprefix(name))
                    known[n] = [_identity(fs.info(place + n.removeprefix(name))), *here[n]]
                for n in gone:
                    with contextlib.suppress(FileNotFoundError):
                        fs.rm_file(place + n.removeprefix(name))
                    del known[n]
            finally:
                _write_known(root, known)
    return len(changed) + len(gone)


def publish_progress(path: str | Path, pause: float = 0.0) -> None:
    """`publish`, but of work that goes on: a place that does not answer is logged, and the next call tries again.

    Args:
        path: as of `publish`.
        pause: seconds since the last fetch or publication before which nothing is done.

    Raises:
        InputError: as `publish`.
    """
    if (found := _located(Path(path))) is None:
        return
    if pause and time.time() < (found[0] / _KNOWN).stat().st_mtime + pause:
        return
    try:
        publish(path)
    except UnreachableError as error:
        LOGGER.warning("%s", error)


def _folder() -> Path:
    return user_folder().absolute() / "places"


def _located(path: Path) -> tuple[Path, str] | None:
    """The root of the working copy and the name in it, of a path that is a copy."""
    try:
        number, scheme, *parts = path.absolute().relative_to(_folder()).parts
    except ValueError:
        return None
    return (_folder() / number, "/".join((scheme, *parts))) if scheme in SCHEMES and parts else None


def _is_below(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


def _local_files(root: Path, name: str) -> dict[str, list[int]]:
    """Size and time of each file that is to be published, in the order in which they were written."""
    local, found = root / name, {}
    for path in (local, *local.rglob("*")):
        relative = path.relative_to(root).as_posix()
        if path.is_file() and not _TEMPORARY.search(relative.removeprefix(name)) and (stamp := _stamp(path)):
            found[relative] = stamp
    return dict(sorted(found.items(), key=lambda item: (item[1][1], item[0])))


def _stamp(path: Path) -> list[int]:
    """Size and time of a file; empty where there is none."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _read_known(root: Path) -> dict[str, list[Any]]:
    """Name -> identity at the place, size and time here, of each file when it was last equal."""
    try:
        return json.loads((root / _KNOWN).read_text("utf-8"))
    except (OSError, ValueError):  # absent or damaged: then every file is fetched again
        return {}


def _write_known(root: Path, known: Mapping[str, list[Any]]) -> None:
    write_atomically(root / _KNOWN, canonical_json(dict(known)))


def _connect(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    import fsspec

    fs, path = fsspec.url_to_fs(address)
    fs.invalidate_cache()
    return fs, path.rstrip("/")


def _list(fs: Any, path: str, name: str) -> dict[str, _Object]:
    """The files at a path, by their names in the working copy, where that of the path is `name`."""
    found = {}
    for each, info in fs.find(path, detail=True).items():
        rest = each.removeprefix(path)
        if rest == each or (rest and not rest.startswith("/")) or rest.endswith("/") or _TEMPORARY.search(rest):
            continue
        if "//" in rest or "\0" in rest:
            raise InputError(f"{name.replace('/', '://', 1)}{rest}", "cannot be the name of a local file", "rename it")
        found[name + rest] = _Object(each, _identity(info), int(info["size"]))
    return found


def _identity(info: Mapping[str, Any]) -> str:
    """Version of a file of a place: its digest, or else the time."""
    names = ("ETag", "etag", "md5Hash", "LastModified", "updated", "created")
    value = next((info[name] for name in names if info.get(name)), "")
    # Some file systems list a time as a number, and give that of one file as a `datetime`.
    return f"{value.timestamp() if isinstance(value, datetime) else value} {info['size']}"


def _download(fs: Any, each: _Object, target: Path) -> None:
    """Fetch a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".tmp-{secrets.token_hex(4)}")
    try:
        fs.get_file(each.path, str(temporary))
        if temporary.stat().st_size != each.size:
            raise OSError("a file was changed while it was read")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _upload(fs: Any, path: Path, target: str) -> None:
    """Write a file to its place; of a SQLite database, which others may be writing, a copy."""
    if path.suffix != ".db":
        fs.put_file(str(path), target)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as to:
            source.backup(to)
        fs.put_file(str(copy), target)


@contextlib.contextmanager
def _reaching(address: str) -> Iterator[None]:
    """Turn the errors of a place into one line."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        library = {"gs": "gcsfs", "s3": "s3fs"}.get(address.partition(":")[0], "fsspec")
        raise MissingExtraError(library, "cloud") from error
    except Exception as error:  # the libraries of the places raise types of their own, and those of their libraries
        reason = one_line(f"{type(error).__name__}: {error}")[:200]
        if _DENIED.search(reason):
            remedy = _LOGIN.get(address.partition(":")[0], "check your rights")
            raise InputError(address, f"refused access ({reason})", remedy) from error
        raise UnreachableError(address, f"cannot be reached ({reason})", "check the address and the network") from error
