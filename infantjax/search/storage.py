"""Storages of studies: SQLite on one machine; PostgreSQL, or a SQLite file that one process serves, for several.

These are the storages of Optuna with a heartbeat.
"""

import contextlib
import errno
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.progress import LOGGER

if TYPE_CHECKING:
    from infantjax.search.remote import RemoteStorage

try:
    import optuna
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError
except ImportError:
    raise MissingExtraError("optuna", "search") from None

T = TypeVar("T")

OUTAGE = (StorageInternalError, SQLAlchemyError)
"""Errors of a storage that does not answer, or has no room."""
STARTUP = 600.0
"""Seconds for which a search waits for the host that serves its study."""
PATIENCE = 3600.0
"""Seconds for which `retry_with_backoff` tries again."""


class NoRoomError(Exception):
    """The disk is full, or cannot be written for another reason that may pass."""


@dataclass(frozen=True)
class Heartbeat:
    """How a dead worker of another machine is detected.

    Attributes:
        interval: seconds between two heartbeats of a running trial.
        grace: seconds without a heartbeat after which the trial is run again; longer than outages of the storage.
    """

    interval: int = 60
    grace: int = 180


def open_storage(url: str, heartbeat: Heartbeat = Heartbeat(), *, create: bool = True) -> "RDBStorage | RemoteStorage":
    """Open a storage with a heartbeat.

    Args:
        url: `sqlite:///FILE`, `postgresql://USER@HOST/DATABASE`, or `grpc://HOST:PORT` of a process that serves one.
        heartbeat: of running trials.
        create: make the tables if they are missing. Several processes must not do so at once.

    Raises:
        InputError: a storage of another kind, or one that is damaged or does not answer.
        MissingExtraError: its driver is not installed.
    """
    kind = _kind(url)
    if kind == "grpc":
        from infantjax.search.remote import connect_remote

        if create:
            LOGGER.info("waiting for the study at %s", url)
        return connect_remote(url.partition("://")[2], heartbeat, STARTUP if create else 10.0)
    if kind == "sqlite":
        _check_sqlite(url.partition("///")[2], create)
    elif kind != "postgresql":
        raise InputError(
            shown(url),
            "is no storage for searches",
            "use sqlite:///FILE, postgresql://USER@HOST/DATABASE or grpc://HOST:PORT",
        )
    try:
        return connect(url, heartbeat, create=create, check=True)
    except (*OUTAGE, RuntimeError) as error:
        raise InputError(shown(url), f"cannot be opened ({reason(error)})", "check that it is there") from None


def connect(
    url: str, heartbeat: Heartbeat, *, create: bool = False, check: bool = False
) -> "RDBStorage | RemoteStorage":
    """As `open_storage`, without its checks; a storage that does not answer raises one of `OUTAGE`.

    Args:
        url: as of `open_storage`.
        heartbeat: of running trials.
        create: make the tables if they are missing.
        check: that the tables are of the installed version of Optuna; a worker need not, its launcher has.
    """
    if _kind(url) == "grpc":
        from infantjax.search.remote import connect_remote

        return connect_remote(url.partition("://")[2], heartbeat)
    arguments: dict[str, Any] = {"connect_args": {"timeout": 30}}
    if _kind(url) == "postgresql":
        arguments = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        url = "postgresql+psycopg" + url[url.index(":") :]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # Optuna's mark on heartbeats
            return RDBStorage(
                url,
                arguments,
                heartbeat_interval=heartbeat.interval,
                grace_period=heartbeat.grace,
                skip_compatibility_check=not check,
                skip_table_creation=not create,
            )
    except ImportError:
        raise MissingExtraError("psycopg", "search") from None


def close(storage: "RDBStorage | RemoteStorage") -> None:
    """Close the connections of a storage."""
    storage.remove_session()
    if isinstance(storage, RDBStorage):
        storage.engine.dispose()
    else:
        storage.close()


def _kind(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def shown(url: str) -> str:
    """The address of a storage without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "storage"


def reason(error: BaseException) -> str:
    """The first line of an error of a database."""
    cause = error.__cause__ or error
    return one_line(str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0])[:200]


def _check_sqlite(name: str, create: bool) -> None:
    """Refuse a file that is missing or damaged."""
    path = Path(name)
    if not name:
        raise InputError("storage", "names no file", "give sqlite:///FILE")
    if not path.exists():
        if not create:
            raise InputError(path, "does not exist", "give the storage of an existing search")
        if not path.parent.is_dir():
            raise InputError(path, "cannot be made, its folder is missing", "make the folder, or give another place")
        return
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        with contextlib.closing(connection):
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise InputError(path, f"cannot be read ({error})", "check the path") from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise InputError(path, f"is damaged ({one_line(found)[:100]})", "restore it from a copy; it is never repaired")


def retry_with_backoff(action: Callable[[], T]) -> T:
    """Retry with exponential backoff for up to one hour, while a storage is away or a disk is full.

    Args:
        action: may be called repeatedly.

    Raises:
        StorageInternalError: or another of `OUTAGE`, or `NoRoomError`: the last error, after `PATIENCE` seconds.
    """
    pause, end = 1.0, None
    while True:
        try:
            return action()
        except (*OUTAGE, NoRoomError) as error:
            if end is None:
                end = time.monotonic() + PATIENCE
                LOGGER.warning("waiting (%s)", reason(error))
            if time.monotonic() + pause > end:
                raise
            time.sleep(pause)
            pause = min(2 * pause, 60)


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Raise `NoRoomError` in place of the errors of a disk that is full or read-only."""
    try:
        yield
    except InputError as error:
        if "cannot be written" in error.what:
            raise NoRoomError(str(error)) from error
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise NoRoomError(str(error)) from error
        raise
