"""Shapley values: by hand over all orders, and of the info branch of MAM."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import shapley

from infantjax.methods.mam.model import MAM
from infantjax.nn.initializers import initialize

RNG = np.random.default_rng(0)


def by_orders(score, row, background):
    """The definition: what each entry adds when it becomes known, over all orders of the entries."""
    values = np.zeros(len(row))
    orders = list(itertools.permutations(range(len(row))))
    for order in orders:
        known = background.copy()
        for entry in order:
            before = score(known).mean()
            known[:, entry] = row[entry]
            values[entry] += (score(known).mean() - before) / len(orders)
    return values


@pytest.mark.parametrize(
    ("rows", "background", "what"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), "must be"),
        (np.zeros((2, 3)), np.zeros((0, 3)), "must be"),
        (np.zeros((2, 13)), np.zeros((2, 13)), "at most 12"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "missing values"),
    ],
)
def test_bad_tables_are_refused(rows, background, what):
    with pytest.raises(ValueError, match=what):
        shapley.shapley(lambda rows: rows.sum(axis=1), rows, background)


def test_a_network_without_info_is_refused():
    with pytest.raises(ValueError, match="no info branch"):
        shapley.of_info(MAM(), {}, np.zeros(2), np.zeros((2, 4)))


def test_values_are_those_of_the_definition():
    def score(rows):
        return rows[:, 0] * rows[:, 1] + np.maximum(rows[:, 2], 0) - 2 * rows[:, 3]

    rows, background = RNG.normal(size=(3, 4)), RNG.normal(size=(20, 4))
    found = shapley.shapley(score, rows, background)
    for row, values in zip(rows, found.values):
        np.testing.assert_allclose(values, by_orders(score, row, background), atol=1e-9)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), score(rows), atol=1e-9)


@pytest.mark.slow
def test_the_risk_of_mam_is_the_sum_of_video_and_info():
    network = MAM(joints=3, channels=3, frames=12, token=4, width=8, blocks=1, heads=2, hidden=8, info=4)
    x = jnp.asarray(RNG.normal(size=(6, 2, 12, 3, 3)), jnp.float32)
    info = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x)
    logits, aux = jax.jit(network.apply)(variables, x, info)
    found = shapley.of_info(network, variables, np.asarray(aux["main"]), np.asarray(info))
    assert found.values.shape == (6, len(shapley.ENTRIES))
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), logits, atol=1e-5)
    # The branches are added, so the video's value is its own share, whatever the infant is like.
    share = 1 / (1 + np.exp(-float(variables["params"]["share"])))
    main = np.asarray(aux["main"])
    np.testing.assert_allclose(found.values[:, 0], share * (main - main.mean()), atol=1e-5)
