"""What a simulated infant is, and what it is not: each test states one property of the movement or the camera."""

import itertools
import json
import math
import tracemalloc
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from infantjax.simulation import InfantConfig, move, project, simulate, simulate_cohort
from infantjax.skeletons import IN_MOTION_19 as SKELETON

STILL = InfantConfig(camera_jitter=0, noise=0, dropout_rate=0)
LIMBS = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")


def joints(*names: str) -> list[int]:
    return [SKELETON.index(name) for name in names]


def band_power(series: np.ndarray, fps: float, low: float, high: float) -> np.ndarray:
    """Mean power of a series `[time, ...]` between two frequencies, hertz, under a Hann window."""
    shape = (-1,) + (1,) * (series.ndim - 1)
    spectrum = np.abs(np.fft.rfft(series * np.hanning(len(series)).reshape(shape), axis=0)) ** 2
    frequency = np.fft.rfftfreq(len(series), 1 / fps)
    return spectrum[(frequency >= low) & (frequency <= high)].sum(axis=0)


def test_the_same_seed_and_configuration_give_the_same_bytes():
    first, second = simulate(3, InfantConfig(duration=5)), simulate(3, InfantConfig(duration=5))
    assert first.keypoints.tobytes() == second.keypoints.tobytes()
    assert first.confidence.tobytes() == second.confidence.tobytes()
    assert first.metadata == second.metadata


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, (1, 0)), ((1, 0), (1, 0, 0)), ((1, 2), (2, 1))])
def test_different_seeds_give_different_infants(one, other):
    config = InfantConfig(duration=2)
    assert not np.allclose(move(one, config).positions, move(other, config).positions, atol=0.1)


@given(
    seed=st.integers(0, 10**6),
    duration=st.floats(0.1, 20),
    fps=st.sampled_from([1.0, 5.0, 12.5, 25.0, 29.97, 30.0, 60.0, 120.0]),
    fidgety=st.floats(0, 1),
    activity=st.floats(0, 10),
    monotony=st.floats(0, 1),
)
def test_any_infant_has_finite_points_and_a_truth_per_second(seed, duration, fps, fidgety, activity, monotony):
    if round(duration * fps) < 1:
        return
    config = replace(
        STILL, duration=duration, fps=fps, fidgety=fidgety, activity=activity, monotony=monotony, fidgety_bout=2
    )
    recording = simulate(seed, config)
    assert recording.keypoints.shape == (round(duration * fps), 19, 2)
    assert np.isfinite(recording.keypoints).all()
    assert len(recording.metadata["fidgety"]) == math.ceil(duration)
    assert set(recording.metadata["fidgety"]) <= {0, 1}


def test_every_segment_keeps_its_length():
    positions = move(1, InfantConfig(duration=60)).positions
    for joint, parent in SKELETON.edges:
        length = np.linalg.norm(positions[:, joint] - positions[:, parent], axis=-1)
        assert length.std() < 1e-9, SKELETON.joints[joint]


def test_the_body_is_that_of_a_three_month_old():
    positions = move(1, InfantConfig(duration=10)).positions

    def length(a: str, b: str) -> float:
        return float(np.linalg.norm(positions[:, SKELETON.index(a)] - positions[:, SKELETON.index(b)], axis=-1).mean())

    # Long bones of a 60.6 cm infant by the regressions that the module names, and up to 1.9 cm of unossified ends.
    for (a, b), (slope, offset) in {
        ("right_shoulder", "right_elbow"): (7.52, 2.47),
        ("right_elbow", "right_wrist"): (8.20, 2.38),
        ("right_hip", "right_knee"): (6.44, 4.51),
        ("right_knee", "right_ankle"): (7.24, 4.90),
    }.items():
        bone = (60.6 - offset) / slope
        assert bone <= length(a, b) <= bone + 1.9
    assert length("thorax", "pelvis") == pytest.approx(19.0)
    assert length("head_top", "right_ankle") < 60.6


