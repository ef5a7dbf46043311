"""Studies: a search in a storage that any number of workers on any number of hosts join by its name.

The storages are those of Optuna that have a heartbeat: SQLite on one machine, PostgreSQL for several. What is searched
(space, rule, seed, training, cohort) is stored with the study, and a worker that would do something else is refused.
The study opens in optuna-dashboard.
"""

import contextlib
import copy
import csv
import io
import json
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import canonical_json
from infantjax.search.kbest import FAILED, KBest, RandomSearch, Rule, State, Trial
from infantjax.search.sampler import (
    GAVE_WAY,
    MAX_RETRIES,
    RuleSampler,
    candidate_of,
    failure,
    history,
    origin,
    performance,
)
from infantjax.search.space import SearchSpace

try:
    import optuna
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError
except ImportError:
    raise MissingExtraError("optuna", "search") from None

SETUP = "setup"
"""User attribute of the study: all that must be equal for a worker to join."""
OUTAGE = (StorageInternalError, SQLAlchemyError)
"""What a storage raises that does not answer, or has no room."""
PATIENCE = 3600.0
"""Seconds for which a worker waits for a storage, or for room on a disk."""

T = TypeVar("T")


@dataclass(frozen=True)
class Heartbeat:
    """How a dead worker is noticed.

    Attributes:
        interval: seconds between two signs of life of a running trial.
        grace: seconds without one after which the trial is run again; longer than the outages that the storage has.
    """

    interval: int = 60
    grace: int = 180


class Storage(RDBStorage):
    """Optuna's relational storage whose heartbeat outlives an outage: there, one that fails is the last one."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        try:
            super().__init__(*arguments, **keywords)
        except BaseException:
            if hasattr(self, "scoped_session"):
                close(self)
            raise

    def record_heartbeat(self, trial_id: int) -> None:
        """As `RDBStorage`; a storage that does not answer is tried again at the next beat."""
        with contextlib.suppress(*OUTAGE):
            super().record_heartbeat(trial_id)


@contextlib.contextmanager
def _experimental() -> Iterator[None]:
    """Optuna marks its heartbeats as experimental, which is no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


with _experimental():
    _retry = RetryHeartbeatStaleTrialCallback(max_retry=MAX_RETRIES, inherit_intermediate_values=True)


