"""The driver of a search, with candidates that are not trained: what it does where something goes wrong."""

import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import fsspec
import pytest
from optuna.trial import TrialState

import infantjax
from infantjax import places
from infantjax.engine import Local
from infantjax.errors import InputError
from infantjax.files import locked
from infantjax.search import KBest, RandomSearch, SearchSpace, TrialResult, driver, read_study
from infantjax.search.study import CRASHES, REASON, status

# --- a whole search --------------------------------------------------------------------------------------------------


def test_a_search_is_the_strategy_alone_and_leaves_no_folder(pretend, tmp_path):
    rule = KBest(2, 0.75, 1, 1)
    found = pretend.run(tmp_path, rule)
    assert found.history == pretend.by_hand(rule)
    assert {trial.state for trial in found.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial in found.trials:
        value = pretend.value(found.space.label(found.space.candidate(trial.params)))
        assert trial.value == value
        assert trial.state is (TrialState.PRUNED if value < 0.78 else TrialState.COMPLETE)
        assert trial.user_attrs["status"] == ("stopped" if value < 0.78 else "finished")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "journal.txt", "search.db", "trials"]
    assert not list((tmp_path / "trials").iterdir())
    assert pretend.run(tmp_path, rule).trials == found.trials


def test_a_plain_function_of_a_mapping_with_a_constraint_is_enough(tmp_path):
    reports = []

    def area(choices, directory, report):
        report(1, 0.5)
        reports.append(directory.is_dir())
        return choices["width"] * choices["height"]

    sides = {"width": [1, 2, 3], "height": [4, 5]}
    small = {"constraint": lambda choices: choices["width"] != 3, "seed": 7}
    found = infantjax.search.run(sides, area, RandomSearch(), tmp_path, **small)
    assert found.best() == [{"trial": found.best()[0]["trial"], "value": 10.0, "choices": {"width": 2, "height": 5}}]
    assert found.trials[0].intermediate_values == {1: 0.5}
    assert set(reports) == {True}
    with pytest.raises(InputError, match="seed was 7, now 0"):
        infantjax.search.run(sides, area, RandomSearch(), tmp_path, constraint=small["constraint"])


def test_a_search_whose_combinations_were_all_tried_has_ended_and_says_why(pretend, tmp_path):
    space = SearchSpace({"graph": ("spatial", "dis2"), "width": (6, 8)})
    found = pretend.run(tmp_path, KBest(2, 0.0), space=space)
    assert found.history == pretend.by_hand(KBest(2, 0.0), space=space)
    assert not found.state.ended
    known = status(found)
    assert (known["ended"], known["end"]) == (True, "no untried combination was found")


def test_a_folder_in_which_another_process_searches_is_refused(pretend, tmp_path):
    with locked(tmp_path), pytest.raises(InputError, match="is in use by another process"):
        pretend.run(tmp_path)


def test_wrong_calls(pretend, tmp_path):
    with pytest.raises(ValueError, match="strategy must be KBest"):
        pretend.run(tmp_path, "kbest")
    with pytest.raises(ValueError, match="constraint is given twice"):
        pretend.run(tmp_path, constraint=lambda choices: True)


# --- several devices -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Faulty:
    """As `pretend.Pretend`; the first calls wait for each other, and some, counted from 1, raise or call a fault."""

    pretend: object
    faults: dict = field(default_factory=dict)
    barrier: threading.Barrier | None = None
    calls: list = field(default_factory=list)

    @property
    def description(self):
        return {"objective": "faulty"}

    def __call__(self, choices, directory, report):
        self.calls.append(directory)
        fault = self.faults.get(len(self.calls))
        if self.barrier is not None and len(self.calls) <= self.barrier.parties:
            self.barrier.wait(30)
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            fault()
        return self.pretend.Pretend()(choices, directory, report)


def test_four_devices_evaluate_four_candidates_at_a_time_and_find_what_one_finds(pretend, tmp_path):
    together = Faulty(pretend, barrier=threading.Barrier(4))
    found = pretend.run(tmp_path, RandomSearch(), together, trials=9, engine=Local(4))
    assert found.history == pretend.by_hand(RandomSearch(), 9)
    assert set(Counter(pretend.journal(tmp_path, "end")).values()) == {1}


