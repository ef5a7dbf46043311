"""Baby Moves, preparation and features: each stage against its reference and against cases by hand."""

from dataclasses import replace

import numpy as np
import pytest

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.methods.baby_moves import cleaning
from infantjax.methods.baby_moves import preprocessing as baby_moves
from infantjax.methods.baby_moves.preprocessing import PAPER, REFERENCE, Image, Preprocessing
from infantjax.recording.recording import Recording
from infantjax.skeletons import BABY_MOVES_18

NAN = np.nan
IMAGE = Image(480, 360)


def body(frames=200, seed=0):
    """An infant along x, the head at small x, who moves a little; pixels, 100 from crown to mid-hip."""
    places = {"crown": (0, 0), "eye": (15, 8), "chin": (30, 0), "shoulder": (40, 20), "elbow": (60, 40)}
    places |= {"hand": (80, 45), "hip": (100, 15), "knee": (130, 30), "heel": (160, 25), "toe": (165, 30)}
    points = []
    for joint in BABY_MOVES_18.joints:
        side, _, name = joint.rpartition("_")
        x, y = places[name]
        points.append((150 + x, 180 + (-y if side == "left" else y)))
    steps = np.random.default_rng(seed).normal(size=(frames, 18, 2))
    window = np.ones(15) / 15
    wobble = np.apply_along_axis(lambda v: np.convolve(v, window, "same"), 0, 8 * steps)
    return np.array(points, np.float64) + wobble


def recording(keypoints, confidence=None, **fields):
    return Recording(keypoints, 30.0, BABY_MOVES_18, confidence=confidence, **fields)


# --- reference vectors -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "baby_moves" / "preprocessing.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def stages(golden):
    """Every stage of ours, each from the one before."""
    fps, image = float(golden["frame_rate"]), Image(golden["image_long_side"], golden["image_short_side"])
    found = {"stage1_quality": baby_moves.quality(golden["raw"][..., :2], golden["raw"][..., 2])[0]}
    found["stage2_aligned"] = baby_moves.align(found["stage1_quality"], fps, image)
    found["stage3_outliers"] = baby_moves.remove_outliers(found["stage2_aligned"], image)
    found["stage4_filled"] = baby_moves.fill(found["stage3_outliers"], fps)
    found["stage5_size"] = baby_moves.scale(found["stage4_filled"])
    found["stage6_time"] = cleaning.stretch(found["stage5_size"], baby_moves.FRAMES).reshape(baby_moves.FRAMES, 36)
    return found


@pytest.mark.parametrize(
    ("stage", "pixels"),
    [
        ("stage1_quality", 0),
        ("stage2_aligned", 1e-9),
        ("stage3_outliers", 1e-9),
        ("stage4_filled", 1e-6),
        ("stage5_size", 1e-8),
        ("stage6_time", 1e-6),
    ],
)
def test_every_stage_is_that_of_the_reference(stage, pixels, stages, golden):
    np.testing.assert_allclose(stages[stage], golden[stage], rtol=0, atol=pixels)


@pytest.mark.parametrize(("smooth", "key"), [(0, "features"), (5, "features_smoothed")])
def test_the_features_are_those_of_the_reference(smooth, key, stages, golden):
    found = baby_moves.features(stages["stage6_time"].reshape(-1, 18, 2), smooth)
    np.testing.assert_allclose(found, golden[key], rtol=0, atol=1e-6)


def test_shares_of_seen_points_are_those_of_the_reference(golden):
    _, shares = baby_moves.quality(golden["raw"][..., :2], golden["raw"][..., 2])
    np.testing.assert_allclose(100 * shares, golden["percent_labelled"], rtol=1e-12)
    rejected = golden["rejected_raw"]
    _, shares = baby_moves.quality(rejected[..., :2], rejected[..., 2])
    assert 100 * shares.mean() == pytest.approx(float(golden["rejected_mean_percent"]), rel=1e-12)
    assert not baby_moves.enough(shares.mean())


