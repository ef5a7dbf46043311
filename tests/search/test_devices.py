"""Candidates on several devices of one process, each in a thread of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from optuna.trial import TrialState

import infantjax
from infantjax.errors import InputError
from infantjax.search import kbest
from infantjax.search.claims import CRASH_REPORT, CRASHES, Claims
from infantjax.search.kbest import KBest, RandomSearch
from infantjax.search.launcher import run_search
from infantjax.search.sampler import history
from infantjax.search.study import read_study
from infantjax.search.worker import run_worker


@dataclass(frozen=True)
class Together:
    """As `pretend.Pretend`; the first evaluations wait for each other, and `fault` is called in each."""

    pretend: object
    barrier: threading.Barrier | None = None
    fault: object = None
    begun: list = field(default_factory=list)

    @property
    def description(self):
        return {"objective": "together"}

    def __call__(self, choices, directory, report):
        self.begun.append(directory)
        if self.barrier is not None and len(self.begun) <= self.barrier.parties:
            self.barrier.wait(30)
        if self.fault is not None:
            self.fault()
        return self.pretend.Pretend()(choices, directory, report)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("infantjax.search.worker.POLL", 0.02)


@pytest.fixture
def task_of(pretend, tmp_path, storage):
    def make(**settings):
        default = {"strategy": RandomSearch(), "trials": 9, "objective": Together(pretend)}
        task = pretend.task(tmp_path, storage, **default | settings)
        pretend.begin(task)
        return task

    return make


def by_hand(pretend, task):
    """The whole search with one candidate at a time."""
    return kbest.run(
        task.strategy, task.space, lambda each: pretend.value(task.space.label(each)), task.seed, task.trials
    )


def results(pretend, task):
    return history(task.space, pretend.begin(task).trials)


def test_four_devices_evaluate_four_candidates_at_a_time_and_find_what_one_finds(pretend, task_of):
    task = task_of(objective=Together(pretend, threading.Barrier(4)))
    run_worker(task, range(4))
    assert results(pretend, task) == by_hand(pretend, task)
    assert set(Counter(pretend.journal(task.directory, "end")).values()) == {1}
    assert not list((task.directory / "trials").iterdir()) + list((task.directory / "workers").iterdir())


def test_k_best_on_four_devices_begins_with_the_candidates_of_one_and_ends_by_its_rule(pretend, task_of):
    task = task_of(strategy=KBest(2, 0.9, 4, 1, 3), trials=None, objective=Together(pretend))
    run_worker(task, range(4))
    found = read_study(task.study, task.storage)
    assert found.end
    first = next(count for count in range(99) if found.strategy.replay(task.space, found.history[:count]).temperature)
    alone = by_hand(pretend, task)
    assert [each.candidate for each in found.history[:first]] == [each.candidate for each in alone[:first]]
    assert max(Counter(pretend.journal(task.directory, "end")).values()) == 1


def test_an_interruption_releases_the_trials_of_all_devices(pretend, task_of):
    barrier = threading.Barrier(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    gate = threading.Event()
    task = task_of(objective=Together(pretend, barrier, lambda: gate.wait(30)))
    with pytest.raises(KeyboardInterrupt):
        run_worker(task, range(3))
    states = Counter(trial.state for trial in pretend.begin(task).trials)
    gate.set()
    assert states == {TrialState.WAITING: 3}
    again = replace(task, objective=Together(pretend))
    run_worker(again, range(3))
    assert results(pretend, again) == by_hand(pretend, again)


def test_an_error_that_is_no_candidates_fault_ends_all_devices(pretend, task_of):
    def fault():
        raise InputError("folder", "is gone")

    task = task_of(objective=Together(pretend, fault=fault))
    with pytest.raises(InputError, match="is gone"):
        run_worker(task, range(3))
    assert not read_study(task.study, task.storage).count(TrialState.RUNNING)


def test_after_a_crash_all_trials_of_the_process_are_run_again_each_alone(pretend, task_of):
    task = task_of(trials=4)
    study = pretend.begin(task)
    claims = Claims(study, task.storage, task.directory)
    with claims.alive():
        for _ in range(2):
            params = task.space.choices(study.sampler.propose(study.trials))
            study.enqueue_trial(params)
            assert claims.claim(study.get_trials(states=(TrialState.WAITING,))[0])
    (claims.workers / claims.worker).mkdir(parents=True)
    (claims.workers / claims.worker / CRASH_REPORT).write_text("Fatal Python error: Aborted\n")
    run_worker(task, range(3))
    trials = pretend.begin(task).trials
    assert [trial.user_attrs.get(CRASHES) for trial in trials] == [1, 1, None, None]
    assert results(pretend, task) == by_hand(pretend, task)
    begun, ended = ([trial.datetime_start for trial in trials], [trial.datetime_complete for trial in trials])
    assert begun[1] >= ended[0]
    assert min(begun[2:]) >= ended[1]


def test_no_devices_are_a_wrong_call(task_of):
    with pytest.raises(ValueError, match="devices must be at least 1"):
        run_search(task_of(), devices=0)


EIGHT_DEVICES = """
import json, sys, threading
from dataclasses import dataclass, field, replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import flax.linen as nn
import numpy as np
import toy
from infantjax.methods.ensemble_gcn.objective import AucObjective
from infantjax.search.auc import search_split
from infantjax.search.kbest import RandomSearch
from infantjax.search.space import SearchSpace
from infantjax.search.storage import open_storage
from infantjax.search.study import read_study, join_study
from infantjax.search.worker import SearchTask, run_worker
from infantjax.training.splits import stratified_splits

