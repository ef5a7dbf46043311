"""What a search found, on searches whose candidates' worth is known."""

import csv
import itertools
import math
import re

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from infantjax import cli
from infantjax.errors import InputError
from infantjax.search import analysis, report
from infantjax.search.kbest import FAILED, KBest, Observation, RandomSearch, run
from infantjax.search.space import SearchSpace
from infantjax.search.study import REASON, SearchResult, distributions

SPACE = SearchSpace({"big": (0, 1, 2), "small": (0, 1, 2), "none": ("a", "b", "c"), "only": (1,)})
REQUIRED = ((10, 0.6), (20, 0.7))


def objective(candidate) -> float:
    big, small, *_ = candidate
    return round(0.5 + 0.15 * big + 0.05 * small, 6)


def found_of(trials, name="search", strategy=None, required=()) -> SearchResult:
    """A study in which these trials ended, those below a required AUC at its epoch."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    for candidate, value in trials:
        due = next((epoch for epoch, least in required if value < least), None)
        told = {epoch: value - 0.1 * (epoch < 20) for epoch, _ in required if due is None or epoch < due}
        study.add_trial(
            optuna.create_trial(
                params=SPACE.choices(candidate),
                distributions=distributions(SPACE),
                value=None if value == FAILED else value,
                state=TrialState.FAIL if value == FAILED else TrialState.PRUNED if due else TrialState.COMPLETE,
                intermediate_values=told | {due or 30: value} if value > FAILED else {},
                user_attrs={REASON: "out of memory"} if value == FAILED else {},
            )
        )
    return SearchResult(name, SPACE, strategy or RandomSearch(), tuple(study.trials), required)


@pytest.fixture(scope="module")
def everything() -> SearchResult:
    """Every candidate of the space."""
    candidates = itertools.product(*(values for _, values in SPACE.alternatives))
    return found_of([Observation(candidate, objective(candidate)) for candidate in candidates], required=REQUIRED)


@pytest.fixture(scope="module")
def kbest() -> SearchResult:
    rule = KBest(2, 0.7)
    return found_of(run(rule, SPACE, objective, 1), "kbest", rule)


# --- importance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["impurity", "fanova"])
def test_shares_are_those_of_the_variance_that_the_choices_make(everything, method):
    rows = {row.choice: row for row in analysis.importance(everything, method, resamples=0)}
    # All combinations were tried, so variances add: 0.15 squared against 0.05 squared. The trees see resampled trials.
    assert rows["big"].share == pytest.approx(0.9, abs=0.04)
    assert rows["small"].share == pytest.approx(0.1, abs=0.04)
    assert rows["none"].share == pytest.approx(0, abs=0.01)
    assert rows["only"].share == 0


@pytest.mark.parametrize("method", ["impurity", "fanova", "ped-anova"])
def test_the_most_important_choice_comes_first_and_shares_add_to_one(everything, method):
    rows = analysis.importance(everything, method, resamples=0)
    assert rows[0].choice == "big"
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert [row.share for row in rows] == sorted((row.share for row in rows), reverse=True)


def test_a_choice_that_matters_is_above_chance_and_one_that_does_not_is_below(everything):
    rows = {row.choice: row for row in analysis.importance(everything, resamples=3)}
    assert rows["big"].low > rows["big"].chance
    assert rows["none"].share < rows["none"].chance
    assert rows["big"].low <= rows["big"].share <= rows["big"].high


def test_importance_is_the_same_for_the_same_seed(everything):
    assert analysis.importance(everything, resamples=1, seed=3) == analysis.importance(everything, resamples=1, seed=3)


def test_stopped_trials_count_and_failed_ones_do_not(everything):
    assert any(trial.state is TrialState.PRUNED for trial in everything.trials)
    without = found_of(everything.history[:12])
    with_failure = found_of([*everything.history[:12], Observation(everything.history[12].candidate, FAILED)])
    assert analysis.importance(with_failure, resamples=0) == analysis.importance(without, resamples=0)


@pytest.mark.parametrize("values", [range(9), [1] * 12])
def test_too_few_trials_or_all_the_same_are_told_in_one_line(everything, values):
    trials = [Observation(t.candidate, float(value)) for t, value in zip(everything.history, values)]
    with pytest.raises(InputError, match="too few trials with different values"):
        analysis.importance(found_of(trials))


def test_an_unknown_evaluator_is_refused(everything):
    with pytest.raises(ValueError, match="evaluator must be one of impurity, fanova, ped-anova, got 'shap'"):
        analysis.importance(everything, "shap")


# --- the course of a search ------------------------------------------------------------------------------------------


def test_each_step_is_the_replay_of_the_trials_so_far(kbest):
    trials = kbest.history
    for count, step in enumerate(analysis.steps(kbest), start=1):
        assert step.state == kbest.strategy.replay(SPACE, trials[:count])
        assert step.best == max(trial.value for trial in trials[:count])
        assert (step.trial, step.value) == (count - 1, trials[count - 1].value)


def test_before_the_population_is_full_all_alternatives_are_open_and_a_unanimous_one_leaves_one(kbest):
    first = analysis.steps(kbest)[0]
    assert first.open_choices() == pytest.approx({"big": 3, "small": 3, "none": 3, "only": 1})
    alike = found_of([Observation((2, 2, "a", 1), 0.9), Observation((2, 1, "a", 1), 0.85)], strategy=KBest(2, 0.7))
    last = analysis.steps(alike)[-1]
    assert last.open_choices()["big"] == 1
    assert 1 < last.open_choices()["small"] < 2


def test_a_failed_trial_is_a_step_without_an_auc():
    failed, good = analysis.steps(found_of([Observation((0, 0, "a", 1), FAILED), Observation((0, 1, "a", 1), 0.6)]))
    assert math.isnan(failed.value)
    assert math.isnan(failed.best)
    assert good.best == 0.6


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_the_checkpoints_count_who_came_and_who_was_stopped(everything):
    first, second = analysis.checkpoints(everything)
    values = [objective(trial.candidate) for trial in everything.history]
    assert (first.epoch, first.required, first.trials) == (10, 0.6, 27)
    assert first.stopped == sum(value < 0.6 for value in values)
    assert (second.trials, second.stopped) == (27 - first.stopped, sum(0.6 <= value < 0.7 for value in values))
    # Those that went on were all 0.1 lower then than at their end.
    assert first.agreement == pytest.approx(1)


def test_what_a_trial_reached_is_told_by_epoch(everything):
    rows = [row for row in analysis.intermediate(everything) if row[0] == 0]
    assert [row[1] for row in rows] == sorted(everything.trials[0].intermediate_values)


# --- repeated searches -----------------------------------------------------------------------------------------------


def test_a_search_that_ended_keeps_its_best():
    found = analysis.convergence([[0.5, 0.7], [FAILED, 0.6, 0.4, 0.8]])
    np.testing.assert_array_equal(found.best, [[0.5, 0.7, 0.7, 0.7], [math.nan, 0.6, 0.6, 0.8]])
    np.testing.assert_allclose(found.mean, [math.nan, 0.65, 0.65, 0.75])


def test_the_interval_holds_the_mean_and_one_search_has_none():
    many = analysis.convergence([[0.5 + 0.01 * seed, 0.9] for seed in range(8)])
    assert many.low[0] < many.mean[0] < many.high[0]
    assert many.low[1] == pytest.approx(many.high[1]) == pytest.approx(many.mean[1])
    one = analysis.convergence([[0.5, 0.6]], trials=1)
    assert math.isnan(one.low[0])
    assert one.best.shape == (1, 1)


def test_convergence_of_nothing_is_refused():
    with pytest.raises(ValueError, match="needs searches with trials"):
        analysis.convergence([[0.5], []])


# --- tables and pictures ---------------------------------------------------------------------------------------------


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def written(everything, kbest, tmp_path_factory):
    again = found_of(run(kbest.strategy, SPACE, objective, 2), "=kbest", kbest.strategy)
    folder = tmp_path_factory.mktemp("analysis")
    paths = report.write([everything, kbest, again], folder, resamples=0)
    assert set(paths) == set(folder.iterdir())
    return folder, (everything, kbest, again)


def test_repeats_of_one_rule_converge_together(written):
    folder, (everything, kbest, again) = written
    rows = rows_of(folder / "convergence.csv")
    assert {(row["searches"], row["number"]) for row in rows} == {
        ("RandomSearch (search)", "1"),
        ("KBest (kbest)", "2"),
    }
    longest = max(len(kbest.history), len(again.history))
    assert len(rows) == len(everything.history) + longest


def test_the_population_has_a_row_for_each_finished_trial_and_a_column_for_each_choice(written):
    folder, founds = written
    rows = rows_of(folder / "population.csv")
    assert len(rows) == sum(len(found.history) for found in founds)
    assert set(SPACE.names) < set(rows[0])
    assert rows[0]["temperature"] == ""


def test_a_name_never_begins_like_a_formula(written):
    assert "'=kbest" in {row["study"] for row in rows_of(written[0] / "population.csv")}


def test_the_page_draws_the_tables_of_every_search(written):
    folder, founds = written
    page = (folder / "search.html").read_text("utf-8")
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings[0] == "Best value"
    assert {"Importance of search", *(f"Population of {found.name}" for found in founds)} <= set(headings)
    # A point for each trial with a value, and a line with its band for each kind of search.
    population = page.split("Population of search</h2>")[1].split("</section>")[0]
    assert population.count('class="point') == sum(np.isfinite(founds[0].values))
    assert page.split("Best value</h2>")[1].split("</section>")[0].count('class="median steps') == 2
    assert "<script" not in page
    assert "nan" not in "".join(re.findall(r' d="([^"]*)"', page))


def test_a_study_without_a_finished_trial_is_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="has no finished trial"):
        report.write([found_of([])], tmp_path)


def test_the_command_writes_the_analysis_of_several_searches(kbest, tmp_path, monkeypatch, capsys):
    from infantjax.search import study

    few = kbest.trials[:9]  # too few for importance
    monkeypatch.setattr(study, "read_study", lambda folder, name: SearchResult(name, SPACE, kbest.strategy, few))
    arguments = ["search", "analyze", "-o", str(tmp_path), "--study", "one", "--also", "two", "--also", "one"]
    assert cli.run(arguments) == 0
    assert str(tmp_path / "analysis" / "convergence.csv") in capsys.readouterr().out.split()
    assert {row["number"] for row in rows_of(tmp_path / "analysis" / "convergence.csv")} == {"2"}
