"""What is told of a search while it runs."""

import json
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState

from infantjax.search.kbest import FAILED, KBest, Observation, RandomSearch, fewest_left
from infantjax.search.objective import Stage, TrialReport, read_report, report_stage
from infantjax.search.progress import format_progress, format_seconds, progress
from infantjax.search.space import SearchSpace
from infantjax.search.study import SearchResult

SPACE = SearchSpace({"a": tuple(range(50))})


def trial(number: int, state: TrialState, value: float | None = None, seconds: float = 60.0, **attributes):
    """A trial that began that many seconds ago, and took as many if it has ended."""
    ended = datetime.now()
    return optuna.trial.FrozenTrial(
        number=number,
        state=state,
        value=value,
        datetime_start=ended - timedelta(seconds=seconds),
        datetime_complete=ended if state.is_finished() else None,
        params={"a": number},
        distributions={"a": optuna.distributions.CategoricalDistribution(tuple(range(50)))},
        user_attrs=attributes,
        system_attrs={},
        intermediate_values={},
        trial_id=number,
    )


def found_of(*trials, limit: int | None = None, **given) -> SearchResult:
    return SearchResult("s", SPACE, RandomSearch(), trials, limit=limit, **given)


def test_two_candidates_at_once_halve_the_time_left():
    stage = {"name": "training", "epoch": 12, "epochs": 100, "device": "cpu:1"}
    done = [trial(i, TrialState.COMPLETE, 0.8) for i in range(4)]
    running = [trial(4, TrialState.RUNNING), trial(5, TrialState.RUNNING)]
    found = found_of(*done, *running, limit=10, stages={4: stage})
    known = progress(found)
    assert (known["done"], known["limit"], known["fewest_left"]) == (4, 10, 6)
    assert known["per_hour"] == pytest.approx(120, rel=0.01)
    assert known["seconds_left"] == pytest.approx(180, rel=0.01)
    first, second = known["now"]
    assert first["trial"] == 4
    assert (first["stage"], first["epoch"], first["device"]) == ("training", 12, "cpu:1")
    assert (second["trial"], second["stage"]) == (5, "compiling")
    line = format_progress(found)
    assert line.startswith("4/10 candidates done, trial 4: training epoch 12/100 on cpu:1, trial 5: compiling, 120")
    json.dumps(known, allow_nan=False)


def test_a_search_without_a_result_has_no_rate():
    known = progress(found_of(trial(0, TrialState.RUNNING), limit=3))
    assert (known["done"], known["per_hour"], known["seconds_left"], known["fewest_left"]) == (0, None, None, 3)
    assert progress(found_of())["fewest_left"] is None


def test_failures_count_as_done():
    found = found_of(trial(0, TrialState.FAIL, reason="broken"), trial(1, TrialState.COMPLETE, 0.8))
    assert progress(found)["done"] == 2
    assert "1 failed" in format_progress(found)


@pytest.mark.parametrize("values", [[], [0.95], [0.5, 0.95, 0.96], [0.95, 0.96, 0.5], [0.95, 0.96, 0.99, 0.5]])
def test_kbest_ends_after_the_fewest_candidates_if_none_is_better(values):
    strategy = KBest(2, 0.9)
    seen = [Observation((number,), value) for number, value in enumerate(values)]
    left = fewest_left(strategy, strategy.replay(SPACE, seen))
    assert left is not None
    for number in range(left):
        assert not strategy.replay(SPACE, seen).ended
        full = strategy.replay(SPACE, seen).temperature is not None
        seen.append(Observation((10 + number,), FAILED if full else 1.0))
    assert strategy.replay(SPACE, seen).ended


def test_random_search_has_no_end():
    assert fewest_left(RandomSearch(), RandomSearch().replay(SPACE, [])) is None


def test_a_trial_keeps_its_values_and_its_stage_but_not_every_epoch(tmp_path):
    report = TrialReport(tmp_path / "report.json")
    report_stage(report, Stage("compiling"))
    for epoch in (1, 2):
        report_stage(report, Stage("training", epoch, 9, "cpu:0"))
    assert read_report(tmp_path / "report.json") == (
        {"name": "training", "epoch": 1, "epochs": 9, "device": "cpu:0"},
        {},
    )
    report(10, 0.75)
    assert read_report(tmp_path / "report.json")[1] == {10: 0.75}
    assert TrialReport(tmp_path / "report.json").intermediate == {10: 0.75}
    (tmp_path / "report.json").write_text("{}")
    assert read_report(tmp_path / "report.json") == ({}, {})


def test_a_plain_report_needs_no_stages():
    report_stage(lambda epoch, value: None, Stage("compiling"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (119, "119 s"), (150, "2 min"), (7300, "2 h"), (2e5, "2 days")]
)
def test_durations_are_told_in_their_largest_unit(seconds, text):
    assert format_seconds(seconds) == text