def test_the_released_slip_in_the_rotation_does_not_show_in_the_reference(stages, golden):
    fps, image = float(golden["frame_rate"]), Image(golden["image_long_side"], golden["image_short_side"])
    slipped = baby_moves.align(stages["stage1_quality"], fps, image, Preprocessing(rotation="transposed"))
    np.testing.assert_allclose(slipped, stages["stage2_aligned"], rtol=0, atol=1e-9)


# --- quality ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "kept"), [(REFERENCE, False), (PAPER, True)])
def test_released_drops_a_confidence_at_the_threshold_and_the_paper_keeps_it(settings, kept):
    confidence = np.full((4, 18), 0.9)
    confidence[2, 5] = 0.2
    keypoints, shares = baby_moves.quality(body()[:4], confidence, settings)
    assert np.isnan(keypoints[2, 5]).all() != kept
    assert shares[5] == (1.0 if kept else 0.75)
    assert baby_moves.enough(0.7, settings) != kept  # seventy percent


# --- alignment -------------------------------------------------------------------------------------------------------


def moved(keypoints, angles, shifts):
    c, s = np.cos(angles), np.sin(angles)
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], -2)
    return np.einsum("tij,tpj->tpi", turn, keypoints) + shifts[:, None]


def test_alignment_takes_out_any_turn_and_shift_of_the_camera():
    """A still infant before a moving camera is still afterwards, head towards small x."""
    rng = np.random.default_rng(0)
    still = np.repeat(body()[:1], 60, axis=0)
    seen = moved(still, rng.normal(0, 0.3, 60), rng.normal(0, 30, (60, 2)))
    aligned = baby_moves.align(seen, 30.0, IMAGE)
    np.testing.assert_allclose(aligned, aligned[:1].repeat(60, axis=0), atol=1e-9)
    shoulders, hips = aligned[0, [4, 11]].mean(axis=0), aligned[0, [7, 14]].mean(axis=0)
    np.testing.assert_allclose((shoulders - hips) / np.linalg.norm(shoulders - hips), (-1, 0), atol=1e-12)


def test_a_frame_without_a_shoulder_is_aligned_by_its_neighbors():
    keypoints = body()
    whole = baby_moves.align(keypoints, 30.0, IMAGE)
    gap = keypoints.copy()
    gap[100, 4] = NAN
    aligned = baby_moves.align(gap, 30.0, IMAGE)
    assert np.isnan(aligned[100, 4]).all()
    assert np.nanmax(np.abs(aligned[100] - whole[100])) < 5
    np.testing.assert_allclose(np.delete(aligned, 100, 0), np.delete(whole, 100, 0), atol=1e-9)


def test_the_paper_turns_each_frame_upright():
    upright = baby_moves.turn_upright(moved(body(), np.linspace(0, 6, 200), np.zeros((200, 2))))
    line = upright[:, [4, 11]].mean(axis=1) - upright[:, [7, 14]].mean(axis=1)
    np.testing.assert_allclose(line[:, 1], 0, atol=1e-9)
    assert (line[:, 0] < 0).all()


# --- outliers, gaps, size --------------------------------------------------------------------------------------------


def test_a_point_far_from_the_body_is_removed_and_so_is_one_far_from_its_median():
    keypoints = np.repeat(body()[:1], 50, axis=0)
    keypoints[3, 6] += (0, 180)
    keypoints[4, 6] += (0, 100)
    removed = np.isnan(baby_moves.remove_outliers(keypoints, IMAGE)).any(-1)
    assert set(zip(*np.nonzero(removed))) == {(3, 6)}
    tight = replace(REFERENCE, point=(0.2, 0.2))
    removed = np.isnan(baby_moves.remove_outliers(keypoints, IMAGE, tight)).any(-1)
    assert set(zip(*np.nonzero(removed))) == {(3, 6), (4, 6)}


def test_filling_keeps_what_is_present_and_leaves_no_gap():
    keypoints = body(120)
    gaps = keypoints.copy()
    gaps[50:80, 6], gaps[:10, 2], gaps[10:13, 9] = NAN, NAN, NAN
    for settings in (REFERENCE, PAPER):
        filled = baby_moves.fill(gaps, 30.0, settings)
        assert not np.isnan(filled).any()
        np.testing.assert_array_equal(filled[~np.isnan(gaps)], keypoints[~np.isnan(gaps)])
    np.testing.assert_allclose(filled[10:13, 9], np.linspace(gaps[9, 9], gaps[13, 9], 5)[1:4])


