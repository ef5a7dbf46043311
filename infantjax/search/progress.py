"""Progress of a search: the stages of its running trials, its rate, and the time left."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from infantjax.errors import MissingExtraError
from infantjax.search.kbest import fewest_left
from infantjax.search.objective import Stage
from infantjax.search.study import SearchResult

try:
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

RECENT = 20
"""Finished trials whose mean duration gives the rate (our choice)."""


def progress(found: SearchResult) -> dict[str, Any]:
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
        "now": [_running(trial, found.stages.get(trial.number, {})) for trial in running],
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


def _running(trial: FrozenTrial, stage: Mapping[str, Any]) -> dict[str, Any]:
    began = trial.datetime_start
    seconds = None if began is None else max(0, round((datetime.now() - began).total_seconds()))
    now = asdict(Stage("compiling")) | dict(stage)
    return {"trial": trial.number, "stage": now.pop("name"), **now, "seconds": seconds}


def format_running(row: dict[str, Any]) -> str:
    """A running trial in one line."""
    epoch = f" epoch {row['epoch']}/{row['epochs']}" if row["epoch"] else ""
    device = f" on {row['device']}" if row["device"] else ""
    return f"trial {row['trial']}: {row['stage']}{epoch}{device}"


def format_progress(found: SearchResult) -> str:
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
