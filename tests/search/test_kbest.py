"""K-Best as a rule: golden traces choice by choice, the paper's worked figures, and laws over random spaces."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.search.kbest import FAILED, KBest, Observation, RandomSearch, draw, random_numbers, run
from infantjax.search.space import SearchSpace

# --- the published traces --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["kbest_seed1", "kbest_seed4", "kbest_seed1_reseeded"])
def test_a_replay_equals_the_golden_trace_choice_by_choice(shared, name):
    trace = json.loads((shared / "golden" / "search" / f"{name}.json").read_text("utf-8"))
    space = SearchSpace(trace["search_space"])
    rule = KBest(
        trace["k"],
        trace["performance_threshold"],
        trace["start_temperature"],
        trace["end_temperature"],
        trace["temperature_drop"],
    )
    candidates = {}
    generator = random.Random(trace["seed"])
    state, tried = rule.replay(space, []), set()
    for expected in trace["trials"]:
        candidate, attempts = draw(space, state.probabilities, tried, generator.random)
        assert space.label(candidate) == expected["candidate"]
        assert attempts == expected["attempts"]
        for choice, alternatives in expected["probabilities"].items():
            assert list(state.probabilities[choice]) == list(alternatives)
            assert state.probabilities[choice] == pytest.approx(alternatives, rel=1e-12)
        if trace["reseeded_to_1_before_each_trial"]:
            generator.seed(1)
        tried.add(candidate)
        candidates[space.label(candidate)] = candidate
        state = rule.update(state, Observation(candidate, expected["performance"]))
        assert state.population == tuple(Observation(candidates[c], p) for _, p, c in expected["population_after"])
        # The trace has no temperature yet at the trial that completes the first population.
        if expected["temperature_after"] is not None:
            assert (state.temperature, state.unsuccessful) == (
                expected["temperature_after"],
                expected["unsuccessful_after"],
            )
    found, _ = draw(space, state.probabilities, tried, generator.random)
    assert state.ended == ("temperature" in trace["ended_by"])
    assert state.ended or found is None
    assert len(tried) == trace["n_trials"]


# --- by hand ---------------------------------------------------------------------------------------------------------

LETTERS = SearchSpace({"letter": ("X", "Y", "Z"), "number": tuple(range(9))})


def members(*letters: str) -> list[Observation]:
    """A population, best first, as the paper lists it."""
    return [Observation((letter, number), 0.99 - number / 100) for number, letter in enumerate(letters)]


def test_the_ranks_of_the_papers_example_are_nine_and_six():
    state = KBest(start_temperature=10).replay(LETTERS, members("X", "X", "Y", "Y", "Y"))
    odds = state.probabilities["letter"]
    assert odds["X"] == pytest.approx(math.exp(9 / 10) / (math.exp(9 / 10) + math.exp(6 / 10)))
    assert set(odds) == {"X", "Y"}


def test_a_population_of_one_kind_leaves_no_other_alternative():
    assert KBest().replay(LETTERS, members(*"XXXXX")).probabilities["letter"] == {"X": 1.0}


def test_only_candidates_that_reach_the_threshold_enter_the_first_population():
    state = KBest(2).replay(
        LETTERS, [Observation(("X", 0), 0.899), Observation(("X", 1), 0.9), Observation(("X", 2), FAILED)]
    )
    assert [member.value for member in state.population] == [0.9]
    assert state.temperature is None


def test_equal_to_the_worst_is_no_improvement():
    rule = KBest(2)
    before = rule.replay(LETTERS, members("X", "Y"))
    after = rule.update(before, Observation(("Z", 8), before.population[0].value))
    assert after.population == before.population
    assert after.unsuccessful == 1


def test_a_newcomer_stands_below_older_ones_of_its_performance():
    rule = KBest(2)
    before = rule.replay(LETTERS, [Observation(("X", 0), 0.91), Observation(("Y", 1), 0.95)])
    after = rule.update(before, Observation(("Z", 2), 0.95))
    assert [member.candidate[0] for member in after.population] == ["Z", "Y"]


def test_a_failed_candidate_counts_as_unsuccessful():
    rule = KBest(2)
    assert rule.update(rule.replay(LETTERS, members("X", "Y")), Observation(("Z", 8), FAILED)).unsuccessful == 1


@pytest.mark.parametrize(("lag", "next_one"), [(True, 10), (False, 7)])
def test_a_drop_acts_one_trial_late_as_in_the_reference_and_at_once_as_in_the_paper(lag, next_one):
    rule = KBest(2, temperature_lag=lag)
    state = rule.replay(LETTERS, [*members("X", "Y"), Observation(("Z", 7), 0.1), Observation(("Z", 8), 0.1)])
    assert state.temperature == 7
    expected = rule.probabilities(state.population, next_one, LETTERS.names)
    assert state.probabilities == expected


def test_temperatures_are_ten_seven_four_one_and_then_it_ends():
    rule, state, seen = KBest(2), KBest(2).replay(LETTERS, members("X", "Y")), []
    while not state.ended:
        seen.append(state.temperature)
        state = rule.update(state, Observation(("Z", 8), 0.0))
    assert seen == [10, 10, 7, 7, 4, 4, 1, 1]


def test_a_drop_does_not_jump_over_the_end_temperature():
    rule = KBest(1, temperature_drop=4)
    state = rule.replay(LETTERS, members("X"))
    for _ in range(3):
        state = rule.update(state, Observation(("Z", 8), 0.0))
    assert (state.temperature, state.ended) == (1, False)


def test_trials_behind_the_end_change_nothing():
    rule = KBest(1, start_temperature=1)
    ended = rule.replay(LETTERS, [*members("X"), Observation(("Z", 8), 0.0)])
    assert ended.ended
    assert rule.update(ended, Observation(("Y", 3), 1.0)) == ended


@pytest.mark.parametrize(
    "wrong",
    [
        {"population": 0},
        {"end_temperature": 0},
        {"start_temperature": 0.5},
        {"temperature_drop": 0},
        {"threshold": math.nan},
    ],
)
def test_a_setting_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[-1]):
        KBest(**wrong)


def test_a_low_temperature_does_not_overflow():
    odds = KBest(5).probabilities(tuple(members("X", "X", "Y", "Y", "Y")), 1e-3, ["letter"])["letter"]
    assert odds["Y"] == pytest.approx(1.0)


# --- laws ------------------------------------------------------------------------------------------------------------

spaces = st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 4), min_size=1, max_size=5).map(
    lambda sizes: SearchSpace({name: tuple(range(size)) for name, size in sizes.items()})
)
seeds = st.integers(0, 2**32 - 1)


def objective(candidate) -> float:
    return random.Random(str(candidate)).random()


def search(rule, space, seed, most=200):
    """A whole search: the trials, and the states before each of them and at the end."""
    generator, trials, states = random.Random(seed), [], [rule.replay(space, [])]
    while not states[-1].ended and len(trials) < most:
        candidate, _ = draw(space, states[-1].probabilities, {t.candidate for t in trials}, generator.random)
        if candidate is None:
            break
        trials.append(Observation(candidate, objective(candidate)))
        states.append(rule.replay(space, trials))
    return trials, states


rules = st.builds(KBest, st.integers(1, 5), st.floats(0, 0.9), temperature_lag=st.booleans())


@given(rules, spaces, seeds)
def test_no_candidate_comes_twice(rule, space, seed):
    trials, _ = search(rule, space, seed)
    assert len({trial.candidate for trial in trials}) == len(trials) <= space.size


@given(rules, spaces, seeds)
def test_trial_by_trial_gives_what_the_whole_history_gives(rule, space, seed):
    trials, states = search(rule, space, seed)
    for trial, before, after in zip(trials, states, states[1:]):
        assert rule.update(before, trial) == after


@given(rules, spaces, seeds)
def test_the_states_are_those_of_each_beginning(rule, space, seed):
    trials, states = search(rule, space, seed, most=12)
    assert list(rule.states(space, trials)) == states


@given(spaces, seeds)
def test_random_search_keeps_the_first_of_the_best(space, seed):
    trials, states = search(RandomSearch(), space, seed, most=12)
    assert states[-1].population == (max(trials, key=lambda trial: trial.value),)


@given(rules, spaces, seeds, st.integers(0, 12))
def test_a_run_is_the_search_with_the_numbers_of_each_place(rule, space, seed, most):
    trials, state = [], rule.replay(space, [])
    while not state.ended and len(trials) < most:
        tried = {trial.candidate for trial in trials}
        candidate, _ = draw(space, state.probabilities, tried, random_numbers(seed, len(trials)))
        if candidate is None:
            break
        trials.append(Observation(candidate, objective(candidate)))
        state = rule.replay(space, trials)
    assert run(rule, space, objective, seed, most) == trials


@given(rules, spaces, seeds)
def test_the_population_holds_the_best_that_were_tried_in_order(rule, space, seed):
    trials, states = search(rule, space, seed)
    good = sorted((t.value for t in trials if t.value >= rule.threshold), reverse=True)
    kept = [member.value for member in states[-1].population]
    assert kept == sorted(kept)
    assert kept == sorted(good[: rule.population])


@given(rules, spaces, seeds)
def test_odds_add_to_one_and_name_alternatives_of_the_population_only(rule, space, seed):
    _, states = search(rule, space, seed)
    for state in states:
        for place, alternatives in enumerate(state.probabilities.values()):
            assert sum(alternatives.values()) == pytest.approx(1)
            if state.temperature is not None:
                assert set(alternatives) == {member.candidate[place] for member in state.population}


@given(rules, spaces, seeds)
def test_the_temperature_never_rises(rule, space, seed):
    _, states = search(rule, space, seed)
    temperatures = [state.temperature for state in states if state.temperature is not None]
    assert temperatures == sorted(temperatures, reverse=True)


@given(spaces, seeds)
def test_random_search_never_ends_and_keeps_the_best(space, seed):
    trials, states = search(RandomSearch(), space, seed)
    assert not states[-1].ended
    assert states[-1].probabilities == space.uniform()
    assert states[-1].population[0].value == max(trial.value for trial in trials)


@given(spaces, seeds)
def test_where_all_was_tried_the_draws_stop_after_twice_the_combinations(space, seed):
    class Everything:
        def __contains__(self, candidate):
            return True

    found, attempts = draw(space, space.uniform(), Everything(), random.Random(seed).random)
    assert found is None
    assert attempts == 2 * space.size


def test_a_candidate_outside_the_constraint_is_not_drawn():
    space = SearchSpace({"a": (1, 2), "b": (1, 2)}, constraint=lambda choices: choices["a"] != choices["b"])
    generator = random.Random(0)
    for _ in range(50):
        assert draw(space, space.uniform(), set(), generator.random)[0] in {(1, 2), (2, 1)}


def test_independent_seeds_begin_with_different_candidates():
    from infantjax.methods.ensemble_gcn.objective import SPACE

    first = {draw(SPACE, SPACE.uniform(), set(), random.Random(seed).random)[0] for seed in range(10)}
    assert len(first) == 10
