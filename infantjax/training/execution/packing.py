"""A tree of arrays as one vector for each dtype.

XLA takes minutes to compile a loop that carries the thousand arrays of a network, since its alias analysis grows with
the square of their number. Carried as a few vectors the same loop compiles in seconds, and an optimizer's step is one
pass over the memory.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from infantjax.nn.kernels.unflatten import unflatten

Vectors = dict[str, Any]
"""The arrays of a tree: by the name of their dtype, one vector `[..., n]` each."""


@dataclass(frozen=True)
class Packing:
    """Layout of a tree of arrays in vectors; static.

    Attributes:
        structure: of the tree.
        shapes: of its arrays.
        dtypes: of its arrays.
    """

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    @classmethod
    def of(cls, tree: Any) -> "Packing":
        """For trees like this one, of arrays or shapes.

        Raises:
            ValueError: a leaf that is no array of numbers, such as a typed random key.
        """
        leaves, structure = jax.tree.flatten(tree)
        for leaf in leaves:
            if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
                raise ValueError(f"arrays of {leaf.dtype} cannot be packed; keep random keys as `jax.random.key_data`")
        return cls(structure, tuple(tuple(leaf.shape) for leaf in leaves), tuple(str(leaf.dtype) for leaf in leaves))

    @property
    def sizes(self) -> dict[str, int]:
        """Length of each vector."""
        return {
            name: sum(prod(shape) for shape, dtype in zip(self.shapes, self.dtypes) if dtype == name)
            for name in dict.fromkeys(self.dtypes)
        }

    def pack(self, tree: Any) -> dict[str, Array]:
        """The vectors `[n]` of a tree."""
        # Without the barriers XLA fuses the producers of the leaves, or the consumers of the vector, into one kernel of
        # a thousand branches.
        parts = self._by_dtype([jnp.ravel(jnp.asarray(leaf)) for leaf in jax.tree.leaves(tree)])
        return {
            name: lax.optimization_barrier(jnp.concatenate(lax.optimization_barrier(part)))
            for name, part in parts.items()
        }

    def pack_stack(self, tree: Any) -> dict[str, np.ndarray]:
        """The vectors `[run, n]` of a tree whose arrays have a leading run axis, on the host."""
        hosts = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
        parts = self._by_dtype([leaf.reshape(len(leaf), -1) for leaf in hosts])
        return {name: np.concatenate(part, 1) for name, part in parts.items()}

    def unpack(self, vectors: Vectors) -> Any:
        """The tree of vectors `[..., n]`; its arrays keep the leading axes. NumPy stays NumPy."""
        found = {
            name: iter(unflatten(vector, [s for s, dtype in zip(self.shapes, self.dtypes) if dtype == name]))
            for name, vector in vectors.items()
        }
        return jax.tree.unflatten(self.structure, [next(found[dtype]) for dtype in self.dtypes])

    def _by_dtype(self, leaves: list[Any]) -> dict[str, list[Any]]:
        return {
            name: [leaf for leaf, dtype in zip(leaves, self.dtypes) if dtype == name]
            for name in dict.fromkeys(self.dtypes)
        }
