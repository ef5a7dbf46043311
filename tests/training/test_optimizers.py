"""Optimizers and rates as the published weights were trained."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from infantjax.training.optimizers import adam, amsgrad, cyclical, half_cosine, nesterov, triangular


def test_three_steps_by_hand():
    rate, momentum, w, v = 0.1, 0.9, 1.0, 0.0
    optimizer = nesterov(rate, momentum)
    params = jnp.array(1.0)
    state = optimizer.init(params)
    for _ in range(3):
        gradient = 2 * w
        v = momentum * v + gradient
        w = w - rate * (gradient + momentum * v)
        change, state = optimizer.update(2 * params, state)
        params = optax.apply_updates(params, change)
        np.testing.assert_allclose(params, w, rtol=1e-5)


def test_the_triangular_rate_begins_low_peaks_in_the_middle_of_a_cycle_and_closes_on_the_published_limit():
    rate = triangular(30.0, steps=100, cycles=20)
    rates = np.asarray(jax.jit(jax.vmap(rate))(np.arange(2000)))
    assert rates[0] == pytest.approx(0.01)
    assert rates[:100].argmax() == 50
    assert rates[50] == pytest.approx(30)
    assert rates.max() == rates[50]
    limit = 30 / np.sqrt(3000) * 2**2.25
    np.testing.assert_allclose(rates[-100:], limit, rtol=0.01)
    highest, lowest = rates.reshape(20, 100).max(1), rates.reshape(20, 100).min(1)
    assert (np.diff(highest) < 0).all()
    assert (np.diff(lowest) > 0).all()


def test_amsgrad_never_forgets_a_large_gradient():
    optimizer = amsgrad(1e-3)
    state = optimizer.init(jnp.zeros(1))
    _, state = optimizer.update(jnp.full(1, 100.0), state)
    update = jax.jit(optimizer.update)
    for _ in range(3000):
        change, state = update(jnp.full(1, 1.0), state)
    # Adam would by now step by the full rate.
    assert abs(float(change[0])) < 2e-4


def test_the_cyclical_rate_goes_up_and_down_and_the_momentum_against_it():
    optimizer = cyclical(0.1, 0.3, 2, momentum=(0.5, 0.9), decay=0.01)
    p, v, params = 2.0, 0.0, jnp.array(2.0)
    state = optimizer.init(params)
    for rate, momentum in [(0.1, 0.9), (0.2, 0.7), (0.3, 0.5), (0.2, 0.7), (0.1, 0.9), (0.2, 0.7)]:
        v = momentum * v + 1.0 + 0.01 * p
        p -= rate * v
        change, state = optimizer.update(jnp.array(1.0), state, params)
        params = optax.apply_updates(params, change)
        assert float(params) == pytest.approx(p, rel=1e-5)
    change, _ = (plain := cyclical(0.1, 0.3, 2)).update(jnp.array(1.0), plain.init(jnp.array(2.0)))
    assert float(change) == pytest.approx(-0.1)  # without a decay the update needs no parameters
    for wrong in ((0.0, 0.1, 5), (0.2, 0.1, 5), (0.1, 0.2, 0), (0.1, 0.2, 5, (0.9, 1.0))):
        with pytest.raises(ValueError, match="are needed"):
            cyclical(*wrong)


def test_the_rate_of_adam_rises_to_the_highest_and_falls_to_nothing():
    optimizer, gradient = adam(half_cosine(0.01, 100)), jnp.ones(1)

    def step(state, _):
        change, state = optimizer.update(gradient, state)
        return state, -change[0]

    # Of a constant gradient every step of Adam is as long as the rate.
    rates = np.asarray(jax.lax.scan(step, optimizer.init(gradient), length=100)[1])
    assert rates[0] == 0
    assert rates.argmax() == 5
    np.testing.assert_allclose(rates.max(), 0.01, rtol=1e-3)
    assert (np.diff(rates[5:]) < 0).all()
    assert rates[-1] < 1e-4
