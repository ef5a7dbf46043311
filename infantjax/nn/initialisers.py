"""Initialisers as the papers name them."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

Initialiser = Callable[..., jax.Array]


def he_normal_fan_out(
    gain: float = 1.0, out_axes: Sequence[int] = (-1,), kernel_axes: Sequence[int] = ()
) -> Initialiser:
    """Normal with variance `gain**2 / fan_out`, where fan_out = output channels x kernel length, groups ignored.

    Args:
        gain: sqrt(2) before a rectifier, 1 elsewhere.
        out_axes: axes of the kernel that count output channels.
        kernel_axes: axes of the kernel that count taps.

    Source: He et al. 2015; the thesis and the released movement-outcome program use the fan-out form.
    """

    def initialise(key: jax.Array, shape: Sequence[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        fan_out = int(np.prod([shape[axis] for axis in (*out_axes, *kernel_axes)]))
        return gain / np.sqrt(fan_out) * jax.random.normal(key, tuple(shape), dtype)

    return initialise


def uniform_fan_in(fan_in: int) -> Initialiser:
    """Uniform on +-1/sqrt(fan_in): the default for biases in the framework of the released program."""
    bound = 1.0 / np.sqrt(fan_in)

    def initialise(key: jax.Array, shape: Sequence[int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, tuple(shape), dtype, -bound, bound)

    return initialise
