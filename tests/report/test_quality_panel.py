"""What the page says of the quality of the tracking, of a recording that is not assessable, and of a forced value."""

import re

import jsonschema
import numpy as np
import pytest

from infantjax.assessment.assessment import NO_PREDICTION, TimeSeries
from infantjax.recording.quality import Fault, Measure, Quality
from infantjax.report import schema

HOSTILE = "<script>document.documentElement.dataset.owned=1</script>"


def quality(text: str = "a point jumps away and back", faults: int = 2, **changes) -> Quality:
    """Of 60 seconds, of which 5 to 8 and the last are not usable."""
    usable = np.ones(60, bool)
    usable[[5, 6, 7, 59]] = False
    jumps = np.where(usable, 0.02, 0.3)
    jumps[30] = np.nan
    values = {
        "measures": (
            Measure("jumps", f"largest jump ({text})", jumps, 0.15),
            Measure("movement", "spread of hands", np.full(60, 0.2), float("nan")),
        ),
        "usable": usable,
        "faults": tuple(Fault("jumps", text, 5.0 + i, 8.0 + i, ("left_wrist", text)) for i in range(faults)),
        "summary": {"usable": float(usable.mean()), "bandwidth": float("nan")},
        "assessable": True,
        "reasons": (),
    }
    return Quality(**(values | changes))


@pytest.fixture
def refused(factory):
    """Makes the assessment of a recording that is not assessable."""

    def make(*reasons: str, **changes):
        values = vars(NO_PREDICTION) | {"assessable": False, "reasons": reasons, "quality": quality()}
        return factory(23, **(values | changes))

    return make


def panel(page: str) -> str:
    return re.search(r'<section aria-labelledby="h-quality">.*?</section>', page, re.DOTALL)[0]


def test_the_strip_shows_the_seconds_that_are_not_usable_and_says_them_in_words(factory):
    shown = panel(factory(23, quality=quality()).to_html())
    assert 'aria-label="Seconds that are not usable: 0:05 to 0:08; 0:59 to 1:00"' in shown
    bars = re.findall(r'<rect class="unusable" x="([\d.]+)" width="([\d.]+)"', shown)
    assert [[float(number) for number in bar] for bar in bars] == pytest.approx(
        np.array([[5, 3], [59, 1]]) * 1000 / 60, abs=0.01
    )
    assert "4 of 60 seconds are not usable." in shown
    assert "Windows that hold such seconds are left out." in shown


def test_faults_and_measures_are_tables(factory):
    shown = panel(factory(23, quality=quality()).to_html())
    assert "<td>0:05.0 to 0:08.0</td><td>a point jumps away and back</td><td>left wrist" in shown
    # Four seconds are beyond the limit; one is not known; the second measure only informs.
    assert re.search(r'0\.15</td><td class="number">0\.30</td><td class="number">4</td>', shown)
    assert re.search(r'–</td><td class="number">0\.20</td><td class="number"></td>', shown)
    assert "No fault was found." in panel(factory(23, quality=quality(faults=0)).to_html())


def test_of_many_faults_the_page_shows_the_first_and_counts_the_others(factory):
    shown = panel(factory(23, quality=quality(faults=75)).to_html())
    assert shown.count("<td>a point jumps away and back</td>") == 60
    assert "15 more are in the JSON file." in shown


def test_a_recording_that_is_not_assessable_has_reasons_and_its_movement_but_no_value(refused):
    found = refused("only 12 of 60 seconds are usable", "practically nothing moves")
    record, page = found.to_dict(), found.to_html()
    jsonschema.Draft202012Validator(schema()).validate(record)
    assert record["headline"] is record["time_series"] is record["decision"] is record["certainty"] is None
    assert "<li>Only 12 of 60 seconds are usable.</li><li>Practically nothing moves.</li>" in page
    assert "This says nothing about the infant." in page
    for part in ("h-time", "h-networks", "h-quantities", 'class="risk"', 'class="scale"', 'class="plot" id="plot"'):
        assert part not in page
    for part in ("h-quality", "h-body", "h-method", 'id="pose"', "Not validated on infants", "All keypoints"):
        assert part in page
    # Gray: none of the four colors.
    assert not re.search(r'class="[^"]*\b(red|orange|yellow|green)\b', page)
    assert "Windows that hold such seconds are left out." not in page


def test_a_record_without_value_is_only_allowed_where_it_is_not_assessable(refused, factory):
    check = jsonschema.Draft202012Validator(schema()).validate
    for change in (
        {"assessable": True, "reasons": []},
        {"reasons": []},
        {"decision": "CP"},
        {"forced": True},
        {"headline": factory(3).to_dict()["headline"]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(refused("a reason").to_dict() | change)
    with pytest.raises(jsonschema.ValidationError):
        check(factory(3).to_dict() | {"headline": None})


def test_a_forced_value_has_a_banner(factory):
    page = factory(23, assessable=False, forced=True, reasons=("nothing moves",), quality=quality()).to_html()
    assert "<strong>Forced: this recording is not assessable</strong></p><p>Nothing moves." in page
    assert 'class="risk"' in page
    assert "They were not left out, because the assessment was forced." in page


def test_windows_that_are_left_out_are_gaps(factory):
    series, keep = factory(6).time_series, np.array([True, True, False, False, True, True])
    parts = (series.start, series.median[keep], series.q1[keep], series.q3[keep], 5.0)
    levels = [level for level, kept in zip(series.certainty, keep) if kept]
    page = factory(6, time_series=TimeSeries.of_kept(keep, "risk", *parts, certainty=levels)).to_html()
    assert page.count("<td>left out</td>") == 2
    assert "Gaps are windows that were left out" in page
    assert re.search(r'<path class="median" d="([^"]*)"', page)[1].count("M") == 2


@pytest.mark.parametrize("hostile", [HOSTILE, '"><img src=x onerror="1">', "</title></svg>", "\x1b[31m"])
def test_no_text_of_the_measures_becomes_an_element(refused, factory, hostile):
    forced = {"assessable": False, "forced": True, "reasons": (hostile,), "warnings": (hostile,), "repairs": (hostile,)}
    for found in (refused(hostile, quality=quality(hostile)), factory(4, quality=quality(hostile), **forced)):
        page = found.to_html()
        assert hostile not in page
        assert not re.search(r"<img|onerror=\"|<script>document|\x1b", page)
