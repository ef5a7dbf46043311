"""Ensemble-NAS-GCN, training: which windows an epoch cuts, risks of recordings, settings."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.evaluation import discrimination
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.recording import features, windows
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split

DEVICES = jax.devices()[:1]


@pytest.fixture(scope="module")
def stacked(toy):
    """Two runs as one stack, with the state after each epoch."""
    states = []
    result = fit(
        *stack.setup(toy.Toy(), toy.toy_cohort(), toy.toy_splits(2), toy.window_config()),
        options=TrainOptions(devices=DEVICES, on_epoch=lambda _, state: states.append(jax.tree.map(np.array, state))),
    )
    return result, states


def test_risks_losses_and_auc_are_those_computed_on_the_host(toy, stacked):
    result, states = stacked
    data, fold, run = toy.toy_cohort(), toy.toy_splits()[1], 1
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
    if result.best_epoch[run] == toy.window_config().epochs:
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
    data, fold = toy.toy_cohort(), toy.toy_splits()[0]
    run, x, labels = all_windows(toy, data, fold, replace(toy.window_config(), augmentation=None))
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
    data, fold = CohortData.from_recordings(*toy.toy_positions(), toy.STICK, window=60), toy.toy_splits()[0]
    rows = run_of(data, fold, toy.window_config()).validation
    assert (rows.start + 60 <= data.lengths[rows.recording]).all()
    assert 30 in np.diff(rows.start)
    task = stack.WindowTask.create(toy.Toy(), data, toy.window_config(), ("position",))
    assert task.input_shape == (1, 60, 3, 2)
    _, x, _ = all_windows(toy, data, fold, toy.window_config())
    assert x.shape[1:] == (60, 3, 2)


def test_without_repetition_windows_lie_within_the_own_recording(toy):
    data, fold = toy.toy_cohort(), toy.toy_splits()[0]
    run, x, _ = all_windows(toy, data, fold, replace(toy.window_config(), augmentation=None, roll=False))
    for window, row in zip(x, run.train.recording):
        own = data.positions[row, : data.lengths[row]]
        assert any(np.array_equal(own[s : s + 150], window) for s in range(len(own) - 149))


def test_an_infant_gives_the_published_number_of_samples(toy):
    run = run_of(toy.toy_cohort(), toy.toy_splits()[0], TrainingConfig())
    np.testing.assert_array_equal(np.bincount(run.train.recording, minlength=14), [0, 0] + [12, 60] * 6)


def test_a_run_stops_below_the_auc_that_an_epoch_requires(toy):
    config = toy.window_config(required_auc=((2, 0.75), (4, 0.8)))
    task = stack.WindowTask.create(toy.Toy(), toy.toy_cohort(), config)
    best = jnp.float32(0.75)
    assert [bool(task.should_stop(epoch, 0, best)) for epoch in range(1, 6)] == [False, False, False, True, True]
    assert bool(task.should_stop(2, 0, best - 0.01))


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
        stack.setup(toy.Toy(), data, [Split((0, 14), (1,))], toy.window_config())
    with pytest.raises(ValueError, match="do not fill a batch of 8"):
        stack.setup(toy.Toy(), data, [Split((0,), (1,))], toy.window_config())
    with pytest.raises(ValueError, match="at least one split"):
        stack.setup(toy.Toy(), data, [], toy.window_config())


def test_a_step_in_bfloat16_computes_in_it_and_keeps_weights_and_statistics_in_float32(toy):
    data, rng = toy.toy_cohort(), np.random.default_rng(0)
    module = toy.Toy()
    batch = rng.standard_normal((8, 20, len(data.skeleton.joints), 2)).astype(np.float32), np.arange(8) % 2
    variables = module.init(jax.random.key(0), batch[0])

    def step(precision):
        task = stack.WindowTask.create(module, data, toy.window_config(precision=precision), ("position",))

        def loss(params):
            return task.loss({**variables, "params": params}, batch, {})

        return jax.value_and_grad(loss, has_aux=True)

    full, half = (jax.jit(step(precision))(variables["params"]) for precision in ("float32", "bfloat16"))
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {np.dtype("float32")}
    np.testing.assert_allclose(half[0][0], full[0][0], rtol=0.02)
    assert half[0][0] != full[0][0]
    products = [eqn for eqn in str(jax.make_jaxpr(step("bfloat16"))(variables["params"])).splitlines() if "dot_" in eqn]
    assert sum("bf16" in line for line in products) > len(products) / 2
