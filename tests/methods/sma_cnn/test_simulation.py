"""Simulated infants of graded severity: scores, visits, and movement that grows with the score."""

from dataclasses import replace

import numpy as np
import pytest

from infantjax.formats.cohort import read_cohort
from infantjax.methods.sma_cnn.method import SmaCnn
from infantjax.methods.sma_cnn.simulation import VISITS, draw_score, graded
from infantjax.simulation import InfantConfig, move, write_cohort

STEADY = InfantConfig(duration=20, noise=0, camera_jitter=0, dropout_rate=0)


def limbs(score: float, seed: int = 1) -> np.ndarray:
    """Wrists and ankles over 20 seconds, centimeters."""
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


def test_scores_spread_over_the_scale_and_visits_of_an_infant_lie_together():
    scores = np.array([[draw_score(0, infant, visit) for visit in range(VISITS)] for infant in range(20)])
    assert scores.min() >= 0
    assert scores.max() <= 72
    assert scores.mean(axis=1).std() > 15
    assert scores.std(axis=1).mean() < 10


def test_a_written_cohort_has_scores_groups_and_three_visits(tmp_path):
    folder = write_cohort(tmp_path / "cohort", 2, 3, 4.0, method=SmaCnn)
    cohort = read_cohort(folder, score_range=(0.0, 72.0))
    expected = list(SmaCnn.simulate(2, 3, 4.0))
    assert len(cohort) == 2 * VISITS
    assert cohort.outcomes == tuple(score for _, score in expected)
    assert cohort.groups == tuple(r.metadata["group"] for r, _ in expected)
    assert [r.metadata["age_days"] for r in cohort.recordings] == ["60", "150", "240"] * 2
