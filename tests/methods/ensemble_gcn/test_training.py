"""The training loop: the same run alone, stacked and on several devices; what an epoch does; how runs end."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.evaluation import discrimination
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.recording import features, windows
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import Status, run_keys
from infantjax.training.task import permutation

DEVICES = jax.devices()[:1]


@pytest.fixture(scope="module")
def stacked(toy):
    """Seven runs as one stack, with the state after each epoch."""
    states = []
    result = stack.train(
        toy.Toy(),
        toy.toy_cohort(),
        toy.toy_folds(),
        toy.CONFIG,
        options=options(on_epoch=lambda _, state: states.append(jax.tree.map(np.array, state))),
    )
    return result, states


def leaves(result) -> list[np.ndarray]:
    return jax.tree.leaves((result.variables, result.best_epoch, result.best_score, result.last_epoch, result.history))


def options(mapping="map", **others) -> TrainOptions:
    return TrainOptions(mapping=mapping, devices=DEVICES, **others)


def assert_run_equals(result, run, other, other_run, **tolerance):
    for a, b in zip(leaves(result), leaves(other), strict=True):
        np.testing.assert_allclose(a[run], b[other_run], **({"rtol": 0, "atol": 0} | tolerance))
    width = min(result.outputs.shape[1], other.outputs.shape[1])
    found, expected = result.outputs[run, :width], other.outputs[other_run, :width]
    np.testing.assert_allclose(found, expected, **({"rtol": 0, "atol": 0} | tolerance))


def test_a_stack_of_seven_equals_seven_separate_runs_bit_for_bit(toy, stacked):
    module, data, programs = toy.Toy(), toy.toy_cohort(), {}
    for run, fold in enumerate(toy.toy_folds()):
        size = len(fold.validation)
        if size not in programs:
            programs[size] = stack.trace(module, data, [fold], toy.CONFIG, devices=DEVICES).compile()
        ready = programs[size]
        alone = stack.train(module, data, [fold], toy.CONFIG, run_ids=[run], options=options(), compiled=ready)
        assert_run_equals(stacked[0], run, alone, 0)


IN_SUBPROCESS = """
import importlib.util, sys
import jax, numpy as np
spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.training.loop import TrainOptions
assert jax.local_device_count() == 8
last = jax.devices()[-1:]
setting = toy.Toy(), toy.toy_cohort(), toy.toy_folds(), toy.CONFIG
programs = stack.trace(*setting, devices=last).compile()
placed = programs.epoch.output_shardings
assert {device for sharding in jax.tree.leaves(placed) for device in sharding.device_set} == set(last)
for name, mapping, devices, ready in (
    ("map", "map", jax.devices(), None), ("vmap", "vmap", jax.devices()[:4], None), ("last", "map", last, programs)
):
    result = stack.train(*setting, options=TrainOptions(mapping, devices), compiled=ready)
    arrays = jax.tree.leaves((result.variables, result.best_epoch, result.best_score, result.last_epoch, result.history))
    np.savez(f"{sys.argv[2]}/{name}.npz", *arrays, result.outputs)
