"""`fit`: any network, loss, arrays and optax transformation, many seeds and splits as one program."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from sklearn.model_selection import StratifiedKFold

from infantjax.training import DivergedError, Split, Status, Task, TrainOptions, elementwise, fit

OPTIONS = TrainOptions(devices=jax.devices()[:1])
X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int32)
SPLIT = [(np.arange(32), np.arange(32, 40))]


class Net(nn.Module):
    """Plain Flax: nothing of this library, no argument `train`."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.relu(nn.Dense(4)(x)))


class WithNorm(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Dense(4)(x))
        return nn.Dense(2)(nn.Dropout(0.1, deterministic=not train)(nn.relu(x)))


def entropy(logits, labels):
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def accuracy(logits, labels, real):
    return jnp.sum(real * (logits.argmax(-1) == labels)) / jnp.sum(real)


def task(module=None, **changes) -> Task:
    return Task(module or Net(), entropy, **{"epochs": 3, "batch_size": 8, **changes})


def run(given: Task, optimizer=None, splits=SPLIT, data=(X, Y), **options):
    return fit(given, data, splits, optimizer=optimizer, options=OPTIONS, **options)


def test_ten_seeds_of_a_network_with_norm_and_dropout_are_one_stack_and_learn():
    result = run(task(WithNorm(), score=accuracy, epochs=15), optax.adam(0.05), seeds=range(10))
    assert result.variables["params"]["Dense_0"]["kernel"].shape == (10, 6, 4)
    assert result.status == (Status.FINISHED,) * 10
    assert result.history["score"].shape == (10, 15)
    assert np.median(result.best_score) >= 0.75
    assert result.outputs.shape == (10, 8, 2)
    kernels = result.variables["params"]["Dense_0"]["kernel"]
    assert len({kernel.tobytes() for kernel in kernels}) == 10


def test_a_run_depends_on_its_seed_and_split_alone():
    folds = list(StratifiedKFold(3).split(X, Y))
    many = run(task(), splits=folds, seeds=[3, 7])
    assert many.best_score.shape == (6,)
    alone = run(task(), splits=[Split(*(tuple(side.tolist()) for side in fold)) for fold in folds], seeds=7)
    for all_runs, of_seven in zip(jax.tree.leaves(many.variables), jax.tree.leaves(alone.variables), strict=True):
        np.testing.assert_array_equal(all_runs[3:], of_seven)


def test_the_first_run_equals_a_plain_loop_of_optax():
    """One batch an epoch, so that the order does not matter: steps by hand give the same weights."""
    optimizer = optax.adamw(0.01, weight_decay=0.1)
    split = [(np.arange(8), np.arange(8, 16))]
    start = Net().init(jax.random.key(0), X[:1])
    begun = jax.tree.map(lambda leaf: leaf[None], start)
    result = run(task(epochs=2), optimizer, split, init=begun)
    params, state = start["params"], optimizer.init(start["params"])
    for _ in range(2):
        gradient = jax.grad(lambda p: entropy(Net().apply({"params": p}, X[:8]), Y[:8]).mean())(params)
        change, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, change)
    best = int(result.best_epoch[0])
    assert best == 2
    for found, expected in zip(jax.tree.leaves(result.variables["params"]), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(found[0], expected, atol=1e-6)


def by_layer(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: "first" if path[0].key == "Dense_0" else "others", params)


STILL = {"first": optax.set_to_zero(), "others": optax.sgd(0.1)}


@pytest.mark.parametrize(
    ("optimizer", "moved"),
    [
        (optax.chain(optax.masked(optax.set_to_zero(), True), optax.identity()), set()),
        (optax.multi_transform(STILL, by_layer), {"Dense_1"}),
        (optax.MultiSteps(optax.sgd(0.1), 2), {"Dense_0", "Dense_1"}),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(optax.cosine_decay_schedule(0.1, 12))), None),
        (elementwise(optax.adam(0.01)), None),
    ],
    ids=["masked", "multi_transform", "multi_steps", "clipped_schedule", "elementwise"],
)
def test_optax_sees_the_tree_of_parameters(optimizer, moved):
    begun = jax.tree.map(lambda leaf: leaf[None], Net().init(jax.random.key(0), X[:1]))
    result = run(task(epochs=2), optimizer, init=begun)
    history = result.history["training_loss"][0]
    assert np.isfinite(history).all()
    changed = {
        name
        for name, layer in result.variables["params"].items()
        if not np.array_equal(layer["kernel"], begun["params"][name]["kernel"])
    }
    assert changed == ({"Dense_0", "Dense_1"} if moved is None else moved)


