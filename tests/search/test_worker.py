"""Workers in a process, with candidates that are not trained: what they do where something goes wrong."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from infantjax.errors import InputError
from infantjax.search import study as studies
from infantjax.search import worker
from infantjax.search.evaluation import Outcome
from infantjax.search.kbest import KBest, RandomSearch, Trial, draw
from infantjax.search.outbox import Outbox, Result
from infantjax.search.recovery import WORKER, mark
from infantjax.search.sampler import GAVE_WAY, MAX_RETRIES, REASON, RuleSampler, failure, history
from infantjax.search.space import SearchSpace
from infantjax.search.study import Heartbeat, find, join, open_storage
from infantjax.search.worker import work


def begin(task) -> optuna.Study:
    """A study of a search, as `worker.search` makes it."""
    storage = open_storage(task.storage, task.heartbeat)
    return join(task.study, storage, RuleSampler(task.rule, task.space, task.seed), task.setup)


def results(task) -> list[Trial]:
    return history(task.space, find(task.study, task.storage).trials)


def by_hand(task) -> list[Trial]:
    """The whole search without Optuna."""
    from pretend import worth

    trials = []
    while True:
        state = task.rule.replay(task.space, trials)
        tried = {trial.candidate for trial in trials}
        rng = np.random.default_rng((task.seed, len(trials)))
        candidate = None if state.ended else draw(task.space, state.probabilities, tried, rng.random)[0]
        if candidate is None or len(trials) == task.trials:
            return trials
        trials.append(Trial(candidate, worth(task.space.label(candidate))))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Waiting takes no time; an hour is a few seconds."""
    real = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: real(min(seconds, 0.02)))
    monkeypatch.setattr(studies, "PATIENCE", 60.0)
    monkeypatch.setattr(worker, "POLL", 0.02)


# --- a whole search --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [KBest(3, 0.9), KBest(2, 0.95, temperature_lag=False)])
def test_a_search_through_the_storage_equals_the_rule_alone(pretend, tmp_path, storage, rule):
    task = pretend.task(tmp_path, storage, rule=rule)
    begin(task)
    work(task)
    assert results(task) == by_hand(task)


def test_random_search_stops_at_its_number_of_trials(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=7)
    begin(task)
    work(task)
    assert results(task) == by_hand(task)
    assert len(results(task)) == 7