def open_storage(url: str, heartbeat: Heartbeat = Heartbeat(), *, create: bool = True) -> Storage:
    """A storage with a heartbeat.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/DATABASE`.
        heartbeat: of running trials.
        create: make the tables if they are missing. Not to be done by several processes at once.

    Raises:
        InputError: a storage of another kind, or one that is damaged or does not answer.
        MissingExtraError: its driver is not installed.
    """
    kind = _kind(url)
    if kind == "sqlite":
        _refuse_damaged(url.partition("///")[2], create)
    elif kind != "postgresql":
        raise InputError(
            _shown(url), "is no storage for searches", "use sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        )
    try:
        return connect(url, heartbeat, create=create)
    except (*OUTAGE, RuntimeError) as error:
        raise InputError(_shown(url), f"cannot be opened ({reason(error)})", "check that it is there") from None


def connect(url: str, heartbeat: Heartbeat, *, create: bool = False) -> Storage:
    """As `open_storage`, of a storage that was opened before; one that does not answer raises one of `OUTAGE`."""
    arguments: dict[str, Any] = {"connect_args": {"timeout": 30}}
    if _kind(url) == "postgresql":
        arguments = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        url = "postgresql+psycopg" + url[url.index(":") :]
    try:
        with _experimental():
            return Storage(
                url,
                arguments,
                heartbeat_interval=heartbeat.interval,
                grace_period=heartbeat.grace,
                heartbeat_stale_trial_callback=run_again,
                skip_table_creation=not create,
            )
    except ImportError:
        raise MissingExtraError("psycopg", "search") from None


def close(storage: Storage) -> None:
    """Give back the connections of a storage."""
    storage.remove_session()
    storage.engine.dispose()


def _kind(url: str) -> str:
    return url.partition(":")[0].partition("+")[0]


def _shown(url: str) -> str:
    """A storage's address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "storage"


def reason(error: BaseException) -> str:
    """In one line, the first line of what the database said."""
    cause = error.__cause__ or error
    return one_line(str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0])[:200]


def _refuse_damaged(name: str, create: bool) -> None:
    path = Path(name)
    if not name:
        raise InputError("storage", "names no file", "give sqlite:///FILE")
    if not path.exists():
        if not create:
            raise InputError(path, "does not exist", "give the storage of a search that was begun")
        if not path.parent.is_dir():
            raise InputError(path, "cannot be made, its folder is missing", "make the folder, or give another place")
        return
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
        ) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise InputError(path, f"cannot be read ({error})", "check the path") from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise InputError(path, f"is damaged ({one_line(found)[:100]})", "restore it from a copy; it is never repaired")


def run_again(study: "optuna.Study", trial: FrozenTrial) -> None:
    """Queue the candidate of a trial that died with its worker, up to `MAX_RETRIES` times."""
    if has_candidate(study, trial):
        # Optuna adds the attempt to the trial's own list, and the trial may be the one that its cache keeps: this
        # process would count an attempt too many and take the candidate for failed.
        _retry(study, copy.deepcopy(trial))


def hand_over(study: "optuna.Study", trial: FrozenTrial) -> None:
    """Queue the candidate of a trial whose worker was told to stop; that does not count as a death."""
    if has_candidate(study, trial):
        history = trial.system_attrs.get("retry_history", [])
        study.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs=trial.user_attrs,
                system_attrs={"failed_trial": origin(trial), "retry_history": history},
                intermediate_values=trial.intermediate_values,
            )
        )


def has_candidate(study: "optuna.Study", trial: FrozenTrial) -> bool:
    """Whether all choices were stored; if not, the next trial draws the same candidate."""
    return isinstance(study.sampler, RuleSampler) and candidate_of(study.sampler.space, trial) is not None


def patiently(
    action: Callable[[], T], say: Callable[[str], None], until_not: tuple[type[Exception], ...] = OUTAGE
) -> T:
    """Do something as soon as it can be done: at once, or after 1, 2, 4 ... seconds, for an hour in all.

    Args:
        action: can be begun again.
        say: told once that it waits.
        until_not: errors that pass; the last one is raised after `PATIENCE` seconds.
    """
    pause, end = 1.0, time.monotonic() + PATIENCE
    while True:
        try:
            return action()
        except until_not as error:
            if time.monotonic() + pause > end:
                raise
            if pause == 1:
                say(f"waiting ({reason(error)})")
            time.sleep(pause)
            pause = min(2 * pause, 60)


def join(
    name: str,
    storage: Storage,
    sampler: RuleSampler,
    setup: Mapping[str, Any],
    pruner: "optuna.pruners.BasePruner | None" = None,
) -> "optuna.Study":
    """The study of this name, made if the storage has none.

    Args:
        name: of the study.
        storage: of `open_storage`.
        sampler: what proposes its candidates.
        setup: all that must be equal for a worker to join, JSON-compatible.
        pruner: of the study.

    Raises:
        InputError: the storage holds another search of this name; the message says what differs.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        sampler=sampler,
        pruner=pruner or optuna.pruners.NopPruner(),
        direction="maximize",
        load_if_exists=True,
    )
    wanted = json.loads(canonical_json(dict(setup)))
    if SETUP not in study.user_attrs:
        study.set_user_attr(SETUP, wanted)
    stored = study.user_attrs[SETUP]
    for key in sorted({*stored, *wanted}):
        if stored.get(key) != wanted.get(key):
            was, now = (one_line(json.dumps(side.get(key)))[:80] for side in (stored, wanted))
            raise InputError(f"study {name}", f"holds another search: {key} was {was}, now {now}", "give another name")
    return study