class NnxNet(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first, self.norm = nnx.Linear(6, 4, rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
        self.last = nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x, train=False):
        return self.last(nnx.relu(self.norm(self.first(x), use_running_average=not train)))


def test_a_network_of_nnx_is_trained_through_flax_nnx_bridge():
    result = run(task(nnx.bridge.to_linen(NnxNet), epochs=8, score=accuracy), optax.adam(0.05), seeds=2)
    assert result.history["training_loss"][0, -1] < result.history["training_loss"][0, 0]
    assert not np.allclose(jax.tree.leaves(result.variables["batch_stats"])[0], 0)


def test_inputs_may_be_a_tree_and_samples_be_augmented():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2)(x["a"] + x["b"])

    def noisy(key, x):
        return {**x, "a": x["a"] + jax.random.normal(key, x["a"].shape)}

    data = ({"a": X, "b": 2 * X}, Y)
    plain = run(task(Two(), epochs=2), data=data)
    augmented = run(task(Two(), epochs=2, augment=noisy), data=data)
    assert plain.history["training_loss"][0, 0] != augmented.history["training_loss"][0, 0]


def test_patience_ends_a_run_early():
    result = run(task(epochs=9, patience=2, score=lambda *_: jnp.float32(1)))
    assert result.status == (Status.STOPPED,)
    assert (result.best_epoch[0], result.last_epoch[0]) == (1, 3)


# --- divergence ------------------------------------------------------------------------------------------------------


def test_runs_that_all_diverge_in_the_first_epoch_are_an_error(tmp_path):
    with pytest.raises(DivergedError, match="the first epoch of every run diverged; lower the learning rate"):
        run(task(), data=(X * np.float32(np.inf), Y), seeds=range(2))


def test_a_run_that_diverges_is_named_in_a_warning(caplog):
    spoiled = X.copy()
    spoiled[0] = np.nan
    splits = [(np.arange(1, 33), np.arange(33, 40)), (np.arange(32), np.arange(32, 40))]
    result = run(task(), splits=splits, data=(spoiled, Y))
    assert result.status == (Status.FINISHED, Status.DIVERGED)
    assert "diverged: run 1 in epoch 1" in caplog.text


# --- wrong calls -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "data", "splits", "message"),
    [
        ({}, (X, Y[:-1]), SPLIT, r"must have one number of samples, got \[39, 40\]"),
        ({}, X, SPLIT, "data must be a pair"),
        ({}, (X, Y), [], "training needs splits and seeds, got 0 and 1"),
        ({}, (X, Y), [(np.arange(8), np.arange(38, 41))], r"a split must name samples 0\.\.39"),
        ({"batch_size": 33}, (X, Y), SPLIT, "32 training samples do not fill a batch of 33"),
        ({"loss": lambda logits, labels: entropy(logits, labels).mean()}, (X, Y), SPLIT, "a value for each of 8"),
        ({"epochs": -5}, (X, Y), SPLIT, "epochs must be at least 1, got -5"),
    ],
)
def test_wrong_calls_are_refused(given, data, splits, message):
    with pytest.raises(ValueError, match=message):
        run(Task(Net(), **{"loss": entropy, "batch_size": 8, **given}), data=data, splits=splits)
