"""Errors of a tracker are measured, and added to exact keypoints."""

import numpy as np
import pytest

from infantjax.recording.cohort import Cohort
from infantjax.recording.tracker_error import LARGEST, add_error, measure_error, trunk_length, with_tracker_error
from infantjax.simulation import InfantConfig, simulate


@pytest.fixture(scope="module")
def exact():
    return simulate(3, InfantConfig(duration=4.0, noise=0, dropout_rate=0), name="exact")


@pytest.fixture(scope="module")
def found(exact):
    rng = np.random.default_rng(0)
    points = exact.keypoints + 0.05 * trunk_length(exact) * rng.standard_normal(exact.keypoints.shape)
    points[10:20, 3] = np.nan
    return exact.with_step("tracked", keypoints=points)


def test_an_error_that_is_measured_and_added_gives_what_was_found(exact, found):
    error = measure_error(found, exact)
    assert np.isnan(error.keypoints[10:20, 3]).all()
    assert np.nanstd(error.keypoints) == pytest.approx(0.05, rel=0.05)
    again = add_error(exact, error)
    seen = np.isfinite(found.keypoints)
    np.testing.assert_allclose(again.keypoints[seen], found.keypoints[seen], rtol=1e-9)
    assert np.isfinite(again.keypoints).all()


def test_an_error_is_as_long_as_the_recording_and_at_its_rate(exact, found):
    error = measure_error(found, exact)
    longer = simulate(4, InfantConfig(duration=10.0, fps=25.0), name="longer")
    spoiled = add_error(longer, error, 0.5, start=7)
    assert (spoiled.frames, spoiled.fps) == (longer.frames, 25.0)
    np.testing.assert_array_equal(add_error(longer, error, 0.0).keypoints, longer.keypoints)
    # Forwards and backwards without a jump: 4 s at 25 Hz are 100 frames.
    added = (add_error(longer, error).keypoints - longer.keypoints)[:, 0]
    np.testing.assert_allclose(added[100:200], added[:100][::-1], atol=1e-9)


def test_copies_stay_with_their_infant_and_have_the_outcome(exact, found):
    error = measure_error(found, exact)
    others = [simulate(k, InfantConfig(duration=4.0, noise=0), name=f"i{k}") for k in (5, 6)]
    cohort = with_tracker_error(Cohort(tuple(others), (0, 1)), [error], seed=1)
    assert cohort.names == ("i5", "i5+error", "i6", "i6+error")
    assert (cohort.outcomes, cohort.groups) == ((0, 0, 1, 1), ("i5", "i5", "i6", "i6"))
    for plain, copy in zip(cohort.recordings[::2], cohort.recordings[1::2]):
        sizes = np.nanstd(measure_error(copy, plain).keypoints)
        assert 0 < sizes < 1.1 * LARGEST * 0.05
    again = with_tracker_error(Cohort(tuple(others), (0, 1)), [error], seed=1)
    assert again.digest == cohort.digest


def test_other_keypoints_or_another_rate_are_refused(exact):
    with pytest.raises(ValueError, match="in-motion-19 at 30 Hz, the true ones in-motion-19 at 15 Hz"):
        measure_error(exact, simulate(3, InfantConfig(duration=4.0, fps=15.0)))
