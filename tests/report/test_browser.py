"""The page in a real browser. Without a Chromium these tests are skipped, with the reason."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from infantjax.assessment.assessment import NO_PREDICTION
from infantjax.recording.quality import Fault, Measure, Quality
from infantjax.recording.recording import Recording
from infantjax.report.film import FilmOptions, film_of
from infantjax.report.glance import Glance
from infantjax.report.page import index_html, study_html, to_html
from infantjax.report.study import Chart, Section, Series
from infantjax.report.table import Row
from infantjax.skeletons import SKELETONS
from infantjax.video.writing import write_video

pytestmark = pytest.mark.browser

HOSTILE = (
    "</title></script><script>document.documentElement.dataset.owned='script'</script>"
    "<img src=x onerror=\"document.documentElement.dataset.owned='image'\">"
    "<svg onload=\"document.documentElement.dataset.owned='svg'\"> \u202e'\" ]]>\n"
    "<link rel=stylesheet href=http://example.invalid/x.css>"
)


@pytest.fixture(scope="module")
def page(factory, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "infant.html"
    path.write_text(factory().to_html(), encoding="utf-8")
    return path


def state(tab):
    return dict(tab.run("({...document.documentElement.dataset})"))


def test_a_hostile_recording_is_shown_and_runs_nothing(tab, factory, tmp_path):
    path = tmp_path / "hostile.html"
    hostile = factory(name=HOSTILE, metadata={HOSTILE: HOSTILE}, notes=(HOSTILE,), provenance={"x": [HOSTILE]})
    path.write_text(hostile.to_html(), encoding="utf-8")
    tab.open(path)
    assert state(tab) == {"ready": "true"}
    assert tab.run("document.querySelectorAll('script').length") == 2
    assert tab.requests() == [path.as_uri()]


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_the_page_is_ready_without_a_problem_at_every_width(tab, page, width, dark):
    tab.open(page, width=width, dark=dark)
    assert state(tab) == {"ready": "true"}
    assert tab.problems() == []
    assert tab.requests() == [page.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") <= width


def test_the_page_of_a_recording_that_is_not_assessable_plays_its_movement(tab, factory, tmp_path):
    usable = np.arange(15) > 9
    faults = tuple(Fault("frozen", "frames are repeated", float(s), s + 1.0, ("left_wrist",)) for s in range(10))
    measures = (Measure("frozen", "frames that repeat the frame before (share)", 1.0 - usable, 0.3),)
    quality = Quality(measures, usable, faults, {"usable": 1 / 3}, False, ("only 5 of 15 seconds are usable",))
    refused = vars(NO_PREDICTION) | {"assessable": False, "reasons": quality.reasons, "quality": quality}
    (tmp_path / "refused.html").write_text(factory(5, **refused).to_html(), encoding="utf-8")
    tab.open(tmp_path / "refused.html", "#t=3", width=360)
    assert state(tab) == {"ready": "true"}
    assert tab.problems() == []
    assert tab.run("document.documentElement.scrollWidth") <= 360
    assert tab.run("document.querySelector('#clock').textContent") == "0:03.0"
    # Two thirds of the strip are marked.
    width = "document.querySelector('.quality .unusable').getBoundingClientRect().width"
    whole = "document.querySelector('.quality').getBoundingClientRect().width"
    assert tab.run(f"{width} / {whole}") == pytest.approx(2 / 3, abs=0.01)


def test_dark_and_light_follow_the_reader(tab, page):
    def brightness(dark):
        tab.open(page, dark=dark)
        return sum(
            map(int, re.findall(r"\d+", tab.run("getComputedStyle(document.documentElement).backgroundColor"))[:3])
        )

    assert brightness(dark=True) < 150 < 600 < brightness(dark=False)


def test_the_chart_is_drawn_over_its_whole_width(tab, page):
    tab.open(page)
    box = json.loads(tab.run("JSON.stringify(document.querySelector('.median').getBoundingClientRect())"))
    plot = json.loads(tab.run("JSON.stringify(document.querySelector('#plot').getBoundingClientRect())"))
    assert box["width"] > 0.95 * plot["width"]
    assert box["height"] > 40


def test_the_slider_moves_the_body_the_marker_and_the_reading(tab, page):
    tab.open(page)
    wrist = "document.querySelector('#pose circle[data-joint=\"11\"]').getAttribute('cx')"
    before, reading = tab.run(wrist), tab.run("document.querySelector('#readout').textContent")
    tab.run("const s = document.querySelector('#time'); s.value = 2700; s.dispatchEvent(new Event('input'))")
    assert tab.run(wrist) != before
    assert tab.run("document.querySelector('#readout').textContent") != reading
    assert tab.run("document.querySelector('#clock').textContent") == "1:30.0"
    assert tab.run("document.querySelector('.cursor').style.left") == "50%"


def test_the_body_stands_where_the_movement_says(tab, page, factory):
    from infantjax.report.body import Pose

    tab.open(page, "#t=40")
    shown = tab.run(
        "[...document.querySelectorAll('#pose circle')].map((c) => ['cx', 'cy'].map((name) => +c.getAttribute(name)))"
    )
    # Quantized to sixteenths, then written with one decimal.
    assessment = factory()
    pose = Pose.of(assessment.to_dict(), assessment.movement, assessment.movement_fps)
    np.testing.assert_allclose(shown, pose.positions[1200], atol=0.09)


def test_a_missing_point_is_hidden_with_its_bones(tab, factory, tmp_path):
    movement = factory(3).movement.copy()
    movement[:, 11] = np.nan
    path = tmp_path / "gap.html"
    path.write_text(factory(3, movement=movement).to_html(), encoding="utf-8")
    tab.open(path, "#t=1")
    hidden = "[...document.querySelectorAll('#pose *')].filter(e => e.style.visibility === 'hidden').length"
    assert state(tab) == {"ready": "true"}
    assert tab.run(hidden) == 2


def test_play_moves_on_and_pause_stops(tab, page):
    tab.open(page)
    tab.run("document.querySelector('#play').click()")
    assert tab.run("document.querySelector('#play').getAttribute('aria-label')") == "Pause"
    tab.until("document.querySelector('#time').value > 5")
    tab.run("document.querySelector('#play').click()")
    assert tab.run("document.querySelector('#play').getAttribute('aria-label')") == "Play"
    assert tab.problems() == []
    tab.open(page, "#t=179.8")  # at the end it stops by itself
    tab.run("document.querySelector('#play').click()")
    tab.until("document.querySelector('#play').getAttribute('aria-label') === 'Play'")
    assert tab.run("document.querySelector('#time').value") == "5399"


def test_the_keyboard_reaches_play_slider_speed_and_table(tab, page):
    tab.open(page)
    reached = []
    for _ in range(8):
        tab.call("Input.dispatchKeyEvent", type="rawKeyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        tab.call("Input.dispatchKeyEvent", type="keyUp", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(tab.run("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
    assert [r for r in reached if r != "body"][:6] == ["a", "summary", "play", "time", "speed", "summary"]


def test_the_pointer_reads_the_chart_and_a_click_goes_there(tab, page):
    tab.open(page)
    tab.run("document.querySelector('#plot').scrollIntoView({block: 'center'})")
    box = json.loads(tab.run("JSON.stringify(document.querySelector('#plot').getBoundingClientRect())"))
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 40}
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", **point)
    assert "1:27.5 to 1:32.5" in tab.run("document.querySelector('#readout').textContent")
    assert tab.run("document.querySelector('#clock').textContent") == "0:00.0"
    tab.call("Input.dispatchMouseEvent", type="mousePressed", button="left", clickCount=1, **point)
    assert abs(float(tab.run("document.querySelector('#time').value")) / 30 - 90) < 0.5


def test_every_figure_and_control_has_a_name(tab, page):
    tab.open(page)
    tree = tab.call("Accessibility.getFullAXTree")["nodes"]
    wanted = {"image", "button", "slider", "combobox", "img"}
    nodes = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in wanted]
    assert len(nodes) >= 8
    assert [n for n in nodes if not n.get("name", {}).get("value")] == []


def test_paper_shows_all_but_the_controls(tab, page):
    tab.open(page)
    tab.call("Emulation.setEmulatedMedia", media="print")
    shown = "[...document.querySelectorAll('.controls, summary, .readout')].filter(e => e.checkVisibility()).length"
    assert tab.run(shown) == 0
    # Details are folded on screen and open on paper.
    heights = "[...document.querySelectorAll('details table, details dl')].map(e => e.getBoundingClientRect().height)"
    assert min(tab.run(heights)) > 20
    assert tab.run("document.querySelector('.banner').checkVisibility()") is True
    tab.call("Emulation.setEmulatedMedia", media="")
    pdf = tab.pdf()
    assert pdf.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 6


def test_the_page_is_whole_without_its_script(tab, page):
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.call("Page.navigate", url="about:blank")
        tab.call("Page.navigate", url=page.as_uri())
        tab.until("document.readyState === 'complete' && document.querySelector('.median') !== null")
        assert tab.run("document.querySelector('.median').getBoundingClientRect().width") > 100
        assert tab.run("document.querySelector('#pose circle').getAttribute('cx')") is not None
        assert tab.run("document.documentElement.dataset.ready ?? null") is None
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_short_recording_is_drawn(tab, factory, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(factory(1).to_html(), encoding="utf-8")
    tab.open(path)
    tab.until("document.documentElement.dataset.ready === 'true'")
    assert state(tab) == {"ready": "true"}
    assert tab.problems() == []


def test_the_index_is_sorted_by_pointer_and_keyboard(tab, factory, tmp_path):
    glances = [Glance(Row(file="broken.csv", id="x", message="broken.csv: empty"))]
    for name, value in (("infant 10", 0.61), ("infant 9", 0.12), ("infant 11", 0.35)):
        record = factory(4, frames=5, name=name, value=value).to_dict()
        glances.append(Glance.of(Row.of(f"{name}.csv", record, page=f"{name}.html"), record))
    path = tmp_path / "index.html"
    path.write_text(index_html(glances), encoding="utf-8")
    tab.open(path)
    order = "[...document.querySelectorAll('tbody th')].map((th) => th.querySelector('bdi').textContent)"
    button = "[...document.querySelectorAll('th button')].find((b) => b.textContent === '%s')"
    tab.run(f"{button % 'Value'}.click()")
    assert tab.run(order) == ["infant 9", "infant 11", "infant 10", "broken.csv"]
    tab.run(f"{button % 'Value'}.focus()")
    for kind in ("rawKeyDown", "char", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")
    assert tab.run(order) == ["infant 10", "infant 11", "infant 9", "broken.csv"]
    assert tab.run("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    tab.run(f"{button % 'Recording'}.click()")
    assert tab.run(order) == ["broken.csv", "infant 9", "infant 10", "infant 11"]
    assert state(tab) == {"ready": "true"}
    assert tab.problems() == []
    assert tab.requests() == [path.as_uri()]
    tab.open(path, width=420)
    assert tab.run("document.documentElement.scrollWidth") <= 420


@pytest.mark.parametrize("embedded", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_video_plays_in_step_with_the_chart(tab, factory, tmp_path, embedded):
    clip = tmp_path / "clip #1.mp4"
    write_video((np.full((64, 64, 3), level, np.uint8) for level in range(80)), 10.0, clip)
    assessment = factory(2, frames=240)
    record = assessment.to_dict()
    points = np.full((80, 19, 2), 30, np.float32)
    recording = Recording(points, 10.0, SKELETONS["in-motion-19"], "clip")
    shown = film_of(clip, recording, record, tmp_path / "a.html", FilmOptions(embed_video=embedded))
    path = tmp_path / "page.html"
    path.write_text(to_html(record, assessment.movement, assessment.movement_fps, film=shown), encoding="utf-8")
    tab.open(path)
    tab.until("document.querySelector('#film').readyState > 1")
    seek = "const s = document.querySelector('#time'); s.value = 90; s.dispatchEvent(new Event('input'));"
    # Played while the video still seeks.
    assert tab.run(f"{seek} document.querySelector('#play').click(); document.querySelector('#film').currentTime") == 3
    tab.until("document.querySelector('#film').currentTime > 3.3")
    apart = "document.querySelector('#film').currentTime - Number(document.querySelector('#time').value) / 30"
    assert abs(tab.run(apart)) < 0.3
    tab.run("document.querySelector('#film').pause()")
    tab.until("document.querySelector('#play').getAttribute('aria-label') === 'Play'")
    assert state(tab) == {"ready": "true"}
    assert tab.problems() == []


@pytest.mark.parametrize(("width", "dark"), [(420, True), (1280, False)])
def test_the_page_of_a_study_fits_every_width(tab, tmp_path, width, dark):
    series = (Series("held out", [0, 0.5, 1], [0, 0.8, 1], "line", [0, 0.5, 0.9], [0.2, 1, 1]),)
    chart = Chart("ROC curve.", "1 - specificity", "sensitivity", series, square=True)
    rows = [(f"a long name of a recording {i}", i, 0.123456, None, "finished") for i in range(3)]
    section = Section("ROC", ("Six words.",), chart, ("Name", "Run", "AUC", "Loss", "Ended"), rows)
    path = tmp_path / "study.html"
    path.write_text(study_html("Cross-validation", "Ensemble", ("3 runs",), (section,), "Never validated."), "utf-8")
    tab.open(path, width=width, dark=dark)
    assert tab.problems() == []
    assert tab.requests() == [path.as_uri()]
    assert tab.run("document.documentElement.scrollWidth") <= width
    assert tab.run("document.querySelector('.median').getBoundingClientRect().height") > 100