def test_a_finished_search_called_again_does_nothing(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    begin(task)
    work(task)
    before = find(task.study, storage).trials
    work(task)
    assert find(task.study, storage).trials == before


def test_states_and_values_are_those_of_the_outcomes(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=12)
    begin(task)
    work(task)
    for trial in find(task.study, storage).trials:
        value = pretend.worth(task.space.label(task.space.candidate(trial.params)))
        assert trial.value == value
        assert trial.state is (TrialState.PRUNED if value < 0.78 else TrialState.COMPLETE)
        assert trial.user_attrs["status"] == ("stopped" if value < 0.78 else "finished")


def test_nothing_is_left_behind(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, trials=5)
    begin(task)
    work(task)
    for folder in ("outbox", "late", "candidates", "workers"):
        assert not list((tmp_path / folder).iterdir()), folder


# --- candidates that are prepared while others are evaluated ----------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """What a candidate is worth follows from its name; what happens is written down in order."""

    space: SearchSpace
    events: list = field(default_factory=list)
    spoilt: str = ""
    last: str = ""
    patience: float = 10.0

    @property
    def description(self):
        return {"evaluation": "prepared"}

    def ahead(self, choices):
        label = self.space.label(self.space.candidate(choices))
        self.events.append(("prepare", label))
        if label == self.spoilt:
            raise RuntimeError("no program")
        return label

    def __call__(self, choices, directory, report, ready=None):
        from pretend import worth

        label = self.space.label(self.space.candidate(choices))
        self.events.append(("begin", label, ready))
        # As long as a training, which goes on until the next candidate is being prepared.
        until = time.monotonic() + self.patience
        while len(self.of("prepare")) <= len(self.of("end")) + 1 and label != self.last and time.monotonic() < until:
            time.sleep(0.001)
        self.events.append(("end", label))
        return Outcome("finished", worth(label), "")

    def of(self, kind: str) -> list[str]:
        return [label for event, label, *_ in self.events if event == kind]


def prepared(pretend, tmp_path, storage, **given):
    settings = {"rule": RandomSearch(), "trials": 4} | given.pop("settings", {})
    return pretend.task(tmp_path, storage, evaluation=Prepared(pretend.SPACE, **given), **settings)


def labels(task) -> list[str]:
    return [task.space.label(trial.candidate) for trial in by_hand(task)]


def test_the_next_candidate_is_prepared_while_one_is_evaluated(pretend, tmp_path, storage):
    wanted = labels(prepared(pretend, tmp_path, storage))
    task = prepared(pretend, tmp_path, storage, last=wanted[-1])
    begin(task)
    work(task)
    events = task.evaluation.events
    assert task.evaluation.of("prepare") == task.evaluation.of("end") == wanted
    assert [event for event in events if event[0] == "begin"] == [("begin", label, label) for label in wanted]
    for label, following in pairwise(wanted):
        assert events.index(("prepare", following)) < events.index(("end", label))


def test_what_is_foreseen_does_not_change_the_search(pretend, tmp_path, storage):
    # Candidates that enter the population are followed by others than those that were foreseen.
    task = prepared(pretend, tmp_path, storage, settings={"rule": KBest(3, 0.9), "trials": 25})
    task = replace(task, evaluation=replace(task.evaluation, patience=0.0))
    begin(task)
    work(task)
    assert results(task) == by_hand(task)
    assert all(label == ready for kind, label, *rest in task.evaluation.events if kind == "begin" for ready in rest)
    once = set(labels(task))
    assert set(task.evaluation.of("prepare")) > once
    assert len(task.evaluation.of("prepare")) < 1.5 * len(once)


def test_a_candidate_that_cannot_be_prepared_is_evaluated_all_the_same(pretend, tmp_path, storage):
    wanted = labels(prepared(pretend, tmp_path, storage))
    task = prepared(pretend, tmp_path, storage, last=wanted[-1], spoilt=wanted[2])
    begin(task)
    work(task)
    assert ("begin", wanted[2], None) in task.evaluation.events
    assert results(task) == by_hand(task)


def test_nothing_is_foreseen_while_another_worker_has_a_trial(pretend, tmp_path, storage):
    task = prepared(pretend, tmp_path, storage)
    begin(task)
    other, own = die(task, "a"), die(task, "b")
    here = worker._Worker(task, "b")
    assert here._likely_next(own.number) is None
    here.study.tell(other, 0.5)
    assert here._likely_next(own.number) == by_hand(task)[2].candidate


# --- candidates that cannot be evaluated -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty:
    """As `pretend.Pretend`, but what one candidate raises or returns is given."""

    pretend: object
    faults: dict
    calls: list

    @property
    def description(self):
        return {"evaluation": "faulty"}

    def __call__(self, choices, directory, report):
        self.calls.append(directory)
        fault = self.faults.get(len(self.calls))
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            fault = fault()
        return fault or self.pretend.Pretend()(choices, directory, report)


def run_with(pretend, tmp_path, storage, faults, **settings):
    evaluation = Faulty(pretend, faults, [])
    task = pretend.task(tmp_path, storage, **{"rule": RandomSearch(), "trials": 6, "evaluation": evaluation} | settings)
    begin(task)
    work(task)
    return task


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (MemoryError(), "MemoryError: "),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating"), "RuntimeError: RESOURCE_EXHAUSTED: Out of"),
        (ValueError("shapes differ"), "ValueError: shapes differ"),
    ],
)
def test_a_candidate_that_cannot_be_evaluated_is_a_failed_trial_with_its_reason(
    pretend, tmp_path, storage, fault, reason
):
    task = run_with(pretend, tmp_path, storage, {3: fault})
    trials = find(task.study, storage).trials
    assert trials[2].state is TrialState.FAIL
    assert trials[2].user_attrs[REASON].startswith(reason)
    assert "\n" not in trials[2].user_attrs[REASON]
    assert [trial.state.is_finished() for trial in trials] == [True] * 6
    assert results(task)[2].performance == -math.inf


