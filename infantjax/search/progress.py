"""Progress of a search: what it found so far, its rate, and the time left."""

from datetime import datetime
from typing import Any

from infantjax.errors import MissingExtraError
from infantjax.search.kbest import fewest_left
from infantjax.search.study import SearchResult, failure

try:
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

RECENT = 20
"""Finished trials whose mean duration gives the rate (our choice)."""


def status(found: SearchResult) -> dict[str, Any]:
    """A search at one moment, as plain data.

    Returns:
        Numbers of trials by their state, the state of the strategy, the `best` value, and how far the search is: `done`
        candidates, `limit` (None without one), `fewest_left` candidates until it can end (None if unknown), `per_hour`
        candidates, from the mean duration of the last ones and how many run now, `seconds_left` at least, and `now`:
        for each running trial its number and the seconds since it began.
    """
    state, end = found.state, found.end
    running = [trial for trial in found.trials if trial.state is TrialState.RUNNING]
    done = len(found.history)
    left = 0 if end else fewest_left(found.strategy, state)
    if found.limit is not None:
        left = min(found.limit - done, found.limit if left is None else left)
    seconds = _mean_seconds(found.trials)
    at_once = max(len(running), 1)
    return {
        "study": found.name,
        "candidates": found.space.size,
        "trials": len(found.trials),
        "finished": found.count(TrialState.COMPLETE),
        "stopped": found.count(TrialState.PRUNED),
        "failed": len(found.failures),
        "running": len(running),
        "waiting": found.count(TrialState.WAITING),
        "population": [round(member.value, 6) for member in state.population],
        "temperature": state.temperature,
        "unsuccessful": state.unsuccessful,
        "ended": bool(end),
        "end": end,
        "best": found.evaluated[0].value if found.evaluated else None,
        "reasons": sorted({failure(trial) for trial in found.failures}),
        "done": done,
        "limit": found.limit,
        "fewest_left": left,
        "per_hour": None if seconds is None else round(3600 * at_once / seconds, 2),
        "seconds_left": None if seconds is None or left is None else round(left * seconds / at_once),
        "now": [{"trial": trial.number, "seconds": _age(trial)} for trial in running],
    }


def _mean_seconds(trials: tuple[FrozenTrial, ...]) -> float | None:
    """Mean duration of the last finished trials; None where none took any time."""
    ended = [
        (trial.datetime_complete, trial.duration) for trial in trials if trial.value is not None and trial.duration
    ]
    durations = [duration.total_seconds() for _, duration in sorted(ended)[-RECENT:]]
    return sum(durations) / len(durations) or None if durations else None


def _age(trial: FrozenTrial) -> int | None:
    began = trial.datetime_start
    return None if began is None else max(0, round((datetime.now() - began).total_seconds()))


def format_progress(found: SearchResult) -> str:
    """The progress of a search in one line."""
    known = status(found)
    parts = [f"{known['done']}{'' if known['limit'] is None else '/' + str(known['limit'])} candidates done"]
    if known["failed"]:
        parts.append(f"{known['failed']} failed")
    if known["now"]:
        parts.append(f"running {', '.join(str(row['trial']) for row in known['now'])}")
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
