"""Baby Moves, training: three steps of the reference, and repeats as a stack of runs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infantjax.methods.baby_moves import model as network
from infantjax.methods.baby_moves import training as baby_moves
from infantjax.methods.baby_moves.training import TrainingConfig, Videos, VideoTask
from infantjax.nn.initializers import initialize
from infantjax.training import optimizers as optimizers
from infantjax.training.fitting import fit
from infantjax.training.splits import Split, random_splits
from infantjax.training.state import Status

REFERENCE = TrainingConfig()


# --- reference vectors -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(shared, baby_moves_variables):
    """Three steps on the reference's batch: its vectors, and our losses, logits, gradients and variables."""
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / "train_steps.npz") as archive:
        z = dict(archive)
    with np.load(folder / "model_input.npz") as archive:
        series = archive["timeseries"]
    clips = np.stack([series[8 * i : 8 * i + 128] for i in z["clip_index"]])[:, None]
    labels, metadata = z["labels"][:, 0], z["meta"][:, 0]
    task = VideoTask(network.build(metadata=True, dropout=0.0), REFERENCE, (1, 1, 128, 46))
    optimizer = optimizers.nesterov(REFERENCE.learning_rate, REFERENCE.momentum)

    @jax.jit
    def step(variables, state):
        def loss(params):
            given = {**variables, "params": params}
            (logits, _), updates = task.module.apply(given, clips, metadata, train=True, mutable=["batch_stats"])
            entropy = baby_moves.smoothed_cross_entropy(logits, labels).mean()
            value, _ = task.loss(given, (clips[:, 0], metadata, labels), {"dropout": jax.random.key(0)})
            return value, (entropy, logits, updates)

        gradient, (entropy, logits, updates) = jax.grad(loss, has_aux=True)(variables["params"])
        change, state = optimizer.update(gradient, state, variables["params"])
        stepped = {"params": optax.apply_updates(variables["params"], change), **updates}
        return stepped, state, entropy, baby_moves.penalty(variables["params"]), logits, gradient

    variables = jax.tree.map(jnp.asarray, baby_moves_variables(z, "w0."))
    state, taken = optimizer.init(variables["params"]), []
    for _ in range(3):
        variables, state, *rest = step(variables, state)
        taken.append((variables, *rest))
    return z, taken


def each_close(found, expected, tolerance):
    def close(path, a, b):
        np.testing.assert_allclose(
            a, b, rtol=0, atol=tolerance * max(float(np.abs(b).max()), 1e-3), err_msg=jax.tree_util.keystr(path)
        )

    assert jax.tree.structure(jax.tree.map(np.asarray, found)) == jax.tree.structure(expected)
    jax.tree_util.tree_map_with_path(close, found, expected)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_losses_and_logits_of_each_step_are_those_of_the_reference(number, steps):
    z, taken = steps
    _, entropy, penalty, logits, _ = taken[number - 1]
    assert float(entropy) == pytest.approx(float(z[f"step{number}.loss_bce"]), rel=1e-5)
    assert float(penalty) == pytest.approx(float(z[f"step{number}.loss_l2"]), rel=1e-5)
    expected = z[f"step{number}.logits"][:, 0]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_gradients_are_those_of_the_reference(steps, baby_moves_variables):
    z, taken = steps
    # The norms' gradients are sums of thousands of terms that cancel.
    each_close(taken[0][4], baby_moves_variables(z, "grad1.")["params"], 2e-5)


@pytest.mark.parametrize("number", [1, 3])
def test_weights_and_statistics_after_a_step_are_those_of_the_reference(number, steps, baby_moves_variables):
    z, taken = steps
    each_close(taken[number - 1][0], baby_moves_variables(z, f"w{number}."), 1e-5)


