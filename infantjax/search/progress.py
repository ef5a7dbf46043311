"""What a search is doing now: the stages of its running trials, its rate, and the time left.

Workers store the stage of a trial with it, so any machine that reaches the storage sees it.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from infantjax.errors import InputError, MissingExtraError
from infantjax.progress import INTERVAL, LOGGER
from infantjax.search.kbest import fewest_left
from infantjax.search.objective import Stage
from infantjax.search.storage import OUTAGE
from infantjax.search.study import Snapshot, read_study

try:
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

STAGE = "stage"
"""User attribute of a trial: what its worker does, see `Stage`."""
PERIOD = 5.0
"""Seconds between two writes of the epoch of a trial."""
RECENT = 20
"""Finished trials whose mean duration gives the rate (our choice)."""


class TrialReport:
    """The `report` of an objective: stores values at intermediate epochs, and the stage of the trial.

    What cannot be stored is left out: the result repeats all values, and another worker may have finished the trial.

    Args:
        storage: of the study.
        trial_id: of the trial in the storage.
        interrupted: once it is set a report raises `KeyboardInterrupt`, which reaches the main thread only by itself.
    """

    def __init__(self, storage: BaseStorage, trial_id: int, interrupted: threading.Event) -> None:
        self._storage, self._trial_id, self._interrupted = storage, trial_id, interrupted
        self._stored, self._name = 0.0, ""

    def __call__(self, epoch: int, value: float) -> None:
        """Store the best value so far after an epoch."""
        self._raise_if_interrupted()
        with contextlib.suppress(*OUTAGE, UpdateFinishedTrialError):
            self._storage.set_trial_intermediate_value(self._trial_id, epoch, value)

    def stage(self, stage: Stage) -> None:
        """Store the stage; of one that has the same name as the one before, at most every `PERIOD` seconds."""
        self._raise_if_interrupted()
        now = time.monotonic()
        if stage.name == self._name and now - self._stored < PERIOD:
            return
        self._stored, self._name = now, stage.name
        with contextlib.suppress(*OUTAGE, UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(self._trial_id, STAGE, asdict(stage))

    def _raise_if_interrupted(self) -> None:
        if self._interrupted.is_set():
            raise KeyboardInterrupt


def progress(found: Snapshot) -> dict[str, Any]:
    """How far a search is, as plain data.

    Returns:
        `done` candidates, `limit` (None without one), `fewest_left` candidates until it can end (None if unknown),
        `per_hour` candidates, from the mean duration of the last ones and how many run now, `seconds_left` at least,
        and `now`: for each running trial its number, stage, epoch, device and seconds since it began.
    """
    running = [trial for trial in found.trials if trial.state is TrialState.RUNNING]
    done = len(found.history)
    left = 0 if found.end else fewest_left(found.strategy, found.state)
    if found.limit is not None:
        left = min(found.limit - done, found.limit if left is None else left)
    seconds = _mean_seconds(found.trials)
    at_once = max(len(running), 1)
    return {
        "done": done,
        "limit": found.limit,
        "fewest_left": left,
        "per_hour": None if seconds is None else round(3600 * at_once / seconds, 2),
        "seconds_left": None if seconds is None or left is None else round(left * seconds / at_once),
        "now": [_running(trial) for trial in running],
    }


def _mean_seconds(trials: tuple[FrozenTrial, ...]) -> float | None:
    """Mean duration of the last finished trials; None where none took any time."""
    ended = [
        (trial.datetime_complete, trial.datetime_complete - trial.datetime_start)
        for trial in trials
        if trial.value is not None and trial.datetime_complete and trial.datetime_start
    ]
    durations = [taken.total_seconds() for _, taken in sorted(ended)[-RECENT:]]
    return sum(durations) / len(durations) or None if durations else None


def _running(trial: FrozenTrial) -> dict[str, Any]:
    began = trial.datetime_start
    seconds = None if began is None else max(0, round((datetime.now() - began).total_seconds()))
    stage = asdict(Stage("compiling")) | trial.user_attrs.get(STAGE, {})
    stage["stage"] = stage.pop("name")
    return {"trial": trial.number, **stage, "worker": trial.user_attrs.get("worker", ""), "seconds": seconds}


def format_running(row: dict[str, Any]) -> str:
    """A running trial in one line."""
    epoch = f" epoch {row['epoch']}/{row['epochs']}" if row["epoch"] else ""
    device = f" on {row['device']}" if row["device"] else ""
    return f"trial {row['trial']}: {row['stage']}{epoch}{device}"


def format_progress(found: Snapshot) -> str:
    """The progress of a search in one line."""
    known = progress(found)
    parts = [f"{known['done']}{'' if known['limit'] is None else '/' + str(known['limit'])} candidates done"]
    if found.failures:
        parts.append(f"{len(found.failures)} failed")
    parts += [format_running(row) for row in known["now"]]
    if known["per_hour"] is not None:
        parts.append(f"{known['per_hour']:.3g} an hour")
    if known["seconds_left"]:
        parts.append(f"at least {format_seconds(known['seconds_left'])} left")
    return ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """A duration in its largest fitting unit."""
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextlib.contextmanager
def shown(name: str, url: str, quiet: bool = False) -> Iterator[None]:
    """Log a line on the progress of a study every `INTERVAL` seconds, meanwhile.

    Args:
        name: of the study.
        url: of its storage.
        quiet: log nothing.
    """
    stop = threading.Event()

    def tell() -> None:
        while not stop.wait(INTERVAL):
            # The study may not exist yet, and its storage may be away; workers say so.
            with contextlib.suppress(InputError, *OUTAGE):
                LOGGER.info("%s: %s", name, format_progress(read_study(name, url)))

    thread = threading.Thread(target=tell, daemon=True)
    if not quiet:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if not quiet:
            thread.join(5)
