"""The network like WO-GMA: scores of recordings from blocks, labels of blocks, and a second branch without a future."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from baseline_methods import wo_gma
from baseline_methods.pieces import PieceConfig
from baseline_methods.wo_gma import WoGma, WoGmaTask

from infantjax.nn.initializers import shapes

quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})
SMALL = WoGma(local=(4, 6), hidden=(4,), online=(5, 4))
BLOCKS = 10


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, BLOCKS * wo_gma.BLOCK + 3, 18, 3)), jnp.float32)
    variables = jax.tree.map(lambda leaf: rng.uniform(0.1, 0.4, leaf.shape).astype("f4"), shapes(SMALL, x))
    signs = jax.tree.map(lambda leaf: rng.choice([-1, 1], leaf.shape).astype("f4"), variables["params"])
    return variables | {"params": jax.tree.map(jnp.multiply, variables["params"], signs)}, x


def test_the_published_sizes_give_the_documented_number_of_parameters():
    found = shapes(WoGma(), jnp.zeros((1, 6 * wo_gma.BLOCK, 18, 3)))
    count = sum(leaf.size for leaf in jax.tree.leaves(found["params"]))
    assert f"{count:,}".replace(",", " ") in wo_gma.__doc__


def test_the_score_of_a_recording_is_the_mean_of_its_highest_eighth():
    probabilities = jnp.asarray([[0.1, 0.9, 0.2, 0.3, 0.5, 0.0, 0.1, 0.2, 0.7]])
    np.testing.assert_allclose(wo_gma.highest_eighth(probabilities), [0.8], rtol=1e-6)
    np.testing.assert_allclose(wo_gma.highest_eighth(probabilities[:, :3]), [0.9], rtol=1e-6)


def test_blocks_are_labelled_only_where_the_recording_holds_the_action_and_it_was_found():
    probabilities = jnp.asarray([[0.5, 0.35, 0.2], [0.5, 0.35, 0.2], [0.39, 0.35, 0.1]])
    found = wo_gma.block_labels(probabilities, jnp.asarray([1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(found, [[1, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_the_second_branch_knows_no_future_and_the_first_does(network):
    variables, x = network
    changed = x.at[:, 5 * wo_gma.BLOCK :].multiply(-2)
    both = quick(lambda x: SMALL.apply(variables, x)[1])
    before, after = both(x), both(changed)
    assert before["online"].shape == (2, BLOCKS)
    np.testing.assert_allclose(after["online"][:, :5], before["online"][:, :5], atol=1e-5)
    assert np.abs(after["online"][:, 5:] - before["online"][:, 5:]).min() > 1e-4
    assert np.abs(after["offline"][:, 3:5] - before["offline"][:, 3:5]).max() > 1e-4


def test_the_loss_is_that_of_recordings_in_both_branches_and_of_found_blocks_in_the_second(network):
    variables, x = network
    labels = np.array([0, 1])
    task = WoGmaTask(SMALL, PieceConfig(), (1, *x.shape[1:]))

    @quick
    def both(x):
        return task.loss(variables, (x, labels), {})[0], SMALL.apply(variables, x, train=True, mutable=["batch_stats"])

    loss, ((_, aux), _) = both(x)
    offline, online = (1 / (1 + np.exp(-np.asarray(aux[name], np.float64))) for name in ("offline", "online"))
    targets = np.asarray(wo_gma.block_labels(jnp.asarray(offline), jnp.asarray([1.0, 0.0])))
    assert targets[0].any()

    def cross_entropy(p, y):
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    # The action is what outcome 1 lacks. Of ten blocks the two highest count.
    of_recordings = [cross_entropy(np.sort(p)[:, -2:].mean(axis=1), 1 - labels) for p in (offline, online)]
    np.testing.assert_allclose(loss, sum(of_recordings) + cross_entropy(online, targets), rtol=1e-4)
