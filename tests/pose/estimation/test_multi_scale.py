"""Maps of larger and smaller images come back to their place."""

import jax.numpy as jnp
import numpy as np
import pytest

from infantjax.pose.estimation.multi_scale import at_scale, mean_maps


def means(images):
    """A network whose maps are the mean gray level of each 8 x 8 pixels."""
    batch, side, _, channels = images.shape
    return images.reshape(batch, side // 8, 8, side // 8, 8, channels).mean((2, 4))


def dots(*places, side=224):
    """Discs of seven pixels."""
    rows, columns = np.indices((side, side)) + 0.5
    near = [np.hypot(rows - y, columns - x) < 7 for x, y in places]
    return jnp.asarray(np.where(np.logical_or.reduce(near), 255, 0)[None, :, :, None].repeat(3, -1), jnp.uint8)


def center(maps):
    rows, columns = np.indices(maps.shape[1:3]) + 0.5
    weight = np.asarray(maps[0, :, :, 0], np.float64)
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum() * 8


@pytest.mark.parametrize(
    "scale", [0.5, 1.25, *(pytest.param(scale, marks=pytest.mark.slow) for scale in (0.75, 0.9, 1.0, 1.5))]
)
def test_a_dot_is_found_where_it_is(scale):
    found = at_scale(means, dots((90, 120)), scale)
    assert found.shape == (1, 28, 28, 3)
    np.testing.assert_allclose(center(found), (90, 120), atol=1)


def test_the_border_is_that_of_the_framework():
    """At 0.75 and maps of 28: int((28 - 21) / 2) = 3 pixels, 24 of the image, on each side."""
    seen = []

    def look(images):
        seen.append(images)
        return means(images)

    at_scale(look, dots((2, 2)), 0.75)
    small = np.asarray(seen[-1])[0, :, :, 0]
    at_scale(look, dots((112, 112)), 1.25)
    large = np.asarray(seen[-1])[0, :, :, 0]
    assert small.shape == (224, 224)
    # 24 of 272 pixels are black on each side.
    assert small[:18].max() < 1
    assert small[20:30, 20:30].max() > 100
    # 24 of 224 pixels are cut on each side: what is left is 224 / 176 as large.
    assert np.sqrt((large > 128).sum() / (np.asarray(dots((112, 112)))[0, ..., 0] > 128).sum()) == pytest.approx(
        224 / 176, rel=0.03
    )


def test_the_mean_is_that_of_the_scales():
    image, scales = dots((90, 120)), (0.75, 1.0, 1.25)
    expected = np.mean([at_scale(means, image, scale) for scale in scales], 0)
    np.testing.assert_allclose(mean_maps(means, image, scales), expected, atol=1e-4)
