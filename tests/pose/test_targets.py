"""Targets against loops over pixels, and their published values."""

import jax
import numpy as np
import pytest

from infantjax.pose import targets
from infantjax.skeletons import IN_MOTION_19, MPII_16, segments

heatmaps = jax.jit(targets.heatmaps, static_argnums=1)
affinity_fields = jax.jit(targets.affinity_fields, static_argnums=(1, 2))
discs = jax.jit(targets.discs, static_argnums=(1, 2, 4))
limb_heatmaps = jax.jit(targets.limb_heatmaps, static_argnums=(1, 2, 3, 5))


def test_a_heatmap_is_one_at_the_pixel_below_and_falls_by_e_at_sigma():
    maps = np.asarray(heatmaps(np.array([[0.53, 0.27]]), 32, 3.0))[..., 0]
    row, column = int(0.27 * 32), int(0.53 * 32)
    assert maps[row, column] == 1
    np.testing.assert_allclose(maps[row, column + 3], np.exp(-1), rtol=1e-6)
    np.testing.assert_allclose(maps[row + 3, column + 4], np.exp(-25 / 9), rtol=1e-5)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_missing_keypoints_have_empty_maps(batch):
    positions = np.full((*batch, 4, 2), 0.5)
    positions[..., 1, 0] = np.nan
    maps = np.asarray(heatmaps(positions, 16, 2.0))
    assert maps.shape == (*batch, 16, 16, 4)
    assert not maps[..., 1].any()
    assert maps[..., 0].max() == 1


def field_by_loop(a, b, side, width):
    field = np.zeros((side, side, 2))
    length = np.hypot(*(b - a))
    direction = (b - a) / length
    for row in range(side):
        for column in range(side):
            v = np.array([column, row]) - a
            along, across = v @ direction, abs(v[0] * direction[1] - v[1] * direction[0])
            if -1e-9 <= along <= length + 1e-9 and across <= width + 1e-9:
                field[row, column] = direction
    return field


def test_affinity_fields_are_those_of_a_loop_over_pixels():
    rng = np.random.default_rng(0)
    positions = rng.uniform(0.1, 0.9, (2, 16, 2))
    limbs = segments(MPII_16)
    found = np.asarray(affinity_fields(positions, limbs, 28, 1.4))
    assert found.shape == (2, 28, 28, 28)
    for i in range(2):
        for number, (a, b) in enumerate(limbs):
            ends = np.floor(positions[i][[a, b]] * 28)
            expected = field_by_loop(*ends, 28, 1.4) if (ends[0] != ends[1]).any() else 0
            np.testing.assert_allclose(found[i, ..., 2 * number : 2 * number + 2], expected, atol=1e-5)


def test_a_reversed_limb_gives_the_negative_field_and_a_missing_end_none():
    positions = np.array([[0.2, 0.3], [0.7, 0.6], [np.nan, 0.1]])
    there, back, gone = (np.asarray(affinity_fields(positions, (limb,), 32, 1.0)) for limb in ((0, 1), (1, 0), (0, 2)))
    np.testing.assert_allclose(there, -back, atol=1e-6)
    length = np.hypot(there[..., 0], there[..., 1])
    assert set(np.round(np.unique(length), 5)) == {0, 1}
    assert not gone.any()


@pytest.mark.parametrize(
    ("side", "epoch", "sigma", "width"),
    [
        # As the framework prints them for maps of 46, rounded there.
        (46, 0, 5.03, 2.52),
        (46, 2, 4.31, 2.16),
        (46, 13, 3.59, 1.80),
        (46, 14, 2.875, 1.44),
        (46, 54, 1.797, 1.15),
        (28, 200, 1.094, 0.70),
    ],
)
def test_widths_shrink_in_the_released_steps(side, epoch, sigma, width):
    assert targets.at_epoch(targets.SIGMA_EFFICIENTPOSE, epoch, side) == pytest.approx(sigma, abs=6e-3)
    assert targets.at_epoch(targets.WIDTH_EFFICIENTPOSE, epoch, side) == pytest.approx(width, abs=6e-3)


def test_the_hourglass_never_goes_below_seven_eighths_of_a_pixel_of_32():
    assert targets.at_epoch(targets.SIGMA_HOURGLASS, 0, 152) == 3.5 * 152 / 32
    assert targets.at_epoch(targets.SIGMA_HOURGLASS, 99, 32) == 0.875
    assert targets.at_epoch(targets.SIGMA_HOURGLASS_FINE_TUNING, 40, 32) == 0.875


def test_published_segments_are_as_many_as_the_channels():
    assert (len(segments(MPII_16)), len(segments(IN_MOTION_19))) == (14, 18)


def test_discs_and_limbs_have_their_size_and_their_values():
    positions = np.array([[30.0, 40.0], [70.0, 40.0]])
    disc = np.asarray(discs(positions, 96, 128, 6, None))
    assert disc[..., 0].sum() == sum(x * x + y * y <= 36 for x in range(-6, 7) for y in range(-6, 7))
    flat = np.asarray(discs(positions, 96, 128, 6, targets.FallOff()))[..., 0]
    np.testing.assert_allclose(flat[40, [30, 33, 36]], np.exp(-np.array([0, 9, 36]) / 648), rtol=1e-5)
    assert flat[40, 37] == 0
    limb = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, None))[..., 0]
    assert limb[37:44, 30:71].all()
    assert limb.sum() == 7 * 41  # thickness 6: three pixels on either side of the line
    soft = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, targets.FallOff()))[..., 0]
    np.testing.assert_allclose(soft[43, 50], np.exp(-9 / 648), rtol=1e-5)


def test_other_readings_of_the_fall_off():
    positions = np.array([[30.0, 40.0], [70.0, 40.0]])
    sharp = targets.FallOff(deviation=1 / 3)
    disc = np.asarray(discs(positions, 96, 128, 6, sharp))[..., 0]
    np.testing.assert_allclose(disc[40, [30, 32, 36]], np.exp(-np.array([0, 4, 36]) / 8), rtol=1e-5)
    wide = np.asarray(discs(positions, 96, 128, 6, targets.FallOff(truncated=False)))[..., 0]
    np.testing.assert_allclose(wide[40, 60], np.exp(-900 / 648), rtol=1e-5)
    along = targets.FallOff(direction="along")
    limb = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, along))[..., 0]
    np.testing.assert_allclose(limb[[40, 43], [50, 32]], np.exp(-np.array([0, 324]) / 648), rtol=1e-5)
    assert limb[44, 50] == 0
    sides = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, targets.FallOff(truncated=False)))[..., 0]
    np.testing.assert_allclose(sides[50, 50], np.exp(-100 / 648), rtol=1e-5)
    assert sides[40, 71] == 0


def test_a_missing_keypoint_has_an_empty_map_also_without_an_edge():
    missing = np.array([[np.nan, np.nan], [70.0, 40.0]])
    wide = targets.FallOff(truncated=False)
    assert not np.asarray(discs(missing, 96, 128, 6, wide))[..., 0].any()
    assert not np.asarray(limb_heatmaps(missing, ((0, 1),), 96, 128, 6, wide)).any()


@pytest.mark.parametrize("wrong", [{"deviation": 0}, {"direction": "around"}])
def test_a_fall_off_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=r"deviation|direction"):
        targets.FallOff(**wrong)
