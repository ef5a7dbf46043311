"""Augmentation: golden windows, the reference grids, inverses, order, keys."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.recording import augmentation, features, windows
from infantjax.recording.augmentation import AffineParams, Augmentation
from infantjax.skeletons import IN_MOTION_19

N = 4000
apply = jax.jit(augmentation.apply)
curves_of = jax.jit(augmentation.smooth_curves, static_argnames="count")


@pytest.fixture(scope="module")
def params() -> dict[bool, AffineParams]:
    """Four thousand transformations, by whether they lie on the grids."""
    return {d: sample_params(jax.random.key(0), Augmentation(discrete=d), (N,)) for d in (True, False)}


def sample_params(key, given: Augmentation, shape: tuple[int, ...] = ()) -> AffineParams:
    return augmentation.sample_from_bits(jax.random.bits(key, (*shape, 4)), given)


def params_of(angle=0.0, scale=1.0, dx=0.0, dy=0.0):
    return AffineParams(*(np.float32(v) for v in (angle, scale, dx, dy)))


def random_window(seed, *leading):
    return np.random.default_rng(seed).uniform(-1, 1, (*leading, 6, 19, 2)).astype(np.float32)


def test_the_reference_training_windows_are_reproduced_from_their_params(shared):
    folder = shared / "golden/preprocess"
    with np.load(folder / "train_windows.npz", allow_pickle=False) as golden:
        rows = [dict(zip(golden["columns"].tolist(), row, strict=True)) for row in golden["rows"]]
        ids, expected, length = golden["ids"], golden["features6"], int(golden["sequence_length"])
    with np.load(folder / "processed.npz", allow_pickle=False) as data:
        # Default of the reference implementation: shorter recordings are repeated end to end up to the longest.
        positions = np.stack([np.resize(data[f"butterworth/{i}"].transpose(1, 2, 0), (length, 19, 2)) for i in ids])
    starts = np.array([row["start"] for row in rows], np.int32)
    cut = jax.jit(jax.vmap(lambda p, s: windows.cut(p, s[None])[0]))(positions, starts)
    draws = AffineParams(*(np.array([row[c] for row in rows], np.float32) for c in ("angle_deg", "scale", "dx", "dy")))
    found = jax.jit(lambda c, d: features.build_features(augmentation.apply(c, d), IN_MOTION_19))(cut, draws)
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, rtol=0, atol=1e-6)


def test_rotation_comes_before_scaling_before_translation():
    found = apply(np.array([[[1.0, 0.0]]], np.float32), params_of(angle=90, scale=2, dx=0.25, dy=0.5))
    np.testing.assert_allclose(found, [[[0.25, -1.5]]], atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(angle=st.floats(-45, 45), scale=st.floats(0.7, 1.3), seed=st.integers(0, 2**32 - 1))
def test_distances_change_by_the_scale_alone(angle, scale, seed):
    window = random_window(seed)
    found = np.asarray(apply(window, params_of(angle, scale, 0.1, -0.2)))
    before = np.linalg.norm(window - window[:, :1], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(found - found[:, :1], axis=-1), scale * before, atol=2e-6)


def test_discrete_params_are_exactly_the_reference_grids(params):
    found = params[True]
    assert np.unique(found.angle).tolist() == list(range(-45, 46))
    np.testing.assert_array_equal(np.unique(found.scale), np.array([k / 100 for k in range(70, 131)], np.float32))
    for shift in (found.dx, found.dy):
        np.testing.assert_array_equal(np.unique(shift), np.array([k / 100 for k in range(-30, 31)], np.float32))


def test_the_four_params_are_independent(params):
    correlation = np.corrcoef(np.stack(params[True]))
    # Four standard deviations of the correlation of 4000 independent pairs.
    assert np.abs(correlation - np.eye(4)).max() < 4 / np.sqrt(N)


def test_continuous_params_fill_the_ranges_and_leave_the_grid(params):
    found = params[False]
    for values, middle, limit in ((found.angle, 0, 45), (found.scale, 1, 0.3), (found.dx, 0, 0.3)):
        assert np.abs(np.asarray(values) - middle).max() <= limit * (1 + 1e-6)
        assert np.abs(np.asarray(values) - middle).max() > 0.99 * limit
    assert len(np.unique(found.angle)) > 1000


@pytest.mark.parametrize("discrete", [True, False])
def test_ranges_of_zero_draw_nothing_but_the_neutral_element(discrete):
    found = sample_params(jax.random.key(3), Augmentation(0, 0, 0, discrete), ())
    assert [float(v) for v in found] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation_degrees": -1}, "rotation_degrees must be at least 0, got -1"),
        ({"scale": float("nan")}, "scale must be at least 0 and below 1, got nan"),
        ({"scale": 1.0}, "scale must be at least 0 and below 1"),
        (
            {"translation": 0.305},
            r"translation must be a multiple of 0.01 when discrete, got 0.305; or set discrete=False",
        ),
        ({"rotation_degrees": 0.5}, "rotation_degrees must be a multiple of 1"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**values)


# --- warps -----------------------------------------------------------------------------------------------------------


warp_magnitude, warp_time = jax.jit(augmentation.magnitude_warp), jax.jit(augmentation.time_warp)


@pytest.mark.parametrize("case", ["0", "1", "2"])
def test_curves_and_warps_are_those_of_the_reference(case, shared):
    with np.load(shared / "golden" / "baby_moves" / "augmentation.npz") as archive:
        z = {name.removeprefix(f"{case}."): value for name, value in archive.items() if name.startswith(f"{case}.")}
    knots = np.zeros(16)
    knots[: len(z["knots_y"])] = z["knots_y"]
    matrix = augmentation._spline_matrices(128, 3, 14)[len(z["knots_y"]) - 5]
    np.testing.assert_allclose(matrix @ knots, z["curve"], rtol=0, atol=1e-12)
    clip, curve = z["clip"].T.astype(np.float32), z["curve"].astype(np.float32)
    for name, warp in (("magnitude_warp", warp_magnitude), ("time_warp", warp_time)):
        # Times are sums of 128 steps in float32.
        np.testing.assert_allclose(warp(clip, curve).T, z[name], rtol=0, atol=2e-5)


def test_curves_are_smooth_and_have_the_mean_and_spread_of_their_knots():
    curves = np.asarray(curves_of(jax.random.key(0), 2000))
    assert curves.shape == (2000, 128)
    ends = curves[:, [0, -1]]
    assert float(ends.mean()) == pytest.approx(1, abs=0.06)
    assert float(ends.std()) == pytest.approx(1, abs=0.05)
    # Sixteen knots at most: eight frames apart.
    assert float(np.abs(np.diff(curves, axis=1)).max()) < 1.5


def test_a_magnitude_warp_scales_all_channels_alike_and_a_time_warp_interpolates_at_the_warped_times():
    curve = np.asarray(curves_of(jax.random.key(0), 2000))[:4].copy()
    curve[0] = [0, *[1] * 127]  # an even pace: steps of one, but the first of none
    curve[1] = np.linspace(2, 1, 128)  # the last two times are equal; `np.interp` takes the last
    x = np.random.default_rng(0).standard_normal((4, 128, 4)).astype(np.float32)
    factor = np.asarray(warp_magnitude(x, curve)) / x
    np.testing.assert_allclose(factor, factor[..., :1].repeat(4, -1), rtol=1e-4)
    assert np.abs(np.log(factor)).max() <= 1
    found = np.asarray(warp_time(x, curve))
    np.testing.assert_allclose(found[0], x[0], atol=1e-4)
    for clip, warped, c in zip(x, found, curve.astype(np.float64), strict=True):
        times = np.cumsum(c - c.min())
        expected = [np.interp(np.arange(128), times / times[-1] * 127, column) for column in clip.T]
        np.testing.assert_allclose(warped.T, expected, atol=1e-3)
