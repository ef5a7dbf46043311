"""Weights to start from, and parameters that keep them."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.training.cohorts.fine_tuning import Start, trainable_mask
from infantjax.training.fitting import fit
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member

SHAPES = {"params": {"head": {"bias": jax.ShapeDtypeStruct((2,), np.float32)}}}


def member(*networks: float, model: str = "a", size: int = 2, name: str = "bias", **overrides) -> Member:
    """Networks of one constant each."""
    values = np.repeat(np.float32(networks)[:, None], size, axis=1)
    return Member(model, {"params": {"head": {name: values}}}, overrides)


def start(*members: Member) -> Start:
    return Start(Ensemble(members, EnsembleInfo()))


def test_runs_start_from_the_networks_of_an_architecture_in_turn():
    given = start(member(9, model="b"), member(1, 2), member(7, width=3), member(3))
    found = given.variables(given.member("a"), SHAPES, 5)
    assert found["params"]["head"]["bias"].tolist() == [[1, 1], [2, 2], [3, 3], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (member(1, model="b"), "--init: holds networks b, not a; train the network that the ensemble holds"),
        (member(1, size=3), r"--init: has shape \[3\] of params/head/bias, the network needs shape \[2\]"),
        (member(1, name="kernel"), r"--init: has no params/head/bias, the network needs shape \[2\]"),
        (Member("a", {**member(1).variables, "more": {"x": np.ones((1, 2))}}), "--init: has an unexpected more/x"),
    ],
)
def test_weights_of_another_network_are_told(held, message):
    given = start(held)
    with pytest.raises(InputError, match=message):
        given.variables(given.member("a"), SHAPES, 1)


def test_patterns_name_layers_or_parameters():
    leaf = np.zeros(1)
    params = {"head": {"bias": leaf, "kernel": leaf}, "main_0": {"kernel": leaf}, "main_1": {"kernel": leaf}}

    def trained(*patterns: str) -> set[str]:
        mask = jax.tree_util.tree_leaves_with_path(trainable_mask(params, patterns))
        return {jax.tree_util.keystr(path, simple=True, separator="/") for path, wanted in mask if wanted}

    assert trained("head") == {"head/bias", "head/kernel"}
    assert trained("main_*", "*/bias") == {"main_0/kernel", "main_1/kernel", "head/bias"}
    with pytest.raises(ValueError, match='trainable: no parameter fits "tail"; layers are head, main_0, main_1'):
        trained("head", "tail")


def test_a_training_starts_from_given_weights_and_keeps_those_that_are_not_trained(toy):
    config = replace(toy.CONFIG, epochs=1)
    runs, task = toy.toy_runs(toy.toy_splits(1), config), replace(toy.toy_task(config), trainable=("Dense_1",))
    given = task.initialization.draw(jax.random.split(jax.random.key(5), 1))
    result = fit(task, toy.toy_data(), runs, init=given)
    before, after = given["params"], result.variables["params"]
    for name in ("kernel", "bias"):
        np.testing.assert_array_equal(before["Dense_0"][name], after["Dense_0"][name])
        assert (before["Dense_1"][name] != after["Dense_1"][name]).any()
