"""Studies of Optuna in the output folder of a search: what its driver writes and every view reads.

All that is searched (space, strategy, seed, objective) is stored with the study, and a search with other settings is
refused. optuna-dashboard can open the file.
"""

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import canonical_json, csv_text, sha256
from infantjax.search.kbest import FAILED, KBest, Observation, RandomSearch, State, Strategy
from infantjax.search.objective import TrialResult, read_report
from infantjax.search.space import Candidate, SearchSpace

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.exc import SQLAlchemyError
except ImportError:
    raise MissingExtraError("optuna", "search") from None

FILE = "search.db"
"""Name of the file of the studies in the folder of a search."""
SETUP = "setup"
"""User attribute of the study: all that must be equal for a search to continue."""
EXHAUSTED = "exhausted"
"""User attribute of the study: whether it ended because no untried candidate was drawn."""
LIMIT = "limit"
"""User attribute of the study: maximum number of candidates of the newest call; None without one."""
REASON = "reason"
"""User attribute of a failed trial: why its candidate could not be evaluated; without it the trial is no result."""
CRASHES = "crashes"
"""User attribute of a trial: number of processes that ended while it ran, by their own code."""

_STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
_ERRORS = (StorageInternalError, SQLAlchemyError)


@contextlib.contextmanager
def open_storage(path: Path, *, create: bool = False) -> Iterator[RDBStorage]:
    """The file of studies as a storage of Optuna.

    Args:
        path: of the file.
        create: make it if it is missing.

    Raises:
        InputError: it is missing or damaged; or it cannot be read or written, also later.
    """
    if path.exists():
        _refuse_damaged(path)
    elif not create:
        raise InputError(path, "does not exist", "give the output folder of a search")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = RDBStorage(f"sqlite:///{path}", {"connect_args": {"timeout": 30}}, skip_table_creation=not create)
    except (*_ERRORS, RuntimeError) as error:
        raise InputError(path, f"cannot be opened ({_reason(error)})", "check that it is there") from None
    try:
        yield storage
    except _ERRORS as error:
        what = f"cannot be read or written ({_reason(error)})"
        raise InputError(path, what, "make room and run the search again") from None
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _refuse_damaged(path: Path) -> None:
    try:
        # Not mode=ro: SQLite then cannot undo the half-written change of a killed driver, and refuses the file.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30)
        with contextlib.closing(connection):
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise InputError(path, f"cannot be read ({error})", "check the path") from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise InputError(path, f"is damaged ({one_line(found)[:100]})", "restore it from a copy; it is never repaired")


def _reason(error: BaseException) -> str:
    """The first line of an error of a database."""
    cause = error.__cause__ or error
    return one_line(str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0])[:200]


