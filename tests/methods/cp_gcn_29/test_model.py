"""CP-GCN-29 against the reference implementation: graph, every kind of layer, gradients, statistics, and counts."""

import json
from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from einops import rearrange

from infantjax.methods.cp_gcn_29.architecture import Architecture, plan
from infantjax.methods.cp_gcn_29.model import STREAMS, CpGcn29Network
from infantjax.methods.cp_gcn_29.weights import import_cp_gcn_29
from infantjax.models.entry import count_operations, count_parameters

SMALL = ("cp29_small_1", "cp29_small_2", "cp29_small_3", "cp29_small_4")
ONE_AND_SLOW = [pytest.param(name, marks=() if name == SMALL[0] else pytest.mark.slow) for name in SMALL]


@pytest.fixture(scope="module")
def golden(shared):
    """Reads a case once: its arrays, network, variables and input in our layout."""

    @cache
    def read(name):
        arrays = dict(np.load(shared / "golden" / "cp_gcn29" / f"{name}.npz"))
        meta = json.loads(str(arrays["meta"]))
        architecture = Architecture.from_choices(meta["config"])
        state = {key: value for key, value in arrays.items() if key.startswith("state/")}
        return arrays, meta, CpGcn29Network(architecture), import_cp_gcn_29(state, architecture), to_ours(arrays["x"])

    return read


def to_ours(x):
    return rearrange(x, "batch stream channel time joint 1 -> batch time joint (stream channel)")


def assert_close(found, expected, tolerance=1e-5):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", ONE_AND_SLOW)
def test_scores_and_pooled_maps_are_those_of_the_reference_implementation(name, golden):
    arrays, _, network, variables, x = golden(name)
    logits, aux = jax.jit(network.apply)(variables, x)
    assert_close(logits, arrays["logits"])
    assert_close(aux["pooled"], arrays["pooled"])


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_gradients_are_those_of_the_reference_implementation(name, golden):
    arrays, _, network, variables, x = golden(name)
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        gradient = jax.jit(jax.grad(lambda x: network.apply(exact, x)[0][:, 1].sum()))(jnp.asarray(x, jnp.float64))
    assert_close(gradient, rearrange(arrays["grad_logit1_x"], "b s c t v 1 -> b t v (s c)"), 1e-6)


@pytest.mark.slow
def test_training_mode_normalizes_by_the_batch_and_moves_the_statistics(golden):
    arrays, _, network, variables, x = golden("cp29_small_1")
    (logits, _), changed = jax.jit(lambda v, x: network.apply(v, x, True, mutable=["batch_stats"]))(variables, x)
    assert_close(logits, arrays["logits_train"], 1e-4)
    after = {key.replace("stats_after/", ""): a for key, a in arrays.items() if key.startswith("stats_after/")}
    state = {key.replace("state/", ""): a for key, a in arrays.items() if key.startswith("state/")}
    expected = import_cp_gcn_29({**state, **after}, network.architecture)["batch_stats"]
    jax.tree.map(lambda a, b: assert_close(a, b, 1e-4), changed["batch_stats"], expected)


@pytest.mark.slow
def test_every_layer_of_the_released_architecture_is_exact_in_double_precision(golden):
    arrays, meta, network, variables, x = golden("cp29_released")
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), variables)
        apply = jax.jit(lambda x: network.apply(exact, x, capture_intermediates=True, mutable=["intermediates"]))
        (logits, _), captured = apply(jnp.asarray(x, jnp.float64))
        assert_close(logits, arrays["logits_f64"], 1e-12)
        assert_close(jax.jit(network.apply)(exact, jnp.asarray(x[:, :150]))[0], np.array(meta["logits_T150"]))
    stream, main = plan(network.architecture)
    maps = captured["intermediates"]
    found = {f"input_stream.0.{layer.torch}": maps["position"][layer.name] for layer in stream}
    found |= {f"input_stream.{number}": maps[name] for number, name in enumerate(STREAMS)}
    found |= {f"main_stream.{layer.torch}": maps[layer.name] for layer in main}
    compared = 0
    for name, of in found.items():
        ours = rearrange(np.asarray(of["__call__"][0][:, 0]), "joint time channel -> channel time joint")
        frames = ours.shape[1]
        for key, part in ((f"act/{name}", ours), (f"act3/{name}", ours[:, [0, frames // 2, frames - 1]])):
            if key in arrays:
                assert_close(part, arrays[key])
                compared += 1
    assert compared == sum(key.startswith("act") for key in arrays) - 1  # all but the norm of the input


@pytest.mark.parametrize("name", ["cp29_released", *ONE_AND_SLOW])
def test_parameters_and_multiplications_are_those_of_the_reference_implementation(name, golden):
    _, meta, network, _, _ = golden(name)
    shape = (meta["T"], 29, 16)
    assert count_parameters(network, shape) == meta["n_trainable"]
    operations = count_operations(network, shape)
    assert operations["convolution"] + operations["linear"] == 2 * meta["conv_macs"]
    assert operations["adjacency"] == 2 * meta["adjacency_macs"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"act": "tanh"}, "act is 'tanh'; allowed: relu, relu6, hardswish, swish"),
        ({"blocks_in": True}, "blocks_in is True"),
        ({"width": 3}, "unknown choices width"),
    ],
)
def test_a_choice_outside_of_the_search_space_is_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        Architecture.from_choices(choices)


def test_an_input_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"input must be \[batch, time, 29 joints, 16 channels\], got"):
        nn.Module.init(CpGcn29Network(), jax.random.key(0), jnp.zeros((1, 40, 19, 6)))