"""


def test_eight_devices_give_the_same_runs(toy, stacked, tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", IN_SUBPROCESS, toy.__file__, str(tmp_path)]
    subprocess.run(command, check=True, env=environment, timeout=240)
    expected = [*leaves(stacked[0]), stacked[0].outputs]
    # `map` runs the very same program for each run; `vmap` lays several runs into one matrix product, whose sums XLA
    # orders differently: float32 rounding of values around 1. `last` is the last of the eight devices alone.
    for name, tolerance in (("map", 0), ("vmap", 1e-5), ("last", 0)):
        with np.load(tmp_path / f"{name}.npz") as found:
            for a, b in zip(expected, found.values(), strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.slow  # as over four of eight devices, above
def test_vmap_gives_the_same_runs_as_map(toy, stacked):
    folds = toy.toy_folds()[:3]
    vmapped = stack.train(toy.Toy(), toy.toy_cohort(), folds, toy.CONFIG, options=options("vmap"))
    for run in range(3):
        # Sums in another order: float32 rounding of values around 1.
        assert_run_equals(stacked[0], run, vmapped, run, atol=1e-5)


def test_training_lowers_the_loss_and_tells_the_toy_outcomes_apart(stacked):
    loss = stacked[0].history["training_loss"]
    assert (loss[:, -1] < loss[:, 0]).all()
    assert np.median(stacked[0].best_score) == 1
    assert stacked[0].status == (Status.FINISHED,) * 7


def test_the_kept_weights_are_those_of_the_first_epoch_with_the_highest_auc(stacked):
    result, states = stacked
    expected = np.argmax(result.history["auc"], axis=1)
    np.testing.assert_array_equal(result.best_epoch, np.where(result.history["auc"].max(axis=1) > 0, expected + 1, 0))
    for run, epoch in enumerate(result.best_epoch):
        for kept, then in zip(jax.tree.leaves(result.variables), jax.tree.leaves(states[epoch - 1].variables)):
            np.testing.assert_array_equal(kept[run], then[run])


def test_risks_losses_and_auc_are_those_computed_on_the_host(toy, stacked):
    result, states = stacked
    data, fold, run = toy.toy_cohort(), toy.toy_folds()[1], 1
    variables = jax.tree.map(lambda leaf: leaf[run], states[-1].variables)
    risks, losses = [], {0: [], 1: []}
    for row in fold.validation:
        positions = data.positions[row, : data.lengths[row]]
        cut = windows.cut(positions, windows.window_starts(len(positions)))
        logits, _ = toy.Toy().apply(variables, features.build_features(cut, data.skeleton))
        probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        risks.append(np.median(probability[:, 1]))
        losses[data.labels[row]] += [-np.log(p[data.labels[row]]) for p in probability]
    expected = np.mean([np.mean(losses[0]), np.mean(losses[1])])
    np.testing.assert_allclose(result.history["validation_loss"][run, -1], expected, rtol=1e-5)
    assert result.history["auc"][run, -1] == discrimination.auc(risks, data.labels[list(fold.validation)])
    if result.best_epoch[run] == toy.CONFIG.epochs:
        np.testing.assert_allclose(result.outputs[run, : len(risks)], risks, rtol=1e-5)


def run_of(data, fold, config, number=0):
    runs = stack.window_runs(data, [fold], config)
    return jax.tree.map(lambda leaf: leaf[number], runs)


def all_windows(toy, data, fold, config):
    """The run, the rows of its training samples, and the window that an epoch cuts for each."""
    task = stack.WindowTask.create(toy.Toy(), data, replace(config, batch_size=1), ("position",))
    run = run_of(data, fold, config)

    @jax.jit
    def cut(run, data):
        count = len(run.train.recording)
        plan, _ = task.plan_epoch(jnp.int32(0), run, data, jax.random.key(3))
        # In the order of the samples.
        plan = plan._replace(order=(jnp.arange(count), plan.order[1]))
        x, labels = jax.lax.map(lambda step: task.batch(plan, step, run, data), jnp.arange(count))
        return x[:, 0], labels[:, 0]

    return run, *map(np.asarray, cut(run, data))


def test_training_windows_lie_in_their_part_of_the_recording_repeated_end_to_end(toy):
    data, fold = toy.toy_cohort(), toy.toy_folds()[0]
    run, x, labels = all_windows(toy, data, fold, replace(toy.CONFIG, augmentation=None))
    longest = max(data.lengths[list(fold.train)])
    crossed_the_seam = 0
    for window, label, row, part, parts in zip(x, labels, *run.train):
        own = data.positions[row, : data.lengths[row]]
        repeated = np.concatenate([own] * 3)[:longest]
        low, high = windows.sample_range(int(longest), int(part), int(parts))
        starts = [s for s in range(low, high + 1) if np.array_equal(repeated[s : s + 150], window)]
        assert len(starts) == 1
        crossed_the_seam += starts[0] + 150 > len(own)
        assert label == data.labels[row]
    assert crossed_the_seam > 0


def test_windows_are_as_long_as_the_data_say(toy):
    data, fold = CohortData.from_recordings(*toy.toy_positions(), toy.STICK, window=60), toy.toy_folds()[0]
    rows = run_of(data, fold, toy.CONFIG).validation
    assert (rows.start + 60 <= data.lengths[rows.recording]).all()
    assert 30 in np.diff(rows.start)
    task = stack.WindowTask.create(toy.Toy(), data, toy.CONFIG, ("position",))
    assert task.input_shape == (1, 60, 3, 2)
    _, x, _ = all_windows(toy, data, fold, toy.CONFIG)
    assert x.shape[1:] == (60, 3, 2)


def test_without_repetition_windows_lie_within_the_own_recording(toy):
    data, fold = toy.toy_cohort(), toy.toy_folds()[0]
    run, x, _ = all_windows(toy, data, fold, replace(toy.CONFIG, augmentation=None, roll=False))
    for window, row in zip(x, run.train.recording):
        own = data.positions[row, : data.lengths[row]]
        assert any(np.array_equal(own[s : s + 150], window) for s in range(len(own) - 149))


def test_an_infant_gives_the_published_number_of_samples(toy):
    run = run_of(toy.toy_cohort(), toy.toy_folds()[0], TrainingConfig())
    np.testing.assert_array_equal(np.bincount(run.train.recording, minlength=14), [0, 0] + [12, 60] * 6)


def test_every_epoch_has_every_sample_once_in_its_own_order(toy):
    runs = stack.window_runs(toy.toy_cohort(), toy.toy_folds()[:2], toy.CONFIG)
    padded = runs.train.recording.shape[1]
    orders = []
    for epoch in range(2):
        for count in runs.train_count:
            order = np.asarray(permutation(jax.random.fold_in(jax.random.key(0), epoch), count, padded))
            assert sorted(order[:count]) == list(range(count))
            assert (order[count:] == np.arange(count, padded)).all()
            orders.append(tuple(order[:count]))
    assert orders[0] != orders[2]


def test_a_run_below_the_required_auc_stops_and_the_others_go_on(toy, stacked):
    first = stacked[0].history["auc"][:, 0]
    assert 0 < (first < 1).sum() < 7
    config = replace(toy.CONFIG, required_auc=((1, 1.0),))
    result = stack.train(toy.Toy(), toy.toy_cohort(), toy.toy_folds(), config, options=options())
    for run in range(7):
        if first[run] < 1:
            assert result.status[run] is Status.STOPPED
            assert result.last_epoch[run] == 1
            assert np.isnan(result.history["auc"][run, 1:]).all()
        else:
            assert result.status[run] is Status.FINISHED
            assert_run_equals(result, run, stacked[0], run)


def test_a_run_is_stopped_by_the_program_before_the_host_looks(toy, stacked):
    statuses = []
    config = replace(toy.CONFIG, required_auc=((1, 1.0),))
    stack.train(
        *(toy.Toy(), toy.toy_cohort(), toy.toy_folds(), config),
        options=options(on_epoch=lambda _, state: statuses.append(np.asarray(state.status))),
    )
    np.testing.assert_array_equal(statuses[0] == Status.STOPPED, stacked[0].history["auc"][:, 0] < 1)


def test_a_stack_ends_when_its_last_run_has_ended(toy):
    epochs = []
    config = replace(toy.CONFIG, required_auc=((2, 1.0), (3, 1.0)), learning_rate=1e-9)
    result = stack.train(
        *(toy.Toy(), toy.toy_cohort(), [Split((0, 1, 2, 3), (4, 5, 5))], config),
        options=TrainOptions(on_epoch=lambda e, _: epochs.append(e)),
    )
    assert (epochs == [1, 2]) == (result.best_score[0] < 1)
    assert result.last_epoch[0] == epochs[-1]


def test_a_diverged_run_is_frozen_at_its_last_finite_epoch_and_the_others_go_on(toy, stacked):
    positions, labels = toy.toy_positions()
    # The square of these speeds overflows: the run that trains on them has an infinite loss at once.
    data = CohortData.from_recordings([*positions, 1e25 * positions[0]], [*labels, 0], toy.STICK)
    folds = toy.toy_folds()
    folds[3] = Split((*folds[3].train, 14), folds[3].validation)
    result = stack.train(toy.Toy(), data, folds, toy.CONFIG, options=options())
    assert result.status[3] is Status.DIVERGED
    assert result.last_epoch[3] == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result.variables))
    for run in (0, 1, 2, 4, 5, 6):
        assert_run_equals(result, run, stacked[0], run)


def test_no_epoch_but_the_first_traces_or_compiles(toy):
    counts = []
    stack.train(
        *(toy.Toy(), toy.toy_cohort(), toy.toy_folds()[:1], toy.CONFIG),
        options=TrainOptions(on_epoch=lambda *_: counts.append(len(toy.TRACES))),
    )
    assert len(counts) == toy.CONFIG.epochs
    assert len(set(counts)) == 1


def test_an_epoch_may_not_move_data_between_host_and_device(toy, monkeypatch):
    # The loop forbids it; that the ban holds here is shown by a state that lies on the host.
    monkeypatch.setattr(jax, "device_put", lambda tree, _: tree)
    with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed host-to-device transfer"):
        stack.train(toy.Toy(), toy.toy_cohort(), toy.toy_folds()[:1], replace(toy.CONFIG, epochs=1), options=options())


def test_the_key_of_a_run_ignores_its_neighbors():
    together = jax.random.key_data(run_keys(1, [4, 9, 2]))
    np.testing.assert_array_equal(together[1], jax.random.key_data(run_keys(1, [9]))[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1"),
        ({"seed": -1}, "seed must lie in"),
        ({"required_auc": ((0, 0.5),)}, "required_auc must hold"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**change)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p[:149], "expected .time from 150, 3, 2."),
        (lambda p: p[:, :2], "expected .time from 150, 3, 2."),
        (lambda p: np.where(np.arange(len(p))[:, None, None] == 7, np.nan, p), "missing points"),
    ],
)
def test_positions_that_cannot_be_trained_on_are_refused(toy, spoil, message):
    positions, labels = toy.toy_positions()
    with pytest.raises(ValueError, match=message):
        CohortData.from_recordings([spoil(p) for p in positions], labels, toy.STICK)


def test_folds_that_do_not_fit_are_refused(toy):
    data = toy.toy_cohort()
    with pytest.raises(ValueError, match=r"recordings 0\.\.13"):
        stack.train(toy.Toy(), data, [Split((0, 14), (1,))], toy.CONFIG)
    with pytest.raises(ValueError, match="do not fill a batch of 8"):
        stack.train(toy.Toy(), data, [Split((0,), (1,))], toy.CONFIG)
    with pytest.raises(ValueError, match="different run ids"):
        stack.train(toy.Toy(), data, toy.toy_folds()[:2], toy.CONFIG, run_ids=[1, 1])


# --- programs that are compiled before their training begins ---------------------------------------------------------


@pytest.mark.parametrize("runs", [1, 7])
def test_a_training_that_was_compiled_ahead_gives_the_same_and_traces_nothing(toy, stacked, runs):
    module, data, folds = toy.Toy(), toy.toy_cohort(), toy.toy_folds()[:runs]
    programs = stack.trace(module, data, folds, toy.CONFIG, devices=DEVICES).compile()
    traces = len(toy.TRACES)
    result = stack.train(module, data, folds, toy.CONFIG, options=options(), compiled=programs)
    assert len(toy.TRACES) == traces
    for run in range(runs):
        assert_run_equals(result, run, stacked[0], run)


def test_a_training_is_traced_once_on_one_device(toy, monkeypatch):
    evaluate, calls = stack.WindowTask.evaluate, []

    def counted(self, *arguments):
        calls.append(self)
        return evaluate(self, *arguments)

    monkeypatch.setattr(stack.WindowTask, "evaluate", counted)
    stack.trace(toy.Toy(), toy.toy_cohort(), toy.toy_folds()[:1], toy.CONFIG, devices=DEVICES)
    assert len(calls) == 1


def test_an_epoch_is_one_program_that_asks_the_host_nothing(toy):
    programs = stack.trace(toy.Toy(), toy.toy_cohort(), toy.toy_folds()[:1], toy.CONFIG, devices=DEVICES).compile()
    text = programs.epoch.as_text()
    assert re.search(r" while\(", text)
    assert not re.search(r" (infeed|outfeed|send|recv)\(|callback", text)
