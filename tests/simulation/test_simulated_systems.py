"""Simulated cohorts as each published system reads them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from infantjax.simulation.systems import COLUMNS, VISITS, draw_score

from infantjax.formats.cohort import read_annotated, read_cohort
from infantjax.simulation import InfantConfig, draw_metadata, graded, infants_for, move, simulate, write_cohort
from infantjax.skeletons import BABY_MOVES_18

STEADY = InfantConfig(duration=20, noise=0, camera_jitter=0, dropout_rate=0)


def limbs(score: float, seed: int = 1) -> np.ndarray:
    """Wrists and ankles over 20 seconds, centimetres."""
    movement = move((seed, 0), graded(seed, 0, score, replace(STEADY, duration=20)))
    return movement.positions[:, [7, 11, 15, 18]]


def path(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=-1).sum())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_higher_the_score_the_more_an_infant_moves(seed):
    lengths = [path(limbs(score, seed)) for score in (0, 36, 72)]
    assert lengths == sorted(lengths)
    assert lengths[2] > 1.5 * lengths[0]


def test_a_graded_infant_differs_in_nothing_that_the_score_does_not_change():
    low, high = graded(1, 5, 10), graded(1, 5, 60)
    assert (low.length, low.camera_height, low.camera_rotation) == (
        high.length,
        high.camera_height,
        high.camera_rotation,
    )
    assert low.coupling > high.coupling
    assert low.monotony > high.monotony
    with pytest.raises(ValueError, match="a score is from 0 to 72, got 73"):
        graded(1, 5, 73)


def test_coupled_limbs_move_alike_and_uncoupled_ones_do_not_change():
    still = replace(STEADY, activity=0, fidgety=0)

    def alike(coupling):
        heights = move(3, replace(still, coupling=coupling)).positions[:, [15, 18], 2]  # of the ankles
        return np.corrcoef(np.diff(heights, axis=0).T)[0, 1]

    assert alike(1.0) > 0.6 > alike(0.0)
    np.testing.assert_array_equal(move(3, replace(still, coupling=0.0)).positions, move(3, still).positions)


def test_a_camera_in_the_hand_moves_the_picture_as_a_whole():
    held = replace(STEADY, camera_drift=6, camera_roll=3)
    moved, still = simulate(4, held).keypoints, simulate(4, STEADY).keypoints
    # Distances between points stay, places do not.
    apart = [np.linalg.norm(points[:, 0] - points[:, 15], axis=-1) for points in (moved, still)]
    np.testing.assert_allclose(*apart, rtol=1e-9)
    shift = moved[:, 12] - still[:, 12]
    assert 2 < shift.std(axis=0).mean() < 20
    assert np.abs(np.diff(shift, axis=0)).max() < 5


@pytest.mark.parametrize(("name", "value"), [("coupling", 1.1), ("camera_drift", -1), ("camera_roll", 50)])
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        InfantConfig(**{name: value})


def test_metadata_fit_together():
    drawn = [draw_metadata(1, index, index % 2) for index in range(200)]
    for known in drawn:
        assert (known["cohort"] == "preterm") == (known["gestational_age"] < 32)
        assert 400 <= known["birth_weight"] < 6000
        assert 12 <= known["age"] <= 18
    early = np.array([known["cohort"] == "preterm" for known in drawn])
    assert early[1::2].mean() > early[::2].mean() + 0.2


def test_scores_spread_over_the_scale_and_visits_of_an_infant_lie_together():
    scores = np.array([[draw_score(0, infant, visit) for visit in range(VISITS)] for infant in range(20)])
    assert scores.min() >= 0
    assert scores.max() <= 72
    assert scores.mean(axis=1).std() > 15
    assert scores.std(axis=1).mean() < 10


@pytest.mark.parametrize("system", ["mam", "baby-moves", "sma"])
def test_a_written_cohort_is_read_with_its_outcomes_and_columns(system, tmp_path):
    folder = write_cohort(tmp_path / "cohort", 2, 3, 4.0, 0.5, system=system)
    scale = (0.0, 72.0) if system == "sma" else None
    cohort = read_cohort(folder, score_range=scale)
    expected = list(infants_for(system, 2, 3, 4.0, 0.5, 30))
    assert cohort.outcomes == tuple(outcome for _, outcome in expected)
    assert len(cohort) == (2 * VISITS if system == "sma" else 2)
    for recording, (simulated, _) in zip(cohort.recordings, expected):
        for column in COLUMNS[system]:
            if column != "group":
                assert recording.metadata[column] == str(simulated.metadata[column])
    if system == "sma":
        assert cohort.groups == tuple(r.metadata["group"] for r, _ in expected)
    assert json.loads((folder / "simulation.json").read_text())["system"] == system


def test_infants_of_other_numbers_are_others_and_the_same_in_every_cohort(tmp_path):
    first = write_cohort(tmp_path / "a", 4, 1, 3.0, 0.5)
    later = write_cohort(tmp_path / "b", 2, 1, 3.0, 0.5, first=2)
    for name in ("orgcoords_sim0002.csv", "orgcoords_sim0003.csv"):
        assert (first / name).read_bytes() == (later / name).read_bytes()
    rows = [(folder / "outcomes.csv").read_text().splitlines() for folder in (first, later)]
    assert rows[1][1:] == rows[0][3:]
    with pytest.raises(ValueError, match="the first infant has a number from 0 on, got -1"):
        write_cohort(tmp_path / "c", 2, 1, first=-1)


def test_annotated_seconds_are_those_of_the_simulation(tmp_path):
    folder = write_cohort(tmp_path / "cohort", 2, 3, 4.0, 0.5, system="mam")
    for recording, (simulated, _) in zip(read_annotated(folder), infants_for("mam", 2, 3, 4.0, 0.5, 30)):
        assert recording.metadata["fidgety"] == simulated.metadata["fidgety"]


def test_the_points_of_baby_moves_lie_along_x_with_the_head_at_small_x():
    recording, _ = next(infants_for("baby-moves", 2, 0, 6.0, 0.5, 30))
    assert recording.skeleton == BABY_MOVES_18
    crown, hips, toes = (recording.keypoints[:, rows, 0].mean(axis=1) for rows in ([0], [7, 14], [10, 17]))
    assert np.nanmax(crown - hips) < 0
    assert np.nanmax(hips - toes) < 0
