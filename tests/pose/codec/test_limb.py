"""Affinity fields, discs and limbs against loops over pixels, and their way back to joints."""

import jax
import numpy as np
import pytest

from infantjax.pose.codec import limb as limbs_of
from infantjax.pose.codec.heatmap import scheduled
from infantjax.pose.codec.limb import (
    AFFINITY_WIDTHS,
    DiscCodec,
    FallOff,
)
from infantjax.skeletons import MPII_16, segments

affinity_fields = jax.jit(limbs_of.affinity_fields, static_argnums=(1, 2))
discs = jax.jit(limbs_of.discs, static_argnums=(1, 2, 4))
limb_heatmaps = jax.jit(limbs_of.limb_heatmaps, static_argnums=(1, 2, 3, 5))


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


@pytest.mark.parametrize(("side", "epoch", "width"), [(46, 0, 2.52), (46, 13, 1.80), (46, 54, 1.15), (28, 200, 0.70)])
def test_fields_narrow_in_the_steps_of_the_reference(side, epoch, width):
    assert scheduled(AFFINITY_WIDTHS, epoch + 1)[-1] * side / 32 == pytest.approx(width, abs=6e-3)


def test_discs_and_limbs_have_their_size_and_their_values():
    positions = np.array([[30.0, 40.0], [70.0, 40.0]])
    disc = np.asarray(discs(positions, 96, 128, 6, None))
    assert disc[..., 0].sum() == sum(x * x + y * y <= 36 for x in range(-6, 7) for y in range(-6, 7))
    sharp = np.asarray(discs(positions, 96, 128, 6, FallOff(deviation=1 / 3)))[..., 0]
    np.testing.assert_allclose(sharp[40, [30, 32, 36]], np.exp(-np.array([0, 4, 36]) / 8), rtol=1e-5)
    flat = np.asarray(discs(positions, 96, 128, 6, FallOff()))[..., 0]
    np.testing.assert_allclose(flat[40, [30, 33, 36]], np.exp(-np.array([0, 9, 36]) / 648), rtol=1e-5)
    assert flat[40, 37] == 0
    limb = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, None))[..., 0]
    assert limb[37:44, 30:71].all()
    assert limb.sum() == 7 * 41  # thickness 6: three pixels on either side of the line
    soft = np.asarray(limb_heatmaps(positions, ((0, 1),), 96, 128, 6, FallOff()))[..., 0]
    np.testing.assert_allclose(soft[43, 50], np.exp(-9 / 648), rtol=1e-5)


def test_a_missing_keypoint_has_an_empty_map_also_without_an_edge():
    missing = np.array([[np.nan, np.nan], [70.0, 40.0]])
    wide = FallOff(100)
    assert not np.asarray(discs(missing, 96, 128, 6, wide))[..., 0].any()
    assert not np.asarray(limb_heatmaps(missing, ((0, 1),), 96, 128, 6, wide)).any()


def test_an_invalid_fall_off_is_refused():
    with pytest.raises(ValueError, match="deviation"):
        FallOff(0)


def test_discs_and_limbs_of_an_infant_are_decoded_to_its_joints():
    positions = np.array([[30.0, 40.0], [70.0, 44.0], [75.0, 80.0]])
    codec = DiscCodec(((0, 1), (1, 2)), fall_off=FallOff(1 / 3))
    maps = np.asarray(jax.jit(codec.encode, static_argnums=(1, 2))(positions, 96, 128))
    assert maps.shape == (96, 128, 5)
    np.testing.assert_allclose(codec.decode(maps), positions)