def test_a_search_whose_candidates_all_fail_stops_and_says_why(pretend, tmp_path, storage, monkeypatch):
    monkeypatch.setattr(worker, "MAX_FAILURES", 4)
    with pytest.raises(InputError, match="4 trials in a row came to nothing, the last one: ValueError: no network"):
        run_with(pretend, tmp_path, storage, dict.fromkeys(range(1, 9), ValueError("no network")), trials=8)
    assert len(find("pretend", storage).failures) == 4


def test_a_folder_that_another_process_holds_is_not_waited_for(pretend, tmp_path, storage):
    held = InputError(tmp_path, "another process is training in this folder")
    task = run_with(pretend, tmp_path, storage, {1: held})
    calls = task.evaluation.calls
    assert calls[1] == calls[0].with_name(f"{calls[0].name}-0")
    assert results(task) == by_hand(task)


@pytest.mark.parametrize(
    "fault",
    [OSError(28, "No space left on device"), InputError("folder", "cannot be written (No space left on device)")],
)
def test_a_full_disk_is_waited_for(pretend, tmp_path, storage, fault, capsys):
    task = run_with(pretend, tmp_path, storage, {2: fault, 3: fault})
    assert results(task) == by_hand(task)
    assert "waiting" in capsys.readouterr().err


def test_a_disk_that_stays_full_ends_the_worker_and_leaves_its_trial_to_others(pretend, tmp_path, storage, monkeypatch):
    monkeypatch.setattr(studies, "PATIENCE", 0.0)
    with pytest.raises(InputError, match="No space left"):
        run_with(pretend, tmp_path, storage, {2: OSError(28, "No space left on device")})
    waiting = [trial for trial in find("pretend", storage).trials if trial.state is TrialState.WAITING]
    assert len(waiting) == 1


# --- interrupted, and dead -------------------------------------------------------------------------------------------


def test_an_interrupted_search_continues_as_if_it_had_not_been(pretend, tmp_path, storage):
    with pytest.raises(KeyboardInterrupt):
        run_with(pretend, tmp_path, storage, {4: KeyboardInterrupt()}, rule=KBest(3, 0.9), trials=None)
    task = pretend.task(tmp_path, storage, evaluation=Faulty(pretend, {}, []))
    work(task)
    assert results(task) == by_hand(task)


def test_interruptions_are_not_counted_as_deaths(pretend, tmp_path, storage):
    for _ in range(MAX_RETRIES + 1):
        with pytest.raises(KeyboardInterrupt):
            run_with(pretend, tmp_path, storage, {1: KeyboardInterrupt()})
    task = run_with(pretend, tmp_path, storage, {})
    assert results(task) == by_hand(task)


def die(task, folder: str, value: float | None = None) -> optuna.Trial:
    """Begin a trial like a worker, and leave it."""
    (task.directory / "workers" / folder).mkdir(parents=True)
    storage = open_storage(task.storage, task.heartbeat)
    study = join(task.study, storage, RuleSampler(task.rule, task.space, task.seed, mark(folder, storage)), task.setup)
    trial = study.ask() if storage.heartbeat_interval is None else _ask(study)
    for name, values in task.space.alternatives:
        trial.suggest_categorical(name, values)
    return trial


def _ask(study: optuna.Study) -> optuna.Trial:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return study.ask()