def test_left_and_right_are_the_same_size_and_on_their_sides():
    positions = move(2, InfantConfig(duration=20)).positions
    for right, left in SKELETON.mirror_pairs:
        if right.endswith(("shoulder", "hip")):
            assert (positions[:, SKELETON.index(left), 0] > positions[:, SKELETON.index(right), 0]).all()


def test_the_head_is_at_the_top_and_the_left_hand_on_the_right_of_an_upright_image():
    pixels = np.median(simulate(1, replace(STILL, duration=20)).keypoints, axis=0)
    assert pixels[SKELETON.index("head_top"), 1] < pixels[SKELETON.index("pelvis"), 1]
    assert pixels[SKELETON.index("left_elbow"), 0] > pixels[SKELETON.index("right_elbow"), 0]


def test_no_joint_passes_its_limits_even_in_a_wild_infant():
    positions = move(4, InfantConfig(duration=60, activity=10, fidgety_amplitude=5, restlessness=5)).positions

    def angle(a: str, b: str, c: str) -> np.ndarray:
        first, second = (positions[:, SKELETON.index(x)] - positions[:, SKELETON.index(b)] for x in (a, c))
        cosine = (first * second).sum(-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

    elbow, knee = angle("left_shoulder", "left_elbow", "left_wrist"), angle("left_hip", "left_knee", "left_ankle")
    assert elbow.min() >= 180 - 142 - 1e-6
    assert elbow.max() <= 180 - 10 + 1e-6
    assert knee.min() >= 180 - 140 - 1e-6
    assert knee.max() <= 180 - 5 + 1e-6


def test_the_camera_projects_a_known_point():
    # A point 10 cm to the infant's left and 5 cm above the view's center, 10 cm off the surface, 100 cm from the lens.
    config = InfantConfig(camera_height=110, focal_length=1000, image_size=(1280, 720))
    point = np.array([[[10.0, 11.0, 10.0]]])
    np.testing.assert_allclose(project(point, config), [[[740.0, 310.0]]])
    np.testing.assert_allclose(project(point, replace(config, camera_rotation=90)), [[[590.0, 260.0]]])


def test_a_tilted_camera_keeps_the_center_and_shortens_the_infant():
    config = InfantConfig()
    ends = np.array([[[0.0, 6.0, 0.0], [0.0, 16.0, 0.0], [0.0, -4.0, 0.0]]])
    upright, tilted = project(ends, config)[0], project(ends, replace(config, camera_tilt=25))[0]
    np.testing.assert_allclose(tilted[0], [640, 360])
    assert abs(tilted[1, 1] - tilted[2, 1]) < abs(upright[1, 1] - upright[2, 1])


@pytest.mark.parametrize("fps", [15.0, 60.0, 90.0])
def test_the_movement_does_not_depend_on_the_frame_rate(fps):
    slow, fast = (move(7, InfantConfig(duration=8, fps=f)).positions for f in (15.0, fps))
    # Sums of cosines in another order: 1e-9 cm is rounding.
    np.testing.assert_allclose(slow, fast[:: round(fps / 15)], atol=1e-9)


def test_absent_fidgety_movements_leave_the_rest_of_the_movement_as_it_is():
    present, absent = (move(5, InfantConfig(duration=60, fidgety=f)) for f in (0.5, 0.0))
    second = np.arange(len(present.positions)) // 30
    pause = present.fidgety[second] == 0
    assert 0.2 < pause.mean() < 0.8
    np.testing.assert_allclose(present.positions[pause], absent.positions[pause], atol=1e-9)
    assert np.abs(present.positions - absent.positions)[~pause].max() > 0.5
    assert absent.fidgety.sum() == 0


@pytest.mark.parametrize(("band", "inside", "outside"), [((1, 3), (1, 3), (4, 15)), ((4, 6), (3.5, 7), (1, 3))])
def test_fidgety_movements_lie_in_their_band(band, inside, outside):
    config = InfantConfig(duration=60, fidgety=1, fidgety_amplitude=0.3, activity=0, restlessness=0, fidgety_band=band)
    shift = move(1, config).positions - move(1, replace(config, fidgety=0.0)).positions
    power = {k: band_power(shift[:, joints(*LIMBS)], 30, *k).sum() for k in (inside, outside, (0.05, 0.9))}
    assert power[outside] < 0.2 * power[inside]
    assert power[0.05, 0.9] < 0.15 * power[inside]


def test_fidgety_movements_are_small_and_of_moderate_speed_in_all_parts_and_directions():
    calm = InfantConfig(duration=60, fidgety=1.0, fidgety_amplitude=1.0, activity=1.0)
    shift = np.concatenate(
        [move(s, calm).positions - move(s, replace(calm, fidgety=0)).positions for s in range(8)]
    ).reshape(8, -1, 19, 3)
    size = np.sqrt((shift**2).sum(-1).mean(axis=(0, 1)))
    speed = np.linalg.norm(np.diff(shift, axis=1) * 30, axis=-1).mean(axis=(0, 1))
    for limb in LIMBS:
        assert 0.8 < size[SKELETON.index(limb)] < 1.3, limb
        assert 7 < speed[SKELETON.index(limb)] < 16, limb
    for joint in ("upper_neck", "nose", "right_shoulder", "left_shoulder", "thorax"):
        assert 0.1 < size[SKELETON.index(joint)] < 0.9, joint
    # All directions: along its weakest direction a wrist or ankle still has a tenth of its power.
    for limb in joints(*LIMBS):
        strength = np.linalg.eigvalsh(np.cov(shift[:, :, limb].reshape(-1, 3).T))
        assert strength[0] > 0.04 * strength.sum()


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6, 0.9])
def test_bouts_take_their_share_of_time(share):
    truth = move(1, InfantConfig(duration=36_000, fps=0.1, fidgety=share)).fidgety
    # 36,000 seconds in bouts and pauses of seconds: a standard error below 0.015.
    assert truth.mean() == pytest.approx(share, abs=0.04)


