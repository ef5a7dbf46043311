"""Errors of scores: both averages and the aggregation of windows, by hand."""

import numpy as np
import pytest

from infantjax.evaluation import regression


def test_both_averages_of_unequal_subjects():
    found = regression.subject_errors([10, 12, 20, 40], [12, 12, 30, 30], ["a", "a", "b", "b"])
    assert found.subjects == {"a": 1.0, "b": 10.0}
    assert (found.per_subject, found.overall) == (5.5, 5.5)
    found = regression.subject_errors([1, 1, 1, 9], [0, 0, 0, 0], ["a", "a", "a", "b"])
    assert (found.per_subject, found.overall) == (5.0, 3.0)


def test_a_recording_is_the_mean_or_median_of_its_windows():
    assert regression.aggregate([1, 2, 6], "mean") == 3
    assert regression.aggregate([1, 2, 6], "median") == 2


def test_the_fence_leaves_an_outlier_out_and_includes_its_ends():
    # Quartiles 2 and 4, so the fences are -1 and 7.
    assert regression.aggregate([1, 2, 3, 4, 7], "fence") == pytest.approx(17 / 5)
    assert regression.aggregate([1, 2, 3, 4, 100], "fence") == pytest.approx(2.5)
    values = [0, 0, 1, 2, 10]
    assert regression.aggregate(values, "fence") == pytest.approx(0.75)
    assert regression.aggregate(values, "fence", "hazen") == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    "call",
    [
        lambda: regression.aggregate([]),
        lambda: regression.aggregate([np.nan]),
        lambda: regression.aggregate([1.0], "mode"),
        lambda: regression.subject_errors([], [], []),
        lambda: regression.subject_errors([1.0], [2.0], ["a", "b"]),
        lambda: regression.subject_errors([np.nan], [2.0], ["a"]),
    ],
)
def test_what_has_no_error_is_refused(call):
    with pytest.raises(ValueError, match=r"got|known"):
        call()