def test_the_trial_of_a_dead_worker_of_this_machine_is_run_again_at_once(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    begin(task)
    die(task, "gone-1")
    work(task)
    assert results(task) == by_hand(task)
    assert [trial.system_attrs.get("failed_trial") for trial in find(task.study, storage).trials[:2]] == [None, 0]


def test_the_trial_of_a_living_worker_is_left_alone(pretend, tmp_path, storage):
    from infantjax.files import locked

    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    begin(task)
    with locked(tmp_path / "workers" / "alive"):
        (tmp_path / "workers" / "alive").rename(tmp_path / "workers" / "moved")
        die(task, "alive")
        (tmp_path / "workers" / "alive").rmdir()
        (tmp_path / "workers" / "moved").rename(tmp_path / "workers" / "alive")
        thread = threading.Thread(target=work, args=(task,), daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while len(results(task)) < 3 and time.monotonic() < until:
            threading.Event().wait(0.1)
        first = find(task.study, storage).trials[0]
        assert first.state is TrialState.RUNNING
    thread.join(20)
    assert results(task) == by_hand(task)


def test_the_trial_of_a_dead_worker_elsewhere_is_run_again_after_the_grace(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, heartbeat=Heartbeat(1, 1), rule=RandomSearch(), trials=3)
    begin(task)
    die(task, "elsewhere")
    (tmp_path / "workers" / "elsewhere").rmdir()
    work(task)
    assert results(task) == by_hand(task)


def test_a_trial_that_died_before_its_first_heartbeat_is_run_again_after_the_grace(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, heartbeat=Heartbeat(1, 1), rule=RandomSearch(), trials=3)
    study = begin(task)
    trial = _ask(study)
    for name, values in task.space.alternatives:
        trial.suggest_categorical(name, values)
    work(task)
    assert results(task) == by_hand(task)


@pytest.mark.parametrize("attempt", [1, MAX_RETRIES])
def test_a_trial_that_failed_but_was_not_queued_again_is_found(pretend, tmp_path, storage, attempt):
    task = pretend.task(tmp_path, storage, heartbeat=Heartbeat(1, 1), rule=RandomSearch(), trials=3)
    study = begin(task)
    for number in range(attempt):
        if number:
            studies.run_again(study, study.trials[-1])
        trial = _ask(study)
        for name, values in task.space.alternatives:
            trial.suggest_categorical(name, values)
        study.tell(trial, state=TrialState.FAIL)
    work(task)
    assert results(task) == by_hand(task)


# --- the storage, and the outbox -------------------------------------------------------------------------------------


class Broken:
    """Makes a method of the storage raise as in an outage, some times from the n-th call on."""

    def __init__(self, monkeypatch, method, calls):
        original, count = getattr(studies.RDBStorage, method), [0]

        def call(storage, *arguments, **keywords):
            count[0] += 1
            if count[0] in calls:
                raise StorageInternalError("server closed the connection")
            return original(storage, *arguments, **keywords)

        monkeypatch.setattr(studies.RDBStorage, method, call)


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        ("set_trial_state_values", {2}),
        ("set_trial_state_values", {1, 2, 3}),
        ("set_trial_user_attr", range(3, 9)),
        ("set_trial_intermediate_value", range(2, 6)),
        ("set_trial_param", range(5, 8)),
        ("create_new_trial", {2, 3}),
        ("get_all_trials", range(4, 7)),
        ("record_heartbeat", range(1, 5)),
        ("_get_stale_trial_ids", {2}),
        ("get_trial", range(6, 9)),
    ],
)
def test_an_outage_of_the_storage_loses_nothing(pretend, tmp_path, storage, monkeypatch, method, calls):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    begin(task)
    Broken(monkeypatch, method, calls)
    work(task)
    assert results(task) == by_hand(task)


def test_a_result_whose_worker_died_before_it_was_told_is_told_by_the_next(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    begin(task)
    trial = die(task, "gone-1")
    label = task.space.label(task.space.candidate(trial.params))
    Outbox(tmp_path).put(Result(task.study, 0, label, Outcome("finished", pretend.worth(label))))
    work(task)
    assert results(task) == by_hand(task)
    assert f"begin {label}" not in (tmp_path / "journal.txt").read_text()


def test_a_result_that_comes_too_late_is_taken_by_the_next_attempt(pretend, tmp_path, storage, capsys):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=4)
    study = begin(task)
    trial = die(task, "asleep")
    label = task.space.label(task.space.candidate(trial.params))
    study.tell(trial.number, state=TrialState.FAIL)
    studies.run_again(study, study.trials[0])
    Outbox(tmp_path).put(Result(task.study, 0, label, Outcome("finished", pretend.worth(label))))
    work(task)
    assert "given up before its result came" in capsys.readouterr().err
    assert results(task) == by_hand(task)
    assert f"begin {label}" not in (tmp_path / "journal.txt").read_text()
    assert len(Outbox(tmp_path).late_results(task.study)) == 1


