"""From maps to points: each rule on maps whose answer is known, and against the reference."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.nn.image import double
from infantjax.pose.crop import to_image_coords
from infantjax.pose.decoding import DECODERS, Points, real_time, smoothed, weighted
from infantjax.skeletons import MPII_16


def bump(x, y, side=28, width=2.0):
    """A Gaussian map around a place, in pixels of the map; a pixel's center is at a half."""
    v, u = np.mgrid[:side, :side] + 0.5
    return jnp.asarray(np.exp(-((u - x) ** 2 + (v - y) ** 2) / width**2)[None, :, :, None], jnp.float32)


places = st.floats(6, 22)
COMPILED = {name: jax.jit(decoder, static_argnums=1) for name, decoder in DECODERS.items()}


@settings(deadline=None, max_examples=25)  # the first call of a decoder compiles
@given(places, places)
def test_every_decoder_finds_a_bump(x, y):
    for name, decoder in COMPILED.items():
        found = decoder(bump(x, y), 224)
        # In pixels of the small map, and an eighth of one is a pixel of the picture. A quarter offset knows no finer
        # step; the soft maximum is sharp, so that the background of a weak map has no say, and stays near the grid.
        reach = {"quarter": 0.4, "soft_argmax": 0.4}
        np.testing.assert_allclose(found.positions[0, 0] * 28, [x, y], atol=reach.get(name, 0.15), err_msg=name)
        assert 0.8 < float(found.confidence[0, 0]) <= 1, name


@pytest.mark.parametrize("name", DECODERS)
def test_decoding_gives_one_point_a_keypoint_and_the_same_compiled(name):
    maps = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (3, 16, 16, 5)), jnp.float32)
    found = DECODERS[name](maps, 64)
    assert found.positions.shape == (3, 5, 2)
    assert found.confidence.shape == (3, 5)
    compiled = jax.jit(DECODERS[name], static_argnums=1)(maps, 64)
    for a, b in zip(compiled, found):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("name", DECODERS)
def test_maps_of_zeros_and_flat_maps_give_numbers_and_no_confidence(name):
    decode = jax.jit(lambda maps: DECODERS[name](maps, 32))
    for value in (0.0, -1.0, 1.0):
        found = decode(jnp.full((1, 8, 8, 2), value))
        assert np.isfinite(np.concatenate([np.ravel(leaf) for leaf in found])).all()
        if value <= 0:
            assert float(found.confidence.max()) <= 0


@pytest.mark.parametrize("row", [0, 3, 7])
@pytest.mark.parametrize("column", [0, 5, 7])
def test_a_single_pixel_comes_back_at_its_center(row, column):
    maps = jnp.zeros((1, 8, 8, 1)).at[0, row, column, 0].set(1)
    found = DECODERS["quarter"](maps, 8).positions[0, 0] * 8
    assert found.tolist() == [column + 0.5, row + 0.5]


def test_of_two_equal_maxima_the_first_wins():
    maps = jnp.zeros((1, 8, 8, 1)).at[0, 2, 5, 0].set(1).at[0, 2, 6, 0].set(1).at[0, 4, 1, 0].set(1)
    found = real_time(maps, 8).positions[0, 0] * 8
    assert found.tolist() == [5.5, 2.5]


def test_the_camera_rule_puts_an_uncertain_point_outside():
    found = real_time(0.2 * bump(10, 10), 224)
    np.testing.assert_allclose(found.positions[0, 0], -0.5 / 224)


def test_upscaling_by_a_product_is_the_fixed_upscaling_and_the_filter():
    from scipy import ndimage

    maps = np.random.default_rng(1).standard_normal((1, 6, 6, 3)).astype(np.float32)
    large = np.asarray(jax.jit(lambda maps: double(double(double(maps))))(maps))
    filtered = ndimage.gaussian_filter(large[0], (1, 1, 0), mode="reflect", truncate=4)
    found = jax.jit(smoothed, static_argnums=1)(maps, 48)
    for k in range(3):
        row, column = np.unravel_index(filtered[..., k].argmax(), (48, 48))
        np.testing.assert_allclose(found.positions[0, k], [(column + 0.5) / 48, (row + 0.5) / 48], atol=1e-6)
        np.testing.assert_allclose(found.confidence[0, k], filtered[..., k].max(), atol=1e-5)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "maps"),
    [
        ("efficientpose_rt_mpii", "pass3_confs"),
        ("efficientpose_i-lite_mpii", "pass3_confs"),
    ],
)
@pytest.mark.parametrize("rule", ["smoothed", "real_time"])
def test_keypoints_are_those_of_the_reference(file, maps, rule, shared):
    golden = shared / "golden" / "pose"
    expected = json.loads((golden / f"{file}_keypoints.json").read_text("utf-8"))
    with np.load(golden / f"{file}.npz") as arrays:
        side = arrays["upscaled"].shape[1]
        found: Points = jax.jit(DECODERS[rule], static_argnums=1)(arrays[maps], side)
    height, width = expected["image_height"], expected["image_width"]
    pixels = to_image_coords(np.asarray(found.positions[0]), height, width, side)
    for joint, point, peak in zip(MPII_16.joints, pixels, np.asarray(found.confidence[0])):
        reference = expected[rule][joint]
        np.testing.assert_allclose(point, [reference["x"] * width, reference["y"] * height], atol=1e-3, err_msg=joint)
        np.testing.assert_allclose(peak, reference["peak"], atol=1e-5, err_msg=joint)


@pytest.mark.parametrize("reach", [2, 4])
@pytest.mark.parametrize("upscale", [False, True])
def test_weighted_keypoints_are_those_of_the_reference(reach, upscale, shared):
    golden = shared / "golden" / "pose"
    name = "efficienthourglass_l0-128_mpii"
    expected = json.loads((golden / f"{name}_keypoints.json").read_text("utf-8"))
    reference = expected[f"{'upscaled' if upscale else 'raw'}_radius_{reach}"]
    with np.load(golden / f"{name}.npz") as arrays:
        found = jax.jit(lambda maps: weighted(maps, 128, reach, upscale))(arrays["confs"])
    for joint, point in zip(MPII_16.joints, np.asarray(found.positions[0])):
        given = reference[joint]
        x, y = (given["x"], given["y"]) if isinstance(given, dict) else given
        np.testing.assert_allclose(point, [x, y], atol=1e-5, err_msg=joint)
