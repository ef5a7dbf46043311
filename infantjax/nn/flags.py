"""Parts of a network that are there or not: known when it is traced, or data.

A layer takes a `Flag` where one compiled program may serve several architectures (`search.supernet`). A flag that is a
Python bool decides while the network is traced and leaves nothing in the program.
"""

from jax import numpy as jnp
from jaxtyping import Array, Bool

Flag = bool | Bool[Array, ""]
"""Whether a part of a network is there."""


def select(flag: Flag, yes: Array, no: Array | float) -> Array:
    """`yes` where the flag is set, else `no`; what is not selected gets a gradient of exactly zero.

    Both must be finite, also in their gradients.
    """
    if flag is True:
        return yes
    return jnp.where(flag, yes, no) if flag is not False else jnp.asarray(no)
