"""Studies: a search in a storage that any number of workers on any number of hosts join by its name.

All that is searched (space, strategy, seed, objective) is stored with the study, and a worker with other settings is
refused. optuna-dashboard can open the study.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import canonical_json, csv_text
from infantjax.search.kbest import FAILED, KBest, Observation, RandomSearch, State, Strategy
from infantjax.search.sampler import StrategySampler, failure, history, value_of
from infantjax.search.space import SearchSpace
from infantjax.search.storage import OUTAGE, close, open_storage, reason, shown

try:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

SETUP = "setup"
"""User attribute of the study: all that must be equal for a worker to join."""
DUPLICATE = "duplicate"
"""User attribute of a trial that was not evaluated, because another one has its candidate or the limit was reached."""
EXHAUSTED = "exhausted"
"""User attribute of the study: whether it ended because no untried candidate was drawn."""
LIMIT = "limit"
"""User attribute of the study: maximum number of candidates of the newest call; None without one."""


def join_study(
    name: str,
    storage: BaseStorage,
    sampler: StrategySampler,
    setup: Mapping[str, Any],
    pruner: "optuna.pruners.BasePruner | None" = None,
) -> "optuna.Study":
    """Load the study of this name; create it if the storage has none.

    Args:
        name: of the study.
        storage: of `open_storage`.
        sampler: proposes its candidates.
        setup: all that must be equal for a worker to join, JSON-compatible, see `study_setup`.
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


def study_setup(space: SearchSpace, strategy: Strategy, seed: int, objective: Mapping[str, Any]) -> dict[str, Any]:
    """The setup that `join_study` compares: the search, and the description of its objective."""
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
class Snapshot:
    """The state of a study at one moment, read without joining it.

    Attributes:
        name: of the study.
        space: the search space.
        strategy: proposes candidates.
        trials: all of them, in the order of their numbers.
        checkpoints: (epoch, minimum value) pairs at which training stops early; empty if there are none.
        exhausted: whether it ended because no untried candidate was drawn.
        limit: maximum number of candidates; None without one.
    """

    name: str
    space: SearchSpace
    strategy: Strategy
    trials: tuple[FrozenTrial, ...]
    checkpoints: tuple[tuple[int, float], ...] = ()
    exhausted: bool = False
    limit: int | None = None

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

    def count(self, state: TrialState) -> int:
        """Number of trials in a state of Optuna."""
        return sum(trial.state is state for trial in self.trials)


def read_study(name: str, url: str) -> Snapshot:
    """Read a study as it is now.

    Args:
        name: of the study.
        url: of its storage.

    Raises:
        InputError: the storage or the study does not exist, or the study was made by another program.
    """
    storage = open_storage(url, create=False)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
        trials, attributes = study.get_trials(deepcopy=False), study.user_attrs
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise InputError(shown(url), f"has no study {name}; it has: {known}", "give one of these by --study") from None
    except OUTAGE as error:
        raise InputError(shown(url), f"cannot be read ({reason(error)})", "check that it is there") from None
    finally:
        close(storage)
    setup = attributes.get(SETUP, {})
    settings = dict(setup.get("strategy", {}))
    if (kind := settings.pop("name", None)) not in _STRATEGIES:
        raise InputError(shown(url), f"study {name} was not made by infantjax", "give another name by --study")
    space = SearchSpace(tuple((name, tuple(values)) for name, values in setup["space"]))
    checkpoints = tuple((epoch, minimum) for epoch, minimum in setup.get("checkpoints", ()))
    strategy = _STRATEGIES[kind](**settings)
    exhausted, limit = attributes.get(EXHAUSTED, False), attributes.get(LIMIT)
    return Snapshot(name, space, strategy, tuple(trials), checkpoints, exhausted, limit)


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
    folder, name, rank = matched[1], matched[2], int(matched[3] or 1)
    url, names = list_studies(folder)
    if (name is None and len(names) > 1) or name not in (None, *names):
        what = f"holds the searches {', '.join(names)}"
        raise InputError(folder, what, f"name one of them, such as search:{folder}@{names[0]}")
    name = name or names[0]
    found = best(read_study(name, url), max(rank, 1))
    if not 1 <= rank <= len(found):
        remedy = f"give a number from 1 to {len(found)}" if found else "run more trials"
        raise InputError(f"study {name}", f"has {len(found)} candidates with a value, none of rank {rank}", remedy)
    return found[-1]["choices"]


def list_studies(place: str) -> tuple[str, list[str]]:
    """The address of a storage, and the names of its studies.

    Args:
        place: output folder of a search, or the address of its storage.

    Raises:
        InputError: there is no search.
    """
    url = place
    if "://" not in place:
        path = Path(place) / "search.db"
        if not path.is_file():
            raise InputError(path, "does not exist", "give the output folder of a search")
        url = f"sqlite:///{path}"
    storage = open_storage(url, create=False)
    try:
        names = optuna.get_all_study_names(storage)
    finally:
        close(storage)
    if not names:
        raise InputError(shown(url), "holds no search", "run the search first")
    return url, names


def status(found: Snapshot) -> dict[str, Any]:
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


def best(found: Snapshot, top: int = 1) -> list[dict[str, Any]]:
    """The best candidates, each with its trial, value and choices, as plain data."""
    return [
        {
            "trial": trial.number,
            "value": trial.value,
            "choices": {name: trial.params[name] for name in found.space.names},
        }
        for trial in found.evaluated[:top]
    ]


def table(found: Snapshot) -> str:
    """All trials as CSV text, one row each in the order of their numbers."""
    details = ("epochs", "parameters", "seconds")
    rows = []
    for trial in found.trials:
        attributes = trial.user_attrs
        why = failure(trial) or attributes.get("stopped") or attributes.get(DUPLICATE)
        row = (trial.number, trial.state.name.lower(), trial.value, *(attributes.get(name) for name in details), why)
        rows.append((*row, *(trial.params.get(name, "") for name in found.space.names)))
    return csv_text(("trial", "state", "value", *details, "reason", *found.space.names), rows)
