"""STAM: the published counts, and that attention is what it says."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stam import model as stam
from stam.model import Stam

from infantjax import skeletons
from infantjax.models import count_parameters
from infantjax.nn.initializers import initialize
from infantjax.skeletons import OPENPOSE_18

# What is tested holds however well a program is compiled.
quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})


@pytest.fixture(scope="module")
def small():
    network = Stam(widths=(3, 4, 4), dropout=0.5)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 55, 18, 7)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x)
    return network, variables, x, quick(network.apply)


def test_the_count_is_the_published_one():
    assert count_parameters(Stam(), stam.INPUT_SHAPE) == 435_264


@pytest.mark.parametrize(("matrices", "published"), [(4, 511_296), (7, 587_328)])
def test_other_partitions_give_their_published_counts(matrices, published, monkeypatch):
    many = np.repeat(stam.neighborhood(OPENPOSE_18), matrices, axis=0)
    monkeypatch.setattr(stam, "neighborhood", lambda skeleton: many)
    # Another field: the shapes of equal networks are remembered.
    assert count_parameters(Stam(dropout=0.01 * matrices), stam.INPUT_SHAPE) == published


def test_a_joint_receives_the_mean_of_those_within_three_hops():
    (matrix,) = stam.neighborhood(OPENPOSE_18)
    hops = sum(skeletons.adjacency(OPENPOSE_18, "dis4"))
    np.testing.assert_array_equal(matrix > 0, hops > 0)
    np.testing.assert_allclose(matrix.sum(axis=0), 1, rtol=1e-6)
    wrist, hip, elbow = (OPENPOSE_18.index(f"right_{part}") for part in ("wrist", "hip", "elbow"))
    assert matrix[wrist, hip] == 0 < matrix[elbow, hip]


def test_attention_weights_sum_to_one_and_make_the_mean(small):
    _, variables, x, apply = small
    logits, aux = apply(variables, x)
    assert aux["clips"].shape == (2, 2)
    assert aux["joints"].shape == (2, 2, 18)
    for name in ("clips", "joints"):
        np.testing.assert_allclose(aux[name].sum(axis=-1), 1, rtol=1e-5)
    context = (aux["clips"][..., None] * aux["features"]).sum(axis=1)
    dense = variables["params"]["classifier"]
    np.testing.assert_allclose(logits, context @ dense["kernel"] + dense["bias"], atol=1e-5)


def test_a_clip_is_seen_alone(small):
    _, variables, x, apply = small
    _, aux = apply(variables, x)
    _, changed = apply(variables, x.at[:, 30:].set(0.3))
    np.testing.assert_allclose(changed["features"][:, 0], aux["features"][:, 0], atol=1e-6)
    assert not np.allclose(changed["features"][:, 1], aux["features"][:, 1])
    # Two clips end with frame 50.
    logits, _ = apply(variables, x.at[:, 50:].set(9.0))
    np.testing.assert_array_equal(logits, apply(variables, x)[0])
