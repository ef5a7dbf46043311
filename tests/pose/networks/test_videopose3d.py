"""The lifting network: published counts, reference outputs of all its forms, its laws, import of its weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import models
from infantjax.errors import InputError
from infantjax.models import count_parameters
from infantjax.models.summary import summarize
from infantjax.nn.initializers import initialize
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.weights import import_videopose3d


@pytest.mark.parametrize(
    ("sizes", "parameters"),
    [
        ({"widths": (3, 3, 3)}, 8_555_571),
        ({"widths": (3, 3, 3, 3)}, 12_753_971),
        ({}, 16_952_371),
        ({"outputs": 1}, 16_903_171),
        ({"channels": 48}, 45_123),
    ],
)
def test_counts_are_the_published_ones(sizes, parameters):
    network = LiftingNetwork(**sizes)
    assert count_parameters(network, (network.receptive_field, 17, 2)) == parameters


def test_the_registry_agrees():
    assert summarize(models.get("videopose3d")).agree


# --- reference vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("causal", "key"), [(False, "output"), (True, "output_causal")])
def test_outputs_are_those_of_the_reference(causal, key, lifting_golden):
    network, variables, z = lifting_golden
    found, _ = jax.jit(network.clone(causal=causal).apply)(variables, z["input"][None])
    np.testing.assert_allclose(found[0], z[key], rtol=0, atol=1e-5 * np.abs(z[key]).max())


def test_strides_give_what_dilations_give(lifting_golden):
    network, variables, z = lifting_golden
    found, _ = jax.jit(lambda v, x: network.apply(v, x, strided=True))(variables, z["input"][None, :243])
    expected = z["output_strided_first"]
    np.testing.assert_allclose(found[0, 0], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# --- laws ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    network = LiftingNetwork(inputs=5, outputs=4, widths=(3, 5, 3), channels=6)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 60, 5, 2)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x)
    # Statistics and offsets that are not those of a beginning.
    rng = np.random.default_rng(1)
    return network, jax.tree.map(lambda leaf: leaf * jnp.asarray(rng.uniform(0.8, 1.2, leaf.shape)), variables), x


def test_an_output_sees_its_receptive_field_and_no_other_frame(small):
    network, variables, x = small
    assert network.receptive_field == 45
    for causal, offset in ((False, 22), (True, 44)):
        apply = network.clone(causal=causal).apply
        moved = jax.jit(jax.grad(lambda x, f=apply: f(variables, x)[0][0, 3].sum()))(x)
        frames = np.flatnonzero(np.asarray(moved[0] != 0).any((1, 2)))
        assert set(frames) <= set(range(3, 48))
        assert 3 + offset in frames


def test_training_changes_all_statistics_and_drops_units():
    network = LiftingNetwork(inputs=5, outputs=4, widths=(3, 3), channels=6)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 18, 5, 2)), jnp.float32)
    variables = initialize(network, jax.random.key(0), x)

    @jax.jit
    def train(key):
        rngs = {"dropout": key}
        return network.apply(variables, x, train=True, strided=True, mutable=["batch_stats"], rngs=rngs)

    ((a, _), state), ((b, _), _) = train(jax.random.key(0)), train(jax.random.key(1))
    assert (a != b).any()
    changed = jax.tree.map(lambda new, old: bool((new != old).any()), state["batch_stats"], variables["batch_stats"])
    assert all(jax.tree.leaves(changed))


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 60, 17, 2), r"\[batch, time, 5, 2\], got \(1, 60, 17, 2\)"), ((1, 44, 5, 2), "receptive field of 45")],
)
def test_an_input_of_another_shape_is_refused(shape, message, small):
    with pytest.raises(ValueError, match=message):
        small[0].apply(small[1], jnp.zeros(shape))


# --- weights ---------------------------------------------------------------------------------------------------------


def random_state(channels=4, widths=(3, 3)):
    rng = np.random.default_rng(0)
    sizes = {"expand_conv": (channels, 10, widths[0])}
    for i, width in enumerate(widths[1:]):
        sizes |= {
            f"layers_conv.{2 * i}": (channels, channels, width),
            f"layers_conv.{2 * i + 1}": (channels, channels, 1),
        }
    state = {f"{name}.weight": rng.standard_normal(shape).astype(np.float32) for name, shape in sizes.items()}
    for name in sizes:
        norm = name.replace("conv", "bn")
        state |= {
            f"{norm}.{k}": np.ones(channels, np.float32) for k in ("weight", "bias", "running_mean", "running_var")
        }
    return state | {"shrink.weight": np.ones((15, channels, 1), np.float32), "shrink.bias": np.ones(15, np.float32)}


def test_a_state_dict_in_a_file_is_the_same(tmp_path):
    state = random_state()
    np.savez(tmp_path / "lifting.npz", **state)
    (a, one), (b, two) = import_videopose3d(state), import_videopose3d(tmp_path / "lifting.npz")
    assert a == b == LiftingNetwork(5, 5, (3, 3), 4)
    assert jax.tree.all(jax.tree.map(lambda x, y: (x == y).all(), one, two))


@pytest.mark.peers
def test_a_published_file_holds_the_state_dict_among_other_things(tmp_path):
    torch = pytest.importorskip("torch")
    state = random_state()
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    content = {"lr": 0.1, "random_state": np.random.RandomState(0), "model_pos": tensors}
    torch.save(content, tmp_path / "pretrained.bin", _use_new_zipfile_serialization=False)
    network, variables = import_videopose3d(tmp_path / "pretrained.bin")
    assert network == LiftingNetwork(5, 5, (3, 3), 4)
    assert jax.tree.all(jax.tree.map(lambda x, y: (x == y).all(), variables, import_videopose3d(state)[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expand_conv.weight": None}, "no kernel over time is named expand_conv.weight"),
        ({"layers_bn.1.bias": None}, "missing parameter layers_bn.1.bias"),
        ({"optimizer.weight": np.ones(3, np.float32)}, "unexpected parameter optimizer.weight"),
        ({"shrink.weight": np.ones((16, 4, 1), np.float32)}, "do not fit together"),
        ({"layers_conv.1.weight": np.ones((4, 5, 1), np.float32)}, "the architecture needs"),
        ({"shrink.bias": np.full(15, np.nan, np.float32)}, "not an array of finite numbers"),
        ({"expand_bn.weight": np.array(["a"])}, "not an array of finite numbers"),
    ],
)
def test_a_damaged_state_dict_is_refused_in_one_line(change, message):
    state = {name: value for name, value in (random_state() | change).items() if value is not None}
    with pytest.raises(InputError, match=message):
        import_videopose3d(state)
