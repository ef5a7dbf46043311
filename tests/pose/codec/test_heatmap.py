"""Heatmaps: what is encoded, the rules that decode it, and both against the reference."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.nn.image import double
from infantjax.pose.codec.heatmap import DECODERS, SIGMAS, HeatmapCodec, scheduled, weighted
from infantjax.pose.crop import to_image_coords
from infantjax.skeletons import MPII_16

encode = jax.jit(HeatmapCodec().encode, static_argnums=1)
DECODE = {name: jax.jit(HeatmapCodec(name).decode, static_argnums=1) for name in DECODERS}


def test_a_heatmap_is_one_at_the_pixel_below_and_falls_by_e_at_sigma():
    maps = np.asarray(encode(np.array([[0.53, 0.27]]), 32, 3.0))[..., 0]
    row, column = int(0.27 * 32), int(0.53 * 32)
    assert maps[row, column] == 1
    np.testing.assert_allclose(maps[row, column + 3], np.exp(-1), rtol=1e-6)
    np.testing.assert_allclose(maps[row + 3, column + 4], np.exp(-25 / 9), rtol=1e-5)


def test_missing_keypoints_have_empty_maps():
    positions = np.full((2, 3, 4, 2), 0.5)
    positions[..., 1, 0] = np.nan
    maps = np.asarray(encode(positions, 16, 2.0))
    assert maps.shape == (2, 3, 16, 16, 4)
    assert not maps[..., 1].any()
    assert maps[..., 0].max() == 1


@pytest.mark.parametrize(
    ("schedule", "side", "epoch", "sigma"),
    [
        # As the framework prints them for maps of 46, rounded there.
        ("efficientpose", 46, 0, 5.03),
        ("efficientpose", 46, 13, 3.59),
        ("efficientpose", 46, 14, 2.875),
        ("efficientpose", 46, 54, 1.797),
        ("efficientpose", 28, 200, 1.094),
        ("hourglass", 152, 0, 3.5 * 152 / 32),
        ("hourglass", 32, 99, 0.875),
        ("hourglass_fine_tuning", 32, 40, 0.875),
    ],
)
def test_peaks_narrow_in_the_steps_of_the_reference(schedule, side, epoch, sigma):
    assert scheduled(SIGMAS[schedule], epoch + 1)[-1] * side / 32 == pytest.approx(sigma, abs=6e-3)


def test_exact_peaks_keep_what_whole_pixels_lose():
    places = np.array([[0.53, 0.48]])
    exact = HeatmapCodec().encode(places, 28, 2.0, exact=True)[None]
    whole = HeatmapCodec().encode(places, 28, 2.0)[None]
    np.testing.assert_allclose(DECODE["dark"](exact, 224).positions[0], places, atol=0.002)
    assert np.abs(DECODE["dark"](whole, 224).positions[0] - places).max() > 0.01


@settings(deadline=None, max_examples=15)
@given(st.floats(6, 22), st.floats(6, 22))
def test_every_decoder_finds_a_peak_between_pixels(x, y):
    v, u = np.mgrid[:28, :28] + 0.5
    maps = jnp.asarray(np.exp(-((u - x) ** 2 + (v - y) ** 2) / 4)[None, :, :, None], jnp.float32)
    # A quarter offset has no finer step; the soft maximum is sharp, so that the background of a weak map has no say.
    reach = {"quarter": 0.4, "soft_argmax": 0.4}
    for name, decode in DECODE.items():
        found = decode(maps, 224).positions[0, 0] * 28
        np.testing.assert_allclose(found, [x, y], atol=reach.get(name, 0.15), err_msg=name)


@pytest.mark.parametrize("name", DECODERS)
def test_flat_maps_give_finite_points_without_confidence(name):
    for value in (0.0, -1.0, 1.0):
        found = DECODE[name](jnp.full((3, 8, 8, 5), value), 32)
        assert found.positions.shape == (3, 5, 2)
        assert np.isfinite(np.concatenate([np.ravel(leaf) for leaf in found])).all()
        if value <= 0:
            assert float(found.confidence.max()) <= 0


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="decoder must be one of smoothed"):
        HeatmapCodec("sharp")


def test_of_two_equal_maxima_the_first_wins():
    maps = jnp.zeros((1, 8, 8, 1)).at[0, [2, 2, 4], [5, 6, 1], 0].set(1)
    assert (DECODE["real_time"](maps, 8).positions[0, 0] * 8).tolist() == [5.5, 2.5]


def test_the_camera_rule_puts_an_uncertain_point_outside():
    found = DECODE["real_time"](0.2 * encode(np.full((1, 1, 2), 0.4), 28, 2.0), 224)
    np.testing.assert_allclose(found.positions[0, 0], -0.5 / 224)


def test_upscaling_by_a_product_is_the_fixed_upscaling_and_the_filter():
    from scipy import ndimage

    maps = np.random.default_rng(1).standard_normal((1, 6, 6, 3)).astype(np.float32)
    large = np.asarray(jax.jit(lambda maps: double(double(double(maps))))(maps))
    filtered = ndimage.gaussian_filter(large[0], (1, 1, 0), mode="reflect", truncate=4)
    found = DECODE["smoothed"](maps, 48)
    for k in range(3):
        row, column = np.unravel_index(filtered[..., k].argmax(), (48, 48))
        np.testing.assert_allclose(found.positions[0, k], [(column + 0.5) / 48, (row + 0.5) / 48], atol=1e-6)
        np.testing.assert_allclose(found.confidence[0, k], filtered[..., k].max(), atol=1e-5)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["efficientpose_rt_mpii", "efficientpose_i-lite_mpii"])
@pytest.mark.parametrize("rule", ["smoothed", "real_time"])
def test_keypoints_are_those_of_the_reference(file, rule, shared):
    golden = shared / "golden" / "pose"
    expected = json.loads((golden / f"{file}_keypoints.json").read_text("utf-8"))
    with np.load(golden / f"{file}.npz") as arrays:
        side = arrays["upscaled"].shape[1]
        found = DECODE[rule](arrays["pass3_confs"], side)
    height, width = expected["image_height"], expected["image_width"]
    pixels = to_image_coords(np.asarray(found.positions[0]), height, width, side)
    for joint, point, peak in zip(MPII_16.joints, pixels, np.asarray(found.confidence[0])):
        reference = expected[rule][joint]
        np.testing.assert_allclose(point, [reference["x"] * width, reference["y"] * height], atol=1e-3, err_msg=joint)
        np.testing.assert_allclose(peak, reference["peak"], atol=1e-5, err_msg=joint)


@pytest.mark.parametrize(
    ("reach", "upscale"),
    [(2, True), (4, False), *(pytest.param(*c, marks=pytest.mark.slow) for c in ((2, False), (4, True)))],
)
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
