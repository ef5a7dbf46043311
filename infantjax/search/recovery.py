"""Trials that nobody works on any more, found and queued again.

Optuna finds those whose heartbeat stopped. Three others it does not see, or late: trials of dead workers of this
machine, which need not wait for their heartbeat to be missed; trials whose worker died before the first heartbeat; and
failed trials whose worker died before it had queued them again.
"""

import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import locked
from infantjax.search.sampler import GAVE_WAY, MAX_RETRIES, REASON, origin, retries
from infantjax.search.study import Storage, has_candidate, run_again

try:
    import optuna
    from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

WORKER = "worker"
"""User attribute of a trial: who began it, and under which number."""


def mark(worker: str, storage: Storage) -> Any:
    """What a worker does as it begins a trial: sign it and give it its first heartbeat.

    Args:
        worker: name of the folder in `workers/` that the worker holds locked.
        storage: of the study.
    """

    def begin(study: optuna.Study, trial: FrozenTrial) -> None:
        signature = {"name": worker, "host": platform.node(), "trial": trial.number}
        storage.record_heartbeat(trial._trial_id)
        storage.set_trial_user_attr(trial._trial_id, WORKER, signature)

    return begin


class Recovery:
    """Finds trials that nobody works on.

    Args:
        storage: of the study.
        workers: folder with one locked folder for each living worker of this machine.
        grace: seconds for which a trial must have looked abandoned, where only time can tell.
    """

    def __init__(self, storage: Storage, workers: Path, grace: float) -> None:
        self.storage, self.workers, self.grace = storage, workers, grace
        self._seen: dict[int, float] = {}

    def __call__(self, study: optuna.Study) -> bool:
        """Queue them again; whether there are any of which only time can tell."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.storages.fail_stale_trials(study)
        trials, doubtful = study.get_trials(deepcopy=False), False
        for trial in trials:
            if trial.state is TrialState.RUNNING:
                signature = trial.user_attrs.get(WORKER, {})
                # A trial that is run again begins with the signature of its last attempt.
                signed = signature.get("trial") == trial.number
                if self._died(signature) if signed else self._long(trial):
                    self.release(study, trial._trial_id)
            elif _lost(trial, trials) and has_candidate(study, trial):
                if self._long(trial):
                    run_again(study, trial)
                else:
                    doubtful = True
        return doubtful

    def release(
        self, study: optuna.Study, trial_id: int, again: Callable[[optuna.Study, FrozenTrial], None] = run_again
    ) -> None:
        """End a running trial without a result, and queue its candidate by `again`."""
        try:
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:  # somebody else was first
            return
        again(study, self.storage.get_trial(trial_id))

    def _died(self, signature: dict[str, Any]) -> bool:
        """Whether a worker of this machine has died: its folder is there, and the lock on it is free."""
        folder = self.workers / Path(str(signature.get("name"))).name
        if signature.get("host") != platform.node() or not folder.is_dir():
            return False
        try:
            with locked(folder):
                return True
        except InputError:
            return False

    def _long(self, trial: FrozenTrial) -> bool:
        """Whether a trial has looked abandoned for the grace period, by the clock of this process."""
        return time.monotonic() - self._seen.setdefault(trial.number, time.monotonic()) > self.grace


def _lost(trial: FrozenTrial, trials: list[FrozenTrial]) -> bool:
    """Whether a trial died with its worker and its candidate was not queued again."""
    return (
        trial.state is TrialState.FAIL
        and retries(trial) < MAX_RETRIES
        and not {REASON, GAVE_WAY} & set(trial.user_attrs)
        and not any(origin(other) == origin(trial) and other.number > trial.number for other in trials)
    )
