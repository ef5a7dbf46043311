"""Baby Moves, training: three steps of the reference, the listing, and when a run stops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infantjax.models import baby_moves as network
from infantjax.nn.initialisers import initialise
from infantjax.training import baby_moves, optimisers
from infantjax.training.baby_moves import Batch, Stopping

# --- reference vectors -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(shared, baby_moves_variables):
    """Three steps on the reference's batch: its vectors, and our losses, gradients and variables."""
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / "train_steps.npz") as archive:
        z = dict(archive)
    with np.load(folder / "model_input.npz") as archive:
        series = archive["timeseries"]
    clips = np.stack([series[8 * i : 8 * i + 128] for i in z["clip_index"]])[:, None]
    batch = Batch(clips, z["labels"][:, 0], z["meta"][:, 0])
    module = network.build(metadata=True, dropout=0.0)
    optimiser = optimisers.nesterov(baby_moves.LEARNING_RATE, baby_moves.MOMENTUM)

    @jax.jit
    def step(variables, state):
        def total(params):
            losses, logits, stats = baby_moves.loss(module, {**variables, "params": params}, batch, jax.random.key(0))
            return losses.total, (losses, logits, stats)

        gradient, (losses, logits, stats) = jax.grad(total, has_aux=True)(variables["params"])
        change, state = optimiser.update(gradient, state, variables["params"])
        variables = {"params": optax.apply_updates(variables["params"], change), "batch_stats": stats}
        return variables, state, losses, logits, gradient

    variables = jax.tree.map(jnp.asarray, baby_moves_variables(z, "w0."))
    state, taken = optimiser.init(variables["params"]), []
    for _ in range(3):
        variables, state, losses, logits, gradient = step(variables, state)
        taken.append((variables, losses, logits, gradient))
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
    _, losses, logits, _ = taken[number - 1]
    assert float(losses.cross_entropy) == pytest.approx(float(z[f"step{number}.loss_bce"]), rel=1e-5)
    assert float(losses.penalty) == pytest.approx(float(z[f"step{number}.loss_l2"]), rel=1e-5)
    expected = z[f"step{number}.logits"][:, 0]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_gradients_are_those_of_the_reference(steps, baby_moves_variables):
    z, taken = steps
    # The norms' gradients are sums of thousands of terms that cancel.
    each_close(taken[0][3], baby_moves_variables(z, "grad1.")["params"], 2e-5)


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
    found = baby_moves.cross_entropy(logits, jnp.array([1, 0, 1]))
    entropy = -(0.95 * np.log(0.95) + 0.05 * np.log(0.05))
    np.testing.assert_allclose(found[:2], entropy, rtol=1e-5)
    assert found[2] > found[0]
    np.testing.assert_allclose(baby_moves.cross_entropy(logits, jnp.ones(3), 0.0), -np.log(p), rtol=1e-5)


def test_the_penalty_is_of_seven_kernels_and_of_nothing_else():
    module = network.build(metadata=True, features=4)
    x = jnp.zeros((1, 1, 128, 46))
    params = jax.jit(lambda key: initialise(module, key, x))(jax.random.key(0))["params"]
    shrinking = jax.grad(baby_moves.penalty)(params)
    taken = [
        jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(shrinking) if (leaf != 0).any()
    ]
    assert len(taken) == 7
    assert all("kernel" in path for path in taken)
    np.testing.assert_allclose(shrinking["dense"]["kernel"], 0.01 * params["dense"]["kernel"], rtol=1e-5)


def test_validation_uses_the_running_statistics_and_changes_nothing():
    module = network.build(features=4)
    rng = np.random.default_rng(0)
    batch = Batch(jnp.asarray(rng.standard_normal((3, 2, 128, 46)), jnp.float32), jnp.array([0, 1, 0]))
    variables = jax.jit(lambda key: initialise(module, key, batch.clips))(jax.random.key(0))
    losses, logits, stats = baby_moves.loss(module, variables, batch)
    np.testing.assert_allclose(logits, module.apply(variables, batch.clips)[0], atol=1e-6)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), stats, variables["batch_stats"]))
    assert float(losses.total) == pytest.approx(float(losses.cross_entropy + losses.penalty))


# --- listing and stopping --------------------------------------------------------------------------------------------


def test_abnormal_videos_are_listed_five_times():
    np.testing.assert_array_equal(baby_moves.listing([0, 1, 0, 1]), [0, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3])
    np.testing.assert_array_equal(baby_moves.listing([0, 1], 1), [0, 1])
    with pytest.raises(ValueError, match="0 or 1"):
        baby_moves.listing([0, 2])


def course(losses, **options):
    """The states after each epoch, and whether each was kept."""

    def epoch(state, loss):
        state, keep = baby_moves.stopping(state, loss, **options)
        return state, (state, keep)

    _, (states, kept) = jax.lax.scan(epoch, Stopping.start(), jnp.asarray(losses, jnp.float32))
    return states, np.asarray(kept)


def test_a_run_stops_when_its_loss_has_not_fallen_for_the_patience():
    states, kept = course([5, 4, 3, 3, 2, 2, 9, 1, 1], warm_up=0, patience=2, epochs=100)
    assert list(states.stopped) == [False] * 6 + [True] * 3
    assert list(kept) == [True, True, True, False, True, False, False, False, False]
    assert (states.best[-1], states.best_epoch[-1], states.epoch[-1]) == (2, 5, 7)


def test_losses_of_the_warm_up_are_forgotten():
    states, kept = course([0, 0, 5, 6, 6], warm_up=2, patience=2, epochs=100)
    assert list(kept) == [True, True, True, False, False]
    assert (states.best[-1], states.best_epoch[-1]) == (5, 3)
    assert list(states.stopped) == [False] * 4 + [True]


def test_a_run_stops_at_the_last_epoch():
    states, _ = course([5, 4, 3, 2], warm_up=0, patience=2, epochs=3)
    assert list(states.stopped) == [False, False, True, True]
    assert states.best_epoch[-1] == 3


def test_a_loss_that_is_no_number_never_improves():
    states, _ = course([np.nan] * 4, warm_up=1, patience=2, epochs=100)
    assert list(states.stopped) == [False, False, True, True]
    assert states.best_epoch[-1] == 0