def test_bouts_last_as_long_as_configured():
    truth = move(1, InfantConfig(duration=36_000, fps=0.1, fidgety=0.5, fidgety_bout=6.0)).fidgety
    lengths = [len(list(run)) for state, run in itertools.groupby(truth) if state]
    assert np.mean(lengths) == pytest.approx(6.0, rel=0.1)


def test_kicks_have_published_accelerations():
    # Trujillo-Priego and Smith 2017, sensors at the ankle over a day: mean peak of a leg movement 3.1 to 8.8 m/s2.
    peaks = []
    for seed in range(10):
        ankle = move(seed, InfantConfig(duration=60, fidgety=0.0, fps=60)).positions[:, SKELETON.index("left_ankle")]
        acceleration = np.linalg.norm(np.diff(ankle, 2, axis=0) * 60**2, axis=-1) / 100
        tops = acceleration[1:-1][(acceleration[1:-1] > acceleration[:-2]) & (acceleration[1:-1] > acceleration[2:])]
        peaks.append(tops[tops > 1.5].mean())  # their threshold of a movement is about 1 to 2 m/s2
    assert 2.0 < np.mean(peaks) < 9.0


def test_nobody_moves_without_activity_fidgety_movements_and_restlessness():
    config = InfantConfig(duration=30, fidgety=0, activity=0, restlessness=0)
    speed = np.linalg.norm(np.diff(move(1, config).positions, axis=0) * 30, axis=-1)
    assert speed.max() < 12  # cm/s: drift of the posture is left
    assert speed.mean() < 3


def test_activity_raises_the_speed():
    speeds = [
        np.linalg.norm(np.diff(move(1, InfantConfig(duration=60, activity=a)).positions, axis=0), axis=-1).mean()
        for a in (0.3, 1.0, 3.0)
    ]
    assert speeds[0] < speeds[1] < speeds[2]


