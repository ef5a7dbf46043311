"""ConvNets with LSTMs: what they read, and that each part of the body has weights of its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from baseline_methods import conv_lstm
from baseline_methods.protocol import Clip

from infantjax.nn.initializers import shapes

quick = partial(jax.jit, compiler_options={"xla_llvm_disable_expensive_passes": True})
RNG = np.random.default_rng(0)


def drawn(module, x):
    """Random variables, without a program that draws them."""
    return jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype("f4"), shapes(module, x))


def test_frames_are_gray_values_about_zero_and_their_change():
    frames = np.array([[[0, 255]], [[51, 255]]], np.uint8)
    found = conv_lstm.frames_of(Clip(frames, 10.0))
    np.testing.assert_allclose(found[:, 0, :, 0], [[-0.5, 0.5], [-0.3, 0.5]], atol=1e-6)
    np.testing.assert_allclose(found[:, 0, :, 1], [[0, 0], [0.2, 0]], atol=1e-6)


def test_a_frame_changes_no_features_before_it():
    module = conv_lstm.FrameLstm((2, 3), 4)
    x = jnp.asarray(RNG.normal(size=(2, 6, 8, 8, 2)), jnp.float32)
    variables = drawn(module, x)
    apply = quick(module.apply)
    (scores, before), (_, after) = apply(variables, x), apply(variables, x.at[:, 4].add(1.0))
    assert scores.shape == (2, 2)
    np.testing.assert_allclose(after["features"][:, :4], before["features"][:, :4], atol=1e-6)
    assert (np.abs(after["features"][:, 4:] - before["features"][:, 4:]).max(axis=-1) > 1e-5).all()


def test_each_part_has_its_own_weights_and_reads_itself_alone():
    module = conv_lstm.PartLstm(3, 4)
    one = RNG.normal(size=(1, 60, 1, 2))
    x = jnp.asarray(np.repeat(one, 6, axis=2), jnp.float32)
    variables = drawn(module, x)
    apply = quick(module.apply)
    same = apply(variables, x)[1]["features"]
    assert same.shape == (1, 6, 4)
    assert np.abs(same[0, 1:] - same[0, :1]).max(axis=1).min() > 1e-3
    changed = apply(variables, x.at[:, :, 2].multiply(3.0))[1]["features"]
    np.testing.assert_array_equal(np.abs(changed - same).max(axis=(0, 2)) > 1e-5, np.arange(6) == 2)
