"""Resizing, padding and normalization of the reference implementation, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from infantjax.pose.crop import AffineCrop, crop_annotated, crop_image, expand_box, refine_crop, to_image_coords
from infantjax.pose.images import normalize, resize
from infantjax.video import open_frames


def first_frame(path):
    return next(iter(open_frames(path)))


def test_resizing_is_a_low_pass_and_linear_interpolation():
    from scipy import ndimage

    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    values = image / 255
    factor = 60 / 24
    blurred = ndimage.gaussian_filter(values, ((factor - 1) / 2, (factor - 1) / 2, 0), mode="mirror", truncate=4)
    expected = ndimage.zoom(blurred, (24 / 60, 36 / 90, 1), order=1, mode="mirror", grid_mode=True)
    found = resize(image, 24, 36)
    assert np.abs(found - (255 * np.clip(expected, values.min(), values.max())).astype(np.uint8).astype(int)).max() <= 1


@given(st.integers(32, 3000), st.integers(32, 3000), st.sampled_from([128, 224, 368]))
def test_an_image_fits_its_square_in_the_middle(height, width, side):
    where = AffineCrop.fit(height, width, side)
    assert max(where.height, where.width) == side
    assert 0 <= where.side - where.height - 2 * where.top <= 1
    assert 0 <= where.side - where.width - 2 * where.left <= 1


@pytest.mark.parametrize("resizing", ["reference", "fast"])
def test_a_wide_frame_gets_black_bars(resizing, clip):
    square = crop_image(first_frame(clip), 64, resizing)
    assert square.shape == (64, 64, 3)
    assert not square[:8].any()
    assert not square[-8:].any()
    assert square[8:-8].any((1, 2)).all()


@given(
    st.integers(32, 2000),
    st.integers(32, 2000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_point_of_the_image_comes_back_from_the_square(height, width, x, y):
    side, longer = 224, max(height, width)
    square = np.array([(longer - width) / 2 + x * width, (longer - height) / 2 + y * height]) / longer
    np.testing.assert_allclose(
        to_image_coords(square, height, width, side), [x * width, y * height], atol=1e-6 * longer
    )


def test_a_point_in_the_bars_goes_to_the_border():
    above, below = to_image_coords(np.array([[0.5, 0.1], [0.5, 0.9]]), 100, 200, 224)
    np.testing.assert_allclose(above, [100, -0.5 / 224 * 100])
    np.testing.assert_allclose(below, [100, 100])


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["efficientpose_rt_mpii", "efficientpose_i-lite_mpii"])
def test_the_photograph_becomes_the_input_of_the_reference(name, shared):
    with np.load(shared / "golden" / "pose" / f"{name}.npz") as expected:
        side = expected["image_uint8"].shape[-2]
        reference = expected["image_uint8"].reshape(side, side, 3)
        found = crop_image(first_frame(shared / "data" / "pose" / "MPII.jpg"), side, "reference")
        difference = np.abs(found.astype(int) - reference.astype(int))
        assert difference.max() <= 1
        kind = "lite" if "lite" in name else "imagenet"
        np.testing.assert_allclose(normalize(reference, kind), expected["input"].reshape(side, side, 3), atol=1e-5)


@pytest.mark.parametrize("side", [224, 256])
@pytest.mark.parametrize("name", ["000_00000375", "000_00000525", "000_00000925"])
def test_images_of_an_infant_become_those_of_the_reference(name, side, shared):
    with np.load(shared / "golden" / "pose" / "infant_images_uint8.npz") as expected:
        found = crop_image(first_frame(shared / "data" / "infant_images" / f"{name}.jpg"), side, "reference")
        assert np.abs(found.astype(int) - expected[f"{name}_{side}"].astype(int)).max() <= 1


# --- the part that is trained on -------------------------------------------------------------------------------------


def test_the_box_of_the_keypoints_grows_to_a_square_and_is_cut_at_the_border():
    points = np.array([[40.0, 30.0], [60.0, 70.0], [np.nan, 5.0]])
    # 20 x 40 pixels become 26 x 52 and then 52 x 52 around (50, 50).
    assert expand_box(points, 100, 100) == (24, 24, 52, 52)
    assert expand_box(points, 72, 60) == (24, 24, 48, 36)
    assert expand_box(points, 100, 100, margin=0) == (30, 30, 40, 40)
    assert expand_box(points[2:], 100, 100) is None
    assert expand_box(points, 100, 40) == (24, 24, 52, 16)
    assert expand_box(points, 100, 20) is None


@given(
    sides=st.tuples(st.integers(40, 300), st.integers(40, 300)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 1), st.floats(0.05, 1)),
    side=st.sampled_from([64, 224, 368]),
)
def test_points_go_into_the_square_of_a_part_and_back_exactly(sides, corner, side):
    height, width = sides
    x, y, w, h = corner
    points = np.array([[x * width, y * height], [min(x + w, 1) * width, min(y + h, 1) * height]])
    box = expand_box(points, height, width)
    if box is None:
        return
    where = AffineCrop.fit(height, width, side, box)
    fractions = where.to_crop(points)
    assert ((fractions >= -1e-9) & (fractions <= 1 + 1e-9)).all()
    np.testing.assert_allclose(where.to_image(fractions), points, atol=1e-9 * max(sides))


def test_an_annotated_image_and_its_points_move_together(tmp_path):
    """A white dot lies where the point of it says, in the whole image and in the part."""
    image = np.zeros((120, 200, 3), np.uint8)
    image[80:84, 150:154] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    frame = first_frame(tmp_path / "a.png")
    points = np.array([[152.0, 82.0], [110.0, 40.0], [np.nan, np.nan]])
    for crop, resizing in ((True, "reference"), (True, "fast"), (False, "reference")):
        square, fractions = crop_annotated(frame, points, 128, crop, resizing)
        weight = square.sum(-1).astype(float)
        rows, columns = np.indices(weight.shape) + 0.5
        found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
        np.testing.assert_allclose(found, fractions[0] * 128, atol=0.3)
        assert np.isnan(fractions[2]).all()


def test_a_part_of_a_frame_is_a_frame(clip):
    frame = first_frame(clip)
    part = frame.cropped(20, 30, 64, 48)
    np.testing.assert_array_equal(part.pixels(), frame.pixels()[20:84, 30:78])
    with pytest.raises(ValueError, match="do not lie in"):
        frame.cropped(100, 0, 64, 48)


def test_a_second_look_is_at_a_square_around_the_points():
    points = np.array([[40.0, 50.0], [60.0, 60.0], [np.nan, np.nan]])
    # 20 x 10 pixels become 32 x 16 and then 32 x 32 around (50, 55).
    assert refine_crop(points, 100, 100) == (39, 34, 32, 32)
    # Near the border the square moves, and is no larger than the image.
    assert refine_crop(points, 65, 100) == (33, 34, 32, 32)
    assert refine_crop(points, 100, 62) == (41, 34, 28, 28)
    assert refine_crop(np.array([[0.0, 0.0], [90.0, 10.0]]), 20, 100) == (0, 0, 20, 100)
    assert refine_crop(points[1:], 100, 100) is None
    assert refine_crop(points + 200, 100, 100) is None
