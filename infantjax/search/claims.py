"""Claims on trials: no result is lost and none is evaluated twice, at whatever moment a worker or the storage dies.

A worker holds a lock for as long as it lives, signs each trial that it claims, and writes the result of a trial to disk
before it stores it. So any other worker of the machine can tell what a dead one left behind: it sends the results, and
lets the other trials wait for another worker, which continues from their checkpoints. A trial keeps its number and its
candidate through all attempts.

A death counts against the candidate only with proof that its own code crashed the process: the report that Python's
fault handler writes (a segmentation fault, an abort of the compiler). A kill leaves no report, so it never counts. The
kernel also kills a process that takes too much memory, which looks like any other kill.

Deaths of other machines show in Optuna's heartbeat.
"""

import contextlib
import faulthandler
import json
import platform
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from infantjax.errors import MissingExtraError
from infantjax.files import FolderInUseError, canonical_json, locked, sha256, write_atomically
from infantjax.progress import LOGGER
from infantjax.search.objective import TrialResult
from infantjax.search.sampler import REASON
from infantjax.search.storage import OUTAGE

try:
    import optuna
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import make_url
except ImportError:
    raise MissingExtraError("optuna", "search") from None

MAX_CRASHES = 4
"""Crashes of a worker at one trial after which its candidate has failed (our choice)."""
EXCLUSIVE_SECONDS = 60.0
"""How long a worker waits for others that create or claim a trial."""
CLAIM = "worker"
"""User attribute of a trial: name of the worker that claimed it last."""
CRASHES = "crashes"
"""User attribute of a trial: number of workers that it crashed."""
CRASH_REPORT = "crash.txt"
"""File in the folder of a worker: empty, unless its process crashed."""

_RESULT = "result.json"
_STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}


