"""The published space of the builder of CP-GCN-29, as a second space of the search."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from infantjax.cli.parsing import parse
from infantjax.cli.training.search import Search
from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.methods.cp_gcn_29.architecture import RELEASED, Architecture, canonical, plan
from infantjax.methods.cp_gcn_29.method import CpGcn29, TrainingConfig
from infantjax.methods.cp_gcn_29.objective import SPACE, build_candidate
from infantjax.methods.cp_gcn_29.search import CpGcn29Search
from infantjax.weights.ensemble import load_ensemble

SMALL = {"init_lay": 16, "conv_lay": "Basic", "blocks_in": 1, "depth_in": 1, "blocks_main": 1}


def test_the_space_is_the_published_one_and_holds_the_released_network():
    assert SPACE.size == 56_687_040_000
    assert SPACE.contains(SPACE.candidate(RELEASED.to_choices()))


@pytest.mark.parametrize(
    "choices",
    [
        {"conv_lay": "Basic", "expand_ratio": 2, "reduct_ratio": 1},
        {"depth_main": 4, "stride_main": 3},
        {"depth_main": 1},
        {"blocks_main": 1, "scale_main": 1.3},
    ],
)
def test_choices_without_effect_give_the_same_method_and_the_same_layers(choices):
    whole = RELEASED.to_choices() | choices
    short = canonical(whole)
    assert len(short) < len(choices)
    assert plan(Architecture.from_choices(short)) == plan(Architecture.from_choices(whole))
    assert CpGcn29().with_candidate(whole) == CpGcn29().with_candidate(RELEASED.to_choices() | short)


@pytest.mark.parametrize("choices", [{"depth_main": 1, "stride_main": 2}, {"att_lay": "pa", "reduct_ratio": 2}])
def test_choices_with_an_effect_are_kept(choices):
    assert canonical(RELEASED.to_choices() | choices) == choices


def test_candidates_at_random_build_the_network_of_their_choices():
    numbers = itertools.cycle([0.1, 0.9, 0.4, 0.7, 0.2])
    for _ in range(2):
        choices = SPACE.choices(SPACE.sample(lambda: next(numbers)))
        assert build_candidate(choices) == CpGcn29().with_candidate(choices).build()
    assert build_candidate(RELEASED.to_choices()) == CpGcn29().build()


def test_the_command_searches_the_space_of_the_method():
    found = parse(Search, "search", ["cohort", "-o", "x", "--method", "cp-gcn-29", "--folds", "3", "--epochs", "2"])
    assert (found.problem.space, found.problem.folds, found.problem.training.epochs) == (SPACE, 3, 2)
    with pytest.raises(InputError, match="--annotated: is not used by cp-gcn-29"):
        parse(Search, "search", ["cohort", "-o", "x", "--method", "cp-gcn-29", "--annotated", "y"]).run()


@pytest.mark.slow
def test_a_candidate_is_trained_to_its_auc(cohort_of, tmp_path):
    config = TrainingConfig(epochs=1, batch_size=8, samples_per_negative=2, positive_ratio=2)
    objective = CpGcn29Search(config, folds=2, held_out=(1,)).objective(cohort_of("cp-gcn-29"))
    result = objective(RELEASED.to_choices() | SMALL, tmp_path, lambda epoch, value: None)
    assert (result.status, result.details["epochs"]) == ("finished", 1)
    assert 0 <= result.value <= 1
    assert objective.description["filter_velocity"] is True
    assert objective.description["checkpoints"] == []


@pytest.mark.slow
def test_networks_of_different_choices_assess_together(random_ensemble, cohort_of):
    one, two = (load_ensemble(random_ensemble("cp-gcn-29", overrides=SMALL | {"init_lay": n})) for n in (16, 32))
    recording = cohort_of("cp-gcn-29", 2).recordings[0]
    settings = {name: value for name, value in one.info.settings.items() if name != "overrides"}
    members = tuple(replace(e.members[0], overrides=SMALL | {"init_lay": n}) for e, n in ((one, 16), (two, 32)))
    both = replace(one, members=members, info=replace(one.info, settings=settings))
    found = registry.assessor(both).assess(recording).members
    alone = [member.value for e in (one, two) for member in registry.assessor(e).assess(recording).members]
    np.testing.assert_allclose([member.value for member in found], alone, rtol=1e-5)
    odd = replace(both, members=(replace(members[0], overrides={"init_lay": 17}),))
    with pytest.raises(InputError, match="init_lay is 17"):
        registry.assessor(odd).assess(recording)