def test_a_trial_that_is_given_up_while_it_runs_is_not_taken_for_a_failed_candidate(pretend, tmp_path, storage):
    def give_up() -> None:
        study = optuna.load_study(study_name="pretend", storage=open_storage(storage))
        study.sampler = RuleSampler(RandomSearch(), pretend.SPACE, 1)
        study.tell(1, state=TrialState.FAIL)
        studies.run_again(study, study.trials[1])

    task = run_with(pretend, tmp_path, storage, {2: give_up})
    assert results(task) == by_hand(task)
    assert not find(task.study, storage).failures


@pytest.mark.parametrize("content", ["", "{", "[]", '{"study": 1}', "\\x00"])
def test_a_damaged_file_in_the_outbox_is_named_and_passed_over(pretend, tmp_path, storage, content, capsys):
    task = pretend.task(tmp_path, storage, trials=2)
    begin(task)
    Outbox(tmp_path).waiting.joinpath("x.json").write_text(content)
    work(task)
    assert "x.json: is no result" in capsys.readouterr().err
    assert len(results(task)) == 2


def test_results_of_another_study_stay_in_the_outbox(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, trials=2)
    begin(task)
    other = Result("other", 0, "a-1", Outcome("failed", None, "reason"))
    Outbox(tmp_path).put(other)
    work(task)
    assert list(Outbox(tmp_path).results("other")) == [other]


def test_a_candidate_that_two_trials_have_is_evaluated_once(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=3)
    study = begin(task)
    work(task)
    study.enqueue_trial(study.trials[1].params)
    work(task)
    trials = find(task.study, storage).trials
    assert trials[3].user_attrs[GAVE_WAY] == "trial 1 has the same candidate"
    assert results(task) == by_hand(task)
    assert not failure(trials[3])


def test_a_trial_names_who_works_on_it(pretend, tmp_path, storage):
    task = pretend.task(tmp_path, storage, trials=1)
    begin(task)
    work(task)
    assert find(task.study, storage).trials[0].user_attrs[WORKER]["name"].endswith(f"-{os.getpid()}")


# --- processes -------------------------------------------------------------------------------------------------------


def start(pretend, tmp_path: Path, storage: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, pretend.__file__, str(tmp_path), storage, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_two_worker_processes_finish_a_search_and_repeat_nothing(pretend, tmp_path, storage):
    process = start(pretend, tmp_path, storage, "--workers", "2", "--trials", "16")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, json.loads(out)) == (0, "done"), err
    task = pretend.task(tmp_path, storage, rule=RandomSearch(), trials=16)
    ended = re.findall(r"^end (.*)$", (tmp_path / "journal.txt").read_text(), re.M)
    assert len(ended) == len(set(ended)) == 16
    # With nothing that depends on the order of results, the candidates are those of one worker.
    assert {trial.candidate for trial in results(task)} == {trial.candidate for trial in by_hand(task)}


def interrupt_from_the_terminal(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [interrupt_from_the_terminal, subprocess.Popen.terminate])
def test_a_search_that_is_stopped_hands_its_trials_over_and_continues(pretend, tmp_path, storage, stop):
    process = start(pretend, tmp_path, storage, "--seconds", "0.3")
    until = time.monotonic() + 60
    while not (tmp_path / "journal.txt").exists() and time.monotonic() < until:
        threading.Event().wait(0.1)
    stop(process)
    process.communicate(timeout=60)
    assert process.returncode != 0
    task = pretend.task(tmp_path, storage, evaluation=pretend.Pretend())
    assert TrialState.RUNNING not in {trial.state for trial in find(task.study, storage).trials}
    work(task)
    assert results(task) == by_hand(task)
