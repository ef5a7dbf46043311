"""Public weights by name: where the registry says that they are, fetched once, checked, and found again on the disk.

The files lie in `weights` of `cache.user_folder()`, under the names that their authors gave them. A file that
the user puts there is taken as well, if it is the right one. Only the file is asked for; nothing is sent.
"""

import importlib
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from infantjax import cache, models
from infantjax.engine import in_thread
from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES, git_blob_id, sha256
from infantjax.lazy import did_you_mean, discover
from infantjax.models.entry import PublicWeights
from infantjax.progress import LOGGER, Progress
from infantjax.weights.ensemble import Ensemble

SUFFIXES = (".pth", ".tar")
"""Suffixes of checkpoints."""
OFFLINE = "INFANTJAX_OFFLINE"
"""Environment variable that forbids the network; 0 and nothing allow it."""
MIRROR = "INFANTJAX_WEIGHTS_URL"
"""Environment variable with the address of a folder to fetch the files from, by their names."""

_SECONDS = 30
_PIECE = 1 << 16
_LEAST_RATE = 20_000.0
"""Bytes a second: a file that comes more slowly is given up (our choice)."""


def table() -> Mapping[str, PublicWeights]:
    """Network -> its public weights, of all networks that have some."""
    return {name: files[0] for name in models.names() if (files := models.get(name).weights)}


def find(weights: str | Path, *, offline: bool | None = None, quiet: bool = True) -> Path:
    """The file or folder of weights that a path or a name means; what is not on the disk is fetched.

    Args:
        weights: a path that exists, or a name of `table()`.
        offline: use no network; None asks the environment, see `OFFLINE`.
        quiet: show no progress.

    Raises:
        InputError: neither a path nor a name, or see `fetch`.
    """
    if os.path.lexists(weights):
        return Path(weights)
    name, known = str(weights), table()
    if name in known:
        if not place(name).is_file() and not _is_offline(offline):
            LOGGER.info("note: %s is not in the cache and is fetched, as by infantjax weights fetch %s", name, name)
        return fetch(name, offline=offline, quiet=quiet)
    hint = "" if Path(name).suffix else did_you_mean(name, known)
    raise InputError(name, "is neither a file nor the name of public weights", hint or f"known are {', '.join(known)}")


def place(name: str) -> Path:
    """Where the file of public weights lies, or is to be put.

    Raises:
        InputError: no public weights have this name.
    """
    return cache.user_folder() / "weights" / _of(name).address.rpartition("/")[2]


def fetch(name: str, *, offline: bool | None = None, quiet: bool = True) -> Path:
    """The file of public weights: the one on the disk if it is the right one, else fetched.

    Args:
        name: of `table()`.
        offline: use no network; None asks the environment, see `OFFLINE`.
        quiet: show no progress.

    Raises:
        InputError: no such weights; a wrong file on the disk, and no network; or the address does not answer, or gives
            another file. The message names the address, and where to put the file.
    """
    path, file = place(name), _of(name)
    fault = problem(name)
    if not fault:
        return path
    by_hand = f"download {file.address} and put it at {path}"
    mirror = os.environ.get(MIRROR)
    address = f"{mirror.rstrip('/')}/{path.name}" if mirror else file.address
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_offline(offline):
            by_hand = f"run `infantjax weights fetch {name}` with a network, or {by_hand}"
            raise InputError(name, f"{fault}, and the network is not to be used", by_hand)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
            fresh = Path(folder) / path.name
            _download(name, address, fresh, file.size, quiet)
            if fault := _difference(file, fresh):
                raise InputError(name, f"{address} gives another file ({fault})", by_hand)
            os.replace(fresh, path)
    except OSError as error:
        raise InputError(name, f"cannot be fetched ({_reason(error)})", by_hand) from None
    return path


def _is_offline(offline: bool | None) -> bool:
    return offline if offline is not None else os.environ.get(OFFLINE, "0") not in ("", "0")


def problem(name: str) -> str:
    """Fault of the file of public weights on the disk; empty if it is the right one.

    Raises:
        InputError: no public weights have this name.
    """
    path = place(name)
    if not path.is_file():
        return "is not on this machine"
    return f"{path} is another file ({fault})" if (fault := _difference(_of(name), path)) else ""


def _of(name: str) -> PublicWeights:
    known = table()
    if name not in known:
        hint = did_you_mean(name, known) or f"known are {', '.join(known)}"
        raise InputError("weights", f'"{name}" is no name of public weights', hint)
    return known[name]


def _difference(file: PublicWeights, path: Path) -> str:
    """How a file differs from the public one; empty if it does not."""
    if file.size not in (None, size := path.stat().st_size):
        return f"{size} bytes, not {file.size}"
    if file.sha256 not in (None, digest := sha256(path)):
        return f"SHA-256 {digest[:16]}..., not {str(file.sha256)[:16]}..."
    if (blob := git_blob_id(path)) != file.git_blob:
        return f"git blob id {blob[:16]}..., not {file.git_blob[:16]}..."
    return ""


class _Meter:
    """Shows how much of a file has come, in the form that pooch asks for, and ends a file that is too long."""

    def __init__(self, progress: Progress, most: int) -> None:
        self.total, self._progress, self._most, self._done = most, progress, most, 0

    def update(self, size: int) -> None:
        self._done += size
        if self._done > self._most + _PIECE:
            raise OSError(None, f"more than {self._most} bytes")
        self._progress.update(min(self._done, self._most) // 1000, "kB")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        """Nothing to close: the progress is closed by its owner."""


def _download(name: str, address: str, path: Path, size: int | None, quiet: bool) -> None:
    import pooch

    most = size or MAX_FILE_BYTES
    with Progress(most // 1000, f"fetching {name}", quiet=quiet) as progress:
        load = pooch.HTTPDownloader(progressbar=_Meter(progress, most), chunk_size=_PIECE, timeout=_SECONDS)
        # A server that sends a byte now and then keeps each wait short: only the whole has a limit.
        whole = _SECONDS + most / _LEAST_RATE
        try:
            in_thread(partial(load, address, str(path), None)).result(whole)
        except TimeoutError:
            raise OSError(None, f"not finished within {whole:.0f} s") from None


def _reason(error: OSError) -> str:
    """Reason why a file was not fetched, in a few words."""
    import requests

    if isinstance(error, requests.Timeout):
        return f"no answer within {_SECONDS} s"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return error.strerror or " ".join(str(error).split())[:100]


def import_checkpoint(path: str | Path) -> Ensemble:
    """A public checkpoint as an ensemble.

    The packages of methods list the files that they read as `CHECKPOINTS = {"weights": ("<git blob id>",)}`; the module
    has `import_ensemble(path)`.

    Raises:
        InputError: no file, or one whose content no method knows.
    """
    if not Path(path).is_file():
        raise InputError(path, "is not a file", "check the path")
    known, blob = discover("CHECKPOINTS"), git_blob_id(path)
    if blob not in known:
        what = f"is no known public checkpoint (its git blob id is {blob})"
        raise InputError(path, what, "download it again, or import it from Python")
    found: Ensemble = importlib.import_module(known[blob]).import_ensemble(path)
    return found