class StudyWriter:
    """The study of a search as its driver writes it; one process at a time.

    Args:
        storage: of `open_storage`.
        name: of the study; it is made if the storage has none of this name.
        space: the search space.
        setup: all that must be equal for a search to continue, JSON-compatible, see `study_setup`.

    Attributes:
        candidates: of all trials, in the order of their numbers.
        values: of those that are finished, or `FAILED`, by their numbers.
        crashes: of unfinished trials, by their numbers: processes that they ended.

    Raises:
        InputError: the storage holds another search of this name; the message says what differs.
    """

    def __init__(self, storage: RDBStorage, name: str, space: SearchSpace, setup: Mapping[str, Any]) -> None:
        self.storage, self.name, self.space = storage, name, space
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        wanted = json.loads(canonical_json(dict(setup)))
        if SETUP not in study.user_attrs:
            study.set_user_attr(SETUP, wanted)
        stored = study.user_attrs[SETUP]
        for key in sorted({*stored, *wanted}):
            if stored.get(key) != wanted.get(key):
                was, now = (one_line(json.dumps(side.get(key)))[:80] for side in (stored, wanted))
                what = f"holds another search: {key} was {was}, now {now}"
                raise InputError(f"study {name}", what, "give another name")
        self.note = study.set_user_attr
        self.candidates: list[Candidate | None] = []
        self.values: dict[int, float] = {}
        self.crashes: dict[int, int] = {}
        self._ids: list[int] = []
        identity = storage.get_study_id_from_name(name)
        self._begin = lambda trial: storage.create_new_trial(identity, trial)
        for trial in study.get_trials(deepcopy=False):
            self._ids.append(storage.get_trial_id_from_study_id_trial_number(identity, trial.number))
            self.candidates.append(candidate_of(space, trial))
            if (value := value_of(trial)) is not None:
                self.values[trial.number] = value
            elif not trial.state.is_finished():
                self.crashes[trial.number] = trial.user_attrs.get(CRASHES, 0)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the trials without a result."""
        return sorted(self.crashes)

    def observations(self, values: Mapping[int, float] | None = None) -> list[Observation]:
        """The results, or these, in the order of the trial numbers."""
        known = sorted((self.values if values is None else values).items())
        found = ((self.candidates[number], value) for number, value in known)
        return [Observation(candidate, value) for candidate, value in found if candidate is not None]

    def begin(self, candidate: Candidate) -> int:
        """Add a running trial with its candidate, in one transaction; its number."""
        choices = self.space.choices(candidate)
        trial = optuna.create_trial(state=TrialState.RUNNING, params=choices, distributions=distributions(self.space))
        self._ids.append(self._begin(trial))
        self.candidates.append(candidate)
        self.crashes[len(self._ids) - 1] = 0
        return len(self._ids) - 1

    def note_crash(self, number: int) -> None:
        """Count a crash of the process of a trial."""
        self.crashes[number] += 1
        self.storage.set_trial_user_attr(self._ids[number], CRASHES, self.crashes[number])

    def record(self, number: int, result: TrialResult) -> None:
        """Store the result of a trial."""
        trial, attributes = self._ids[number], {"status": result.status, **result.details}
        if result.reason:
            attributes[REASON if result.value is None else "stopped"] = result.reason
        for epoch, value in result.intermediate:
            self.storage.set_trial_intermediate_value(trial, epoch, value)
        for name, content in attributes.items():
            self.storage.set_trial_user_attr(trial, name, content)
        values = None if result.value is None else [result.value]
        self.storage.set_trial_state_values(trial, _STATES[result.status], values)
        self.values[number] = FAILED if result.value is None else result.value
        del self.crashes[number]


def study_setup(space: SearchSpace, strategy: Strategy, seed: int, objective: Mapping[str, Any]) -> dict[str, Any]:
    """The setup that `StudyWriter` compares: the search, and the description of its objective."""
    constraint = space.constraint
    return {
        "space": [[name, list(values)] for name, values in space.alternatives],
        "constraint": constraint and f"{constraint.__module__}.{constraint.__qualname__}",
        "strategy": {"name": type(strategy).__name__, **(asdict(strategy) if is_dataclass(strategy) else {})},
        "seed": seed,
        **objective,
    }


_STRATEGIES: dict[str, Callable[..., Strategy]] = {"KBest": KBest, "RandomSearch": RandomSearch}


@dataclass(frozen=True)
class SearchResult:
    """A search as it is at one moment, finished or not.

    Attributes:
        name: of the study.
        space: the search space.
        strategy: proposes candidates.
        trials: all of them, in the order of their numbers.
        checkpoints: (epoch, minimum value) pairs at which training stops early; empty if there are none.
        exhausted: whether it ended because no untried candidate was drawn.
        limit: maximum number of candidates; None without one.
        stages: what running trials do, by their numbers, see `objective.TrialReport`.
    """

    name: str
    space: SearchSpace
    strategy: Strategy
    trials: tuple[FrozenTrial, ...]
    checkpoints: tuple[tuple[int, float], ...] = ()
    exhausted: bool = False
    limit: int | None = None
    stages: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def history(self) -> list[Observation]:
        """The results in the order of the trial numbers, each candidate once."""
        return history(self.space, self.trials)

    @property
    def values(self) -> list[float]:
        """The values of the history."""
        return [observation.value for observation in self.history]

    @property
    def state(self) -> State:
        """The state of the strategy."""
        return self.strategy.replay(self.space, self.history)

    @property
    def end(self) -> str:
        """Why the search ended; empty if it can go on, as after its maximum number of trials."""
        if self.state.ended:
            return "no better candidate at the lowest temperature"
        return "no untried combination was found" if self.exhausted else ""

    @property
    def evaluated(self) -> list[FrozenTrial]:
        """The trials with a value, best first; equal ones in the order of their numbers."""
        valued = [(value, trial) for trial in self.trials if (value := value_of(trial)) is not None and value > FAILED]
        return [trial for _, trial in sorted(valued, key=lambda pair: -pair[0])]

    @property
    def failures(self) -> list[FrozenTrial]:
        """The trials whose candidates could not be evaluated."""
        return [trial for trial in self.trials if failure(trial)]

    def best(self, top: int = 1) -> list[dict[str, Any]]:
        """The best candidates, each with its `trial`, `value` and `choices`, as plain data."""
        return [
            {
                "trial": each.number,
                "value": each.value,
                "choices": {name: each.params[name] for name in self.space.names},
            }
            for each in self.evaluated[:top]
        ]

    def count(self, state: TrialState) -> int:
        """Number of trials in a state of Optuna."""
        return sum(trial.state is state for trial in self.trials)


def read_study(folder: str | Path, name: str | None = None) -> SearchResult:
    """Read a search as it is now.

    Args:
        folder: output folder of the search.
        name: of its study; None is the only one of the folder.

    Raises:
        InputError: there is no such search, there are several and none is named, or another program made it.
    """
    path = Path(folder) / FILE
    with open_storage(path) as storage:
        names = optuna.get_all_study_names(storage)
        if not names:
            raise InputError(path, "holds no search", "run the search first")
        if name is not None and name not in names:
            known = ", ".join(names)
            raise InputError(path, f"has no study {name}; it has: {known}", "give one of these by --study")
        if name is None and len(names) > 1:
            what = f"holds the searches {', '.join(names)}"
            raise InputError(folder, what, f"name one of them, such as search:{folder}@{names[0]}")
        study = optuna.load_study(study_name=name or names[0], storage=storage)
        trials, attributes = tuple(study.get_trials(deepcopy=False)), study.user_attrs
    setup = attributes.get(SETUP, {})
    settings = dict(setup.get("strategy", {}))
    if (kind := settings.pop("name", None)) not in _STRATEGIES:
        raise InputError(path, f"study {study.study_name} was not made by infantjax", "give another name by --study")
    running = [trial.number for trial in trials if trial.state is TrialState.RUNNING]
    return SearchResult(
        study.study_name,
        SearchSpace(tuple((name, tuple(values)) for name, values in setup["space"])),
        _STRATEGIES[kind](**settings),
        trials,
        tuple((epoch, minimum) for epoch, minimum in setup.get("checkpoints", ())),
        attributes.get(EXHAUSTED, False),
        attributes.get(LIMIT),
        {number: read_report(trial_folder(Path(folder), study.study_name, number))[0] for number in running},
    )


def trial_folder(folder: Path, study: str, number: int) -> Path:
    """The folder of a trial in that of its search: its checkpoints and its report, removed with its result."""
    return folder / "trials" / f"{sha256(study.encode())[:16]}-{number}"


def study_names(folder: str | Path) -> list[str]:
    """The names of the searches in a folder, sorted.

    Raises:
        InputError: there is none.
    """
    path = Path(folder) / FILE
    with open_storage(path) as storage:
        names = sorted(optuna.get_all_study_names(storage))
    if not names:
        raise InputError(path, "holds no search", "run the search first")
    return names


def read_candidate(reference: str) -> dict[str, Any]:
    """The choices of one of the best candidates of a search.

    Args:
        reference: output folder of the search, with `#2` for the second best one, and with `@NAME` before that for the
            study of a folder that holds several: `DIR`, `DIR#2`, `DIR@NAME#2`.

    Raises:
        InputError: the folder holds no search, or several and none is named; or it has fewer candidates with a value.
    """
    matched = re.fullmatch(r"(.+?)(?:@([^@/#]+))?(?:#(\d+))?", reference, re.DOTALL)
    if matched is None:
        raise InputError("search", "names no folder", "give search:DIR or search:DIR#RANK")
    study, rank = read_study(matched[1], matched[2]), int(matched[3] or 1)
    found = study.best(max(rank, 1))
    if not 1 <= rank <= len(found):
        remedy = f"give a number from 1 to {len(found)}" if found else "run more trials"
        raise InputError(
            f"study {study.name}", f"has {len(found)} candidates with a value, none of rank {rank}", remedy
        )
    return found[-1]["choices"]


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """The space in Optuna's form."""
    return {name: CategoricalDistribution(values) for name, values in space.alternatives}


