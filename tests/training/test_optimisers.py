"""Nesterov's momentum as the published weights were trained."""

import jax.numpy as jnp
import numpy as np
import optax

from infantjax.training.optimisers import nesterov


def test_the_first_step_is_one_plus_the_momentum_times_the_gradient():
    optimiser, gradient = nesterov(5e-4, 0.9), jnp.array([1.0, -2.0])
    change, _ = optimiser.update(gradient, optimiser.init(gradient))
    np.testing.assert_allclose(change, -5e-4 * 1.9 * gradient, rtol=1e-6)


def test_three_steps_by_hand():
    rate, momentum, w, v = 0.1, 0.9, 1.0, 0.0
    optimiser = nesterov(rate, momentum)
    params = jnp.array(1.0)
    state = optimiser.init(params)
    for _ in range(3):
        gradient = 2 * w
        v = momentum * v + gradient
        w = w - rate * (gradient + momentum * v)
        change, state = optimiser.update(2 * params, state)
        params = optax.apply_updates(params, change)
        np.testing.assert_allclose(params, w, rtol=1e-5)