# --- features --------------------------------------------------------------------------------------------------------


def test_angles_of_a_right_a_straight_and_a_folded_joint():
    keypoints = np.zeros((3, 18, 2))
    index = {name: BABY_MOVES_18.index(name) for name in ("left_hip", "left_knee", "left_heel")}
    keypoints[:, index["left_hip"]] = (1, 0)
    keypoints[:, index["left_heel"]] = [(0, -2), (-3, 0), (2, 0)]
    knee = baby_moves.joint_angles(keypoints)[:, list(baby_moves.ANGLES).index("left_knee")]
    np.testing.assert_allclose(knee, [np.pi / 2, np.pi, 0], atol=1e-12)


def test_features_are_standardized_whatever_the_scale():
    keypoints = body(400)
    found = baby_moves.features(keypoints)
    assert found.shape == (400, baby_moves.FEATURES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(baby_moves.features(keypoints / 100), found, atol=1e-5)
    assert np.abs(found).max() <= 4
    inside = np.abs(found).max(axis=0) < 4
    np.testing.assert_allclose(found[:, inside].std(axis=0), 1, rtol=1e-5)


def test_a_series_that_does_not_vary_or_is_missing_is_zero():
    keypoints = body(300)
    keypoints[:, 0], keypoints[:, 6] = (0.1, 0.7), NAN
    found = baby_moves.features(keypoints)
    assert (found[:, [0, 1, 12, 13, 37]] == 0).all()
    assert (found.std(axis=0) > 0.5).sum() == 46 - 5


def test_there_are_547_clips():
    starts = baby_moves.clip_starts()
    assert (len(starts), starts[0], starts[1], starts[-1]) == (547, 0, 8, 4368)
    with pytest.raises(ValueError, match="fewer than a clip"):
        baby_moves.clip_starts(127)


# --- a recording -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [REFERENCE, PAPER], ids=lambda s: s.variant)
def test_a_recording_is_prepared_whatever_the_camera_did(settings):
    keypoints = body(150)
    seen = moved(keypoints, np.linspace(0, 0.05, 150), np.linspace((0, 0), (9, 5), 150))
    prepared = baby_moves.prepare(recording(seen), IMAGE, settings)
    assert prepared.keypoints.shape == (baby_moves.FRAMES, 18, 2)
    assert not np.isnan(prepared.keypoints).any()
    assert prepared.duration == pytest.approx(5)
    assert settings.variant in prepared.history[-1]
    still = baby_moves.prepare(recording(keypoints), IMAGE, settings)
    np.testing.assert_allclose(prepared.keypoints, still.keypoints, atol=0.05)


def without(*joints):
    keypoints = body(150)
    keypoints[:, [BABY_MOVES_18.index(j) for j in joints]] = NAN
    return keypoints


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        (body(100), "has 100 frames, fewer than a clip's 128"),
        (without("left_hip"), 'joint "left_hip" is never seen'),
        (np.full((150, 18, 2), NAN), r"only 0.0% of its 18 points are seen, 18 of them never, fewer than 70%"),
    ],
)
def test_a_recording_that_cannot_be_used_is_refused_in_one_line(keypoints, message):
    with pytest.raises(InputError, match=message):
        baby_moves.prepare(recording(keypoints, name="rec7"), IMAGE)


def test_another_skeleton_or_setting_is_a_wrong_call():
    other = Recording(np.zeros((150, 19, 2)), 30.0, skeletons.get("in-motion-19"))
    with pytest.raises(ValueError, match="baby-moves-18"):
        baby_moves.prepare(other, IMAGE)
    with pytest.raises(ValueError, match="reference, paper"):
        Preprocessing(variant="journal")
    with pytest.raises(ValueError, match="above 0"):
        baby_moves.prepare(recording(body()), (480, 0))
