"""K-Best as a rule: golden traces choice by choice, the paper's worked figures, and laws over random spaces."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.search.kbest import FAILED, KBest, RandomSearch, State, Trial, draw
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
        state = rule.after(state, Trial(candidate, expected["performance"]))
        assert state.population == tuple(Trial(candidates[c], p) for _, p, c in expected["population_after"])
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
