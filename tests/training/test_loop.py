"""The training loop: the same run alone, stacked and on several devices; how runs end; programs compiled ahead."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.training.execution.compiled import trace
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import Status, run_keys
from infantjax.training.task import permutation

DEVICES = jax.devices()[:1]


def options(**others) -> TrainOptions:
    return TrainOptions(devices=DEVICES, **others)


@pytest.fixture(scope="module")
def stacked(toy):
    """Seven runs as one stack, with the state after each epoch."""
    states = []
    on_epoch = lambda _, state: states.append(jax.tree.map(np.array, state))  # noqa: E731
    return toy.toy_train(toy.toy_splits(), options=options(on_epoch=on_epoch)), states


def leaves(result) -> list[np.ndarray]:
    return jax.tree.leaves((result.variables, result.best_epoch, result.best_score, result.last_epoch, result.history))


def assert_run_equals(result, run, other, other_run, **tolerance):
    tolerance = {"rtol": 0, "atol": 0} | tolerance
    for a, b in zip(leaves(result), leaves(other), strict=True):
        np.testing.assert_allclose(a[run], b[other_run], **tolerance)
    width = min(result.outputs.shape[1], other.outputs.shape[1])
    np.testing.assert_allclose(result.outputs[run, :width], other.outputs[other_run, :width], **tolerance)


def test_a_stack_of_seven_equals_seven_separate_runs_bit_for_bit(toy, stacked):
    programs = {}
    for run, split in enumerate(toy.toy_splits()):
        size = len(split.validation)
        if size not in programs:
            traced = trace(toy.toy_task(), toy.toy_runs([split]), toy.toy_data(), devices=DEVICES)
            programs[size] = traced.compile()
        alone = toy.toy_train([split], run_ids=[run], options=options(), compiled=programs[size])
        assert_run_equals(stacked[0], run, alone, 0)


IN_SUBPROCESS = """
import importlib.util, sys
import jax, numpy as np
spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from infantjax.training.execution import layout
from infantjax.training.execution.compiled import trace
from infantjax.training.loop import TrainOptions
assert jax.local_device_count() == 8
name, splits, ready = sys.argv[2], toy.toy_splits(), None
devices = {"map": jax.devices(), "vmap": jax.devices()[:4], "last": jax.devices()[-1:]}[name]
if name == "vmap":
    layout.ONE_BY_ONE = ()
if name == "last":
    ready = trace(toy.toy_task(), toy.toy_runs(splits), toy.toy_data(), devices=devices).compile()
    placed = ready.epoch.output_shardings
    assert {device for sharding in jax.tree.leaves(placed) for device in sharding.device_set} == set(devices)
