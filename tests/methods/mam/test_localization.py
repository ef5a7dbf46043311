"""Where fidgety movements are, and how much of a video they fill."""

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation.intervals import clopper_pearson
from infantjax.methods.mam.inference import frequency, intervals

STARTS = np.arange(0, 200, 20)


def test_clips_that_overlap_or_touch_are_merged():
    p = np.array([0, 0.9, 0.8, 0, 0, 0, 0, 0.6, 0, 0.7])
    np.testing.assert_allclose(intervals(p, STARTS, 40, 20), [[1, 4], [7, 11]])
    np.testing.assert_allclose(intervals(p, STARTS, 20, 20), [[1, 3], [7, 8], [9, 10]])


def test_the_frequency_is_the_share_of_fidgety_clips():
    p = np.array([0, 0.9, 0.8, 0, 0, 0, 0, 0.6, 0, 0.7])
    assert frequency(p, STARTS, 40)[0] == 0.4
    assert frequency(p, STARTS, 40, threshold=0.75)[0] == 0.2


def test_clips_side_by_side_have_the_exact_interval():
    found = frequency(np.arange(10) < 3, STARTS, 20)
    np.testing.assert_allclose(found[1:], clopper_pearson(3, 10))


def test_clips_that_overlap_count_as_those_side_by_side():
    starts = np.arange(0, 161, 1)
    share, low, _ = frequency(np.arange(161) < 161 * 0.5, starts, 40)
    assert low == pytest.approx(stats.beta.ppf(0.025, 5 * share, 5 * (1 - share) + 1))
    assert low < clopper_pearson(81, 161).low


@pytest.mark.parametrize("value", [0, 1])
def test_a_video_of_one_kind_still_has_an_interval(value):
    share, low, high = frequency(np.full(10, value), STARTS, 20)
    assert (share, high - low) == (value, pytest.approx(1 - 0.025**0.1))