def candidate_of(space: SearchSpace, trial: FrozenTrial) -> Candidate | None:
    """The candidate of a trial; None while some choice is open."""
    return tuple(trial.params[name] for name in space.names) if trial.params.keys() >= set(space.names) else None


def failure(trial: FrozenTrial) -> str:
    """Why a candidate could not be evaluated; empty for any other trial."""
    return trial.user_attrs.get(REASON, "") if trial.state is TrialState.FAIL else ""


def value_of(trial: FrozenTrial) -> float | None:
    """Value of a trial, also of a pruned one, or `FAILED`; None where it is no result."""
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        return FAILED if trial.value is None else trial.value
    return FAILED if failure(trial) else None


def history(space: SearchSpace, trials: Sequence[FrozenTrial]) -> list[Observation]:
    """The results in the order of the trial numbers, each candidate once."""
    found: dict[Candidate, float] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        candidate, value = candidate_of(space, trial), value_of(trial)
        if candidate is not None and value is not None:
            found.setdefault(candidate, value)
    return [Observation(candidate, value) for candidate, value in found.items()]


def status(found: SearchResult) -> dict[str, Any]:
    """Progress of a search, as plain data."""
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
        "population": [round(member.value, 6) for member in state.population],
        "temperature": state.temperature,
        "unsuccessful": state.unsuccessful,
        "ended": bool(found.end),
        "end": found.end,
        "best": found.evaluated[0].value if found.evaluated else None,
        "reasons": sorted({failure(trial) for trial in found.failures}),
    }


def table(found: SearchResult) -> str:
    """All trials as CSV text, one row each in the order of their numbers."""
    details = ("epochs", "parameters", "seconds")
    rows = []
    for trial in found.trials:
        attributes = trial.user_attrs
        why = failure(trial) or attributes.get("stopped")
        row = (trial.number, trial.state.name.lower(), trial.value, *(attributes.get(name) for name in details), why)
        rows.append((*row, *(trial.params.get(name, "") for name in found.space.names)))
    return csv_text(("trial", "state", "value", *details, "reason", *found.space.names), rows)