result = toy.toy_train(splits, options=TrainOptions(devices), compiled=ready)
found = (result.variables, result.best_epoch, result.best_score, result.last_epoch, result.history)
np.savez(sys.argv[3], *jax.tree.leaves(found), result.outputs)
"""


# Float32 rounding of values around 1: XLA fuses the program of a mesh differently, and `vmap` stacks several runs into
# one matrix product, whose sums have another order. `last` is the last of the eight devices alone.
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("map", 1e-6),
        pytest.param("vmap", 1e-5, marks=pytest.mark.slow),
        pytest.param("last", 0, marks=pytest.mark.slow),
    ],
)
def test_eight_devices_give_the_same_runs(toy, stacked, tmp_path, name, tolerance):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", IN_SUBPROCESS, toy.__file__, name, str(tmp_path / "found.npz")]
    subprocess.run(command, check=True, env=environment, timeout=240)
    expected = [*leaves(stacked[0]), stacked[0].outputs]
    with np.load(tmp_path / "found.npz") as found:
        for a, b in zip(expected, found.values(), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


def test_training_lowers_the_loss_and_separates_the_toy_classes(stacked):
    loss = stacked[0].history["training_loss"]
    assert (loss[:, -1] < loss[:, 0]).all()
    assert np.median(stacked[0].best_score) == 1
    assert stacked[0].status == (Status.FINISHED,) * 7


def test_the_kept_weights_are_those_of_the_first_epoch_with_the_highest_score(stacked):
    result, states = stacked
    scores = result.history["auc"]
    np.testing.assert_array_equal(result.best_epoch, np.where(scores.max(axis=1) > 0, np.argmax(scores, axis=1) + 1, 0))
    for run, epoch in enumerate(result.best_epoch):
        for kept, then in zip(jax.tree.leaves(result.variables), jax.tree.leaves(states[epoch - 1].variables)):
            np.testing.assert_array_equal(kept[run], then[run])


def test_every_epoch_has_every_sample_once_in_its_own_order():
    orders = []
    for epoch in range(2):
        for count in (9, 12):
            order = np.asarray(permutation(jax.random.fold_in(jax.random.key(0), epoch), jnp.int32(count), 12))
            assert sorted(order[:count]) == list(range(count))
            assert (order[count:] == np.arange(count, 12)).all()
            orders.append(tuple(order[:count]))
    assert orders[0] != orders[2]


def test_runs_that_stop_or_diverge_are_frozen_by_the_program_and_the_others_go_on(toy, stacked):
    first = stacked[0].history["auc"][:, 0]
    assert 0 < (first < 1).sum() < 6
    statuses = []
    config = replace(toy.CONFIG, required_auc=((1, 1.0),))
    splits = toy.toy_splits()
    splits[3] = Split((*splits[3].train, toy.OVERFLOWING), splits[3].validation)
    on_epoch = lambda _, state: statuses.append(np.asarray(state.status))  # noqa: E731
    result = toy.toy_train(splits, config, options=options(on_epoch=on_epoch))
    expected = [Status.DIVERGED if run == 3 else Status(2 * int(auc < 1)) for run, auc in enumerate(first)]
    assert statuses[0].tolist() == expected
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.variables))
    for run, status in enumerate(result.status):
        if status is Status.FINISHED:
            assert_run_equals(result, run, stacked[0], run)
        else:
            assert (status, result.last_epoch[run]) == (expected[run], int(run != 3))
            assert np.isnan(result.history["auc"][run, 1:]).all()


def test_outputs_of_the_best_epoch_belong_to_the_validation_samples(toy, stacked):
    result, splits = stacked[0], toy.toy_splits()
    data = toy.toy_data()
    of_run = result.validation_outputs(splits)
    assert [len(outputs) for outputs in of_run] == [len(split.validation) for split in splits]
    variables = jax.tree.map(lambda leaf: leaf[1], result.variables)
    logits, _ = toy.Toy().apply(variables, data.x[list(splits[1].validation)])
    np.testing.assert_allclose(of_run[1], jax.nn.softmax(logits)[:, 1], rtol=1e-5)
    held_out = result.held_out(splits[:2], 14)
    assert np.isnan(held_out).tolist() == [row not in splits[0].validation + splits[1].validation for row in range(14)]


def test_the_key_of_a_run_ignores_its_neighbors():
    together = jax.random.key_data(run_keys(1, [4, 9, 2]))
    np.testing.assert_array_equal(together[1], jax.random.key_data(run_keys(1, [9]))[0])


# --- programs --------------------------------------------------------------------------------------------------------


def test_a_stack_ends_with_its_last_run_and_only_the_first_epoch_traces(toy):
    epochs, traces = [], []

    def on_epoch(epoch, _):
        epochs.append(epoch)
        traces.append(len(toy.TRACES))

    config = replace(toy.CONFIG, required_auc=((2, 2.0),))
    result = toy.toy_train(toy.toy_splits(1), config, options=options(on_epoch=on_epoch))
    assert epochs == [1, 2]
    assert result.last_epoch[0] == 2
    assert len(set(traces)) == 1


def test_an_epoch_may_not_move_data_between_host_and_device(toy, monkeypatch):
    # The loop forbids it; a state that lies on the host shows that the ban holds.
    monkeypatch.setattr(jax, "device_put", lambda tree, _: tree)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        toy.toy_train(toy.toy_splits(1), options=options())


def test_a_training_that_was_compiled_ahead_gives_the_same_and_traces_nothing(toy, stacked):
    splits = toy.toy_splits()
    programs = trace(toy.toy_task(), toy.toy_runs(splits), toy.toy_data(), devices=DEVICES).compile()
    traces = len(toy.TRACES)
    result = toy.toy_train(splits, options=options(), compiled=programs)
    assert len(toy.TRACES) == traces + 1  # for the shapes of the variables
    for run in range(len(splits)):
        assert_run_equals(result, run, stacked[0], run)


def test_evaluation_is_traced_once_and_an_epoch_asks_the_host_nothing(toy):
    before = len(toy.TRACES)
    traced = trace(toy.toy_task(), toy.toy_runs(toy.toy_splits(1)), toy.toy_data(), devices=DEVICES)
    assert sum(not train for train in toy.TRACES[before:]) == 2  # one for the initializers
    text = traced.compile().epoch.as_text()
    assert re.search(r" while\(", text)
    assert not re.search(r" (infeed|outfeed|send|recv)\(|callback", text)
