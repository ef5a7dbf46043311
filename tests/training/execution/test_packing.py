"""A tree as vectors and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.training.execution.packing import Packing

leaf = st.lists(st.integers(0, 3), max_size=3).map(lambda shape: np.zeros(shape, np.float32))
trees = st.recursive(leaf, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=6)


def numbered(tree):
    """The same tree with different numbers everywhere."""
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([0, *(a.size for a in leaves)])
    filled = [np.arange(s, s + a.size, dtype=a.dtype).reshape(a.shape) + 1 for s, a in zip(ends, leaves)]
    return jax.tree.unflatten(structure, filled)


def assert_trees_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


TREE = numbered({"kernel": np.zeros((2, 3), np.float32), "norm": {"bias": np.zeros(3, np.float32)}, "s": np.float32(0)})


@settings(max_examples=10, deadline=None)
@given(trees)
def test_a_tree_survives_its_vectors(tree):
    tree = numbered(tree)
    packing = Packing.of(tree)
    vectors = packing.pack(tree)
    assert {name: vector.shape for name, vector in vectors.items()} == {n: (s,) for n, s in packing.sizes.items()}
    assert sum(packing.sizes.values()) == sum(a.size for a in jax.tree.leaves(tree))
    assert_trees_equal(packing.unpack(vectors), tree)


@settings(max_examples=10, deadline=None)
@given(trees, st.lists(st.integers(0, 3), max_size=2))
def test_leading_axes_of_the_vectors_become_those_of_every_array(tree, leading):
    packing = Packing.of(tree)
    vectors = {n: np.arange(int(np.prod(leading)) * s, dtype=n).reshape(*leading, s) for n, s in packing.sizes.items()}
    stacked = packing.unpack(vectors)
    for index in np.ndindex(*leading):
        one = packing.unpack({name: vector[index] for name, vector in vectors.items()})
        assert_trees_equal(jax.tree.map(lambda a, i=index: a[i], stacked), one)
    assert all(a.shape[: len(leading)] == tuple(leading) for a in jax.tree.leaves(stacked))


def test_numpy_stays_numpy_and_jax_stays_jax():
    packing = Packing.of(TREE)
    vectors = packing.pack(TREE)
    assert all(isinstance(a, np.ndarray) for a in jax.tree.leaves(packing.unpack(jax.device_get(vectors))))
    assert all(isinstance(a, jax.Array) for a in jax.tree.leaves(packing.unpack(vectors)))


def test_arrays_of_several_dtypes_are_one_vector_each():
    tree = {"count": np.int32(3), **TREE, "half": np.ones((2, 2), np.float16)}
    packing = Packing.of(tree)
    assert packing.sizes == {"int32": 1, "float16": 4, "float32": 10}
    assert_trees_equal(packing.unpack(packing.pack(tree)), tree)


def test_random_keys_are_refused():
    with pytest.raises(ValueError, match=r"key<fry> cannot be packed; keep random keys as `jax.random.key_data`"):
        Packing.of({"key": jax.random.key(0)})


def test_a_stack_of_trees_is_packed_as_each_alone():
    packing = Packing.of(TREE)
    stack = jax.tree.map(lambda a: jnp.stack([a, 10 * a, -a]), TREE)
    vectors = jax.vmap(packing.pack)(stack)
    for row, factor in zip(vectors["float32"], (1, 10, -1)):
        np.testing.assert_array_equal(row, factor * packing.pack(TREE)["float32"])
    np.testing.assert_array_equal(packing.pack_stack(stack)["float32"], vectors["float32"])
    assert_trees_equal(packing.unpack(vectors), stack)
    assert_trees_equal(jax.vmap(packing.unpack)(vectors), stack)
