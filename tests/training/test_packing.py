"""A tree as one vector and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.training.packing import Packing

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
def test_a_tree_survives_its_vector(tree):
    tree = numbered(tree)
    packing = Packing.of(tree)
    vector = packing.pack(tree)
    assert vector.shape == (sum(a.size for a in jax.tree.leaves(tree)),)
    assert_trees_equal(packing.unpack(vector), tree)


@settings(max_examples=10, deadline=None)
@given(trees, st.lists(st.integers(0, 3), max_size=2))
def test_leading_axes_of_the_vector_become_those_of_every_array(tree, leading):
    packing = Packing.of(tree)
    size = sum(a.size for a in jax.tree.leaves(tree))
    vectors = np.arange(int(np.prod(leading)) * size, dtype=np.float32).reshape(*leading, size)
    stacked = packing.unpack(vectors)
    for index in np.ndindex(*leading):
        assert_trees_equal(jax.tree.map(lambda a, i=index: a[i], stacked), packing.unpack(vectors[index]))
    assert all(a.shape[: len(leading)] == tuple(leading) for a in jax.tree.leaves(stacked))


def test_shapes_alone_are_enough_to_know_the_places():
    abstract = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, TREE))
    assert Packing.of(abstract) == Packing.of(TREE)


def test_numpy_stays_numpy():
    packing = Packing.of(TREE)
    vector = np.asarray(packing.pack(TREE))
    assert all(isinstance(a, np.ndarray) for a in jax.tree.leaves(packing.unpack(vector)))
    assert all(isinstance(a, jax.Array) for a in jax.tree.leaves(packing.unpack(jnp.asarray(vector))))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32])
def test_the_dtype_is_kept(dtype):
    tree = jax.tree.map(lambda a: np.asarray(a, dtype), TREE)
    packing = Packing.of(tree)
    assert packing.pack(tree).dtype == dtype
    assert_trees_equal(packing.unpack(packing.pack(tree)), tree)


def test_arrays_of_different_dtypes_are_refused_with_both():
    with pytest.raises(ValueError, match=r"must have one dtype, got \['float32', 'int32'\]"):
        Packing.of({"a": np.zeros(2, np.float32), "b": np.zeros(2, np.int32)})


def test_a_stack_of_trees_is_packed_as_each_alone():
    packing = Packing.of(TREE)
    stack = jax.tree.map(lambda a: jnp.stack([a, 10 * a, -a]), TREE)
    vectors = jax.vmap(packing.pack)(stack)
    for row, factor in zip(vectors, (1, 10, -1)):
        np.testing.assert_array_equal(row, factor * packing.pack(TREE))
    assert_trees_equal(packing.unpack(vectors), stack)
    assert_trees_equal(jax.vmap(packing.unpack)(vectors), stack)


def test_gradients_pass_through_the_vector():
    packing = Packing.of(TREE)

    def loss(vector):
        return jnp.sum(packing.unpack(vector)["kernel"] ** 2)

    gradient = packing.unpack(jax.grad(loss)(packing.pack(TREE)))
    np.testing.assert_array_equal(gradient["kernel"], 2 * TREE["kernel"])
    np.testing.assert_array_equal(gradient["norm"]["bias"], 0)
    through_pack = jax.grad(lambda tree: jnp.sum(packing.pack(tree) ** 2))(TREE)
    assert_trees_equal(through_pack, jax.tree.map(lambda a: 2 * a, TREE))
