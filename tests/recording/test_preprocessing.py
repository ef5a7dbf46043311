"""Standardization: the reference vectors, each step by hand, what it forgets, bad input."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.recording.preprocessing import PAPER, REFERENCE, Preprocessing, standardize
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19, Skeleton

UNFILTERED = dataclasses.replace(REFERENCE, smoothing="none")
VARIANTS = {
    "butterworth": (30, REFERENCE),
    "unfiltered": (30, UNFILTERED),
    "resample25to30_butterworth": (25, REFERENCE),
    "resample60to30_unfiltered": (60, UNFILTERED),
}
THREE = Skeleton("three", ("chest", "belly", "foot"), ("chest", "chest", "belly"), (), ("chest", "belly"))


def recording(frames=90, seed=0, skeleton=IN_MOTION_19, fps=30.0, **changes):
    """A body of pixels that drifts and wobbles, with a trunk about 100 pixels long."""
    rng = np.random.default_rng(seed)
    joints = len(skeleton.joints)
    keypoints = 300 + rng.uniform(-80, 80, (1, joints, 2)) + rng.normal(size=(frames, joints, 2)).cumsum(axis=0)
    upper, lower = skeleton.trunk_indices
    keypoints[:, upper] = keypoints[:, lower] + (10, -100) + rng.normal(size=(frames, 2))
    return Recording(keypoints, fps, skeleton, **changes)


def without_points(original, where):
    keypoints = np.array(original.keypoints)
    keypoints[where] = np.nan
    return dataclasses.replace(original, keypoints=keypoints)


def released_recording(shared, infant, fps):
    path = shared / f"golden/preprocess/orgcoords_{infant}.csv"
    with path.open() as stream:
        columns = stream.readline().strip().split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    index = [columns.index(f"{joint}_{axis}") for joint in IN_MOTION_19.joints for axis in "xy"]
    return Recording(table[:, index].reshape(len(table), 19, 2), fps, IN_MOTION_19, infant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_released_positions_are_reproduced(shared, variant):
    fps, preprocessing = VARIANTS[variant]
    with np.load(shared / "golden/preprocess/processed.npz", allow_pickle=False) as golden:
        names = [name for name in golden if name.startswith(f"{variant}/")]
        assert names
        for name in names:
            found = standardize(released_recording(shared, name.split("/")[1], fps), preprocessing)
            expected = golden[name].transpose(1, 2, 0)
            assert found.keypoints.shape == expected.shape
            assert found.fps == 30
            np.testing.assert_allclose(found.keypoints, expected, rtol=0, atol=3e-8)


def test_the_released_trunk_stands_upright_at_the_origin():
    found = standardize(recording(), REFERENCE).keypoints
    upper, lower = (found[:, j] for j in IN_MOTION_19.trunk_indices)
    np.testing.assert_allclose(upper + lower, 0, atol=1e-12)
    np.testing.assert_allclose(upper[:, 0], 0, atol=1e-12)
    assert (upper[:, 1] > 0).all()
    assert np.median(upper[:, 1]) == pytest.approx(1 / 8)


def test_the_published_pelvis_has_its_median_at_the_origin_and_the_trunk_half_a_unit():
    found = standardize(recording(), PAPER).keypoints
    upper, lower = (found[:, j] for j in IN_MOTION_19.trunk_indices)
    np.testing.assert_allclose(np.median(lower, axis=0), 0, atol=1e-12)
    assert np.median(np.linalg.norm(upper - lower, axis=-1)) == pytest.approx(1 / 2)


def test_the_published_order_is_median_filter_then_center_then_scale():
    original = recording(seed=3, skeleton=THREE)
    padded = np.pad(original.keypoints, [(2, 2), (0, 0), (0, 0)], mode="edge")
    expected = np.median([padded[i : i + 90] for i in range(5)], axis=0) * (1, -1)
    expected = expected - np.median(expected[:, 1], axis=0)
    expected = expected / (2 * np.median(np.linalg.norm(expected[:, 0] - expected[:, 1], axis=-1)))
    np.testing.assert_allclose(standardize(original, PAPER).keypoints, expected, atol=1e-12)


@given(
    angle=st.floats(-np.pi, np.pi),
    scale=st.floats(0.01, 100),
    dx=st.floats(-1000, 1000),
    dy=st.floats(-1000, 1000),
    seed=st.integers(0, 2**32 - 1),
)
def test_released_positions_forget_where_how_large_and_how_turned_the_infant_was_seen(angle, scale, dx, dy, seed):
    original = recording(60, seed)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = dataclasses.replace(original, keypoints=scale * original.keypoints @ turn + (dx, dy))
    expected = standardize(original, REFERENCE).keypoints
    np.testing.assert_allclose(standardize(moved, REFERENCE).keypoints, expected, atol=1e-9)


def test_standardizing_leaves_the_recording_alone_and_keeps_what_is_known_of_it():
    original = recording(name="infant", metadata={"age": 12})
    before = original.keypoints.copy()
    found = standardize(original, REFERENCE)
    np.testing.assert_array_equal(original.keypoints, before)
    assert (found.name, found.metadata, original.history) == ("infant", {"age": 12}, ())


def test_the_history_names_every_step_in_order():
    steps = standardize(without_points(recording(fps=25.0), (3, 4)), REFERENCE).history
    words = [
        "interpolated",
        "resampled from 25 to 30 Hz",
        "Butterworth",
        "y turned",
        "centered",
        "upright",
        "divided by 4",
    ]
    assert len(steps) == len(words)
    for step, word in zip(steps, words, strict=True):
        assert word in step


def test_the_confidence_is_resampled_with_the_keypoints():
    original = recording(50, fps=25.0, confidence=np.linspace(0, 1, 50)[:, None].repeat(19, axis=1))
    found = standardize(original, REFERENCE)
    assert found.confidence.shape == (60, 19)
    np.testing.assert_allclose(found.confidence[:59, 0], np.arange(59) * 25 / 30 / 49, atol=1e-12)


def test_a_gap_is_bridged_before_anything_else_and_noted_with_its_share():
    original = recording(100)
    found = standardize(without_points(original, np.s_[40:43, 7]), REFERENCE)
    assert not found.missing.any()
    assert found.notes == ("3.0 % of the frames had missing points (0.2 % of all points), now interpolated",)
    np.testing.assert_allclose(found.keypoints[:, 8], standardize(original, REFERENCE).keypoints[:, 8], atol=1e-12)


def test_a_long_gap_is_named_with_its_joint_and_length():
    found = standardize(without_points(recording(200), np.s_[40:100, 7]), REFERENCE)
    assert "the longest gap (right_wrist, 2.0 s) exceeds 1 s" in found.notes[0]
    allowed = standardize(without_points(recording(200), np.s_[40:70, 7]), REFERENCE)
    assert "longest" not in allowed.notes[0]


def test_a_joint_that_was_never_seen_stays_missing_and_is_noted():
    found = standardize(without_points(recording(), np.s_[:, 0]), REFERENCE)
    assert found.notes == ("never seen: head_top",)
    assert found.missing.any(axis=0).tolist() == [True] + 18 * [False]
    assert found.missing[:, 0].all()


def test_points_of_low_confidence_count_as_missing_when_asked_for():
    confidence = np.ones((90, 19))
    confidence[10:19, 7] = 0.2
    original = recording(confidence=confidence)
    assert standardize(original, REFERENCE).notes == ()
    found = standardize(original, dataclasses.replace(REFERENCE, min_confidence=0.5))
    expected = standardize(without_points(original, np.s_[10:19, 7]), REFERENCE)
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert found.notes == expected.notes


@pytest.mark.parametrize("preprocessing", [REFERENCE, UNFILTERED, PAPER])
def test_frames_whose_trunk_has_no_length_are_bridged_and_noted(preprocessing):
    original = recording(100)
    zeros = np.array(original.keypoints)
    zeros[20:25] = 0
    found = standardize(dataclasses.replace(original, keypoints=zeros), preprocessing)
    expected = standardize(without_points(original, np.s_[20:25]), preprocessing)
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert "in 5.0 % of the frames the trunk had length zero" in found.notes[0]


def test_a_trunk_that_vanishes_only_in_the_median_is_bridged():
    # In the middle frame each coordinate's median over five frames is 0 at both ends of the trunk, in none of the five
    # are both.
    upper = np.array([[0, 9], [9, 0], [0, 9], [9, 0], [0, 0]], float)
    lower = np.array([[0, 0], [0, 0], [0, 0], [0, 0], [0, 5]], float)
    ends = np.tile([[0.0, 9.0]], (3, 1)), np.zeros((3, 2))
    chest, belly = (np.concatenate([e, m, e]) for e, m in zip(ends, (upper, lower), strict=True))
    original = Recording(np.stack([chest, belly, chest + 5], axis=1), 30.0, THREE)
    found = standardize(original, dataclasses.replace(PAPER, rotation="frame"))
    assert not found.missing.any()
    assert any("vanished in smoothing" in step for step in found.history)


def test_three_coordinates_are_refused_with_the_remedy():
    original = Recording(np.zeros((90, 19, 3)), 30.0, IN_MOTION_19)
    with pytest.raises(ValueError, match=r"two coordinates, got three; project"):
        standardize(original, REFERENCE)


def test_a_skeleton_without_trunk_is_refused():
    bare = Skeleton("bare", ("a", "b"), ("a", "a"))
    with pytest.raises(ValueError, match="bare has no trunk; convert"):
        standardize(Recording(np.ones((90, 2, 2)), 30.0, bare), REFERENCE)


@pytest.mark.parametrize("joint", ["thorax", "pelvis"])
def test_an_end_of_the_trunk_that_is_never_seen_is_named(joint):
    original = without_points(recording(name="infant.csv"), np.s_[:, IN_MOTION_19.index(joint)])
    with pytest.raises(InputError, match=f'infant.csv: joint "{joint}" is never seen; both ends of the trunk'):
        standardize(original, REFERENCE)


@pytest.mark.parametrize("frames", [0, 90])
def test_a_recording_without_any_point_is_refused(frames):
    with pytest.raises(InputError, match="never seen"):
        standardize(Recording(np.full((frames, 19, 2), np.nan), 30.0, IN_MOTION_19), REFERENCE)


def test_ends_of_the_trunk_that_are_never_seen_together_are_refused():
    original = recording()
    keypoints = np.array(original.keypoints)
    keypoints[:, 8] = keypoints[:, 12]
    with pytest.raises(InputError, match='"thorax" and "pelvis" are never apart'):
        standardize(dataclasses.replace(original, keypoints=keypoints), REFERENCE)


@pytest.mark.parametrize("frames", [1, 27])
def test_a_recording_too_short_for_its_filter_is_refused(frames):
    with pytest.raises(InputError, match=f"{frames} frames are too few for a Butterworth filter"):
        standardize(recording(frames), REFERENCE)


@pytest.mark.parametrize("value", [1e12, -1e308])
def test_an_absurd_coordinate_is_refused_with_its_joint_and_time(value):
    original = recording(120)
    keypoints = np.array(original.keypoints)
    keypoints[60, 7, 1] = value
    with pytest.raises(InputError, match=r'joint "right_wrist" is implausibly far away at second [0-9.]+; check'):
        standardize(dataclasses.replace(original, keypoints=keypoints), REFERENCE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"smoothing": "median"}, "smoothing must be one of none, butterworth, median5, got 'median'"),
        ({"centering": "none"}, "centering must be one of trunk_frame, pelvis_sequence"),
        ({"rotation": "window"}, "rotation must be one of frame, window_first, none"),
        ({"fps": 0}, "fps must be above 0"),
        ({"fps": float("nan")}, "fps must be above 0 and at most 1000, got nan"),
        ({"scale": -4.0}, "scale must be above 0"),
        ({"scale": "4"}, "scale must be a number"),
        ({"max_gap": -1.0}, "max_gap must be at least 0"),
        ({"flip_y": 1}, "flip_y must be true or false"),
        ({"window": 1}, "window must be at least 2, got 1"),
        ({"window": 7.5}, "window must be a whole number at least 2, got 7.5"),
        ({"smoothing": ["none"]}, "smoothing must be one of"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**values)
