"""Workers, with candidates that are not trained: what they do where something goes wrong."""

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from infantjax.errors import InputError
from infantjax.files import FolderInUseError, locked
from infantjax.search import kbest, launcher, worker
from infantjax.search import storage as storages
from infantjax.search.claims import CLAIM, CRASH_REPORT, MAX_CRASHES, Claims
from infantjax.search.kbest import KBest, Observation, RandomSearch
from infantjax.search.objective import TrialResult
from infantjax.search.sampler import REASON, distributions, history
from infantjax.search.space import SearchSpace
from infantjax.search.storage import Heartbeat
from infantjax.search.study import DUPLICATE, read_study, status
from infantjax.search.worker import run_worker


def results(task) -> list[Observation]:
    from pretend import begin

    return history(task.space, begin(task).trials)


def by_hand(task) -> list[Observation]:
    """The whole search without Optuna."""
    from pretend import value

    objective = lambda candidate: value(task.space.label(candidate))  # noqa: E731
    return kbest.run(task.strategy, task.space, objective, task.seed, task.trials)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Waiting takes little time; an hour is ten minutes."""
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: real(min(seconds, 0.1)))
    monkeypatch.setattr(storages, "PATIENCE", 600.0)


@pytest.fixture
def task_of(pretend, tmp_path, storage):
    """From settings to a search with a study, of random candidates if nothing else is given."""

    def make(**settings):
        task = pretend.task(tmp_path, storage, **{"strategy": RandomSearch(), "trials": 3} | settings)
        pretend.begin(task)
        return task

    return make


# --- a whole search --------------------------------------------------------------------------------------------------


def test_a_search_through_the_storage_is_the_strategy_alone_and_leaves_no_folder(pretend, task_of, tmp_path):
    task = task_of(strategy=KBest(2, 0.75, 1, 1), trials=None)
    run_worker(task)
    assert results(task) == by_hand(task)
    trials = pretend.begin(task).trials
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in trials:
        value = pretend.value(task.space.label(task.space.candidate(trial.params)))
        assert trial.value == value
        assert trial.state is (TrialState.PRUNED if value < 0.78 else TrialState.COMPLETE)
        assert trial.user_attrs["status"] == ("stopped" if value < 0.78 else "finished")
    assert not list((tmp_path / "trials").iterdir()) + list((tmp_path / "workers").iterdir())
    run_worker(task)
    assert pretend.begin(task).trials == trials


def test_a_search_whose_combinations_were_all_tried_has_ended_and_says_why(pretend, task_of):
    space = SearchSpace({"graph": ("spatial", "dis2"), "width": (6, 8)})
    task = task_of(strategy=KBest(2, 0.0), trials=None, space=space, objective=pretend.Pretend(space))
    run_worker(task)
    assert results(task) == by_hand(task)
    found = read_study(task.study, task.storage)
    assert not found.state.ended
    told = status(found)
    assert (told["ended"], told["end"]) == (True, "no untried combination was found")


# --- candidates that are compiled while others are evaluated ----------------------------------------------------------


@dataclass(frozen=True)
class Precompiled:
    """The value of a candidate follows from its name; what happens is written down in order."""

    space: SearchSpace
    events: list = field(default_factory=list)
    broken: str = ""
    last: str = ""
    patience: float = 10.0

    @property
    def description(self):
        return {"objective": "precompiled"}

    def precompile(self, choices):
        label = self.space.label(self.space.candidate(choices))
        self.events.append(("compile", label))
        if label == self.broken:
            raise RuntimeError("no program")
        return label

    def __call__(self, choices, directory, report, compiled=None):
        from pretend import value

        label = self.space.label(self.space.candidate(choices))
        self.events.append(("begin", label, compiled))
        # As long as a training, which continues until the next candidate is being compiled.
        until = time.monotonic() + self.patience
        while len(self.of("compile")) <= len(self.of("end")) + 1 and label != self.last and time.monotonic() < until:
            time.sleep(0.001)
        self.events.append(("end", label))
        return TrialResult("finished", value(label))

    def of(self, kind: str) -> list[str]:
        return [label for event, label, *_ in self.events if event == kind]


def test_the_next_candidate_is_compiled_while_one_is_evaluated_even_if_another_cannot_be(pretend, task_of):
    wanted = [pretend.SPACE.label(each.candidate) for each in by_hand(task_of())]
    objective = Precompiled(pretend.SPACE, last=wanted[-1], broken=wanted[2])
    task = task_of(study="precompiled", objective=objective)
    run_worker(task)
    events = objective.events
    assert objective.of("compile") == objective.of("end") == wanted
    compiled = [None if label == objective.broken else label for label in wanted]
    assert [event for event in events if event[0] == "begin"] == [("begin", *pair) for pair in zip(wanted, compiled)]
    for label, following in pairwise(wanted):
        assert events.index(("compile", following)) < events.index(("end", label))


@pytest.mark.slow
def test_a_wrong_prediction_does_not_change_the_search(pretend, task_of):
    # Candidates that enter the population are followed by others than those that were predicted.
    objective = Precompiled(pretend.SPACE, patience=0.0)
    task = task_of(strategy=KBest(2, 0.7), trials=5, objective=objective)
    run_worker(task)
    assert results(task) == by_hand(task)
    assert all(label == compiled for kind, label, *rest in objective.events if kind == "begin" for compiled in rest)
    once = {task.space.label(each.candidate) for each in by_hand(task)}
    assert set(objective.of("compile")) > once
    assert len(objective.of("compile")) < 1.5 * len(once)


# --- candidates that cannot be evaluated -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty:
    """As `pretend.Pretend`, but raises or calls what is given for some calls, counted from 1."""

    pretend: object
    faults: dict
    calls: list

    @property
    def description(self):
        return {"objective": "faulty"}

    def __call__(self, choices, directory, report):
        self.calls.append(directory)
        fault = self.faults.get(len(self.calls))
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            fault()
        return self.pretend.Pretend()(choices, directory, report)


@pytest.fixture
def run_with(pretend, task_of):
    """Runs a search with faults to its end."""

    def run(faults, **settings):
        task = task_of(**{"objective": Faulty(pretend, faults, [])} | settings)
        run_worker(task)
        return task

    return run


def test_a_candidate_that_cannot_be_evaluated_is_a_failed_trial_with_its_reason(pretend, run_with):
    memory = RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating")
    faults = {2: MemoryError(), 3: memory, 4: ValueError("shapes differ"), 5: OSError(2, "no file")}
    task = run_with(faults, trials=6)
    trials = pretend.begin(task).trials
    reasons = [
        "MemoryError: ",
        "RuntimeError: RESOURCE_EXHAUSTED: Out of",
        "ValueError: shapes differ",
        "FileNotFoundE",
    ]
    for trial, reason in zip(trials[1:5], reasons):
        assert trial.state is TrialState.FAIL
        assert trial.user_attrs[REASON].startswith(reason)
        assert "\n" not in trial.user_attrs[REASON]
    assert [each.value == -math.inf for each in results(task)] == [False, True, True, True, True, False]


def test_a_search_whose_candidates_all_fail_stops_and_says_why(run_with, storage, monkeypatch):
    monkeypatch.setattr(worker, "MAX_FAILURES", 2)
    with pytest.raises(InputError, match="2 trials in a row failed, the last one: ValueError: no network"):
        run_with(dict.fromkeys(range(1, 4), ValueError("no network")))
    assert len(read_study("pretend", storage).failures) == 2


def test_a_folder_that_a_frozen_worker_holds_is_not_waited_for(run_with):
    task = run_with({1: FolderInUseError("folder", "is in use by another process")}, trials=2)
    held, other = task.objective.calls[:2]
    assert held != other
    assert results(task) == by_hand(task)


def test_a_full_disk_is_waited_for(run_with, caplog):
    full = OSError(28, "No space left on device")
    task = run_with({2: full, 3: full, 5: InputError("folder", "cannot be written (No space left on device)")})
    assert results(task) == by_hand(task)
    assert caplog.text.count("waiting") == 2


def test_a_disk_that_stays_full_ends_the_worker_and_leaves_its_trial_to_others(run_with, storage, monkeypatch):
    monkeypatch.setattr(storages, "PATIENCE", 0.0)
    with pytest.raises(InputError, match="No space left"):
        run_with({2: OSError(28, "No space left on device")})
    assert read_study("pretend", storage).count(TrialState.WAITING) == 1


# --- interrupted, and dead -------------------------------------------------------------------------------------------


def test_interruptions_change_nothing(run_with):
    settings = {"strategy": KBest(2, 0.7), "trials": 3}
    for call in (1, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            run_with({call: KeyboardInterrupt()}, **settings)
    task = run_with({}, **settings)
    assert results(task) == by_hand(task)


@contextlib.contextmanager
def claimed(pretend, task) -> Iterator[tuple[Claims, FrozenTrial]]:
    """A trial that is claimed as by a worker. When the context ends its lock is free, as if the worker were killed."""
    study = pretend.begin(task)
    claims = Claims(study, task.storage, task.directory)
    claims.recover()
    if not (waiting := study.get_trials(states=(TrialState.WAITING,))):
        params, known = task.space.choices(study.sampler.propose(study.trials)), distributions(task.space)
        study.add_trial(optuna.create_trial(state=TrialState.WAITING, params=params, distributions=known))
        waiting = study.get_trials(states=(TrialState.WAITING,))
    (trial,) = waiting
    with locked(claims.workers / claims.worker):
        assert claims.claim(trial)
        yield claims, trial


def test_the_trial_of_a_dead_worker_of_this_machine_is_run_again_at_once(pretend, task_of):
    task = task_of(trials=2)
    with claimed(pretend, task):
        pass
    run_worker(task)
    assert results(task) == by_hand(task)
    assert len(pretend.begin(task).trials) == task.trials


def test_the_trial_of_a_living_worker_is_left_alone(pretend, task_of):
    task = task_of(trials=2)
    with claimed(pretend, task) as (claims, _):
        thread = threading.Thread(target=run_worker, args=(task,), daemon=True)
        thread.start()
        assert within(20, lambda: len(pretend.journal(task.directory, "end")) == task.trials - 1)
        first = pretend.begin(task).trials[0]
        assert (first.state, first.user_attrs[CLAIM]) == (TrialState.RUNNING, claims.worker)
    thread.join(20)
    assert results(task) == by_hand(task)


@pytest.mark.slow
def test_the_trial_of_a_dead_worker_elsewhere_is_run_again_after_the_grace(pretend, task_of, tmp_path):
    task = task_of(heartbeat=Heartbeat(1, 1), trials=2)
    with claimed(pretend, replace(task, directory=tmp_path / "elsewhere")):
        pass
    run_worker(task)
    assert results(task) == by_hand(task)


def test_the_trial_of_a_frozen_worker_is_run_again_and_the_first_result_counts(pretend, task_of):
    task = task_of(heartbeat=Heartbeat(1, 1), trials=2)
    with claimed(pretend, task) as (claims, trial):
        run_worker(task)
        assert results(task) == by_hand(task)
        claims.send(trial, TrialResult("finished", 0.123))
    assert results(task) == by_hand(task)


def test_kills_are_no_failure_of_the_candidate_however_many(pretend, task_of):
    task = task_of(trials=2)
    for _ in range(MAX_CRASHES + 1):
        with claimed(pretend, task):
            pass
    run_worker(task)
    assert results(task) == by_hand(task)
    assert not list((task.directory / "workers").iterdir())


def test_a_candidate_that_crashes_its_workers_has_failed(pretend, task_of):
    task = task_of(trials=2)
    for _ in range(MAX_CRASHES):
        with claimed(pretend, task) as (claims, _):
            (claims.workers / claims.worker / CRASH_REPORT).write_text("Fatal Python error: Aborted\n\nStack:\n")
    run_worker(task)
    (failed,) = read_study(task.study, task.storage).failures
    reason = f"its worker crashed {MAX_CRASHES} times: Fatal Python error: Aborted"
    assert (failed.number, failed.user_attrs[REASON]) == (0, reason)
    assert len(results(task)) == task.trials


# --- the storage, and results on disk --------------------------------------------------------------------------------


class Broken:
    """Makes a method of the storage raise as in an outage, in some calls, counted from 1."""

    def __init__(self, monkeypatch, method, calls):
        original, count = getattr(RDBStorage, method), [0]

        def call(storage, *arguments, **keywords):
            count[0] += 1
            if count[0] in calls:
                raise StorageInternalError("server closed the connection")
            return original(storage, *arguments, **keywords)

        monkeypatch.setattr(RDBStorage, method, call)


OUTAGES = {
    "set_trial_state_values": {1, 2, 4},
    "set_trial_user_attr": {1, *range(3, 9)},
    "set_trial_intermediate_value": range(2, 6),
    "_create_new_trial": {2, 3},
    "_get_trials": range(4, 7),
    "record_heartbeat": range(1, 5),
    "_get_stale_trial_ids": {2},
}


@pytest.mark.parametrize("methods", [OUTAGES, *(pytest.param([name], marks=pytest.mark.slow) for name in OUTAGES)])
def test_an_outage_of_the_storage_loses_nothing(task_of, monkeypatch, methods):
    task = task_of()
    for method in methods:
        Broken(monkeypatch, method, OUTAGES[method])
    run_worker(task)
    assert results(task) == by_hand(task)


DAMAGED = ['{"status": "finished"}', *(pytest.param(text, marks=pytest.mark.slow) for text in ("", "[]", "\x00"))]


@pytest.mark.parametrize("content", [None, *DAMAGED])
def test_a_result_whose_worker_died_before_it_was_sent_is_sent_unless_damaged(
    pretend, task_of, tmp_path, content, caplog
):
    task = task_of(trials=2)
    with claimed(pretend, task) as (claims, trial):
        label = task.space.label(task.space.candidate(trial.params))
        claims.save(trial, TrialResult("finished", pretend.value(label)))
        if content is not None:
            (claims.folder(trial) / "result.json").write_text(content)
    run_worker(task)
    assert results(task) == by_hand(task)
    assert (f"begin {label}\n" in (tmp_path / "journal.txt").read_text()) == (content is not None)
    assert ("result.json: is no result" in caplog.text) == (content is not None)


@pytest.mark.slow
def test_a_trial_of_another_study_is_left_alone(pretend, task_of, tmp_path):
    task, other = task_of(trials=1), task_of(study="other", trials=1)
    with claimed(pretend, other) as (claims, trial):
        claims.save(trial, TrialResult("failed", None, "reason"))
    run_worker(task)
    assert read_study("other", other.storage).count(TrialState.RUNNING) == 1
    run_worker(other)
    assert read_study("other", other.storage).failures


def test_a_candidate_of_the_user_is_evaluated_once_and_one_outside_the_space_is_refused(pretend, task_of):
    task = task_of(trials=2)
    study = pretend.begin(task)
    mine = task.space.choices(("dis4", 12, 9, "linear"))
    for params in (mine, mine, mine | {"width": 7}, {"width": 6}):
        study.enqueue_trial(params)
    run_worker(task)
    trials = pretend.begin(task).trials
    assert trials[0].params == mine
    assert trials[1].user_attrs[DUPLICATE] == "trial 0 has the same candidate"
    assert "no candidate of the search space" in trials[2].user_attrs[DUPLICATE]
    assert "no candidate of the search space" in trials[3].user_attrs[DUPLICATE]
    assert len(results(task)) == 2
    assert not read_study(task.study, task.storage).failures


# --- processes -------------------------------------------------------------------------------------------------------


def start(pretend, tmp_path: Path, storage: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, pretend.__file__, str(tmp_path), storage, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in that time."""
    until = time.monotonic() + seconds
    while not (fulfilled := condition()) and time.monotonic() < until:
        threading.Event().wait(0.05)
    return fulfilled


