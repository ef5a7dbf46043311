"""The pose networks in the registry: every published count, and EfficientHourglass against its reference."""

from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infantjax import create_model, models
from infantjax.models import count_image
from infantjax.models.summary import kept_counts, summarize
from infantjax.nn.image import ImageConv, transposed
from infantjax.nn.initializers import initialize
from infantjax.pose.importers.keras import import_pose
from infantjax.pose.networks.efficienthourglass import FRAMEWORK_RATIOS, EfficientHourglass
from infantjax.skeletons import Skeleton

POSE = [name for name in models.names() if models.get(name).task == "pose"]

ABLATIONS = {
    # Paper I, tables 6 to 9, by the rule of the other networks; and whether it gives the printed millions and billions.
    "efficientpose-i-single-resolution": (678_694, 1_580_766_686, True),
    "efficientpose-i-no-skeleton": (544_596, 1_370_384_582, True),
    "efficientpose-i-1-pass": (523_860, 1_327_917_254, True),
    "efficientpose-i-3-passes": (915_612, 2_021_635_166, True),
    "efficientpose-i-no-upscaling": (707_400, 1_497_239_180, False),
    "efficientpose-ii-single-resolution": (1_688_446, 7_495_374_758, True),
    "efficientpose-ii-no-skeleton": (1_267_836, 6_031_569_470, True),
    "efficientpose-ii-1-pass": (1_240_956, 5_917_813_310, True),
    "efficientpose-ii-3-passes": (2_224_932, 9_490_698_038, True),
    "efficientpose-ii-no-upscaling": (1_720_608, 7_337_392_052, False),
}

PRINTED = [
    (name, skeleton)
    for name in POSE
    for skeleton in models.get(name).skeletons
    if name not in ABLATIONS
    and (
        models.get(name).published if skeleton == models.get(name).skeleton else models.get(name).others[skeleton]
    ).flops
]

COMPUTED = {
    # Operations to the last one, where the papers print two decimals.
    ("openpose", "mpii-16"): 160_357_501_696,
    ("efficientpose-rt", "mpii-16"): 874_983_640,
    ("efficientpose-i", "mpii-16"): 1_674_776_210,
    ("efficientpose-ii", "mpii-16"): 7_704_255_674,
    ("efficientpose-iii", "mpii-16"): 23_350_096_318,
    ("efficientpose-iv", "mpii-16"): 72_892_496_666,
    ("efficientpose-rt-lite", "mpii-16"): 857_652_102,
    ("efficientpose-i-lite", "mpii-16"): 1_537_556_486,
    ("efficientpose-ii-lite", "mpii-16"): 7_250_363_974,
    ("efficienthourglass-b4", "mpii-16"): 26_615_505_752,
}


@cache
def summary(name, skeleton):
    """With the counts that are kept, which are those of the networks (`test_summary.py`)."""
    return summarize(models.get(name), skeleton=skeleton, counts=kept_counts()[name][skeleton])


def test_all_networks_with_printed_figures_are_registered():
    assert len(PRINTED) == 18  # ten on MPII, eight on In-Motion


@pytest.mark.parametrize(("name", "skeleton"), PRINTED)
def test_parameters_and_operations_are_the_published_ones(name, skeleton):
    row = summary(name, skeleton)
    assert row.parameters == row.published_parameters
    assert row.agree


@pytest.mark.parametrize(("name", "skeleton"), COMPUTED)
def test_operations_are_those_of_the_rule(name, skeleton):
    assert summary(name, skeleton).flops == COMPUTED[name, skeleton]


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_networks_of_the_ablation_tables_count_as_published(name):
    row = summary(name, "mpii-16")
    assert (row.parameters, row.flops, row.agree) == ABLATIONS[name]


def test_a_network_without_a_detection_pass_is_refused():
    with pytest.raises(ValueError, match="passes must be at least 1, got 0"):
        create_model("efficientpose-rt", passes=0)


