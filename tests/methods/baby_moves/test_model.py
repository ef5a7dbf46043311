"""Baby Moves, the network: counts, reference outputs, and its laws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import models
from infantjax.methods.baby_moves import model as baby_moves
from infantjax.methods.baby_moves.preprocessing import clip_starts
from infantjax.models import count_parameters
from infantjax.nn.initializers import initialize

SHAPE = models.get("baby-moves").input_shape


@pytest.mark.parametrize(("metadata", "stored", "trained"), [(False, 46_721, 46_337), (True, 46_741, 46_353)])
def test_counts_are_those_of_the_released_program(metadata, stored, trained):
    network = baby_moves.build(metadata=metadata)
    assert count_parameters(network, SHAPE, "stored") == stored
    assert count_parameters(network, SHAPE) == trained


# --- reference vectors -----------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module", params=[pytest.param(False, id="plain", marks=pytest.mark.slow), pytest.param(True, id="metadata")]
)
def golden(request, shared, baby_moves_variables):
    folder = shared / "golden" / "baby_moves"
    with np.load(folder / f"model_{'meta' if request.param else 'plain'}.npz") as archive:
        z = dict(archive)
    with np.load(folder / "model_input.npz") as archive:
        series, meta = archive["timeseries"], archive["meta"]
    clips = np.stack([series[start : start + 128] for start in clip_starts()])
    network = baby_moves.build(metadata=request.param)
    metadata = np.asarray(meta, np.float32)[None] if request.param else None
    return network, baby_moves_variables(z, "w."), clips, metadata, z


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_whole_video_has_the_logit_and_attention_of_the_reference(golden):
    network, variables, clips, metadata, z = golden
    series = np.concatenate([clips[:-1, :8].reshape(-1, 46), clips[-1]])[None]
    for x in (clips[None], np.pad(series, ((0, 0), (0, 4), (0, 0)))):
        logit, aux = jax.jit(network.apply)(variables, x, metadata)
        close(logit[0], z["logit_547"])
        close(aux["attention"][0], z["attention_547"])


def test_videos_of_one_clip_have_those_of_the_reference(golden):
    network, variables, clips, metadata, z = golden
    x = clips[z["clip_index"]][:, None]
    logits, aux = jax.jit(network.apply)(variables, x, None if metadata is None else metadata.repeat(3, 0))
    close(logits, z["logit_1"])
    close(aux["attention"][:, 0], z["attention_1"])


def test_every_layer_is_that_of_the_reference(golden):
    network, variables, clips, metadata, z = golden
    inspect = partial(network.apply, capture_intermediates=True, mutable=["intermediates"])
    (_, aux), state = jax.jit(inspect)(variables, clips[None, :1], metadata)
    inside = state["intermediates"]
    for number in (1, 2, 3):
        close(inside[f"block{number}"]["__call__"][0][0, 0], z[f"clip0.pool{number}"])
    close(aux["clips"][0, 0], z["clip0.dense"])
    close(aux["pooled"][0], z["clip0.context"])
    if metadata is not None:
        close(inside["metadata_branch"]["__call__"][0][0], z["clip0.meta_features"])


def test_the_gradient_of_the_logit_is_that_of_the_reference(golden):
    network, variables, clips, metadata, z = golden
    gradient = jax.grad(lambda x: network.apply(variables, x, metadata)[0][0])
    # Where XLA optimizes little it computes activations twice, and differently: no frame was the largest any more.
    for options in ({}, {"xla_backend_optimization_level": 0}):
        found = jax.jit(gradient, compiler_options=options)(clips[None, :1])
        close(found[0, 0].T, z["clip0.saliency"])


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    network = baby_moves.build(metadata=True)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((3, 2, 128, 46)), jnp.float32)
    metadata = jnp.asarray(rng.uniform(0, 14, (3, 2)), jnp.float32)
    return network, initialize(network, jax.random.key(0), x), x, metadata


def test_a_convolution_reads_no_later_frame():
    block = baby_moves.CausalBlock(4, 5, 3, 1)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 1, 20, 4)), jnp.float32)
    variables = initialize(block, jax.random.key(0), x, train=False)
    apply = jax.jit(lambda x: block.apply(variables, x, False))
    changed = np.asarray(apply(x) != apply(x.at[0, 0, 9].add(1)))
    frames = np.flatnonzero(changed.any(axis=(0, 1, 3)))
    assert set(frames) == {9, 10, 11}


def test_the_attention_is_a_mean_and_not_a_weighted_average(small):
    network, variables, x, metadata = small
    apply = jax.jit(network.apply)
    _, aux = apply(variables, x, metadata)
    expected = np.mean(np.asarray(aux["attention"])[..., None] * np.asarray(aux["clips"]), axis=1)
    np.testing.assert_allclose(aux["pooled"], expected, atol=1e-6)
    _, again = apply(variables, jnp.concatenate([x, x], 1), metadata)
    np.testing.assert_allclose(again["pooled"], aux["pooled"], atol=1e-6)


def test_whole_series_give_what_all_their_clips_give(small):
    network, variables, _, metadata = small
    series = jnp.asarray(np.random.default_rng(1).standard_normal((3, 173, 46)), jnp.float32)
    clips = jnp.stack([series[:, start : start + 128] for start in clip_starts(173)], axis=1)
    apply = jax.jit(network.apply)
    (one, inside), (two, expected) = apply(variables, series, metadata), apply(variables, clips, metadata)
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert inside["attention"].shape == (3, 6)
    np.testing.assert_allclose(inside["clips"], expected["clips"], atol=1e-5)


def test_whole_series_are_not_for_training(small):
    network, variables, _, metadata = small
    with pytest.raises(ValueError, match="whole series are for evaluation"):
        network.apply(variables, jnp.zeros((3, 128, 46)), metadata, train=True)
    with pytest.raises(ValueError, match="pool 4 frames or 8"):
        baby_moves.build(pool=3).init(jax.random.key(0), jnp.zeros((1, 128, 46)))


def test_a_video_does_not_depend_on_the_others_of_the_batch(small):
    network, variables, x, metadata = small
    apply = jax.jit(network.apply)
    together = apply(variables, x, metadata)[0]
    alone = jnp.concatenate([apply(variables, x[i : i + 1], metadata[i : i + 1])[0] for i in range(3)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize(
    ("metadata", "shape", "given", "message"),
    [
        (False, (1, 1, 128, 36), None, r"\[batch, clip, time, 46\].*got \(1, 1, 128, 36\)"),
        (False, (1, 1, 128, 46), (1, 2), "reads no metadata"),
        (True, (2, 1, 128, 46), (1, 2), r"must be \[2, 2\], got \(1, 2\)"),
    ],
)
def test_an_input_of_another_shape_is_refused(metadata, shape, given, message):
    network = baby_moves.build(metadata=metadata)
    with pytest.raises(ValueError, match=message):
        network.init(jax.random.key(0), jnp.zeros(shape), None if given is None else jnp.zeros(given))
