"""A study for several hosts without a database server: one process serves its SQLite file, the others ask it by gRPC.

Optuna's own proxy has no heartbeat. Here a worker changes an attribute of its trial again and again; another one that
has not seen it change for the grace period, by its own clock, takes the first for dead. So clocks need not agree.

The connection is not encrypted and has no password: use it within a network of your own.
"""

import contextlib
import ipaddress
import math
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import GrpcStorageProxy, get_storage
from optuna.trial import TrialState

from infantjax.errors import InputError, MissingExtraError
from infantjax.progress import LOGGER
from infantjax.search.storage import OUTAGE, Heartbeat, close, open_storage

try:
    import grpc
except ImportError:
    raise MissingExtraError("grpcio", "search") from None

# Private: the public `optuna.storages.run_grpc_proxy_server` never returns, and lets two servers share one port.
from optuna.storages._grpc.auto_generated import api_pb2_grpc
from optuna.storages._grpc.servicer import OptunaStorageProxyService

BEAT = "beat"
"""User attribute of a trial: changes for as long as its worker lives."""
QUIET = 10.0
"""Seconds without a question after which no other host waits for an answer; workers ask every two."""
_TIMEOUT = 60.0
_ANSWERS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
)


class RemoteStorage(GrpcStorageProxy):
    """A storage that another process serves, with the heartbeat of `Claims`.

    Args:
        address: `HOST:PORT` of the process that serves it.
        heartbeat: of running trials.
    """

    def __init__(self, address: str, heartbeat: Heartbeat) -> None:
        host, _, port = address.rpartition(":")
        self._heartbeat = heartbeat
        self._seen: dict[int, tuple[Any, float]] = {}
        self._seen_lock = threading.Lock()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # Optuna's mark on its proxy
            super().__init__(host=host, port=int(port))

    def _setup(self) -> None:
        super()._setup()
        self._checked = stub = _Checked(self._stub)
        self._stub = self._cache.grpc_client = stub  # type: ignore[assignment]

    def get_heartbeat_interval(self) -> int:
        """Seconds between two heartbeats."""
        return self._heartbeat.interval

    def record_heartbeat(self, trial_id: int) -> None:
        """Show that the worker of a trial lives; nothing for a trial that has ended."""
        with contextlib.suppress(UpdateFinishedTrialError):
            self.set_trial_user_attr(trial_id, BEAT, uuid4().hex[:12])

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Running trials without a new heartbeat for the grace period, as this process has seen it.

        The period begins anew after a question without an answer: then no worker could show that it lives.
        """
        now = time.monotonic()
        running = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.RUNNING,))
        with self._seen_lock:
            before, self._seen = self._seen, {}
            for trial in running:
                beat, since = before.get(trial._trial_id, (None, now))
                current = trial.user_attrs.get(BEAT)
                self._seen[trial._trial_id] = (current, max(since, self._checked.failed) if beat == current else now)
            return [number for number, (_, since) in self._seen.items() if now - since > self._heartbeat.grace]

    def remove_session(self) -> None:
        """Nothing: a channel serves all threads."""


class _Checked:
    """The calls of a gRPC stub with a time limit; one that gets no answer raises an error of `OUTAGE`.

    Attributes:
        failed: when that happened last, on the clock of `time.monotonic`.
    """

    def __init__(self, stub: Any) -> None:
        self._stub, self.failed = stub, -math.inf

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        call = getattr(self._stub, name)

        def checked(request: Any) -> Any:
            try:
                return call(request, timeout=_TIMEOUT)
            except grpc.RpcError as error:
                if error.code() in _ANSWERS:
                    raise
                self.failed = time.monotonic()
                raise StorageInternalError(f"{error.code().name}: {error.details()}") from None

        return checked


class _OneByOne(ThreadPoolExecutor):
    """Answers one question after the other, so that of two workers only one claims a trial."""

    def __init__(self) -> None:
        super().__init__(1, "study")
        self.asked = time.monotonic()

    def submit(self, *arguments: Any, **keywords: Any) -> Future[Any]:
        self.asked = time.monotonic()
        return super().submit(*arguments, **keywords)


@contextlib.contextmanager
def serving(url: str, address: str, heartbeat: Heartbeat) -> Iterator[None]:
    """Serve a storage to other hosts meanwhile, and at the end until nobody asks any more.

    An interruption ends it at once: the workers of other hosts then wait until it is served again.

    Args:
        url: of the storage, `sqlite:///FILE`.
        address: `HOST:PORT`. Listens at the host where that is an address of this machine, else on all interfaces.
        heartbeat: of running trials.

    Raises:
        InputError: the storage cannot be used, or the port is taken.
    """
    backend, pool = open_storage(url, heartbeat), _OneByOne()
    # Without the option two servers may have one port, and each gets some of the questions.
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    api_pb2_grpc.add_StorageServiceServicer_to_server(OptunaStorageProxyService(get_storage(backend)), server)
    host, _, port = address.rpartition(":")
    if not _is_own(host):
        LOGGER.warning("%s is no address of this machine: its study is served on all interfaces", host)
        host = "[::]"
    try:
        server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        close(backend)
        raise InputError(address, "cannot be served, the port is taken", "give another port") from None
    server.start()
    try:
        try:
            yield
        except InputError:
            _wait_for_others(backend, pool, heartbeat)
            raise
        _wait_for_others(backend, pool, heartbeat)
    finally:
        server.stop(1).wait()
        pool.shutdown()
        close(backend)


def _is_own(host: str) -> bool:
    """Whether a name or address is of this machine. A loopback address counts only where it was named itself."""
    name = host.strip("[]")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(place)
    except OSError:
        return False
    # Some systems give their own name a loopback address, at which no other host reaches them.
    return name in ("localhost", place[0]) or not ipaddress.ip_address(place[0]).is_loopback


def _wait_for_others(backend: Any, pool: _OneByOne, heartbeat: Heartbeat) -> None:
    """Wait until no host asks any more; one with a running trial asks at every heartbeat."""
    quiet = QUIET
    while time.monotonic() - pool.asked < quiet:
        time.sleep(min(QUIET / 10, 1.0))
        with contextlib.suppress(*OUTAGE):
            studies = [study._study_id for study in backend.get_all_studies()]
            running = any(backend.get_all_trials(each, states=(TrialState.RUNNING,)) for each in studies)
            quiet = QUIET + running * heartbeat.interval


def connect_remote(address: str, heartbeat: Heartbeat, patience: float | None = None) -> RemoteStorage:
    """The storage that is served at an address.

    Args:
        address: `HOST:PORT`.
        heartbeat: of running trials.
        patience: seconds to wait for its server; None does not ask whether it is there.

    Raises:
        InputError: no server answers in that time, or the address has no port.
    """
    if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdecimal():
        raise InputError(f"grpc://{address}", "names no port", "give grpc://HOST:PORT")
    storage = RemoteStorage(address, heartbeat)
    if patience is not None:
        try:
            storage.wait_server_ready(patience)
        except ConnectionError:
            storage.close()
            remedy = "start the search on the first host, and let its port be reached"
            raise InputError(f"grpc://{address}", f"did not answer for {patience:g} s", remedy) from None
    return storage
