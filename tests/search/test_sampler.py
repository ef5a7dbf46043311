"""The rules as an Optuna sampler: what they propose is a function of seed, place and history."""

import json
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from infantjax.search.kbest import KBest, Observation, RandomSearch, run
from infantjax.search.sampler import REASON, NoCandidateError, StrategySampler, history
from infantjax.search.space import SearchSpace

SPACE = SearchSpace(
    {
        "graph": ("spatial", "dis2", "dis4"),
        "width": (6, 8, 10, 12),
        "only": ("one",),
        "deep": (1, 2, 3),
        "taps": (3, 5, 7, 9),
    }
)

STRATEGY = KBest(5, 0.6)


def value(choices) -> float:
    return choices["width"] / 20 + choices["deep"] / 10 - choices["taps"] / 100 + 0.1 * (choices["graph"] == "dis2")


def objective(trial: optuna.Trial) -> float:
    return value({name: trial.suggest_categorical(name, values) for name, values in SPACE.alternatives})


def new_study(strategy=None, seed=1) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=StrategySampler(strategy or STRATEGY, SPACE, seed), direction="maximize")


def candidates(study: optuna.Study) -> list[tuple]:
    return [tuple(trial.params[name] for name in SPACE.names) for trial in study.trials]


def finished(number, params, value=None, state=TrialState.COMPLETE, **attributes):
    return optuna.create_trial(
        state=state,
        value=value,
        params=params,
        distributions={
            name: optuna.distributions.CategoricalDistribution(values) for name, values in SPACE.alternatives
        },
        **attributes,
    )


def choices(*candidate) -> dict:
    return dict(zip(SPACE.names, candidate))


@pytest.mark.parametrize("strategy", [STRATEGY, RandomSearch()])
def test_no_candidate_is_proposed_twice(strategy):
    study = new_study(strategy)
    study.optimize(objective, n_trials=8)
    assert len(set(candidates(study))) == 8


def test_a_study_with_one_worker_is_the_run_of_its_strategy():
    study = new_study()
    study.optimize(objective, n_trials=10)
    assert run(STRATEGY, SPACE, lambda c: value(SPACE.choices(c)), 1, 10) == history(SPACE, study.trials)


@pytest.mark.slow
def test_another_process_proposes_the_same():
    study = new_study()
    study.optimize(objective, n_trials=9)
    code = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location("there", {__file__!r})
there = importlib.util.module_from_spec(spec); spec.loader.exec_module(there)
study = there.new_study(); study.optimize(there.objective, n_trials=9); print(json.dumps(there.candidates(study)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [tuple(c) for c in json.loads(done.stdout)] == candidates(study)


def test_other_seeds_propose_others():
    first = set()
    for seed in range(8):
        study = new_study(seed=seed)
        study.optimize(objective, n_trials=1)
        first.add(candidates(study)[0])
    assert len(first) > 3


def test_a_running_trial_counts_as_tried():
    study = new_study(RandomSearch())
    begun = []
    for _ in range(15):
        trial = study.ask()
        objective(trial)
        begun.append(tuple(trial.params.values()))
    assert len(set(begun)) == 15


def test_two_trials_that_begin_at_one_moment_have_numbers_of_their_own():
    # Both are asked for before either has a choice stored.
    study = new_study(RandomSearch())
    first, second = study.ask(), study.ask()
    objective(second)
    objective(first)
    alone = new_study(RandomSearch())
    alone.optimize(objective, n_trials=2)
    assert candidates(study) == candidates(alone)


def test_where_all_was_tried_a_trial_fails_and_says_so():
    study = new_study(RandomSearch())
    study.sampler.space = only = SearchSpace({"graph": ("spatial", "dis2")})
    suggest = lambda trial: float(trial.suggest_categorical("graph", only.alternatives[0][1]) == "dis2")  # noqa: E731
    with pytest.raises(NoCandidateError, match="no untried candidate is left"):
        study.optimize(suggest, n_trials=10)


def test_a_choice_that_the_space_lacks_is_refused():
    with pytest.raises(ValueError, match="no choice color; it has graph, width"):
        new_study().optimize(lambda trial: trial.suggest_categorical("color", ["red", "blue"]), n_trials=1)


# --- what counts as a result -----------------------------------------------------------------------------------------


def test_a_pruned_trial_counts_with_the_value_it_reached():
    trial = finished(0, choices("dis2", 6, "one", 1, 3), 0.7, TrialState.PRUNED)
    assert history(SPACE, [trial]) == [Observation(("dis2", 6, "one", 1, 3), 0.7)]


def test_a_failed_trial_counts_as_failed_only_with_a_reason():
    reasoned = finished(0, choices("dis2", 6, "one", 1, 3), state=TrialState.FAIL, user_attrs={REASON: "out of memory"})
    died = finished(1, choices("dis4", 6, "one", 1, 3), state=TrialState.FAIL)
    assert history(SPACE, [reasoned, died]) == [Observation(("dis2", 6, "one", 1, 3), float("-inf"))]
