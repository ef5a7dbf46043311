"""Simulated infants under a phone: the points of Baby Moves, age and cohort."""

import numpy as np

from infantjax.methods.baby_moves.method import BabyMoves
from infantjax.skeletons import BABY_MOVES_18


def test_the_points_lie_along_x_with_the_head_at_small_x():
    recording, _ = next(BabyMoves.simulate(2, 0, 6.0))
    assert recording.skeleton == BABY_MOVES_18
    crown, hips, toes = (recording.keypoints[:, rows, 0].mean(axis=1) for rows in ([0], [7, 14], [10, 17]))
    assert np.nanmax(crown - hips) < 0
    assert np.nanmax(hips - toes) < 0