@pytest.mark.parametrize("name", ["plain", "meta"])
def test_the_penalty_is_that_of_the_reference(name, shared, baby_moves_variables):
    with np.load(shared / "golden" / "baby_moves" / f"model_{name}.npz") as z:
        params = baby_moves_variables(z, "w.")["params"]
        assert float(baby_moves.penalty(params)) == pytest.approx(float(z["l2_penalty"]), rel=1e-5)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_smoothed_labels_are_least_wrong_at_ninety_five_and_five_percent():
    p = np.array([0.95, 0.05, 0.99])
    logits = jnp.log(p / (1 - p))
    found = baby_moves.smoothed_cross_entropy(logits, jnp.array([1, 0, 1]))
    entropy = -(0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    np.testing.assert_allclose(found[:2], entropy, rtol=1e-5)
    assert found[2] > found[0]
    np.testing.assert_allclose(baby_moves.smoothed_cross_entropy(logits, jnp.ones(3), 0.0), -np.log(p), rtol=1e-5)


def test_the_penalty_is_of_seven_kernels_and_of_nothing_else():
    module = network.build(metadata=True, features=4)
    x = jnp.zeros((1, 1, 128, 46))
    params = initialize(module, jax.random.key(0), x)["params"]
    shrinking = jax.jit(jax.grad(baby_moves.penalty))(params)
    taken = [
        jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(shrinking) if (leaf != 0).any()
    ]
    assert len(taken) == 7
    assert all("kernel" in path for path in taken)
    np.testing.assert_allclose(shrinking["dense"]["kernel"], 0.01 * params["dense"]["kernel"], rtol=1e-5)


def test_abnormal_videos_are_listed_five_times():
    np.testing.assert_array_equal(baby_moves.listing([0, 1, 0, 1]), [0, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3])
    np.testing.assert_array_equal(baby_moves.listing([0, 1], 1), [0, 1])


# --- clips -----------------------------------------------------------------------------------------------------------


def test_a_random_clip_begins_at_a_multiple_of_eight_frames():
    series = jnp.arange(3.0)[:, None, None] * 1000 + jnp.arange(160.0)[None, :, None] * jnp.ones(46)
    nothing = jnp.zeros((0, 128))
    clip = jax.jit(jax.vmap(lambda key: baby_moves.random_clip(key, series, 2, nothing)))
    clips = clip(jax.random.split(jax.random.key(0), 200))
    starts = clips[:, 0, 0] - 2000
    assert set(np.asarray(starts)) == {0, 8, 16, 24, 32}
    np.testing.assert_array_equal(clips[:, :, 5] - 2000, starts[:, None] + np.arange(128))


def test_a_random_clip_is_warped_by_two_curves():
    rng = np.random.default_rng(0)
    series = jnp.asarray(rng.standard_normal((1, 128, 46)), jnp.float32)
    curves = jnp.asarray(rng.uniform(0, 1, (1, 128)), jnp.float32)

    @jax.jit
    def by_hand(series, curve):
        return baby_moves.augmentation.time_warp(baby_moves.augmentation.magnitude_warp(series, curve), curve)

    found = jax.jit(baby_moves.random_clip)(jax.random.key(0), series, 0, curves)
    np.testing.assert_allclose(found, by_hand(series[0], curves[0]), atol=1e-5)


# --- a stack of runs -------------------------------------------------------------------------------------------------

SMALL = TrainingConfig(epochs=24, warm_up=2, patience=8, batch_size=4, oversampling=2, curves=0, learning_rate=0.02)
MODULE = network.build(features=8, blocks=1, dropout=0.1)


@pytest.fixture(scope="module")
def cohort():
    """Videos of 160 frames; the abnormal ones move slowly in their first series."""
    rng = np.random.default_rng(0)
    labels = np.arange(18) % 3 == 0
    series = rng.standard_normal((18, 160, 46)).astype(np.float32)
    slow = np.sin(np.arange(160) / 5)[:, None] * np.ones(12)
    series[labels, :, :12] = slow
    metadata = np.stack([rng.uniform(12, 18, 18), labels], -1)
    return Videos.create(series, labels.astype(int).tolist(), metadata, SMALL)


@pytest.fixture(scope="module")
def plain(cohort):
    return cohort._replace(metadata=None)


@pytest.fixture(scope="module")
def partitions(cohort):
    return random_splits(cohort.labels.tolist(), 3, shares=(0.25, 0.25))


@pytest.fixture(scope="module")
def repeats(plain, partitions):
    return fit(*baby_moves.setup(MODULE, plain, partitions, SMALL))


def test_every_run_keeps_the_epoch_of_its_lowest_loss_behind_the_warm_up(repeats):
    losses = repeats.history["validation_loss"]
    for run, (epoch, loss, ended) in enumerate(zip(repeats.best_epoch, -repeats.best_score, repeats.last_epoch)):
        assert epoch == np.nanargmin(losses[run, SMALL.warm_up :]) + SMALL.warm_up + 1
        assert loss == losses[run, epoch - 1]
        assert ended == min(epoch + SMALL.patience, SMALL.epochs)
        expected = Status.STOPPED if epoch + SMALL.patience <= SMALL.epochs else Status.FINISHED
        assert repeats.status[run] == expected


def test_what_is_kept_of_the_best_epoch_belongs_to_its_weights(repeats, plain, partitions):
    logit = jax.jit(lambda variables, series: baby_moves.video_logit(MODULE, variables, series))
    for run, partition in enumerate(partitions):
        variables = jax.tree.map(lambda leaf, run=run: leaf[run], repeats.variables)
        found = [logit(variables, plain.series[row]) for row in partition.validation]
        np.testing.assert_allclose(repeats.validation_outputs(partitions)[run], found, atol=1e-5)
        labels = plain.labels[list(partition.validation)]
        loss = baby_moves.smoothed_cross_entropy(jnp.asarray(found), labels).mean()
        loss += baby_moves.penalty(variables["params"])
        assert -repeats.best_score[run] == pytest.approx(float(loss), rel=1e-5)


def test_runs_learn(repeats):
    loss = repeats.history["training_loss"]
    assert (np.nanmin(loss, axis=1) < 0.9 * loss[:, 0]).all()
    assert np.nanmax(repeats.history["auc"], axis=1).mean() > 0.9


@pytest.mark.slow
def test_a_network_trains_on_metadata_and_keeps_its_last_weights_if_it_ends_in_its_warm_up(cohort, partitions):
    config = replace(SMALL, epochs=3, warm_up=5)
    result = fit(*baby_moves.setup(network.build(features=4, blocks=1, metadata=True), cohort, partitions[:1], config))
    assert result.variables["batch_stats"]["metadata_branch"]["norm"]["mean"][0, 0] > 0.5  # on its way to 15 weeks
    assert (result.best_epoch[0], result.status) == (0, (Status.FINISHED,))
    assert not np.isnan(result.validation_outputs(partitions[:1])[0]).any()


def test_too_few_videos_for_a_batch_are_refused(plain):
    with pytest.raises(ValueError, match="1 listings do not fill a batch of 4"):
        baby_moves.setup(MODULE, plain, [Split((1,), (3,), (2,))], SMALL)
