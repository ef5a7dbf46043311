"""Multivariate modes: tracks whose modes are known, and that each is in its place in every track."""

import numpy as np
import pytest
from baseline_methods import memd

SECONDS = np.arange(360) / 30
FAST, SLOW = 2 * np.pi * 3 * SECONDS, 2 * np.pi * 0.4 * SECONDS
TRACKS = np.stack([np.sin(FAST) + 4 * np.sin(SLOW), 2 * np.sin(SLOW + 1), np.sin(FAST + 1) + SECONDS], axis=1)


@pytest.fixture(scope="module")
def modes():
    return memd.decompose(TRACKS, 3, directions=12)


def test_modes_and_residual_sum_to_the_tracks(modes):
    np.testing.assert_allclose(modes.sum(axis=0), TRACKS, atol=1e-12)


def test_modes_of_all_tracks_line_up_though_one_track_lacks_the_fast_and_one_the_slow_movement(modes):
    """Decomposed alone, the first mode of the second track would be the slow one."""
    inner = slice(45, -45)
    np.testing.assert_allclose(modes[0, inner, 0], np.sin(FAST)[inner], atol=0.1)
    np.testing.assert_allclose(modes[0, inner, 1], 0, atol=0.1)
    np.testing.assert_allclose(modes[0, inner, 2], np.sin(FAST + 1)[inner], atol=0.1)
    np.testing.assert_allclose(modes[1, inner, 1], 2 * np.sin(SLOW + 1)[inner], atol=0.1)


def test_tracks_without_extrema_have_no_modes():
    line = np.stack([SECONDS, -SECONDS], axis=1)
    found = memd.decompose(line, 2)
    np.testing.assert_array_equal(found[:2], 0)
    np.testing.assert_array_equal(found[2], line)
