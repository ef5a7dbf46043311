"""Plots of scores: errors of windows and of infants, and scores of recordings."""

import numpy as np
import pytest
import sma_cnn

pytest.importorskip("matplotlib")


def line(axes, label):
    return next(line for line in axes.get_lines() if str(line.get_label()).startswith(label))


SUBJECTS, MEASURED = ["a", "b", "a", "b", "b"], np.array([10.0, 40, 20, 50, 60])
SCORES = {"mean": np.array([12.0, 43, 16, 50, 60]), "median": np.array([10.0, 44, 20, 52, 63])}


def test_errors_of_windows_are_drawn_infant_by_infant():
    axes = sma_cnn.window_errors(SCORES["mean"], MEASURED, SUBJECTS).axes[0]
    np.testing.assert_array_equal(line(axes, "window").get_ydata(), [2, 3, 4, 0, 0])
    np.testing.assert_array_equal(np.round(line(axes, "window").get_xdata()), [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(line(axes, "mean").get_ydata(), [3, 1])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]


def test_errors_of_infants_are_drawn_for_every_way_to_one_score():
    axes = sma_cnn.bars(SCORES, MEASURED, SUBJECTS).axes[0]
    assert [[bar.get_height() for bar in bars] for bars in axes.containers] == [[3, 1], [0, 3]]


def test_scores_of_an_infant_stand_side_by_side_with_the_measured_ones():
    axes = sma_cnn.dots(SCORES, MEASURED, SUBJECTS).axes[0]
    np.testing.assert_array_equal(line(axes, "measured").get_ydata(), [10, 20, 40, 50, 60])
    np.testing.assert_array_equal(line(axes, "median").get_ydata(), [10, 20, 44, 52, 63])
