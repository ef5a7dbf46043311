"""Sums over the rows of activations, vectorized on the CPU backend."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from infantjax.cache import loops_are_short

_ROWS = (8, 7, 6, 5, 4)
_ROWS_IN_SHORT_LOOPS = (4, 7, 6, 5)
"""Rows at a time, the best first. Four are up to a sixth slower than eight, but LLVM unrolls no more in a training that
is compiled with short loops, and there eight take twice as long."""


def rows_at_a_time(rows: int) -> tuple[int, int]:
    """How many rows `sums_at_once` should reduce at a time, and how many are missing for a multiple of that."""
    sizes = _ROWS_IN_SHORT_LOOPS if loops_are_short() else _ROWS
    together = next((n for n in sizes if rows % n == 0), sizes[0])
    return together, -rows % together


def sums_of_products(
    parts: Sequence[Float[Array, "*outer together column channel"]],
    gradient: Float[Array, "*outer together column channel"],
) -> list[Float[Array, " channel"]]:
    """For each part the sum of its products with the gradient: the gradient of a depthwise kernel, a part for a tap."""
    # Sums over a batch of images lose too much in bfloat16.
    gradient = gradient.astype(jnp.promote_types(gradient.dtype, jnp.float32))
    return sums_at_once([part * gradient for part in parts])


def sums_at_once(values: Sequence[Float[Array, "*outer together column channel"]]) -> list[Float[Array, " channel"]]:
    """The sum of each array over all axes but the last, in one loop.

    All are summed by one reduction of several operands over a few rows. XLA's CPU backend makes one loop of it, which
    reads what the values are computed from once for all, and is vectorized as long as the rows can be unrolled
    (`rows_at_a_time`). A reduction for each is three times slower, and so is one over sixteen rows.
    """
    zeros = [jnp.zeros((), values[0].dtype)] * len(values)
    axis = values[0].ndim - 3
    summed = lax.reduce(list(values), zeros, _add_each, (axis,))
    return [part.sum(tuple(range(axis + 1))) for part in summed]


def _add_each(a: Sequence[Array], b: Sequence[Array]) -> list[Array]:
    return [x + y for x, y in zip(a, b)]
