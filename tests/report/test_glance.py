"""What is shown of other recordings: the index over a folder, and the course of one infant."""

import re

import pytest

from infantjax.files import canonical_json
from infantjax.report.glance import Glance
from infantjax.report.page import index_html, to_html
from infantjax.report.table import Row


@pytest.fixture
def visit(factory):
    """Makes the glance of a visit, and its assessment."""

    def make(name: str, value: float = 0.4, windows: int = 9, **metadata):
        assessment = factory(windows, frames=5, name=name, value=value, metadata=metadata)
        record = assessment.to_dict()
        return Glance.of(Row.of(f"{name}.csv", record, id=name, page=f"{name}.html"), record), assessment

    return make


def names(glances):
    return [glance.row.name for glance in glances]


def test_earlier_visits_are_those_of_the_same_infant_by_age(visit):
    others = [
        visit(name, infant=infant, age_weeks=age)[0]
        for name, infant, age in (("d", "7", 20), ("b", "7", 9), ("a", "7", "8.5"), ("c", "8", 3), ("this", "7", 12))
    ]
    assert names(visit("this", infant="7", age_weeks="12")[0].earlier(others)) == ["a", "b"]
    assert visit("this", age_weeks=12)[0].earlier(others) == []


def test_visits_are_ordered_by_dates_too_and_without_any_order_all_others_count(visit):
    dated = [visit(name, subject="x", date=date)[0] for name, date in (("b", "2030-03-01"), ("a", "2029-12-31"))]
    assert names(visit("this", subject="x", date="2030-04-01")[0].earlier(dated)) == ["a", "b"]
    assert names(visit("this", subject="x")[0].earlier([visit("one", subject="x")[0], *dated])) == ["one"]


def test_the_page_shows_the_course_and_links_to_earlier_pages(visit):
    earlier, _ = visit("first visit", 0.31, infant="7", age_weeks=9)
    _, now = visit("second", 0.64, infant="7", age_weeks=14)
    page = to_html(now.to_dict(), now.movement, now.movement_fps, [earlier])
    shown = re.search(r'<section aria-labelledby="h-visits">.*?</section>', page, re.DOTALL)[0]
    assert 'href="first%20visit.html"' in shown
    assert shown.index("age weeks <bdi>9</bdi>") < shown.index("this visit") < shown.index("age weeks <bdi>14</bdi>")
    assert [float(x) for x in re.findall(r'<i style="left:([\d.]+)%', shown)] == [31, 64]
    assert "h-visits" not in to_html(now.to_dict(), now.movement, now.movement_fps)


def test_a_glance_is_read_from_the_record_beside_the_page(visit, tmp_path):
    expected, assessment = visit("a", infant="7")
    (tmp_path / "a.json").write_text(canonical_json(assessment.to_dict()), "utf-8")
    assert Glance.read(expected.row, tmp_path) == expected
    assert expected.curve.startswith("M")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"quality": 3}', "[" * 100_000])
def test_a_record_that_cannot_be_read_leaves_the_row(visit, tmp_path, content):
    row = visit("a")[0].row
    (tmp_path / "a.json").write_text(content, "utf-8")
    assert Glance.read(row, tmp_path) == Glance(row)


def test_the_index_draws_a_short_course_of_every_recording(visit):
    page = index_html([visit("a", windows=2000)[0], Glance(Row(file="b.csv", message="b.csv: empty"))])
    (curve,) = re.findall(r'<path class="median" d="([^"]*)"', page)
    assert 20 <= curve.count("L") < 40
    assert "no result" in page


def test_validated_weights_have_no_caveat_on_the_index(visit, factory):
    record = factory(2, frames=5, validated=True, statement="Validated in 2030.").to_dict()
    page = index_html([Glance.of(Row.of("a.csv", record), record)])
    assert 'class="banner"' not in page
    assert "Validated in 2030." in page
    assert 'class="banner"' in index_html([visit("a")[0]])
