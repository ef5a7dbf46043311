"""A vector of all parameters, and the arrays in it."""

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from infantjax.nn.kernels.lowering import on_cpu


def unflatten(vector: Any, shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The arrays that lie one behind the other in `vector [..., n]`; they get the leading axes too. NumPy stays NumPy.

    XLA's CPU backend compiles equal kernels once, but a slice is a part of the kernel that reads it, and so is the
    place where it begins: two layers alike in all but that place would be two kernels. In a program for a CPU the
    places are therefore data, which XLA does not look into: half of the kernels of a network's training are left. This
    holds where the program is compiled with `runtime.COMPILER_OPTIONS`.
    """
    sizes = [prod(shape) for shape in shapes]
    starts = [end - size for end, size in zip(accumulate(sizes), sizes)]
    if isinstance(vector, jax.core.Tracer) and on_cpu():
        # Behind one barrier with the vector, the places stay in the loop that changes it.
        vector, places = lax.optimization_barrier((vector, [jnp.uint32(start) for start in starts]))
        axis = vector.ndim - 1
        found = [lax.dynamic_slice_in_dim(vector, place, size, axis) for place, size in zip(places, sizes)]
    else:
        found = [vector[..., start : start + size] for start, size in zip(starts, sizes)]
    return [part.reshape((*vector.shape[:-1], *shape)) for part, shape in zip(found, shapes)]
