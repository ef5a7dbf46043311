"""A cohort of arrays and a table of outcomes."""

import numpy as np
import pandas as pd
import pytest

from infantjax.recording import Cohort, Recording
from infantjax.skeletons import IN_MOTION_19

ARRAY = np.random.default_rng(1).uniform(0, 100, (20, 19, 2))
TABLE = pd.DataFrame(
    {"outcome": [1, 0, 0], "group": ["x", None, "x"], "age": [12, 13.5, np.nan], "center": ["Oslo", None, "Rome"]},
    index=["7", "008", "9"],
)
GIVEN = {"fps": 30, "skeleton": "in-motion-19"}


def test_arrays_and_a_table_make_a_cohort():
    own = Recording(ARRAY, 25, IN_MOTION_19, metadata={"camera": "left"})
    cohort = Cohort.from_frame({"008": ARRAY, "7": own}, TABLE, **GIVEN)
    assert (cohort.names, cohort.outcomes, cohort.groups) == (("008", "7"), (0, 1), ("008", "x"))
    assert [recording.fps for recording in cohort.recordings] == [30, 25]
    assert cohort.recordings[0].metadata == {"age": 13.5}
    assert cohort.recordings[1].metadata == {"camera": "left", "group": "x", "age": 12.0, "center": "Oslo"}
    assert cohort.recordings[1].metadata.center == "Oslo"


def test_ids_may_be_numbers_and_outcomes_scores():
    table = pd.DataFrame({"outcome": [0.25, 0.75]}, index=[1, 2])
    cohort = Cohort.from_frame({"1": ARRAY}, table, score_range=(0, 1), **GIVEN)
    assert (cohort.outcomes, cohort.groups) == ((0.25,), None)


@pytest.mark.parametrize(
    ("names", "table", "given", "message"),
    [
        (["7", "nobody"], TABLE, GIVEN, "no outcome of nobody"),
        (["7"], TABLE.assign(outcome=[None, 0, 0]), GIVEN, "no outcome of 7"),
        (["7"], TABLE.drop(columns="outcome"), GIVEN, "no column outcome, only group, age, center"),
        (["7"], pd.concat([TABLE, TABLE]), GIVEN, "two rows of 7"),
        (["7"], TABLE.assign(outcome=2), GIVEN, "outcomes must be 0 or 1"),
        (["7"], TABLE, {}, "arrays need fps and skeleton"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(names, table, given, message):
    with pytest.raises(ValueError, match=message):
        Cohort.from_frame(dict.fromkeys(names, ARRAY), table, **given)
