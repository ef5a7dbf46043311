"""MAM's preparation, inputs, clips and labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.methods.mam import preprocessing as mam
from infantjax.recording.recording import Recording
from infantjax.skeletons import HUMAN36M_17, IN_MOTION_19


@pytest.fixture(scope="module")
def positions():
    return np.random.default_rng(0).standard_normal((12, 17, 3))


distances = jax.jit(mam.inputs)


def recording(points, fps=25.0, skeleton=HUMAN36M_17):
    return Recording(keypoints=points, fps=fps, skeleton=skeleton, name="infant")


def test_distances_are_symmetric_with_a_zero_diagonal(positions):
    found = np.asarray(distances(positions))
    assert found.shape == (12, 17, 17)
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))
    assert (np.diagonal(found, axis1=1, axis2=2) == 0).all()
    np.testing.assert_allclose(found[3, 5, 9], np.linalg.norm(positions[3, 5] - positions[3, 9]), rtol=1e-6)


def test_distances_do_not_change_when_the_infant_is_turned_or_shifted_and_scale_with_it(positions):
    turn, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))
    before = np.asarray(distances(positions))
    np.testing.assert_allclose(distances(positions @ turn + [1, 2, 3]), before, atol=1e-5)
    np.testing.assert_allclose(distances(3 * positions), 3 * before, rtol=1e-5)


def test_distances_have_a_slope_where_joints_coincide():
    slope = jax.jit(jax.grad(lambda p: mam.inputs(p).sum()))(jnp.zeros((1, 17, 3)))
    assert np.isfinite(slope).all()


def test_differences_are_per_second_and_begin_with_zeros():
    t = np.arange(6.0)[:, None, None] / 25 * np.ones((1, 17, 2))
    velocities = np.asarray(mam.inputs(3 * t, ["velocities"]))
    np.testing.assert_allclose(velocities[1:], 3, rtol=1e-5)
    accelerations = np.asarray(mam.inputs(2 * t**2, ["accelerations"]))
    np.testing.assert_allclose(accelerations[2:], 4, rtol=1e-3)
    assert (velocities[0] == 0).all()
    assert (accelerations[:2] == 0).all()


@pytest.mark.parametrize(("axes", "distance"), [(2, "euclidean"), (3, "per-axis")])
def test_inputs_are_stacked_in_the_order_of_their_names(positions, axes, distance):
    names = ["velocities", "distances", "coordinates"]
    found = jax.jit(mam.inputs, static_argnums=(1, 2))(positions[..., :axes], tuple(names), distance)
    assert found.shape[-1] == mam.channels(names, axes, 17, distance)
    np.testing.assert_allclose(found[..., -axes:], positions[..., :axes], rtol=1e-6)


def test_the_same_for_each_clip_of_a_batch(positions):
    names = ("coordinates", "accelerations", "distances")
    clips = jnp.asarray(positions.reshape(3, 4, 17, 3), jnp.float32)
    of_all = jax.jit(lambda x: mam.inputs(x, names))
    for one, clip in zip(of_all(clips), clips):
        np.testing.assert_allclose(one, of_all(clip), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 17, 3)), ()), "got none"),
        ((np.zeros((3, 17, 3)), ("speed",)), "got speed"),
        ((np.zeros((3, 17, 3)), ("distances",), "cosine"), "distance must be one of"),
        ((np.zeros((3, 17, 4)),), "2 or 3"),
    ],
)
def test_inputs_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mam.inputs(*arguments)


@pytest.mark.parametrize(
    ("frames", "starts"), [(100, [0]), (240, [0]), (241, [0, 1]), (390, [0, 150]), (540, [0, 150, 300])]
)
def test_a_video_is_covered_by_its_instances(frames, starts):
    assert mam.clip_starts(frames).tolist() == starts


@given(st.integers(1, 4000))
def test_without_its_remainder_a_video_has_the_published_number_of_instances(frames):
    starts = mam.clip_starts(frames, remainder=False)
    assert len(starts) == max((frames - 240) // 150 + 1, 1)
    assert mam.clip_starts(frames)[-1] == max(frames - 240, 0)


def test_clips_that_localize_start_every_twentieth_frame():
    assert mam.localization_starts(299).tolist() == [0, 20, 40]
    assert mam.localization_starts(300).tolist() == [0, 20, 40, 60]


def test_a_short_video_is_filled_up_with_its_last_frame(positions):
    clips, real = mam.cut(positions, np.array([0, 8]), 8)
    np.testing.assert_array_equal(clips[0], positions[:8])
    np.testing.assert_array_equal(clips[1], positions[[8, 9, 10, 11, 11, 11, 11, 11]])
    assert real.tolist() == [8, 4]


def test_a_clip_is_fidgety_when_more_than_half_of_it_is():
    fidgety = np.array([1, 1, 0, 0, 1, 1, 1, 0])
    assert mam.clip_labels(fidgety, np.array([0, 3, 4, 6]), 4).tolist() == [0, 1, 1, 0]


def test_the_running_mean_shrinks_towards_both_ends():
    found = mam.running_mean(np.array([1.0, 3, 5, 20, 1, 2]))
    np.testing.assert_allclose(found, [1, 3, 6, 31 / 5, 23 / 3, 2])
    np.testing.assert_allclose(mam.running_mean(np.arange(9.0)), np.arange(9.0))
    with pytest.raises(ValueError, match="odd"):
        mam.running_mean(np.arange(9.0), 4)


def test_a_recording_is_prepared_from_its_pelvis_in_trunk_lengths(positions):
    found = mam.prepare(recording(positions, fps=12.5))
    assert found.shape == (24, 17, 3)
    assert (found[:, 0] == 0).all()
    assert np.median(np.linalg.norm(found[:, 8], axis=-1)) == pytest.approx(1)
    np.testing.assert_allclose(mam.prepare(recording(7 * positions + 2, fps=12.5)), found, atol=1e-9)


def test_the_keypoints_of_the_graph_networks_are_converted():
    points = np.random.default_rng(0).standard_normal((9, 19, 2))
    found = mam.prepare(recording(points, skeleton=IN_MOTION_19), smooth=1)
    pelvis, thorax = (points[:, IN_MOTION_19.index(name)] for name in ("pelvis", "thorax"))
    np.testing.assert_allclose(found[:, 7], found[:, 8] / 2, atol=1e-12)
    unit = np.median(np.linalg.norm(thorax - pelvis, axis=-1))
    wrist = points[:, IN_MOTION_19.index("left_wrist")]
    np.testing.assert_allclose(found[:, 13], (wrist - pelvis) / unit)


def test_a_joint_that_was_never_seen_is_named(positions):
    points = positions.copy()
    points[:, 13] = np.nan
    with pytest.raises(InputError, match="infant: has no left wrist in any frame"):
        mam.prepare(recording(points))
    with pytest.raises(InputError, match="trunk without length"):
        mam.prepare(recording(np.ones((5, 17, 2))))