def in_use(folder: Path) -> bool:
    """Whether a living process holds the lock of a folder."""
    try:
        with locked(folder):
            return False
    except FolderInUseError:
        return True


def test_a_killed_search_takes_its_worker_with_it_and_goes_on_as_if_nothing_had_been(
    pretend, tmp_path, storage, monkeypatch
):
    process = start(pretend, tmp_path, storage, "--seconds", "60")
    assert within(60, lambda: bool(pretend.journal(tmp_path, "begin")))
    process.kill()
    process.wait()
    assert within(20, lambda: not any(in_use(folder) for folder in (tmp_path / "workers").iterdir()))
    process.communicate()
    monkeypatch.syspath_prepend(Path(pretend.__file__).parent)  # where the worker's process looks too
    task = pretend.task(tmp_path, storage, trials=3)
    launcher.run_search(task)
    assert results(task) == by_hand(task)
    assert len(pretend.journal(tmp_path, "begin")) == 4
    assert len(pretend.journal(tmp_path, "end")) == 3


def interrupt_from_the_terminal(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [interrupt_from_the_terminal, subprocess.Popen.terminate])
def test_a_search_that_is_stopped_releases_its_trials_and_continues(pretend, tmp_path, storage, stop):
    process = start(pretend, tmp_path, storage, "--seconds", "0.3")
    assert within(60, lambda: bool(pretend.journal(tmp_path, "begin")))
    stop(process)
    process.communicate(timeout=60)
    assert process.returncode != 0
    task = pretend.task(tmp_path, storage)
    assert TrialState.RUNNING not in {trial.state for trial in read_study(task.study, storage).trials}
    run_worker(task)
    assert results(task) == by_hand(task)
