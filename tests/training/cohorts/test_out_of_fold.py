"""What held-out risks say of the risk of an ensemble."""

import math
from dataclasses import replace

import numpy as np
import pytest

from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.cohorts.out_of_fold import HeldOut, calibrate, threshold_of


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Sixty recordings of thirty infants, half of them with the outcome."""
    still = np.zeros((2, 19, 2))
    recordings = tuple(Recording(still, 30.0, IN_MOTION_19, f"r{i}") for i in range(60))
    return Cohort(recordings, tuple(float(i // 2 % 2) for i in range(60)), tuple(f"infant {i // 2}" for i in range(60)))


def held_out(cohort: Cohort) -> list[HeldOut]:
    rng = np.random.default_rng(0)
    values = 0.3 + 0.3 * np.asarray(cohort.outcomes) + rng.uniform(-0.25, 0.25, len(cohort))
    return [HeldOut(row, row // 2 % 3, float(value)) for row, value in enumerate(values)]


def test_recordings_of_an_infant_count_once(cohort):
    found = calibrate(cohort, held_out(cohort), [0, 1, 2])
    assert found.counts() == (15, 15)
    assert found.prevalence == 0.5
    assert 0 < found.map.slope < math.inf
    values = [entry.value for entry in held_out(cohort)]
    assert found.conformal.risks.max() == pytest.approx(np.reshape(values, (30, 2)).mean(axis=1).max())


def test_runs_that_are_not_in_the_ensemble_and_values_that_are_not_known_do_not_count(cohort):
    entries = held_out(cohort)
    entries[0] = entries[0]._replace(value=math.nan)
    found = calibrate(cohort, entries, [0, 2])
    assert sum(found.counts()) == 20
    # The second network of the ensemble is that of run 2.
    assert set(found.conformal.folds.tolist()) == {0, 1}
    assert calibrate(cohort, [entry._replace(value=math.nan) for entry in entries], [0, 1, 2]) is None


def test_scores_have_no_calibration(cohort):
    assert calibrate(replace(cohort, score_range=(0.0, 1.0)), held_out(cohort), [0, 1, 2]) is None


def test_risks_that_a_method_calibrated_get_no_second_map(cohort):
    found = calibrate(cohort, held_out(cohort), [0, 1, 2], calibrated=True, optimistic=True)
    assert found.apply(0.42, dict.fromkeys(range(3), 0.42)).risk == pytest.approx(0.42)
    assert found.optimistic


def test_twins_of_different_outcome_are_two_infants(cohort):
    twins = replace(cohort, outcomes=tuple(float(i % 2) for i in range(60)))
    assert calibrate(twins, held_out(twins), [0, 1, 2]).counts() == (30, 30)


def test_the_threshold_lies_between_the_held_out_risks_that_it_separates(cohort):
    entries = [HeldOut(row, 0, 0.2 + 0.5 * cohort.outcomes[row] + 0.001 * row) for row in range(60)]
    highest_without = max(np.median([e.value for e in entries[i : i + 2]]) for i in range(0, 60, 4))
    lowest_with = min(np.median([e.value for e in entries[i : i + 2]]) for i in range(2, 60, 4))
    assert threshold_of(cohort, entries) == pytest.approx((highest_without + lowest_with) / 2)
    unknown = [entry._replace(value=math.nan) for entry in entries if cohort.outcomes[entry.row]]
    with pytest.raises(ValueError, match="one class only"):
        threshold_of(cohort, [e for e in entries if not cohort.outcomes[e.row]] + unknown)
