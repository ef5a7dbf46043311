"""Tracking quality: clean recordings stay assessable, faults are found where they are, repair undoes them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from experiments.faults import spoil
from infantjax import formats
from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.conversion import convert
from infantjax.recording.quality import Moments, distance, measure_quality, moments, repair
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import SKELETONS, Skeleton, segments

CLEAN = simulate(1, InfantConfig(duration=20))
TRUNK = 180.0
"""Its length, pixels."""
TREMBLE = np.random.default_rng(0).normal(size=CLEAN.keypoints.shape) * 0.024 * TRUNK
FIRST_HALF = (np.arange(600) < 330)[:, None, None]
SECOND_TEN = (np.arange(600) // 30 == 10)[:, None, None]
EXCHANGES = ("exchanged_bursts", "exchanged_arms", "exchanged_legs", "exchanged_pair", "exchanged_long")


def known(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.isfinite(first) & np.isfinite(second)


@pytest.mark.parametrize(
    "config",
    [
        InfantConfig(duration=20),
        InfantConfig(duration=20, fps=60, noise=2.0, noise_seconds=0.03),
        InfantConfig(duration=20, fps=15, camera_rotation=170, camera_tilt=20),
        InfantConfig(duration=20, activity=4, restlessness=3.0, camera_height=75),
        InfantConfig(duration=20, fidgety=0, activity=0, restlessness=0.5, noise=0, camera_jitter=0),
        InfantConfig(duration=20, camera_drift=20, camera_roll=5, coupling=1, monotony=1),
    ],
    ids=["default", "noisy", "slow-and-turned", "lively", "quiet", "hand-held"],
)
def test_clean_infants_are_assessable(config):
    quality = measure_quality(simulate(3, config))
    assert quality.assessable, quality.reasons
    assert quality.usable.mean() >= 0.9


def test_nothing_is_found_in_a_clean_recording():
    quality = measure_quality(CLEAN)
    assert quality.faults == ()
    assert quality.doubts == ()
    assert quality.usable.all()


def test_real_recordings_are_assessable(shared: Path):
    for path in sorted((shared / "data/minirgbd").glob("pz*.csv")):
        quality = measure_quality(formats.read(path, fps=25))
        assert quality.assessable, (path.name, quality.reasons)
        assert quality.usable.all(), (path.name, quality.faults)


@pytest.mark.parametrize("every", [2, 5])
def test_interpolation_is_found_on_rounded_coordinates(every):
    points = np.rint(CLEAN.keypoints)
    points[np.arange(len(points)) % every != 0] = np.nan
    rounded = replace(CLEAN, keypoints=fill_gaps(points))
    assert "interpolated" in {found.kind for found in measure_quality(rounded).faults}
    assert measure_quality(replace(CLEAN, keypoints=np.rint(CLEAN.keypoints))).usable.all()


@pytest.mark.parametrize("fault", EXCHANGES)
@pytest.mark.parametrize("severity", [0.1, 1.0])
def test_every_exchange_is_found_where_it_is_and_undone(fault, severity):
    spoiled = spoil(CLEAN, fault, severity, seed=2)
    quality = measure_quality(spoiled)
    changed = (np.nan_to_num(spoiled.keypoints) != np.nan_to_num(CLEAN.keypoints)).any(axis=(1, 2))
    seconds = sorted({int(frame / CLEAN.fps) for frame in np.flatnonzero(changed)})
    assert not quality.usable[seconds].any()
    assert any(found.kind == "exchanged_sides" for found in quality.faults)
    repaired = repair(spoiled)
    both = known(repaired.keypoints, CLEAN.keypoints)
    assert (repaired.keypoints != CLEAN.keypoints)[both].mean() < 0.01
    assert "exchanged back" in " ".join(repaired.notes)


@pytest.mark.parametrize("fault", ["exchanged_throughout", "mirrored"])
def test_wrong_sides_throughout_are_refused_and_repaired(fault):
    spoiled = spoil(CLEAN, fault, 1.0)
    assert "mirrored" in " ".join(measure_quality(spoiled).reasons)
    assert measure_quality(repair(spoiled)).assessable


def test_limbs_that_really_cross_are_no_exchange():
    """The right foot moves over the left one and back within two seconds."""
    points = CLEAN.keypoints.copy()
    right, left = CLEAN.skeleton.index("right_ankle"), CLEAN.skeleton.index("left_ankle")
    way = np.nanmedian(points[:, left] - points[:, right], axis=0) * 1.3
    frames = np.arange(120, 180)
    points[frames, right] += np.sin(np.pi * (frames - 120) / 60)[:, None] * way
    assert not any(f.kind == "exchanged_sides" for f in measure_quality(replace(CLEAN, keypoints=points)).faults)


@pytest.mark.parametrize("fps", [12.5, 30, 60])
def test_repair_never_adds_exchanges_at_any_frame_rate(fps):
    clean = simulate(3, InfantConfig(duration=12, fps=fps, dropout_rate=0))
    assert repair(clean) is clean
    for number, fault in enumerate(EXCHANGES):
        spoiled = spoil(clean, fault, 0.3, number)
        repaired = repair(spoiled).keypoints
        wrong = (repaired != clean.keypoints) & np.isfinite(repaired)
        assert wrong.sum() <= 0.02 * (spoiled.keypoints != clean.keypoints).sum()


def test_an_exchange_that_ends_in_one_place_does_not_turn_what_is_right():
    # The shoulders are exchanged in a frame, then found in one place, then right again: only one step shows it.
    points = CLEAN.keypoints[:60].copy()
    shoulders = [CLEAN.skeleton.index(f"{side}_shoulder") for side in ("right", "left")]
    points[10, shoulders] = points[10, shoulders[::-1]]
    points[11:13, shoulders] = points[11:13, shoulders].mean(axis=1, keepdims=True)
    repaired = repair(replace(CLEAN, keypoints=points, confidence=None))
    np.testing.assert_array_equal(repaired.keypoints[:10], points[:10])
    kept = known(repaired.keypoints, CLEAN.keypoints[:60])[10]
    np.testing.assert_array_equal(repaired.keypoints[10][kept], CLEAN.keypoints[10][kept])


def test_an_exchange_that_may_be_a_wrong_point_is_told_and_stays():
    # The knees, which would tell the sides, are not seen, and both ankles are displaced where they are exchanged.
    points = CLEAN.keypoints.copy()
    knees, ankles = (
        [CLEAN.skeleton.index(f"{side}_{part}") for side in ("right", "left")] for part in ("knee", "ankle")
    )
    pair = points[:250, ankles]
    points[:250, ankles] = (pair.mean(axis=1, keepdims=True) + pair[:, ::-1]) / 2
    points[:, knees] = np.nan
    repaired = repair(replace(CLEAN, keypoints=points))
    np.testing.assert_array_equal(repaired.keypoints[:240, ankles], points[:240, ankles])
    assert "not repaired: left and right may be exchanged in 250 of 600 frames (ankle)" in " ".join(repaired.notes)


def test_single_jumps_fail_their_seconds_and_are_removed():
    points = CLEAN.keypoints.copy()
    wrist = CLEAN.skeleton.index("left_wrist")
    points[[100, 400], wrist] += 60.0
    spoiled = replace(CLEAN, keypoints=points)
    quality = measure_quality(spoiled)
    assert np.flatnonzero(~quality.usable).tolist() == [3, 13]
    assert all(found.joints == ("left_wrist",) for found in quality.faults if found.kind == "jumps")
    repaired = repair(spoiled)
    assert np.isnan(repaired.keypoints[[100, 400], wrist]).all()
    assert measure_quality(repaired).usable.all()


@pytest.mark.parametrize(
    ("fault", "severity", "kind"),
    [
        ("frozen_tail", 0.3, "frozen"),
        ("frozen_limb", 0.5, "stuck"),
        ("repeated_frames", 0.3, "frozen"),
        ("missing_frames", 0.9, "missing"),
        ("missing_limb", 0.5, "gaps"),
        ("interpolated", 0.3, "interpolated"),
        ("zeros", 1.0, "jumps"),
        ("noise", 1.0, "noise"),
        ("both_on_one", 0.5, "impossible_body"),
        ("other_person", 1.0, "trunk"),
        ("shuffled", 1.0, "cuts"),
    ],
)
def test_faults_are_named(fault, severity, kind):
    quality = measure_quality(spoil(CLEAN, fault, severity, seed=1))
    assert kind in {found.kind for found in quality.faults}
    assert not quality.usable.all()


def moved(joint: str, displacement: np.ndarray, first: int = 120) -> Recording:
    """The clean recording with a joint displaced by `[time, 2]` trunk lengths, from a frame on."""
    points = CLEAN.keypoints.copy()
    points[first : first + len(displacement), CLEAN.skeleton.index(joint)] += displacement * TRUNK
    return replace(CLEAN, keypoints=points)


def stretched(factor: float) -> Recording:
    """A thigh is longer throughout; what hangs on it goes with it."""
    points, index = CLEAN.keypoints.copy(), CLEAN.skeleton.index
    more = factor * (points[:, index("left_knee")] - points[:, index("left_hip")])
    for part in ("knee", "ankle"):
        points[:, index(f"left_{part}")] += more
    return replace(CLEAN, keypoints=points)


def test_a_limb_that_grows_and_a_hand_that_flies_are_named():
    slowly = np.sin(np.linspace(0, np.pi, 45))[:, None] ** 2 * [1.0, 0.0]
    assert "limb_lengths" in {found.kind for found in measure_quality(moved("left_wrist", slowly)).faults}
    fast = np.minimum(np.arange(10), np.arange(10)[::-1])[:, None] * [1.5, 0.0]
    assert "speed" in {found.kind for found in measure_quality(moved("left_wrist", fast)).faults}


@pytest.mark.parametrize(
    ("spoiled", "reason"),
    [
        (lambda: replace(CLEAN, keypoints=CLEAN.keypoints[:1] + np.zeros((600, 1, 1))), "practically nothing moves"),
        (lambda: replace(CLEAN, keypoints=gaussian_filter1d(CLEAN.keypoints, 10, axis=0)), "has no fast parts"),
        (lambda: replace(CLEAN, keypoints=np.where(FIRST_HALF, np.nan, CLEAN.keypoints)), "of 20 seconds are usable"),
        (lambda: stretched(1.5), "a bone is longer than the trunk"),
        (lambda: replace(CLEAN, fps=5.0), "the frame rate of 5 Hz is below"),
    ],
    ids=["still", "smoothed", "half", "long-bone", "slow"],
)
def test_what_no_second_shows_is_refused_with_its_reason(spoiled, reason):
    quality = measure_quality(spoiled())
    assert not quality.assessable
    assert any(reason in each for each in quality.reasons)


@pytest.mark.parametrize(
    ("spoiled", "doubt"),
    [
        (lambda: replace(CLEAN, keypoints=gaussian_filter1d(CLEAN.keypoints, 5, axis=0)), "has few fast parts"),
        (lambda: replace(CLEAN, keypoints=CLEAN.keypoints + TREMBLE), "the points are noisy"),
        (lambda: stretched(0.6), "times as long on one side as on the other"),
        (lambda: replace(CLEAN, keypoints=np.rint(CLEAN.keypoints / 9) * 9), "coordinates are rounded"),
        (lambda: replace(CLEAN, keypoints=np.where(SECOND_TEN, np.nan, CLEAN.keypoints)), "of the windows of 5 s"),
    ],
    ids=["smoothed", "noisy", "one-side", "rounded", "few-windows"],
)
def test_what_makes_an_answer_uncertain_is_a_doubt(spoiled, doubt):
    quality = measure_quality(spoiled())
    assert quality.assessable, quality.reasons
    assert any(doubt in each for each in quality.doubts)


def test_scale_place_and_rotation_change_nothing():
    turned = CLEAN.keypoints @ np.array([[0.0, 1.0], [-1.0, 0.0]]) * 0.01 - 3.0
    first, second = measure_quality(CLEAN), measure_quality(replace(CLEAN, keypoints=turned))
    for a, b in zip(first.measures, second.measures, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-6)
    assert (first.usable == second.usable).all()


def odd_recordings() -> list[Recording]:
    one = Skeleton("one", ("a",), ("a",))
    noise = np.random.default_rng(0).normal(size=(90, 1, 3))
    short = [replace(CLEAN, keypoints=CLEAN.keypoints[:n], confidence=None) for n in (0, 1, 2, 3, 5, 9)]
    odd = [
        replace(CLEAN, keypoints=np.full_like(CLEAN.keypoints, np.nan)),
        replace(CLEAN, keypoints=np.zeros_like(CLEAN.keypoints)),
        replace(CLEAN, fps=1e-3),
        replace(CLEAN, fps=1e6),
        Recording(noise, 30.0, one),
        Recording(noise[..., :2], 30.0, one),
        Recording(np.concatenate([CLEAN.keypoints, CLEAN.keypoints[..., :1]], -1), 30.0, CLEAN.skeleton),
    ]
    return [*short, *odd]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("recording", odd_recordings(), ids=str)
def test_odd_recordings_are_measured(recording):
    quality = measure_quality(recording, reference=moments([CLEAN]))
    assert all(len(measure.values) == len(quality.usable) for measure in quality.measures)
    assert quality.assessable == (quality.reasons == ())
    json.dumps(quality.to_dict(), allow_nan=False)
    repair(recording)


@pytest.mark.parametrize("name", sorted(name for name in SKELETONS if segments(SKELETONS[name])))
def test_every_keypoint_set_of_a_body_is_measured(name):
    quality = measure_quality(convert(CLEAN, name))
    assert quality.assessable, quality.reasons


def test_what_lies_far_from_the_training_recordings_is_doubted():
    training = [simulate((5, i), InfantConfig(duration=20)) for i in range(6)]
    reference = Moments.from_dict(json.loads(json.dumps(moments(training).to_dict())))
    assert measure_quality(CLEAN, reference=reference).doubts == ()
    for fault in ("oversmoothed", "noise"):
        doubts = measure_quality(spoil(CLEAN, fault, 0.2), reference=reference).doubts
        assert any("trained on" in doubt for doubt in doubts)
    assert all(abs(value) < 1e-9 for value in distance(CLEAN, moments([CLEAN])).values())
    other = Moments({"length_tail": 0.0}, {"length_tail": 1.0}, {"length_tail": 9})
    assert "nothing can be compared" in " ".join(measure_quality(CLEAN, reference=other).doubts)
    with pytest.raises(ValueError, match="moments"):
        Moments.from_dict({"mean": {"speed": 1.0}})
