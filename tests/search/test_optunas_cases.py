"""Optuna's own cases for samplers, where they apply to a sampler of categorical spaces that repeats no candidate.

Not taken: cases of floats and integers; cases that sample a choice by itself or more often than the space has
candidates (a candidate is drawn as a whole, and once); several objectives, which are refused.
"""

from functools import partial

import optuna
import pytest
from optuna.testing import pytest_samplers as cases

from infantjax.search.kbest import KBest, RandomSearch
from infantjax.search.sampler import StrategySampler
from infantjax.search.space import SearchSpace

STRATEGIES = (RandomSearch(), KBest(2, 0.5))


@pytest.fixture(autouse=True)
def maximizing(monkeypatch):
    """Optuna's cases make studies that minimize, which the sampler refuses."""
    make = optuna.study.create_study

    def create_study(**settings):
        return make(**({} if "directions" in settings else {"direction": "maximize"}) | settings)

    monkeypatch.setattr(optuna.study, "create_study", create_study)
    monkeypatch.setattr(optuna, "create_study", create_study)


@pytest.fixture(params=STRATEGIES, ids=["random", "kbest"])
def sampler_of(request):
    """From a space to a maker of samplers."""
    return lambda space: partial(StrategySampler, request.param, SearchSpace(space), 1)


class TestBasicCases:
    def test_choices_with_one_alternative(self, sampler_of):
        sampler = sampler_of(dict.fromkeys("abcdef", (1,)))
        cases.BasicSamplerTestCase().test_sample_single_distribution(sampler)

    def test_combined_choices(self, sampler_of):
        sampler = sampler_of({"x": (0, 1, 2), "y": (0, 1, 2)})
        suggest = [lambda trial, name=name: trial.suggest_categorical(name, (0, 1, 2)) for name in "xy"]
        cases.BasicSamplerTestCase().test_combination_of_different_distributions_objective(sampler, *suggest)


class TestRelativeCases:
    def test_choices_that_are_drawn_together(self, sampler_of):
        sampler = sampler_of({"x": (1, 10, 100), "y": (-1, -10, -100)})
        cases.RelativeSamplerTestCase().test_sample_relative_categorical(sampler)


class TestSingleObjectiveCases(cases.SingleOnlySamplerTestCase):
    @pytest.fixture
    def sampler(self, sampler_of):
        return sampler_of({"a": (1, 2)})


# --- cases of Optuna's that use numbers, with choices in their place --------------------------------------------------

SPACE = {"x": (0.1, 0.2), "y": (-1, 0, 1), "z": ("a", "b")}


def suggested(trial: optuna.Trial) -> float:
    x, y, _ = (trial.suggest_categorical(name, values) for name, values in SPACE.items())
    return x + y


def test_a_value_that_is_no_number_leaves_the_best_as_it_was(sampler_of):
    study = optuna.create_study(sampler=sampler_of(SPACE)())
    study.optimize(suggested, n_trials=4)
    best = study.best_value
    study.optimize(lambda trial: suggested(trial) * float("nan"), n_trials=1, catch=())
    assert study.best_value == best
    study.optimize(lambda trial: suggested(trial) + 10, n_trials=1)
    assert study.best_value > best


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_choice_that_is_fixed_stays_so(sampler_of):
    study = optuna.create_study(sampler=sampler_of(SPACE)())
    study.optimize(suggested, n_trials=1)
    study.sampler = optuna.samplers.PartialFixedSampler({"y": 0}, study.sampler)
    study.optimize(suggested, n_trials=2)
    assert [trial.params["y"] for trial in study.trials[1:]] == [0, 0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_choices_of_a_trial_are_drawn_with_its_first(sampler_of, jobs):
    study = optuna.create_study(sampler=sampler_of(SPACE)())

    def objective(trial: optuna.Trial) -> float:
        assert trial._relative_params is None
        trial.suggest_categorical("y", SPACE["y"])
        assert set(trial._relative_params) == set(SPACE)
        return suggested(trial)

    study.optimize(objective, n_trials=4, n_jobs=jobs)
    assert len(study.trials) == 4


def test_a_study_that_minimizes_is_refused(sampler_of):
    study = optuna.create_study(sampler=sampler_of(SPACE)(), direction="minimize")
    with pytest.raises(ValueError, match="make the study with direction='maximize'"):
        study.optimize(suggested, n_trials=1)
