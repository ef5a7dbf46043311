"""Simulated infants under a phone: the points of Baby Moves, age and cohort."""

import numpy as np

from infantjax.formats.cohort import read_cohort
from infantjax.methods.baby_moves.method import BabyMoves
from infantjax.simulation import write_cohort
from infantjax.skeletons import BABY_MOVES_18


def test_the_points_lie_along_x_with_the_head_at_small_x():
    recording, _ = next(BabyMoves.simulate(2, 0, 6.0))
    assert recording.skeleton == BABY_MOVES_18
    crown, hips, toes = (recording.keypoints[:, rows, 0].mean(axis=1) for rows in ([0], [7, 14], [10, 17]))
    assert np.nanmax(crown - hips) < 0
    assert np.nanmax(hips - toes) < 0


def test_a_written_cohort_is_read_with_age_and_cohort(tmp_path):
    folder = write_cohort(tmp_path / "cohort", 2, 3, 4.0, method=BabyMoves, prevalence=0.5)
    cohort = read_cohort(folder)
    expected = list(BabyMoves.simulate(2, 3, 4.0, prevalence=0.5))
    assert cohort.outcomes == tuple(outcome for _, outcome in expected)
    for recording, (simulated, _) in zip(cohort.recordings, expected):
        for column in ("age", "cohort"):
            assert recording.metadata[column] == str(simulated.metadata[column])
