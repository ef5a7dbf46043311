"""A search over the training settings of a method, each candidate a cross-validation."""

import pytest

from infantjax.cli.parsing import parse
from infantjax.cli.training.search import Search
from infantjax.methods import registry
from infantjax.search import RandomSearch
from infantjax.search import run as search
from infantjax.search.crossval import with_settings


@pytest.mark.parametrize("name", ["baby-moves", "mam", "sma-cnn"])
def test_the_space_lies_around_the_given_settings_and_every_candidate_is_a_method(name):
    method = registry.get(name).search_problem()
    middle = {choice: values[1] for choice, values in method.space.alternatives}
    assert with_settings(method, middle) == method
    for candidate in method.space.neighbors(method.space.candidate(middle)):
        assert with_settings(method, method.space.choices(candidate)) != method


def test_settings_of_the_method_are_options_and_the_middle_of_the_space():
    words = ["cohort", "-o", "x", "--method", "sma-cnn", "--batch-size", "8", "--decay", "0.1", "--scale", "0", "10"]
    problem = parse(Search, "search", [*words, "--score-name", "points"]).problem
    space = dict(problem.space.alternatives)
    assert space["training.batch_size"] == (4, 8, 16)
    assert space["training.decay"] == (0.02, 0.1, 0.5)
    assert problem.score_range == (0, 10)


def test_values_that_the_method_refuses_are_left_out():
    method = registry.get("baby-moves").from_settings({"training": {"smoothing": 0.5, "batch_size": 1, "decay": 0.0}})
    space = dict(method.space.alternatives)
    assert space["training.smoothing"] == (0.1, 0.5)
    assert space["training.batch_size"] == (1, 2)
    assert space["training.decay"] == (0.0,)


def test_a_candidate_that_the_cohort_is_too_small_for_is_no_fault_of_the_cohort(small, cohort_of):
    objective = small("sma-cnn").objective(cohort_of("sma-cnn", 3))
    with pytest.raises(ValueError, match="fewer than a batch of 100000"):
        objective.precompile({"training.batch_size": 100_000})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baby-moves", "mam", "sma-cnn"])
def test_a_candidate_has_the_metrics_of_its_cross_validation(name, small, cohort_of, tmp_path):
    method, cohort = small(name), cohort_of(name, 3 if name == "sma-cnn" else 8)
    given = {"annotated": cohort_of(name, 4, 90).recordings} if method.needs_annotated else {}
    choices = {choice: values[0] for choice, values in method.space.alternatives}
    found = search(
        {choice: [value] for choice, value in choices.items()},
        method.objective(cohort, **given),
        RandomSearch(),
        tmp_path / "search",
        trials=1,
    )
    ensemble = with_settings(method, choices).crossval(cohort, tmp_path / "alone", **given)
    (trial,) = found.evaluated
    expected = {name: value for name, value in ensemble.info.training["metrics"].items() if value is not None}
    assert trial.user_attrs["metrics"] == pytest.approx(expected, rel=1e-4)
    assert trial.value == pytest.approx(expected["AUC"], abs=1e-6) if "AUC" in expected else trial.value < 0
