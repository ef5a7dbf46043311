"""A tree of arrays as one vector.

XLA takes minutes to compile a loop that carries the thousand arrays of a network, since its alias analysis grows with
the square of their number. Carried as a few vectors the same loop compiles in seconds, and an optimizer's step is one
pass over the memory.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from infantjax.nn.kernels.unflatten import unflatten


@dataclass(frozen=True)
class Packing:
    """Layout of a tree of arrays in a vector; static.

    Attributes:
        structure: of the tree.
        shapes: of its arrays.
        dtype: of all of them.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtype: Any

    @classmethod
    def of(cls, tree: Any) -> "Packing":
        """For trees like this one, of arrays or shapes.

        Raises:
            ValueError: arrays of different dtypes.
        """
        leaves, structure = jax.tree.flatten(tree)
        dtypes = {jnp.dtype(leaf.dtype) for leaf in leaves}
        if len(dtypes) > 1:
            raise ValueError(f"the variables of a collection must have one dtype, got {sorted(map(str, dtypes))}")
        return cls(structure, tuple(tuple(leaf.shape) for leaf in leaves), dtypes.pop() if dtypes else jnp.float32)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(map(prod, self.shapes))

    def pack(self, tree: Any) -> Array:
        """The vector `[n]` of a tree."""
        leaves = [jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)]
        if not leaves:
            return jnp.zeros(0, self.dtype)
        # Without the barriers XLA fuses the producers of the leaves, or the consumers of the vector, into one kernel of
        # a thousand branches.
        return lax.optimization_barrier(jnp.concatenate(lax.optimization_barrier(leaves)))

    def unpack(self, vector: Any) -> Any:
        """The tree of a vector `[..., n]`; its arrays keep the leading axes. NumPy stays NumPy."""
        return jax.tree.unflatten(self.structure, unflatten(vector, self.shapes))
