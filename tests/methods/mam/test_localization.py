"""Where fidgety movements are, and how much of a video they fill."""

import math

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation.intervals import clopper_pearson
from infantjax.methods.mam.localization import OVERLAPS, average_precision, frequency, intervals, median_kappa

STARTS = np.arange(0, 200, 20)


def test_clips_that_overlap_or_touch_are_merged():
    p = np.array([0, 0.9, 0.8, 0, 0, 0, 0, 0.6, 0, 0.7])
    np.testing.assert_allclose(intervals(p, STARTS, 40, 20), [[1, 4], [7, 11]])
    np.testing.assert_allclose(intervals(p, STARTS, 20, 20), [[1, 3], [7, 8], [9, 10]])


def test_no_clip_is_an_empty_list():
    assert intervals(np.full(10, 0.5), STARTS, 40, 25).shape == (0, 2)


def test_the_frequency_is_the_share_of_fidgety_clips():
    p = np.array([0, 0.9, 0.8, 0, 0, 0, 0, 0.6, 0, 0.7])
    assert frequency(p, STARTS, 40).value == 0.4
    assert frequency(p, STARTS, 40, threshold=0.75).value == 0.2


def test_clips_side_by_side_have_the_exact_interval():
    found = frequency(np.arange(10) < 3, STARTS, 20)
    np.testing.assert_allclose(found[1:], clopper_pearson(3, 10))


def test_clips_that_overlap_count_as_those_side_by_side():
    starts = np.arange(0, 161, 1)
    found = frequency(np.arange(161) < 161 * 0.5, starts, 40)
    assert found.low == pytest.approx(stats.beta.ppf(0.025, 5 * found.value, 5 * (1 - found.value) + 1))
    assert found.low < clopper_pearson(81, 161).low


@pytest.mark.parametrize("value", [0, 1])
def test_a_video_of_one_kind_still_has_an_interval(value):
    found = frequency(np.full(10, value), STARTS, 20)
    assert (found.value, found.high - found.low) == (value, pytest.approx(1 - 0.025**0.1))


def test_no_clips_have_no_frequency():
    assert math.isnan(frequency([], [], 240).value)


def test_a_clip_without_start_is_refused():
    with pytest.raises(ValueError, match="needs a start"):
        intervals([0.1, 0.2], [0], 240, 25)


def test_average_precision_by_hand():
    truth = [np.array([[0.0, 10.0], [20.0, 30.0]]), np.array([[0.0, 10.0]])]
    found = [np.array([[0.0, 9.0], [1.0, 10.0], [50.0, 60.0]]), np.array([[5.0, 15.0]])]
    scores = [np.array([0.9, 0.8, 0.7]), np.array([0.6])]
    # Right, taken already, nowhere, right (a third): precision 1 and 2/4 at two of three annotated intervals.
    assert average_precision(found, scores, truth, 0.3) == pytest.approx((1 + 0.5) / 3)
    assert average_precision(found, scores, truth, 0.5) == pytest.approx(1 / 3)
    assert [average_precision(truth, [np.ones(2), np.ones(1)], truth, o) for o in OVERLAPS] == pytest.approx([1] * 5)


def test_precision_is_made_monotone():
    truth = [np.array([[0.0, 1.0], [2.0, 3.0]])]
    found, scores = [np.array([[8.0, 9.0], [0.0, 1.0], [2.0, 3.0]])], [np.array([0.9, 0.8, 0.7])]
    # 0, 1/2, 2/3: at the first found the precision of the second counts.
    assert average_precision(found, scores, truth, 0.5) == pytest.approx(2 / 3)


def test_of_several_annotated_intervals_the_one_with_most_in_common_is_taken():
    truth = [np.array([[0.0, 4.0], [3.0, 10.0]])]
    found, scores = [np.array([[2.0, 10.0], [0.0, 4.0]])], [np.array([0.9, 0.8])]
    assert average_precision(found, scores, truth, 0.2) == 1


def test_nothing_annotated_has_no_average_precision_and_nothing_found_has_none_right():
    none, some = np.empty((0, 2)), np.array([[0.0, 1.0]])
    assert math.isnan(average_precision([some], [np.ones(1)], [none], 0.5))
    assert average_precision([none], [np.empty(0)], [some], 0.5) == 0
    for overlap in (0.0, 1.1):
        with pytest.raises(ValueError, match="an overlap must be"):
            average_precision([none], [np.empty(0)], [some], overlap)
    with pytest.raises(ValueError, match="every video needs"):
        average_precision([some], [np.empty(0)], [some], 0.5)


def test_recordings_of_one_class_are_counted_and_left_out_of_the_median():
    first, second = [[0, 1, 1, 0], [1, 1, 1], [0, 1, 0, 1]], [[0, 1, 1, 0], [1, 1, 1], [0, 1, 1, 0]]
    found = median_kappa(first, second)
    assert found.recordings[[0, 2]].tolist() == [1, 0]
    assert (found.median, found.undefined) == (0.5, 1)
    assert math.isnan(median_kappa([[1]], [[1]]).median)