def test_k_best_on_four_devices_begins_with_the_candidates_of_one_and_ends_by_its_rule(pretend, tmp_path):
    rule = KBest(2, 0.9, 4, 1, 3)
    found = pretend.run(tmp_path, rule, engine=Local(4))
    assert found.end
    first = next(count for count in range(99) if rule.replay(found.space, found.history[:count]).temperature)
    alone = pretend.by_hand(rule)
    assert [each.candidate for each in found.history[:first]] == [each.candidate for each in alone[:first]]
    assert max(Counter(pretend.journal(tmp_path, "end")).values()) == 1


def test_no_devices_are_a_wrong_call():
    with pytest.raises(ValueError, match="devices must be at least 1"):
        Local(0)


EIGHT_DEVICES = """
import json, sys, threading
from dataclasses import dataclass, replace
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import flax.linen as nn
import numpy as np
import toy
from infantjax import search
from infantjax.engine import Local
from infantjax.methods.ensemble_gcn.objective import AucObjective
from infantjax.search.auc import search_split
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
space = {"factor": [float(each) for each in range(1, 17)]}
found = {}
for count in (1, DEVICES):
    compiled.clear(), trained.clear()
    folder = Path(sys.argv[1]) / str(count)
    together = replace(objective, together=count > 1)
    trials = search.run(space, together, search.RandomSearch(), folder, seed=1, trials=9, engine=Local(count)).trials
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


# --- candidates that are compiled while others are evaluated ----------------------------------------------------------


@dataclass(frozen=True)
class Precompiled:
    """The value of a candidate follows from its name; what happens is written down in order."""

    pretend: object
    events: list = field(default_factory=list)
    broken: str = ""
    last: str = ""
    patience: float = 10.0

    @property
    def description(self):
        return {"objective": "precompiled"}

    def label(self, choices) -> str:
        return self.pretend.SPACE.label(self.pretend.SPACE.candidate(choices))

    def precompile(self, choices):
        label = self.label(choices)
        self.events.append(("compile", label))
        if label == self.broken:
            raise RuntimeError("no program")
        return label

    def __call__(self, choices, directory, report, compiled):
        label = self.label(choices)
        self.events.append(("begin", label, compiled))
        # As long as a training, which continues until the next candidate is being compiled.
        until = time.monotonic() + self.patience
        while self.of("compile")[-1] == label != self.last and time.monotonic() < until:
            time.sleep(0.001)
        self.events.append(("end", label))
        return TrialResult("finished", self.pretend.value(label))

    def of(self, kind: str) -> list[str]:
        return [label for event, label, *_ in self.events if event == kind]


def test_the_next_candidate_is_compiled_while_one_is_evaluated(pretend, tmp_path):
    wanted = [pretend.SPACE.label(each.candidate) for each in pretend.by_hand(RandomSearch(), 3)]
    objective = Precompiled(pretend, last=wanted[-1])
    pretend.run(tmp_path, RandomSearch(), objective, trials=3)
    events = objective.events
    assert objective.of("compile") == objective.of("end") == wanted
    assert [event for event in events if event[0] == "begin"] == [("begin", label, label) for label in wanted]
    for label, following in pairwise(wanted):
        assert events.index(("compile", following)) < events.index(("end", label))


def test_a_candidate_that_cannot_be_compiled_has_failed(pretend, tmp_path):
    wanted = [pretend.SPACE.label(each.candidate) for each in pretend.by_hand(RandomSearch(), 3)]
    objective = Precompiled(pretend, broken=wanted[1], patience=0.0)
    found = pretend.run(tmp_path, RandomSearch(), objective, trials=3)
    assert [trial.user_attrs.get(REASON) for trial in found.trials] == [None, "RuntimeError: no program", None]


@pytest.mark.slow
def test_a_wrong_prediction_does_not_change_the_search(pretend, tmp_path):
    # Candidates that enter the population are followed by others than those that were predicted.
    objective, rule = Precompiled(pretend, patience=0.0), KBest(2, 0.7)
    found = pretend.run(tmp_path, rule, objective, trials=5)
    assert found.history == pretend.by_hand(rule, 5)
    assert all(label == compiled for kind, label, *rest in objective.events if kind == "begin" for compiled in rest)
    once = {pretend.SPACE.label(each.candidate) for each in found.history}
    assert set(objective.of("compile")) > once
    assert len(objective.of("compile")) < 2 * len(once)


# --- candidates that cannot be evaluated -----------------------------------------------------------------------------


def test_a_candidate_that_cannot_be_evaluated_is_a_failed_trial_with_its_reason(pretend, tmp_path):
    memory = RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating")
    faults = {2: MemoryError(), 3: memory, 4: ValueError("shapes differ"), 5: OSError(2, "no file")}
    faults[6] = infantjax.training.DivergedError("run", "the first epoch diverged")
    found = pretend.run(tmp_path, RandomSearch(), Faulty(pretend, faults), trials=7)
    reasons = ["MemoryError: ", "RuntimeError: RESOURCE_EXHAUSTED: Out of", "ValueError: shapes diff", "FileNotFoundE"]
    for trial, reason in zip(found.trials[1:6], [*reasons, "DivergedError: run: the first epoch"]):
        assert trial.state is TrialState.FAIL
        assert trial.user_attrs[REASON].startswith(reason)
        assert "\n" not in trial.user_attrs[REASON]
    assert [value == -math.inf for value in found.values] == [False, *[True] * 5, False]
    nothing = infantjax.search.run({"a": [1]}, lambda choices: math.nan, RandomSearch(), tmp_path / "nan")
    assert nothing.failures[0].user_attrs[REASON] == "ValueError: its value is nan"


def test_a_search_whose_candidates_all_fail_stops_and_says_why(pretend, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "MAX_FAILURES", 2)
    faults = dict.fromkeys(range(1, 4), ValueError("no network"))
    with pytest.raises(InputError, match="2 trials in a row failed, the last one: ValueError: no network"):
        pretend.run(tmp_path, RandomSearch(), Faulty(pretend, faults), trials=3)
    assert len(read_study(tmp_path).failures) == 2


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), InputError("folder", "No space left")])
def test_a_full_disk_ends_the_search_in_one_line_and_fails_no_candidate(pretend, tmp_path, fault):
    with pytest.raises(InputError, match="No space left"):
        pretend.run(tmp_path, RandomSearch(), Faulty(pretend, {2: fault}), trials=3)
    found = read_study(tmp_path)
    assert (len(found.history), found.count(TrialState.RUNNING), found.failures) == (1, 1, [])
    found = pretend.run(tmp_path, RandomSearch(), Faulty(pretend), trials=3)
    assert found.history == pretend.by_hand(RandomSearch(), 3)


# --- interrupted, and dead -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("devices", [1, 3])
def test_interruptions_change_nothing(pretend, tmp_path, devices):
    rule = KBest(2, 0.7) if devices == 1 else RandomSearch()
    for call in (1, 1, 2):
        faulty = Faulty(pretend, {call: KeyboardInterrupt()})
        with pytest.raises(KeyboardInterrupt):
            pretend.run(tmp_path, rule, faulty, trials=4, engine=Local(devices))
    found = pretend.run(tmp_path, rule, Faulty(pretend), trials=4, engine=Local(devices))
    assert found.history == pretend.by_hand(rule, 4)


def test_after_a_crash_all_trials_of_the_process_are_run_again_each_alone(pretend, tmp_path, monkeypatch):
    monkeypatch.setattr(driver.faulthandler, "is_enabled", lambda: True)  # that of pytest stays
    report, gate = tmp_path / driver.CRASH_REPORT, threading.Event()
    faulty = Faulty(pretend, {1: lambda: gate.wait(30), 2: KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        pretend.run(tmp_path, RandomSearch(), faulty, trials=4, engine=Local(2))
    report.write_text("Fatal Python error: Aborted\n")
    found = pretend.run(tmp_path, RandomSearch(), trials=4, objective=Faulty(pretend), engine=Local(2))
    gate.set()
    assert [trial.user_attrs.get(CRASHES) for trial in found.trials] == [1, 1, None, None]
    assert found.history == pretend.by_hand(RandomSearch(), 4)
    assert not report.exists()
    begun, ended = pretend.journal(tmp_path, "begin"), pretend.journal(tmp_path, "end")
    assert begun[:2] == ended[:2] == [found.space.label(each.candidate) for each in found.history[:2]]


def test_a_killed_search_continues_on_another_machine_with_every_finished_trial(
    pretend, searched, tmp_path, monkeypatch
):
    class Killed(BaseException):
        """As the process would be."""

    def values(folder: Path) -> list[tuple[int, float, dict]]:
        return [(trial.number, trial.value, trial.params) for trial in read_study(folder).trials if trial.value]

    evaluate, begun = pretend.Pretend.__call__, []

    def killed(self, *arguments):
        begun.append(1)
        if len(begun) == 3:
            raise Killed
        return evaluate(self, *arguments)

    fsspec.filesystem("memory").store.clear()
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "first"))
    monkeypatch.setattr(pretend.Pretend, "__call__", killed)
    with places.working_copy() as copy, pytest.raises(Killed):
        pretend.run(copy.fetch("memory://bucket/search"), RandomSearch(), trials=5)
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "second"))
    with places.working_copy() as copy:
        folder = copy.fetch("memory://bucket/search")
        assert values(folder) == values(searched)[:2]
        pretend.run(folder, RandomSearch(), trials=5)
        assert values(folder) == values(searched)


# --- processes -------------------------------------------------------------------------------------------------------


def start(pretend, folder: Path, *options: object) -> subprocess.Popen:
    command = [sys.executable, pretend.__file__, str(folder), *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def end(process: subprocess.Popen) -> None:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 3])
def test_kills_of_the_driver_lose_nothing_and_repeat_nothing(pretend, tmp_path, devices):
    """Eight at random moments; a trial continues from its last step."""
    moments, options = random.Random(devices), ("--trials", 14, "--seconds", 0.5, "--devices", devices)
    for kills in range(8):
        process = start(pretend, tmp_path, *options)
        while len(pretend.journal(tmp_path, "step")) <= 6 * kills:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.communicate()
    end(start(pretend, tmp_path, *options))
    found = read_study(tmp_path)
    assert found.history == pretend.by_hand(RandomSearch(), 14)
    steps = Counter(pretend.journal(tmp_path, "step"))
    # A kill can come between a step and its note.
    assert all(9 <= count <= 10 for count in steps.values())
    assert len(pretend.journal(tmp_path, "end")) <= 14 + 8 * devices


@pytest.mark.slow
def test_kills_of_k_best_leave_the_search_that_there_would_have_been(pretend, tmp_path):
    for kills in range(1, 4):
        process = start(pretend, tmp_path, "--seconds", 0.3)
        while len(pretend.journal(tmp_path, "end")) < 4 * kills:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    end(start(pretend, tmp_path))
    assert read_study(tmp_path).history == pretend.by_hand()


@pytest.mark.slow
def test_a_candidate_that_crashes_the_process_four_times_fails_with_its_reason(pretend, tmp_path):
    label = pretend.SPACE.label(pretend.by_hand(RandomSearch(), 3)[1].candidate)
    for _ in range(driver.MAX_CRASHES):
        process = start(pretend, tmp_path, "--trials", 3, "--aborts", label)
        process.communicate()
        assert process.returncode != 0
    end(start(pretend, tmp_path, "--trials", 3, "--aborts", label))
    found = read_study(tmp_path)
    (failed,) = found.failures
    assert failed.number == 1
    assert failed.user_attrs[REASON] == "its process crashed 4 times: Fatal Python error: Aborted"
    assert len(found.history) == 3
