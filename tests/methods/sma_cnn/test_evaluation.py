"""Errors of scores: both averages and the aggregation of windows, by hand."""

import numpy as np
import pytest

from infantjax.methods.sma_cnn import evaluation


def test_both_averages_of_unequal_subjects():
    found = evaluation.subject_errors([10, 12, 20, 40], [12, 12, 30, 30], ["a", "a", "b", "b"])
    assert found.subjects == {"a": 1.0, "b": 10.0}
    assert (found.per_subject, found.overall) == (5.5, 5.5)
    found = evaluation.subject_errors([1, 1, 1, 9], [0, 0, 0, 0], ["a", "a", "a", "b"])
    assert (found.per_subject, found.overall) == (5.0, 3.0)


def test_a_recording_is_the_mean_or_median_of_its_windows():
    assert evaluation.aggregate([1, 2, 6], "mean") == 3
    assert evaluation.aggregate([1, 2, 6], "median") == 2


def test_the_fence_leaves_an_outlier_out_and_includes_its_ends():
    # Quartiles 2 and 4, so the fences are -1 and 7.
    assert evaluation.aggregate([1, 2, 3, 4, 7], "fence") == pytest.approx(17 / 5)
    assert evaluation.aggregate([1, 2, 3, 4, 100], "fence") == pytest.approx(2.5)
    values = [0, 0, 1, 2, 10]
    assert evaluation.aggregate(values, "fence") == pytest.approx(0.75)
    assert evaluation.aggregate(values, "fence", "hazen") == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    "call",
    [
        lambda: evaluation.aggregate([]),
        lambda: evaluation.aggregate([np.nan]),
        lambda: evaluation.aggregate([1.0], "mode"),
        lambda: evaluation.subject_errors([], [], []),
        lambda: evaluation.subject_errors([1.0], [2.0], ["a", "b"]),
        lambda: evaluation.subject_errors([np.nan], [2.0], ["a"]),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"got|known"):
        call()
