"""Features: golden planes, cases by hand, what they do not depend on, any skeleton."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.recording import features, windows
from infantjax.skeletons import IN_MOTION_19, Skeleton

ALL = tuple(features.CHANNELS)
build = jax.jit(features.build_features, static_argnames=("skeleton", "names"))
FIVE = Skeleton("five", ("tip", "neck", "chest", "belly", "foot"), ("neck", "chest", "chest", "chest", "belly"))


def random_positions(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def processed(shared):
    with np.load(shared / "golden/preprocess/processed.npz", allow_pickle=False) as data:
        return {k.split("/")[1]: v.transpose(1, 2, 0) for k, v in data.items() if k.startswith("butterworth/")}


def test_position_velocity_and_bone_of_the_released_windows_are_reproduced_exactly(shared, processed):
    with np.load(shared / "golden/preprocess/windows.npz", allow_pickle=False) as golden:
        for infant, positions in processed.items():
            cut = windows.cut(positions, golden[f"{infant}/starts"][golden[f"{infant}/kept"]])
            found = np.moveaxis(build(cut, IN_MOTION_19), -1, 1)
            np.testing.assert_array_equal(found, golden[f"{infant}/features6"])


@pytest.fixture(scope="module")
def bank(shared, processed):
    """Positions of a window and its twelve planes of the reference implementation."""
    with np.load(shared / "golden/preprocess/windows.npz", allow_pickle=False) as golden:
        name = next(k for k in golden if k.endswith("/features12_window0_f64"))
        return processed[name.split("/")[0]][:150], np.moveaxis(golden[name], 0, -1)


def test_the_first_ten_released_planes_are_reproduced_exactly_in_single_precision(bank):
    positions, expected = bank
    np.testing.assert_array_equal(build(positions, IN_MOTION_19, ALL)[..., :10], expected[..., :10])


def test_all_twelve_released_planes_are_reproduced_in_double_precision(bank):
    positions, expected = bank
    with jax.enable_x64(True):
        found = np.asarray(build(positions.astype(np.float64), IN_MOTION_19, ALL))
    assert found.dtype == np.float64
    # The golden planes hold differences that were rounded to single precision: half a unit at 0.5, and their angles.
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-8)


def test_linear_features_are_as_the_table_says_in_the_order_of_their_names():
    positions = random_positions(0, 5, 5, 2)
    positions[:, 0] = np.arange(5)[:, None] ** 2
    found = np.asarray(build(positions, FIVE, ("bone", "velocity", "relative", "velocity2", "position")))
    bone, velocity, relative, velocity2, position = np.split(found, 5, axis=-1)
    np.testing.assert_array_equal(bone[:, 4], positions[:, 4] - positions[:, 3])
    np.testing.assert_array_equal(bone[:, 2], 0)
    np.testing.assert_array_equal(velocity[:, 0, 0], [1, 3, 5, 0, 0])
    np.testing.assert_array_equal(relative, positions - positions[:, 1:2])
    np.testing.assert_array_equal(velocity2[:, 0, 0], [4, 8, 12, 0, 0])
    np.testing.assert_array_equal(position, positions)


def test_bone_angle_of_an_upright_bone_is_a_right_angle_and_nearly_zero():
    positions = np.zeros((3, 5, 2), np.float32)
    positions[:, 4] = (0, 3)
    angle = build(positions, FIVE, ("bone_angle",))
    # Near zero the arc cosine magnifies the rounding of its argument, by 1 / 0.008 here.
    np.testing.assert_allclose(angle[0, 4], [np.pi / 2, np.arccos(3 / 3.0001)], rtol=0, atol=1e-5)
    np.testing.assert_allclose(angle[0, 2], np.pi / 2, rtol=1e-6)


@settings(max_examples=15, deadline=None)
@given(dx=st.integers(-64, 64), dy=st.integers(-64, 64), seed=st.integers(0, 2**32 - 1))
def test_a_shift_of_the_whole_infant_changes_only_the_position(dx, dy, seed):
    # Whole numbers, so that the shift is exact in float32.
    positions = np.random.default_rng(seed).integers(-100, 100, (4, 5, 2)).astype(np.float32)
    shifted, names = positions + np.array([dx, dy], np.float32), ALL[1:]
    np.testing.assert_array_equal(build(shifted, FIVE, names), build(positions, FIVE, names))


def test_a_missing_point_stays_missing_and_touches_only_what_needs_it():
    positions = random_positions(5, 8, 5, 2)
    positions[3, 4] = np.nan
    found = np.asarray(build(positions, FIVE, ("position", "velocity", "bone")))
    missing = np.isnan(found).any(axis=-1)
    assert [tuple(x) for x in np.argwhere(missing)] == [(2, 4), (3, 4)]


@pytest.mark.slow  # eager, each operation is a program of its own
def test_jit_equals_eager():
    positions = random_positions(6, 2, 7, 5, 2)
    compiled, eager = build(positions, FIVE, ALL), features.build_features(positions, FIVE, ALL)
    np.testing.assert_array_equal(compiled[..., :10], eager[..., :10])
    # Compiled arithmetic rounds the length of a bone otherwise; the cosine of its angle shows that unmagnified.
    np.testing.assert_allclose(np.cos(compiled[..., 10:]), np.cos(eager[..., 10:]), rtol=0, atol=1e-6)


def test_vmap_equals_a_loop():
    positions = random_positions(7, 3, 7, 5, 2)
    mapped = jax.jit(jax.vmap(lambda p: features.build_features(p, FIVE, ALL)))(positions)
    np.testing.assert_array_equal(mapped, np.stack([build(p, FIVE, ALL) for p in positions]))


def test_gradients_are_finite_where_a_bone_has_no_length_except_for_its_angle():
    gradient = jax.jit(jax.grad(lambda p: build(p, FIVE).sum()))(jnp.zeros((4, 5, 2)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("shape", "skeleton", "names", "message"),
    [
        ((4, 5, 2), FIVE, ("position", "acceleration"), "unknown features acceleration; known: position, relative"),
        ((4, 5, 2), FIVE, (), "at least one feature"),
        ((4, 6, 2), FIVE, ALL, r"must be \[..., time, 5, 2\] for skeleton five"),
        ((5, 2), FIVE, ALL, r"must be \[..., time, 5, 2\] for skeleton five"),
        ((4, 1, 2), Skeleton("one", ("a",), ("a",)), ("relative",), "no joint 1"),
    ],
)
def test_what_does_not_fit_is_refused(shape, skeleton, names, message):
    with pytest.raises(ValueError, match=message):
        build(np.zeros(shape, np.float32), skeleton, names)