def setup_of(space: SearchSpace, rule: Rule, seed: int, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What `join` compares: the search, and the description of how a candidate is evaluated."""
    constraint = space.constraint
    return {
        "space": [[name, list(values)] for name, values in space.alternatives],
        "constraint": constraint and f"{constraint.__module__}.{constraint.__qualname__}",
        "rule": {"name": type(rule).__name__, **(asdict(rule) if is_dataclass(rule) else {})},
        "seed": seed,
        **evaluation,
    }


RULES: dict[str, Callable[..., Rule]] = {"KBest": KBest, "RandomSearch": RandomSearch}
"""Rules by the name under which a study has them."""


@dataclass(frozen=True)
class Found:
    """A study that is looked at, and not worked on.

    Attributes:
        name: of the study.
        space: that it searches.
        rule: that proposes.
        trials: all of them, in the order of their numbers.
        required_auc: (epoch, AUC) pairs at which its trainings stop; empty where there are none.
    """

    name: str
    space: SearchSpace
    rule: Rule
    trials: tuple[FrozenTrial, ...]
    required_auc: tuple[tuple[int, float], ...] = ()

    @property
    def history(self) -> list[Trial]:
        """The results in the order in which their candidates were first proposed, each candidate once."""
        return history(self.space, self.trials)

    @property
    def performances(self) -> list[float]:
        """Of the same."""
        return [trial.performance for trial in self.history]

    @property
    def state(self) -> State:
        """Where the search stands."""
        return self.rule.replay(self.space, self.history)

    @property
    def evaluated(self) -> list[FrozenTrial]:
        """The trials with a value, best first; equal ones in the order of their numbers."""
        valued = [(value, t) for t in self.trials if (value := performance(t)) is not None and value > FAILED]
        return [trial for _, trial in sorted(valued, key=lambda pair: -pair[0])]

    @property
    def failures(self) -> list[FrozenTrial]:
        """The trials whose candidates could not be evaluated."""
        return [trial for trial in self.trials if failure(trial)]

    def count(self, state: TrialState) -> int:
        """Number of trials in a state of Optuna's."""
        return sum(trial.state is state for trial in self.trials)


def find(name: str, url: str) -> Found:
    """A study as it is now.

    Args:
        name: of the study.
        url: of its storage.

    Raises:
        InputError: there is no such storage or study, or it is not one of searches.
    """
    storage = open_storage(url, create=False)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        trials, attributes = study.get_trials(deepcopy=False), study.user_attrs
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise InputError(_shown(url), f"has no study {name}; it has: {known}", "give one of these by --study") from None
    except OUTAGE as error:
        raise InputError(_shown(url), f"cannot be read ({reason(error)})", "check that it is there") from None
    finally:
        close(storage)
    setup = attributes.get(SETUP)
    if setup is None or setup.get("rule", {}).get("name") not in RULES:
        raise InputError(_shown(url), f"study {name} is no search of this program", "give another name by --study")
    settings = dict(setup["rule"])
    rule = RULES[settings.pop("name")](**settings)
    space = SearchSpace(tuple((n, tuple(v)) for n, v in setup["space"]))
    required = setup.get("config", {}).get("required_auc", ())
    return Found(name, space, rule, tuple(trials), tuple((epoch, auc) for epoch, auc in required))


def status(found: Found) -> dict[str, Any]:
    """How a search stands, as plain data."""
    state = found.state
    return {
        "study": found.name,
        "candidates": found.space.size,
        "trials": len(found.trials),
        "finished": found.count(TrialState.COMPLETE),
        "stopped": found.count(TrialState.PRUNED),
        "failed": len(found.failures),
        "running": found.count(TrialState.RUNNING),
        "waiting": found.count(TrialState.WAITING),
        "population": [round(member.performance, 6) for member in state.population],
        "temperature": state.temperature,
        "unsuccessful": state.unsuccessful,
        "ended": state.ended,
        "best": found.evaluated[0].value if found.evaluated else None,
        "reasons": sorted({failure(trial) for trial in found.failures}),
    }


def best(found: Found, top: int = 1) -> list[dict[str, Any]]:
    """The best candidates, each with its trial, AUC and choices, as plain data."""
    return [
        {"trial": trial.number, "auc": trial.value, "choices": {name: trial.params[name] for name in found.space.names}}
        for trial in found.evaluated[:top]
    ]


def table(found: Found) -> str:
    """All trials as CSV text, one row each in the order of their numbers; text never begins like a formula."""
    names = found.space.names
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = ("trial", "first_attempt", "state", "auc", "epochs", "parameters", "seconds", "reason")
    writer.writerow((*columns, *names))
    for trial in found.trials:
        details = trial.user_attrs
        reason = failure(trial) or details.get("stopped") or details.get(GAVE_WAY) or ""
        auc = "" if trial.value is None else trial.value
        row = (trial.number, origin(trial), trial.state.name.lower(), auc)
        rest = (details.get("epochs", ""), details.get("parameters", ""), details.get("seconds", ""))
        reason = f"'{reason}" if reason.startswith(("=", "+", "-", "@")) else reason
        writer.writerow((*row, *rest, reason, *(trial.params.get(name, "") for name in names)))
    return stream.getvalue()
