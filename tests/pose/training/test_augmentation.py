"""Views of images and of their points."""

from dataclasses import asdict

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.pose.training import augmentation
from infantjax.pose.training.augmentation import UNCHANGED, ImageAugmentation, View

SIDE = 64
MIRROR = np.array([0, 2, 1])
view_image = jax.jit(augmentation.view_image)
view_points = jax.jit(augmentation.view_points, static_argnums=3)
shift_colors = jax.jit(augmentation.shift_colors)
views = st.builds(
    lambda angle, rows, columns, mirrored, *offset: UNCHANGED._replace(
        angle=np.float32(angle),
        zoom=np.float32([rows, columns]),
        mirrored=np.bool_(mirrored),
        offset=np.float32(offset),
    ),
    st.floats(-0.78, 0.78),
    st.floats(0.75, 1.25),
    st.floats(0.75, 1.25),
    st.booleans(),
    st.floats(-0.05, 0.05),
    st.floats(-0.05, 0.05),
)


def noise():
    return np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)


def dot(point):
    """A smooth dot on gray 0."""
    middle = np.arange(SIDE) + 0.5
    x, y = np.asarray(point) * SIDE
    value = np.exp(-((middle[:, None] - y) ** 2 + (middle - x) ** 2) / 8)
    return np.repeat(value[..., None], 3, -1).astype(np.float32)


def test_the_mirror_image_reverses_columns_and_exchanges_left_and_right():
    image, points = noise(), np.float32([[0.1, 0.2], [0.5, 0.9], [0.75, 0.25]])
    mirrored = UNCHANGED._replace(mirrored=np.bool_(True))
    np.testing.assert_array_equal(view_image(image, mirrored), image[:, ::-1])
    found = view_points(points, mirrored, MIRROR, SIDE)
    np.testing.assert_allclose(found, [[0.9, 0.2], [0.25, 0.25], [0.5, 0.9]], atol=1e-6)
    np.testing.assert_allclose(view_points(found, mirrored, MIRROR, SIDE), points, atol=1e-6)


@given(views, st.floats(0.35, 0.65), st.floats(0.35, 0.65))  # every view shows the whole dot
def test_a_dot_and_its_point_stay_together(view, x, y):
    points = np.full((3, 2), np.nan, np.float32)
    points[0] = x, y
    shown = np.asarray(view_image(dot((x, y)), view))[..., 0].astype(np.float64)
    middle = np.arange(SIDE) + 0.5
    center = np.array([(shown.sum(0) * middle).sum(), (shown.sum(1) * middle).sum()]) / shown.sum()
    found = np.asarray(view_points(points, view, MIRROR, SIDE))
    np.testing.assert_allclose(found[0] * SIDE, center, atol=0.1)
    assert np.isnan(found[1:]).all()


def test_a_point_that_leaves_the_image_is_missing():
    points = np.float32([[0.05, 0.5], [0.5, 0.5], [0.99, 0.99]])
    closer = UNCHANGED._replace(zoom=np.float32([0.75, 0.75]))
    assert np.isnan(np.asarray(view_points(points, closer, MIRROR, SIDE))).all(1).tolist() == [True, False, True]


def test_outside_of_the_image_is_mean_gray():
    shown = np.asarray(view_image(np.ones((SIDE, SIDE, 3), np.float32), UNCHANGED._replace(zoom=np.float32([2, 2]))))
    assert (shown[0] == 0).all()
    assert (shown[SIDE // 2, SIDE // 2] == 1).all()


@pytest.fixture(scope="module")
def many():
    """Four thousand views of the published ranges, and of ranges that are not published."""
    ranges = ImageAugmentation(color=0.25, translation=0.1, contrast=0.3, blur=2, occlusion=0.4)
    draw = jax.jit(jax.vmap(lambda key: augmentation.sample_view(key, ranges)))
    return jax.device_get(draw(jax.random.split(jax.random.key(0), 4000)))


def test_colors_shift_one_channel_and_stay_in_range(many):
    assert ((many.shift != 0).sum(1) == 1).all()
    assert 0.24 < np.abs(many.shift).max() <= 0.25
    shown = shift_colors(noise(), View(*(values[0] for values in many)))
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_a_blur_keeps_the_light_and_spreads_it_by_its_deviation():
    image, blur = dot((0.5, 0.5)), jax.jit(lambda image, view: augmentation.blur_image(image, view, 1.5))
    blurred = np.asarray(blur(image, UNCHANGED._replace(blur=np.float32(1.2))))
    np.testing.assert_allclose(blurred.sum(), image.sum(), rtol=1e-4)
    rows = np.arange(SIDE) - SIDE / 2 + 0.5
    spread = [(each[..., 0].sum(1) * rows**2).sum() / each[..., 0].sum() for each in (image, blurred)]
    assert spread[1] - spread[0] == pytest.approx(1.2**2, rel=0.02)
    np.testing.assert_allclose(blur(image, UNCHANGED), image, atol=1e-6)


def test_a_rectangle_is_gray_and_contrast_scales_about_the_mean():
    box = np.float32([[0.25, 0.5], [0, 0.125]])
    covered = np.asarray(augmentation.cover_image(np.ones((SIDE, SIDE, 3), np.float32), UNCHANGED._replace(box=box)))
    assert (covered == 0).sum() == 3 * SIDE // 4 * SIDE // 8
    assert (covered[SIDE // 4 : SIDE // 2, : SIDE // 8] == 0).all()
    image = 0.4 + 0.2 * noise()
    strong = np.asarray(shift_colors(image, UNCHANGED._replace(contrast=np.float32(1.5))))
    np.testing.assert_allclose([strong.mean(), strong.std()], [image.mean(), 1.5 * image.std()], rtol=1e-4)


def test_draws_fill_their_ranges_and_what_is_not_published_is_off(many):
    for values, low, high in (
        (np.degrees(many.angle), -45, 45),
        (many.zoom[:, 0], 0.75, 1.25),
        (many.zoom[:, 1], 0.75, 1.25),
        (many.offset[:, 0], -0.1, 0.1),
        (many.contrast, 0.7, 1.3),
        (many.blur, 0, 2),
        (np.diff(many.box)[:, 1], 0, 0.4),
    ):
        width = (high - low) / 100
        assert low <= values.min() < low + width
        assert high - width < values.max() <= high
    assert abs(np.corrcoef(many.zoom.T)[0, 1]) < 0.05
    assert abs(many.mirrored.mean() - 0.5) < 0.03
    published = {"rotation_degrees", "scale", "flip"}
    assert not any(value for name, value in asdict(ImageAugmentation()).items() if name not in published)


@pytest.mark.parametrize(
    ("name", "value"), [("rotation_degrees", -1), ("scale", 1), ("flip", 1.5), ("color", np.nan), ("blur", 6)]
)
def test_a_range_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        ImageAugmentation(**{name: value})
