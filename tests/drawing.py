"""Layers with random variables, for tests of what they compute; imported as a module: `tests` is on the path."""

import jax
import numpy as np


def numbers(*shape, seed=0, dtype=np.float32) -> np.ndarray:
    """Standard normal numbers, others for each shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def fresh(module, *inputs, **options):
    """Variables with statistics, scales and offsets that are not those of a new norm; nothing is compiled."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **options))
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    drawn = [numbers(*leaf.shape, seed=i) for i, (_, leaf) in enumerate(leaves)]
    positive = [jax.tree_util.keystr(path).endswith("['var']") for path, _ in leaves]
    return jax.tree.unflatten(tree, [np.abs(a) + 0.5 if p else a for a, p in zip(drawn, positive)])


def applied(module, variables, *arguments, train):
    """The output in evaluation or training mode."""
    return jax.jit(lambda v, *a: module.apply(v, *a, train=train, mutable=["batch_stats"])[0])(variables, *arguments)