def test_full_monotony_makes_all_kicks_alike():
    config = InfantConfig(duration=120, fidgety=0, restlessness=0, monotony=1.0)
    varied = replace(config, monotony=0.0)

    def spread_of_peaks(config: InfantConfig) -> float:
        knee = move(2, config).positions[:, SKELETON.index("right_knee"), 2]
        speed = np.abs(np.diff(knee))
        tops = speed[1:-1][(speed[1:-1] > speed[:-2]) & (speed[1:-1] > speed[2:]) & (speed[1:-1] > 0.2)]
        return tops.std() / tops.mean()

    assert spread_of_peaks(config) < 0.8 * spread_of_peaks(varied)


def test_keypoint_noise_has_its_size_and_its_correlation_time():
    config = replace(STILL, duration=600, noise=2.0, noise_seconds=0.2, fidgety=0)
    error = simulate(1, config).keypoints - simulate(1, replace(config, noise=0)).keypoints
    plain, coarse = SKELETON.index("pelvis"), SKELETON.index("left_wrist")
    assert error[:, plain].std() == pytest.approx(2.0, rel=0.03)
    assert error[:, coarse].std() == pytest.approx(3.0, rel=0.03)
    lag = round(0.2 * 30)
    correlation = (error[lag:] * error[:-lag]).mean() / (error**2).mean()
    assert correlation == pytest.approx(math.exp(-1), abs=0.05)


def test_dropouts_have_their_rate():
    config = replace(STILL, duration=1200, fps=30, dropout_rate=6.0, dropout_seconds=0.5)
    missing = simulate(1, config).missing
    # 6 runs of 0.5 s a minute: one in twenty. 19 joints x 120 runs of exponential length: 3 per cent of scatter.
    assert missing.mean() == pytest.approx(0.05, rel=0.1)
    runs = (np.diff(missing.astype(int), axis=0) == 1).sum() / 19 / 20
    assert runs == pytest.approx(6.0, rel=0.12)


def test_confidence_is_low_where_the_detector_errs_and_zero_where_a_point_is_missing():
    config = replace(STILL, duration=60, noise=3.0, dropout_rate=20)
    recording = simulate(1, config)
    error = np.linalg.norm(recording.keypoints - simulate(1, STILL).keypoints, axis=-1)
    assert (recording.confidence[recording.missing] == 0).all()
    seen = ~recording.missing
    assert np.corrcoef(recording.confidence[seen], error[seen])[0, 1] < -0.8
    assert ((recording.confidence >= 0) & (recording.confidence <= 1)).all()


def test_the_metadata_say_what_is_true_and_that_it_is_simulated():
    recording = simulate(8, InfantConfig(duration=4, fidgety=0.0))
    assert json.loads(json.dumps(dict(recording.metadata))) == recording.metadata
    assert recording.metadata["outcome"] == 1
    assert recording.metadata["simulated"] is True
    assert "not an infant" in recording.metadata["statement"]
    assert recording.metadata["statement"] in recording.notes
    assert recording.metadata["simulation"]["fidgety_band"] == [1.0, 3.0]


@pytest.mark.parametrize(("share", "outcome"), [(0.0, 1), (0.135, 1), (0.29, 1), (0.3, 0), (0.553, 0), (1.0, 0)])
def test_sporadic_counts_as_absent(share, outcome):
    assert InfantConfig(fidgety=share).outcome == outcome


