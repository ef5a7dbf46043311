"""Which recordings of a cohort would not be assessable."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from infantjax.assessment.screening import quality_csv, screen
from infantjax.recording.cohort import Cohort
from infantjax.simulation import InfantConfig, simulate


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    """Three infants, the second of which has two frames."""
    infants = [simulate(seed, InfantConfig(duration=12.0), name=name) for seed, name in enumerate(("a", "=b", "c"))]
    keypoints = np.full_like(infants[1].keypoints, np.nan)
    keypoints[[3, 200]] = infants[1].keypoints[[3, 200]]
    infants[1] = replace(infants[1], keypoints=keypoints)
    return Cohort(tuple(infants), (0, 1, 1), problems=("something else",))


def test_warned_recordings_stay_and_excluded_ones_go_and_both_are_problems(cohort):
    warned, _ = screen(cohort)
    assert warned.names == ("a", "=b", "c")
    assert warned.problems[0] == "something else"
    assert warned.problems[1].startswith("=b: not assessable, used all the same: ")
    left, _ = screen(cohort, "exclude")
    assert (left.names, left.outcomes) == (("a", "c"), (0, 1))
    assert left.problems[1].startswith("=b: not assessable, left out: ")
    assert screen(cohort, "off") == (cohort, {})


def test_the_table_has_a_line_for_every_recording(cohort):
    rows = list(csv.DictReader(io.StringIO(quality_csv(screen(cohort)[1]))))
    assert [row["id"] for row in rows] == ["a", "'=b", "c"]
    assert [row["assessable"] for row in rows] == ["true", "false", "true"]
    assert [bool(row["reasons"]) for row in rows] == [False, True, False]
    assert float(rows[1]["missing"]) > 0.9
    assert float(rows[0]["usable"]) == 1


def test_a_cohort_of_which_nothing_is_left_and_an_unknown_word_are_refused(cohort):
    with pytest.raises(ValueError, match="none of the 1 recordings is assessable"):
        screen(cohort.subset([1]), "exclude")
    with pytest.raises(ValueError, match='unknown screening "drop"; known: warn, exclude, off'):
        screen(cohort, "drop")
