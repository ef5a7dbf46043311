"""The course of an infant in numbers: change since the visit before, and trend."""

import csv
import json
import re
from dataclasses import replace

import pytest

from infantjax.assessment.assessment import Quantity
from infantjax.clinic.visits import describe
from infantjax.evaluation.agreement import RELIABLE_CHANGE
from infantjax.report.glance import Glance
from infantjax.report.page import to_html
from infantjax.report.table import Row


@pytest.fixture
def visit(factory):
    """Makes the glance of a visit, its record and its assessment."""

    def make(value: float, ensemble: str = "e", limit: float | None = 9.0, unit: str = "points", **metadata):
        headline = Quantity("score", "motor score", value, unit=unit, limits=(0.0, 72.0))
        change = () if limit is None else (Quantity(RELIABLE_CHANGE, "change", limit, unit="points"),)
        found = factory(
            2, frames=5, headline=headline, quantities=change, metadata=metadata, provenance={"ensemble": ensemble}
        )
        record = found.to_dict()
        name = f"v{value:g}"
        return Glance.of(Row.of(f"{name}.csv", record, id=name, page=f"{name}.html"), record), record, found

    return make


def course(*visits):
    *earlier, (now, record, _) = visits
    return describe(record, [glance for glance, _, _ in earlier], now)[0]


def test_a_trend_and_a_change_within_error(visit):
    found = course(*(visit(20.0 + i, age_months=2 * i) for i in range(4)))
    assert found == [
        "Since the visit before: +1.0 points, within the 9.0 points by which two visits can differ by error alone "
        "(95 %).",
        "Trend over 4 visits: +0.5 points per month, 95 % interval +0.5 to +0.5.",
        "These numbers were not validated on infants.",
    ]


def test_a_change_beyond_error_and_a_trend_that_may_be_none(visit):
    found = course(visit(20.0, age_weeks=9), visit(40.0, age_weeks=20), visit(21.0, age_weeks=30))
    assert found[0].startswith("Since the visit before: -19.0 points, more than the 9.0 points")
    assert found[1].endswith("; it may be none.")


@pytest.mark.parametrize(
    "ages",
    [
        [{"age_days": d} for d in (0, 30.4375, 60.875)],
        [{"age_weeks": w} for w in (0, 30.4375 / 7, 60.875 / 7)],
        [{"date": d} for d in ("2030-01-01", "2030-01-31", "2030-03-02")],
    ],
)
def test_ages_and_dates_count_in_months(visit, ages):
    found = course(*(visit(10.0 * i, **age) for i, age in enumerate(ages)))
    assert found[1].startswith("Trend over 3 visits: +10.")


def test_an_age_without_a_unit_and_two_visits_have_a_change_only(visit):
    assert len(course(*(visit(float(i), age=i) for i in range(4)))) == 2
    assert len(course(visit(1.0, age_days=1), visit(2.0, age_days=2))) == 2
    assert "error alone" not in course(visit(1.0, None, None, age_days=1), visit(2.0, None, None, age_days=2))[0]


def test_only_visits_that_can_be_compared_count(visit):
    assert course(visit(1.0, "other", age_days=1), visit(2.0, age_days=2)) == []
    assert course(visit(1.0), visit(2.0)) == []
    assert course(visit(0.1, unit="", age_days=1), visit(0.2, unit="", age_days=2)) == []
    glance, _, _ = visit(1.0, age_days=1)
    unsure = replace(glance, row=replace(glance.row, assessable=False))
    now, record, _ = visit(2.0, age_days=2)
    sentences, files = describe(record, [unsure], now)
    assert sentences == []
    assert json.loads(files[".visits.json"])["change"] is None


def test_the_page_shows_it_below_the_visits(visit):
    earlier = [visit(20.0 + i, age_days=30 * i)[0] for i in range(2)]
    glance, record, now = visit(35.0, age_days=60)
    page = to_html(record, now.movement, now.movement_fps, earlier, visit_notes=describe(record, earlier, glance)[0])
    shown = re.search(r'<section aria-labelledby="h-visits">.*?</section>', page, re.DOTALL)[0]
    assert "more than the 9.0 points" in shown
    assert "Trend over 3 visits" in shown


def test_the_visits_are_a_table_and_json_as_well(visit):
    *earlier, (now, record, _) = (visit(20.0 + i, age_months=2 * i) for i in range(4))
    files = describe(record, [glance for glance, _, _ in earlier], now)[1]
    found = json.loads(files[".visits.json"])
    assert (found["change"], found["reliable_change"], found["trend_per_month"]) == (1.0, 9.0, 0.5)
    assert [row["value"] for row in found["visits"]] == [20, 21, 22, 23]
    rows = list(csv.DictReader(files[".visits.csv"].splitlines()))
    assert [row["age_months"] for row in rows] == ["0", "2", "4", "6"]
    assert [row["trend_per_month"] for row in rows[:3]] == [""] * 3
    assert float(rows[3]["trend_per_month"]) == pytest.approx(0.5)
    assert describe(record, [], now) == ([], {})