HOURGLASSES = [
    # Values stored for 16 keypoints without upscaling, with the ratios of the framework.
    ("b0", 5, 1_030_038),
    pytest.param("b0", 6, 3_671_795, marks=pytest.mark.slow),
    pytest.param("b0", 7, 3_671_795, marks=pytest.mark.slow),
    pytest.param("b1", 7, 7_149_319, marks=pytest.mark.slow),
    pytest.param("b2", 6, 5_409_548, marks=pytest.mark.slow),
    pytest.param("b3", 5, 2_465_580, marks=pytest.mark.slow),
    pytest.param("b4", 7, 18_818_536, marks=pytest.mark.slow),
    ("l0", 5, 844_560),
    pytest.param("l2", 6, 4_451_936, marks=pytest.mark.slow),
    pytest.param("l4", 7, 11_335_360, marks=pytest.mark.slow),
    ("h0", 5, 878_998),
    pytest.param("h3", 6, 6_726_569, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("member", "deepest", "values"), HOURGLASSES)
def test_hourglasses_have_their_size(member, deepest, values):
    network = EfficientHourglass(member, deepest, 16, FRAMEWORK_RATIOS, upscale=False)
    assert count_image(network, (64, 64, 3)).stored == values


@pytest.mark.parametrize(
    "name",
    [
        "efficientpose-rt",
        pytest.param("efficienthourglass-l0", marks=pytest.mark.slow),
        pytest.param("cima-pose", marks=pytest.mark.slow),
        pytest.param("openpose", marks=pytest.mark.slow),
    ],
)
def test_every_pose_network_takes_any_skeleton(name):
    three = Skeleton("three", ("a", "b", "c"), ("a", "a", "b"))
    module = models.get(name).build(skeleton=three)
    maps, _ = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))[0])
    assert maps.shape == (1, 64, 64, 3)


def network_of(name):
    entry = models.get(name)
    network = entry.build()
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 32, 32, 3)), jnp.float32)
    return network, initialize(network, jax.random.key(0), x), x


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientpose-rt", "efficienthourglass-h0", "cima-pose", "openpose"])
def test_a_batch_is_its_images(name):
    network, variables, x = network_of(name)
    compiled = jax.jit(network.apply)
    both = compiled(variables, x)[0]
    side = 4 if name == "openpose" else 32  # on MPII it had no upscaling
    assert both.shape == (2, side, side, 19 if name == "cima-pose" else 16)
    one = jnp.concatenate([compiled(variables, x[i : i + 1])[0] for i in (0, 1)])
    np.testing.assert_allclose(one, both, rtol=0, atol=1e-5 * float(jnp.abs(both).max()))


@pytest.mark.slow  # an eager pass compiles every operation of its own: half a minute each
@pytest.mark.parametrize("name", ["efficientpose-rt", "efficienthourglass-h0", "cima-pose", "openpose"])
def test_jit_computes_what_eager_computes(name):
    network, variables, x = network_of(name)
    compiled, eager = jax.jit(network.apply)(variables, x)[0], network.apply(variables, x)[0]
    np.testing.assert_allclose(compiled, eager, rtol=0, atol=1e-5 * float(jnp.abs(eager).max()))


@pytest.mark.parametrize(
    "name", ["efficienthourglass_l0-128_mpii", pytest.param("efficienthourglass_l0-128_random", marks=pytest.mark.slow)]
)
def test_every_array_of_the_hourglass_is_that_of_the_reference(name, shared, assert_golden):
    path = shared / "data" / "pose" / "EfficientHourglassL0_128x128.hdf5"
    assert_golden(*import_pose(path), name)


# --- layers ----------------------------------------------------------------------------------------------------------


def test_the_trained_doubling_and_its_gradients_are_those_of_the_transposed_convolution():
    rng = np.random.default_rng(1)
    x, kernel = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 3, 4), (4, 4, 4, 6)))

    def dense(x, kernel):
        return jax.lax.conv_transpose(x, kernel.swapaxes(2, 3), (2, 2), "SAME", transpose_kernel=True)

    @partial(jax.jit, static_argnums=0)
    def both(function, x, kernel):
        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(y)

    for a, b in zip(both(transposed, x, kernel), both(dense, x, kernel), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5 * float(jnp.abs(b).max()))


def test_a_dilated_convolution_is_counted_on_the_larger_map():
    class One(nn.Module):
        @nn.compact
        def __call__(self, x):
            return ImageConv(2, 3, 3, dilation=4, norm=False)(x, False)

    counts = count_image(One(), (46, 46, 2))
    assert counts.flops == 2 * 9 * 2 * 3 * 48 * 48