@pytest.mark.parametrize(
    "field",
    [
        {"duration": 0},
        {"duration": 0.01, "fps": 30},
        {"fidgety": 1.1},
        {"fidgety_band": (3.0, 1.0)},
        {"camera_rotation": math.nan},
        {"image_size": (0, 5)},
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field):
    with pytest.raises(ValueError, match=next(iter(field))):
        InfantConfig(**field)
    with pytest.raises(ValueError, match="seed"):
        simulate(-1)


def test_the_trunk_is_never_degenerate_under_any_camera():
    upper, lower = SKELETON.trunk_indices
    for seed in range(10):
        pixels = simulate(seed, InfantConfig(duration=30, activity=3, camera_tilt=25, dropout_rate=0)).keypoints
        trunk = np.linalg.norm(pixels[:, upper] - pixels[:, lower], axis=-1)
        assert trunk.min() > 0.6 * np.median(trunk)


def test_memory_grows_linearly_with_the_duration():
    def peak(duration: float) -> int:
        tracemalloc.start()
        simulate(1, InfantConfig(duration=duration))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    # Fourier series have a period 10 s longer than the recording, so a little less than four times.
    assert 3.5 < peak(800) / peak(200) < 4.1


def test_speeds_lie_in_the_order_of_real_recordings(shared):
    names = {"wrist": "hand", "elbow": "elbow", "knee": "knee", "ankle": "foot", "shoulder": "shoulder"}
    real: dict[str, list[float]] = {name: [] for name in names}
    for path in sorted((shared / "data" / "minirgbd").glob("pz*.csv")):
        table = np.genfromtxt(path, delimiter=",", names=True)

        def point(name: str, table: np.ndarray = table) -> np.ndarray:
            return np.stack([table[f"{name}_x"], table[f"{name}_y"]], axis=-1)

        pelvis = (point("right_hip") + point("left_hip")) / 2
        trunk = np.median(np.linalg.norm(point("neck") - pelvis, axis=-1))
        for ours, theirs in names.items():
            speeds = [mean_speed((point(f"{s}_{theirs}") - pelvis) / trunk, 25) for s in ("right", "left")]
            real[ours].append(np.mean(speeds))
    simulated: dict[str, list[float]] = {name: [] for name in names}
    for recording, _ in simulate_cohort(20, 1, duration=40, fps=25, base=InfantConfig(dropout_rate=0)):
        points = recording.keypoints
        upper, lower = SKELETON.trunk_indices
        trunk = np.median(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1))
        for name in names:
            pair = [points[:, SKELETON.index(f"{s}_{name}")] - points[:, lower] for s in ("right", "left")]
            simulated[name].append(np.mean([mean_speed(p / trunk, 25) for p in pair]))
    for name in names:
        assert 0.5 < np.median(simulated[name]) / np.median(real[name]) < 2.0, name
        assert min(real[name]) < np.median(simulated[name]) < max(real[name]), name


def mean_speed(points: np.ndarray, fps: float) -> float:
    """Mean speed after a moving average over 5 frames, which removes rounding to pixels."""
    smooth = np.apply_along_axis(lambda series: np.convolve(series, np.full(5, 0.2), "valid"), 0, points)
    return float(np.linalg.norm(np.diff(smooth, axis=0) * fps, axis=-1).mean())


def test_coupled_limbs_move_alike_and_uncoupled_ones_do_not_change():
    still = replace(STILL, duration=20, activity=0, fidgety=0)

    def alike(coupling):
        heights = move(3, replace(still, coupling=coupling)).positions[:, [15, 18], 2]  # of the ankles
        return np.corrcoef(np.diff(heights, axis=0).T)[0, 1]

    assert alike(1.0) > 0.6 > alike(0.0)
    np.testing.assert_array_equal(move(3, replace(still, coupling=0.0)).positions, move(3, still).positions)


def test_a_hand_held_camera_moves_the_image_as_a_whole():
    steady = replace(STILL, duration=20)
    held = replace(steady, camera_drift=6, camera_roll=3)
    moved, still = simulate(4, held).keypoints, simulate(4, steady).keypoints
    # Distances between points do not change, positions do.
    apart = [np.linalg.norm(points[:, 0] - points[:, 15], axis=-1) for points in (moved, still)]
    np.testing.assert_allclose(*apart, rtol=1e-9)
    shift = moved[:, 12] - still[:, 12]
    assert 2 < shift.std(axis=0).mean() < 20
    assert np.abs(np.diff(shift, axis=0)).max() < 5
