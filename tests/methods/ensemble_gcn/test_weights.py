"""Import of published weights: every array in its place, and one line for what does not fit."""

import json

import jax
import numpy as np
import pytest
from einops import rearrange

from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.architecture import ALTERNATIVES, Architecture
from infantjax.methods.ensemble_gcn.model import GraphNetwork
from infantjax.methods.ensemble_gcn.st_gcn import StGcn
from infantjax.methods.ensemble_gcn.weights import graph_network_places, st_gcn_places
from infantjax.models import count_parameters, variable_shapes
from infantjax.weights import import_movement_outcome, import_st_gcn
from infantjax.weights.ensemble import leaves

SMALL = Architecture.from_choices({name: alternatives[0] for name, alternatives in ALTERNATIVES.items()})


def state_of(places, shapes, seed: int = 0) -> dict[str, np.ndarray]:
    """A state dict of random numbers: the inverse of the import."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, place in places:
        node = shapes[place.collection]
        for part in place.path:
            node = node[part]
        values = rng.uniform(0.5, 1.5, node.shape).astype(np.float32)
        found[name] = rearrange(values, " -> ".join(reversed(place.axes.split(" -> ")))) if place.axes else values
    return found


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return state_of(graph_network_places(SMALL), variable_shapes(GraphNetwork(SMALL), (150, 19, 6)))


def same(found, expected) -> bool:
    a, b = dict(leaves(found)), dict(leaves(expected))
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def refused(read, *arguments, message: str) -> str:
    """The one line with which something is refused."""
    with pytest.raises(InputError, match=message) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    return str(caught.value)


def test_every_parameter_is_imported_and_the_network_runs_with_it(state):
    variables = import_movement_outcome(state, SMALL)
    assert set(variables) == {"params", "batch_stats", "constants"}
    count = sum(leaf.size for _, leaf in leaves(variables["params"]))
    assert count == count_parameters(GraphNetwork(SMALL), (150, 19, 6))
    assert all(leaf.dtype == np.float32 for _, leaf in leaves(variables))
    x = np.random.default_rng(0).normal(size=(2, 40, 19, 6)).astype(np.float32)
    logits, _ = jax.jit(GraphNetwork(SMALL).apply)(variables, x)
    assert np.isfinite(logits).all()
    assert logits[0, 0] != logits[1, 0]


def test_axes_are_in_the_order_of_pytorch(state):
    variables = import_movement_outcome(state, SMALL)
    classifier = variables["params"]["classifier"]["kernel"]
    np.testing.assert_array_equal(classifier, state["fcn.weight"][:, :, 0, 0].T)
    # The matrices of a graph convolution are the slowest part of its output channels.
    kernel = next(k for p, k in leaves(variables["params"]) if p.endswith("/graph/kernel"))
    torch = next(v for k, v in state.items() if k.endswith("gcn.conv.conv.weight"))
    matrices, out = kernel.shape[1:]
    np.testing.assert_array_equal(kernel[:, 1, :], torch[out : 2 * out, :, 0, 0].T)
    assert matrices == 3
    # The data norm has the channels of a joint side by side.
    scale = variables["params"]["data_norm"]["scale"]
    np.testing.assert_array_equal(scale[4, 0, 0], state["data_bn.weight"][24:30])


def test_a_prefix_and_counters_of_batches_make_no_difference(state):
    counters = {f"state/{k}.num_batches_tracked": np.int64(3) for k in ("data_bn", "bottleneck_bn")}
    prefixed = {f"state/{k}": v for k, v in state.items()} | counters | {"x": np.zeros(3), "config": np.array("{}")}
    assert same(import_movement_outcome(prefixed, SMALL), import_movement_outcome(state, SMALL))


def test_half_precision_and_swapped_bytes_become_float32(state):
    half = {k: v.astype(np.float16) for k, v in state.items()}
    expected = import_movement_outcome({k: v.astype(np.float32) for k, v in half.items()}, SMALL)
    for given in (half, {k: v.astype(">f2") for k, v in half.items()}):
        variables = import_movement_outcome(given, SMALL)
        assert all(leaf.dtype == np.dtype("=f4") for _, leaf in leaves(variables))
        assert same(variables, expected)


def test_st_gcn_is_imported_whole():
    state = state_of(st_gcn_places(), variable_shapes(StGcn(), (150, 19, 2)))
    variables = import_st_gcn(state)
    assert sum(leaf.size for _, leaf in leaves(variables["params"])) == 3_075_740
    with_line = state | {"st_gcn_networks.3.gcn.conv.bias": np.zeros(9, np.float32)}
    refused(
        import_st_gcn, with_line, message=r"layer_3/graph/bias has shape \(3, 3\), the architecture needs \(3, 64\)"
    )


def test_a_file_is_imported_as_the_state_dict_in_it(shared):
    path = shared / "golden" / "gcn" / "random_05.npz"
    with np.load(path) as archive:
        z = dict(archive)
    architecture = Architecture.from_choices(json.loads(str(z["config"])))
    assert same(import_movement_outcome(path, architecture), import_movement_outcome(z, architecture))


def test_the_reference_with_another_architecture_is_refused(shared):
    path = shared / "golden" / "gcn" / "random_01.npz"
    with np.load(shared / "golden" / "gcn" / "random_02.npz") as archive:
        other = Architecture.from_choices(json.loads(str(archive["config"])))
    assert str(path) in refused(import_movement_outcome, path, other, message="give the weights together with the arch")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("A_input"), r"missing parameter A_input of \d+; give the weights together with"),
        (lambda s: [s.pop(k) for k in list(s) if k.startswith("data_bn")], "missing parameter data_bn.bias and 3 more"),
        (lambda s: s.update(color=np.zeros(2)), "unexpected parameter color;"),
        (lambda s: s.update(a=np.zeros(2), b=np.zeros(2)), "unexpected parameter a and 1 more;"),
        (
            lambda s: s.update(A_input=np.zeros((3, 18, 18))),
            r"adjacency_input has shape \(3, 18, 18\), the architecture",
        ),
        (lambda s: s.update({"fcn.weight": np.zeros(5)}), r"fcn.weight has shape \(5,\), which does not fit"),
        (lambda s: s.update({"data_bn.bias": np.zeros(113)}), r"data_bn.bias has shape \(113,\), which does not fit"),
        (lambda s: s.update({"fcn.bias": np.array([0, np.nan])}), "fcn.bias is not an array of finite numbers"),
        (lambda s: s.update({"fcn.bias": np.array([0, np.inf])}), "fcn.bias is not an array of finite numbers"),
        (lambda s: s.update({"fcn.bias": np.array([0, 1])}), "fcn.bias is not an array of finite numbers"),
        (lambda s: s.update({"fcn.bias": np.array(["a", "b"])}), "fcn.bias is not an array of finite numbers"),
        (lambda s: s.clear(), r"missing parameter A_input and \d+ more of"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line_that_names_the_first_array(state, change, message):
    changed = dict(state)
    change(changed)
    assert refused(import_movement_outcome, changed, SMALL, message=message).startswith("state dict: ")