DEVICES = 8
barrier, compiled, trained = threading.Barrier(DEVICES), [], []

@dataclass(frozen=True, eq=False)
class Noted(AucObjective):
    together: bool = False

    def precompile(self, choices):
        compiled.append(choices["factor"])
        return AucObjective.precompile(replace(self, device=0), choices)  # to be moved to other devices

    def __call__(self, choices, directory, report, compiled):
        trained.append(self.device)
        if self.together and len(trained) <= DEVICES:
            barrier.wait(120)
        result = super().__call__(choices, directory, report, compiled)
        (log,) = directory.rglob("history.csv")
        return replace(result, details={**result.details, "log": log.read_text()})

class Scaled(nn.Module):
    factor: float

    @nn.compact
    def __call__(self, x, train=False):
        # A variable, so that XLA compiles one program for all.
        factor = self.variable("constants", "factor", lambda: np.full(1, self.factor, np.float32))
        speed = x.std(axis=1).reshape(len(x), -1) * factor.value
        return nn.Dense(2)(nn.BatchNorm(use_running_average=not train)(speed)), {"pooled": speed}

def build(choices):
    return Scaled(**choices)

folds = stratified_splits([number % 2 for number in range(14)], 7)
config = toy.window_config(epochs=2)
objective = Noted(build, toy.toy_cohort(), (search_split(folds),), config)
space = SearchSpace({"factor": tuple(float(each) for each in range(1, 17))})
found = {}
for count in (1, DEVICES):
    compiled.clear(), trained.clear()
    folder = Path(sys.argv[1]) / str(count)
    folder.mkdir()
    url = f"sqlite:///{folder / 'search.db'}"
    task = SearchTask("toy", url, folder, space, replace(objective, together=count > 1), RandomSearch(), 1, 9)
    join_study("toy", open_storage(url), task.sampler, task.setup)
    run_worker(task, range(count))
    trials = read_study("toy", url).trials
    values = [[t.params["factor"], t.value, t.user_attrs.get("log"), t.user_attrs.get("reason", "")] for t in trials]
    found[count] = {"values": values, "compiled": len(compiled), "devices": sorted(set(trained))}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_eight_devices_train_eight_candidates_at_a_time_with_the_results_of_one(tmp_path):
    tests = Path(__file__).parents[1]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    # Without a compilation cache, so that programs can be moved from one device to another.
    others = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", EIGHT_DEVICES, str(tmp_path), str(tests)],
        env={**others, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
        cwd=Path(infantjax.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["8"]["values"] == found["1"]["values"]
    assert {why for *_, why in found["1"]["values"]} == {""}
    assert (found["1"]["devices"], found["8"]["devices"]) == ([0], list(range(8)))
    # Each candidate once, whatever device it came to.
    assert (found["1"]["compiled"], found["8"]["compiled"]) == (9, 9)