class Claims:
    """The claims of a worker, and those that dead workers of the same directory left behind.

    Args:
        study: the study.
        storage_url: address of its storage.
        directory: holds a folder for each worker, and one for each trial in progress.
    """

    def __init__(self, study: "optuna.Study", storage_url: str, directory: Path) -> None:
        storage: Any = study._storage
        self.storage, self.study_id = storage, study._study_id
        self.workers, self.trials = directory / "workers", directory / "trials"
        self.worker = f"{platform.node()}-{uuid4().hex[:12]}"
        url = make_url(storage_url)
        self.lock = Path(f"{url.database}.lock" if url.get_backend_name() == "sqlite" else self.workers / ".lock")
        self.prefix = sha256(study.study_name.encode())[:16]
        self.interval = self.storage.get_heartbeat_interval()

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        """Hold the lock of the worker, and have a crash of its process reported in its folder.

        Where the process has a fault handler already, crashes are reported there and look like kills.
        """
        folder = self.workers / self.worker
        with locked(folder), (folder / CRASH_REPORT).open("w") as report, _reported_crashes(report):
            yield
        shutil.rmtree(folder, ignore_errors=True)

    def folder(self, trial: FrozenTrial) -> Path:
        """The folder of a trial, for its checkpoints and its result."""
        return self.trials / f"{self.prefix}-{trial.number}"

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Create and claim trials one worker after the other: SQLite has no lock on a row as PostgreSQL has.

        A worker that is frozen meanwhile is not waited for.
        """
        lock = FileLock(self.lock, timeout=EXCLUSIVE_SECONDS)
        with contextlib.suppress(Timeout, OSError):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def claim(self, trial: FrozenTrial) -> bool:
        """Claim a waiting trial; False if a worker of another machine was faster."""
        trial_id = trial._trial_id
        with contextlib.suppress(UpdateFinishedTrialError):
            # First, so that a running trial always has a heartbeat and a worker.
            self.storage.record_heartbeat(trial_id)
            self.storage.set_trial_user_attr(trial_id, CLAIM, self.worker)
            if self.storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                # Again, since a worker of another machine may have tried at the same moment.
                with contextlib.suppress(*OUTAGE):
                    self.storage.set_trial_user_attr(trial_id, CLAIM, self.worker)
                return True
        return False

    @contextlib.contextmanager
    def heartbeat(self, trial: FrozenTrial) -> Iterator[None]:
        """Record heartbeats of a trial in another thread."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self.interval):
                with contextlib.suppress(*OUTAGE):
                    self.storage.record_heartbeat(trial._trial_id)
            self.storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def save(self, trial: FrozenTrial, result: TrialResult) -> None:
        """Write a result to disk, unless the disk is full."""
        with contextlib.suppress(OSError):
            self.folder(trial).mkdir(parents=True, exist_ok=True)
            write_atomically(self.folder(trial) / _RESULT, canonical_json(result.to_dict()))

    def send(self, trial: FrozenTrial, result: TrialResult) -> None:
        """Store the result of a trial and remove its folder; the first result of a trial counts."""
        attributes: dict[str, Any] = {"status": result.status, **result.details}
        if result.reason:
            attributes[REASON if result.value is None else "stopped"] = result.reason
        with contextlib.suppress(UpdateFinishedTrialError):
            for epoch, value in result.intermediate:
                self.storage.set_trial_intermediate_value(trial._trial_id, epoch, value)
            for name, content in attributes.items():
                self.storage.set_trial_user_attr(trial._trial_id, name, content)
            values = None if result.value is None else [result.value]
            self.storage.set_trial_state_values(trial._trial_id, _STATES[result.status], values)
        shutil.rmtree(self.folder(trial), ignore_errors=True)

    def release(self, trial: FrozenTrial, crash: str = "") -> None:
        """Let a running trial wait for another worker; after too many crashes its candidate has failed.

        Args:
            trial: of a worker that was interrupted or died.
            crash: the first line of its crash report; empty if there is none.
        """
        crashes = trial.user_attrs.get(CRASHES, 0) + bool(crash)
        if crashes >= MAX_CRASHES:
            self.send(trial, TrialResult("failed", None, f"its worker crashed {crashes} times: {crash}"))
            return
        with contextlib.suppress(UpdateFinishedTrialError):
            if crash:
                self.storage.set_trial_user_attr(trial._trial_id, CRASHES, crashes)
            self.storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)

    def recover(self) -> None:
        """Send the results and release the trials that dead workers left behind."""
        trials = {trial.number: trial for trial in self.storage.get_all_trials(self.study_id, deepcopy=False)}
        for folder in sorted(self.trials.glob(f"{self.prefix}-*")):
            trial = trials.get(int(folder.name.rpartition("-")[2]))
            if trial is not None and trial.state.is_finished():
                shutil.rmtree(folder, ignore_errors=True)
            elif trial is not None and (result := _read_result(folder / _RESULT)) is not None:
                self.send(trial, result)
        running = self.storage.get_all_trials(self.study_id, deepcopy=False, states=(TrialState.RUNNING,))
        for worker in {trial.user_attrs.get(CLAIM, "") for trial in running}:
            if self._is_dead(worker):
                crash = _first_line(self.workers / Path(worker).name / CRASH_REPORT)
                for trial in running:
                    if trial.user_attrs.get(CLAIM, "") == worker:
                        self.release(trial, crash)
                shutil.rmtree(self.workers / Path(worker).name, ignore_errors=True)
        for trial_id in self.storage._get_stale_trial_ids(self.study_id):
            self.release(self.storage.get_trial(trial_id))

    def _is_dead(self, worker: str) -> bool:
        """Whether the lock of a worker of this machine and this directory is free."""
        folder = self.workers / Path(worker).name
        if not worker.startswith(f"{platform.node()}-") or not folder.is_dir():
            return False
        with contextlib.suppress(FolderInUseError), locked(folder):
            return True
        return False


@contextlib.contextmanager
def _reported_crashes(report: IO[str]) -> Iterator[None]:
    """Write the Python stack to a file when the process crashes, unless it has a fault handler already."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(report, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()


def _first_line(path: Path) -> str:
    """The first line of a text file; empty if there is none."""
    with contextlib.suppress(OSError):
        return path.read_text("utf-8", errors="replace").partition("\n")[0]
    return ""


def _read_result(path: Path) -> TrialResult | None:
    try:
        return TrialResult.from_dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RecursionError) as error:
        LOGGER.warning("%s: is no result (%s), ignored", path, type(error).__name__)
        return None
