"""Graph convolutions against their definition, in either order of the two products, and the layers with their norm."""

from functools import partial

import numpy as np
import pytest
from drawing import applied, fresh, numbers

from infantjax.devices import for_platform
from infantjax.nn.graph import Block, GraphConv, GroupedGraphConv, graph_convolution


def normalized(y, variables, train) -> np.ndarray:
    stats, params = variables["batch_stats"]["norm"], variables["params"]["norm"]
    mean, var = (y.mean((0, 1, 2)), y.var((0, 1, 2))) if train else (stats["mean"], stats["var"])
    return (y - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]


@pytest.mark.parametrize("channels", [2, 7, 8, 12], ids=lambda c: f"{c} channels")
def test_joints_first_or_channels_first_is_the_same(channels):
    # Few channels take a way of their own: the matrices side by side in one product.
    x, adjacency, kernel = numbers(5, 2, 3, channels), numbers(3, 5, 5), numbers(3, channels, 6)
    blocks = [Block(0, channels, k) for k in kernel]
    joints_first = np.einsum("kwbtc,kcd->wbtd", np.einsum("vbtc,kvw->kwbtc", x, adjacency), kernel)
    channels_first = np.einsum("kvbtd,kvw->wbtd", np.einsum("vbtc,kcd->kvbtd", x, kernel), adjacency)
    np.testing.assert_allclose(joints_first, channels_first, rtol=0, atol=1e-4)
    np.testing.assert_allclose(graph_convolution(x, adjacency, blocks), joints_first, rtol=0, atol=1e-4)


def test_a_block_reads_its_own_channels_only():
    x, adjacency = numbers(5, 2, 3, 9), numbers(2, 5, 5)
    blocks = [Block(0, 4, numbers(4, 6)), Block(5, 9, numbers(4, 6, seed=1))]
    y = graph_convolution(x, adjacency, blocks)
    unread = x.copy()
    unread[..., 4] = 100
    np.testing.assert_array_equal(graph_convolution(unread, adjacency, blocks), y)
    wanted = sum(
        np.einsum("vbtc,cd,vw->wbtd", x[..., b.start : b.stop], b.kernel, a) for a, b in zip(adjacency, blocks)
    )
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("inputs", [2, 9])
def test_the_layer_is_the_published_sum_over_matrices_with_its_bias_inside(inputs, train):
    x, adjacency, layer = numbers(5, 2, 3, inputs), numbers(3, 5, 5), GraphConv(inputs, 6, 3)
    variables = fresh(layer, x, adjacency, train=False)
    kernel, bias = (np.asarray(variables["params"][k]) for k in ("kernel", "bias"))
    grouped = np.einsum("vbtc,ckd->kvbtd", x, kernel) + bias[:, None, None, None]
    wanted = normalized(np.einsum("kvbtd,kvw->wbtd", grouped, adjacency), variables, train)
    found = applied(layer, variables, x, adjacency, train=train)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    ("features", "matrices"), [(12, 3), *(pytest.param(*n, marks=pytest.mark.slow) for n in ((12, 2), (14, 4), (7, 3)))]
)
def test_the_grouped_layer_reads_channels_as_the_released_program_lays_them(features, matrices, train):
    """A grouped convolution gives channels by input, `channel * K + matrix`, which are then read by matrix."""
    x, adjacency, layer = numbers(5, 2, 3, features), numbers(matrices, 5, 5), GroupedGraphConv(features, matrices)
    variables = fresh(layer, x, adjacency, train=False)
    weights = np.asarray(variables["params"]["kernel"]).reshape(-1)
    laid = np.stack([x[..., i // matrices] * weights[i] for i in range(features * matrices)])
    by_matrix = laid.reshape(matrices, features, *x.shape[:3])
    wanted = normalized(np.einsum("kcvbt,kvw->wbtc", by_matrix, adjacency), variables, train)
    found = applied(layer, variables, x, adjacency, train=train)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", [partial(GraphConv, 6, 4, 3), partial(GroupedGraphConv, 6, 3)])
def test_an_accelerator_computes_the_same_by_one_matrix(make):
    x = np.random.default_rng(0).standard_normal((5, 4, 9, 6)).astype(np.float32)
    adjacency = np.random.default_rng(1).uniform(size=(3, 5, 5)).astype(np.float32)
    layer = make()
    variables = fresh(layer, x, adjacency, train=False)
    expected = applied(layer, variables, x, adjacency, train=False)
    found = for_platform(applied, "gpu")(layer, variables, x, adjacency, train=False)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
