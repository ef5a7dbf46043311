"""The HTML page as text: escaping, independence from the network, equal bytes, odd content."""

import base64
import html
import html.parser
import itertools
import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.assessment.assessment import Quantity
from infantjax.evaluation.risk_calibration import CohortRisks
from infantjax.recording.movement import LimbMovement
from infantjax.report import body, charts, schema, text
from infantjax.report.glance import Glance
from infantjax.report.page import index_html
from infantjax.report.table import Row

HOSTILE = (
    "<script>document.documentElement.dataset.owned=1</script>",
    "</script><script>document.documentElement.dataset.owned=1</script>",
    '"><img src=x onerror="document.documentElement.dataset.owned=1">',
    "' onmouseover='document.documentElement.dataset.owned=1",
    "</title></style></svg><iframe srcdoc='<script>1</script>'>",
    "]]><!--",
    "$risk ${risk} $$ %s {risk}",
    "first\nsecond\r\nthird",
    "\u202ereversed\u2066 \u200f",
    "\x00\x08\x1b[31m \x85",
    "&lt;script&gt; &amp;amp; &#60;",
    "javascript:alert(1)",
    "\udce9",
    "x" * 240,
)


def to_html(assessment):
    return assessment.to_html()


def pose_of(assessment):
    return body.Pose.of(assessment.to_dict(), assessment.movement, assessment.movement_fps)


class Elements(html.parser.HTMLParser):
    """Tags with their attributes, and the text of the page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.inside = [], [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, attributes))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.texts.append(data)


def outline(page):
    """The tags of a page and the names of their attributes: what a value must not change."""
    return [(tag, [name for name, _ in attributes]) for tag, attributes in Elements(page).tags]


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture(scope="module")
def page(factory):
    return factory().to_html()


def test_equal_assessments_give_equal_bytes(factory, page):
    assert factory().to_html() == page


def test_the_page_asks_nobody_for_anything(page):
    without_movement = re.sub(r'"positions":"[^"]*"', "", page)
    assert not re.search(
        r"https?:|\bsrc\s*=|@import|url\(|<(img|iframe|object|embed|base|form)\b|srcset", without_movement
    )
    assert re.findall(r'href="([^"]*)"', without_movement) == ["data:,", "#limits"]
    assert not re.search(r"20[2-9]\d-\d\d-\d\d|\d\d:\d\d:\d\d", without_movement)  # no time stamp
    assert len(page.encode()) < 1_000_000  # of three minutes at 30 frames a second


def test_the_page_allows_one_script_and_nothing_else(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src &#x27;none&#x27;") or policy.startswith("default-src 'none'")
    assert "script-src 'sha256-" in policy
    assert "img-src data:" in policy
    assert re.search(r"script-src[^;]*unsafe", policy) is None


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_text_stays_text_wherever_it_stands(factory, hostile):
    def page_with(value):
        members = tuple(replace(member, model=value) for member in factory().members)
        return to_html(
            factory(
                3,
                frames=20,
                name=value,
                title=value,
                metadata={value: [value, {"inner": value}]},
                provenance={value: value},
                notes=(value,),
                statement=value,
                approximated={"nose": value},
                missing={value: 0.5},
                members=members,
                fidelity_note=value,
            )
        )

    page = page_with(hostile)
    assert outline(page) == outline(page_with("harmless"))
    page.encode("utf-8")
    if hostile.isprintable():
        assert "".join(Elements(page).texts).count(hostile) >= 9
    assert "<" not in re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]

    def index_with(value):
        record = factory(2, frames=5, name=value, metadata={"infant": value}).to_dict()
        return index_html([Glance.of(Row.of(value, record, value, page="a.html"), record)])

    assert outline(index_with(hostile)) == outline(index_with("harmless"))
    index_with(hostile).encode("utf-8")
    title = re.search("<title>(.*?)</title>", to_html(factory(2, frames=5, name="a\u202eb\nc")))[1]
    assert title == "ab c: movement assessment"


def test_the_caveat_is_short_in_the_banner_which_links_to_the_whole_of_it_said_once(page, factory):
    banner = re.search(r'<aside class="banner".*?</aside>', page, re.DOTALL)[0]
    assert f'{text.CAVEAT} <a href="#limits">' in banner
    assert page.count(html.escape(factory().statement)) == 1
    assert html.escape(factory().statement) in page[page.index('id="limits"') :]
    assert "@bottom-left" in page
    validated = to_html(factory(2, frames=5, validated=True, statement="Validated in the study of 2030."))
    assert 'class="banner"' not in validated
    assert "Not validated" not in validated
    assert "Validated in the study of 2030." in validated


def test_the_risk_is_shown_with_its_words_and_threshold(page):
    verdict = re.search(r'<section class="verdict orange".*?</section>', page, re.DOTALL)[0]
    assert ">0.57</p>" in re.sub(r"<span.*?</span>", "", verdict)
    assert "Above the threshold; uncertain" in verdict
    assert "threshold 0.50" in verdict
    assert "9 of 14 networks lie on the same side of the threshold (64\N{NO-BREAK SPACE}%)" in verdict


def test_readers_meet_plain_words_only(page):
    shown = " ".join(Elements(page).texts)
    for jargon in (r"\bCP\b", r"\binstances?\b", "class activation", r"\brule\b"):
        assert not re.search(jargon, shown), jargon


@pytest.mark.parametrize("windows", [1, 2, 300])
def test_any_number_of_windows_is_drawn(factory, windows):
    page = to_html(factory(windows, frames=10))
    assert len(data_of(page)["windows"]) == windows
    assert len(re.findall(r"<tr><td>\d", page)) == windows
    assert ('class="many"' in page) == (windows > 200)
    assert "nan" not in re.search(r'<svg class="lines".*?</svg>', page, re.DOTALL)[0]
    assert 'class="median" d="M0.00 ' in page or windows > 1  # alone it is drawn over its length


def test_the_line_is_broken_where_windows_have_no_figures(factory):
    assessment = factory(9, frames=10)
    median = assessment.time_series.median.copy()
    median[[0, 4]] = np.nan
    page = to_html(replace(assessment, time_series=replace(assessment.time_series, median=median)))
    path = re.search(r'class="median" d="([^"]*)"', page)[1]
    assert path.count("M") == 2
    assert path.count("L") == 5


def test_nothing_known_still_gives_a_page(factory):
    nan = float("nan")
    page = to_html(
        factory(
            1,
            headline=replace(factory().headline, value=nan, low=nan, high=nan),
            agreement=nan,
            contributions=dict.fromkeys(factory().contributions, nan),
            movement=np.full((30, 19, 2), np.nan, np.float32),
            missing={},
            approximated={},
            metadata={},
            notes=(),
            provenance={},
        )
    )
    assert "No risk could be computed" in page
    assert "no position is known" in page
    assert not re.search(r"\bnan\b", re.sub(r'"positions":"[^"]*"', "", page))
    still = to_html(factory(1, movement=np.zeros((0, 19, 2), np.float32)))
    assert data_of(still)["movement"]["frames"] == 0
    assert re.search(r'id="play"[^>]*disabled', still)


def test_contributions_of_zero_are_drawn_small_and_dark_and_not_named(factory):
    page = to_html(factory(2, frames=10, contributions=dict.fromkeys(factory().contributions, 0.0)))
    still = re.search(r'<svg class="still".*?</svg>', page, re.DOTALL)[0]
    assert still.count('r="4.0" fill="#00224e"') == 19
    assert still.count('class="heat approximated" r="4.0"') == 2
    assert 'class="tag"' not in still
    assert "none above 0" in still


def luminance(color):
    """Relative luminance of `#rrggbb` or `#rgb` (WCAG 2)."""
    color = color if len(color) == 7 else "#" + "".join(2 * c for c in color[1:])
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)


def test_the_color_map_grows_lighter_evenly_so_that_it_needs_no_color_vision():
    at = np.linspace(0, 1, 41)
    lightness = np.cbrt([luminance(charts.color(value)) for value in at])
    assert (np.diff(lightness) > 0).all()
    np.testing.assert_allclose(lightness, np.interp(at, [0, 1], lightness[[0, -1]]), atol=0.03)
    assert charts.color(-1) == charts.color(0) == "#00224e"
    assert charts.color(2) == "#fee838"


def palettes(page):
    """The variables of each color scheme of the style: light, dark, paper."""
    light, dark, paper = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block))
        for block in re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    )
    return {"light": light, "dark": light | dark, "paper": light | paper}


@pytest.mark.parametrize("scheme", ["light", "dark", "paper"])
def test_contrast_of_texts_and_marks_meets_wcag_aa(page, scheme):
    colors = palettes(page)[scheme]
    texts = [(ink, ground) for ink in ("ink", "soft", "accent") for ground in ("paper", "sheet", "wash")]
    texts += [("amber", "amber-wash"), ("ink", "amber-wash"), ("right", "sheet"), ("left", "sheet")]
    marks = [(level, ground) for level in ("red", "orange", "yellow", "green") for ground in ("paper", "sheet")]
    for least, pairs in ((4.5, texts), (3.0, marks)):
        for front, back in pairs:
            low, high = sorted(luminance(colors[name]) for name in (front, back))
            assert (high + 0.05) / (low + 0.05) >= least, (front, back)


def crosses(a, b, c, d):
    """Whether the segments a-b and c-d cross within."""

    def side(p, q, r):
        return np.sign(np.linalg.det([np.subtract(q, p), np.subtract(r, p)]))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_lines_of_labels_never_cross(factory, seed):
    rng = np.random.default_rng(seed)
    movement = np.repeat(rng.normal(size=(1, 19, 2)), 3, axis=0).astype(np.float32)
    assessment = factory(2, movement=movement)
    pose, values = pose_of(assessment), dict(zip(assessment.contributions, rng.uniform(size=19).tolist()))
    labels = pose.labels(values)
    lines = [((label.bend, label.y + 5), pose.still[label.joint]) for label in labels]
    assert len(lines) == body.LABELED
    assert not any(crosses(*one, *other) for one, other in itertools.combinations(lines, 2))


def test_positions_survive_the_packing_to_a_sixteenth_of_a_unit(factory):
    movement = factory().movement.copy()
    movement[5, 3] = np.nan
    pose = pose_of(factory(movement=movement))
    packed = pose.packed()
    stored = np.frombuffer(base64.b64decode(packed["positions"]), "<i2").reshape(packed["frames"], packed["joints"], 2)
    assert (stored[5, 3] == packed["missing"]).all()
    seen = stored != packed["missing"]
    assert np.isnan(pose.positions[~seen]).all()
    # Half a quantization step.
    np.testing.assert_allclose(stored[seen] / 16, pose.positions[seen], rtol=0, atol=1 / 32)


def test_the_body_fills_its_drawing_though_one_track_was_lost_far_away(factory):
    movement = factory().movement.copy()
    movement[7, 2] = 1e5
    pose, clean = pose_of(factory(movement=movement)), pose_of(factory())
    np.testing.assert_allclose(pose.still, clean.still, atol=1)
    assert (np.ptp(pose.still, axis=0) > 100).all()


def test_the_sides_of_the_infant_are_named(factory, page):
    pose = re.search(r'<svg id="pose".*?</svg>', page, re.DOTALL)[0]
    assert pose.index("infant’s right") < pose.index("infant’s left")
    assert "the infant’s right is on the left" in page
    mirrored = to_html(factory(movement=factory().movement * np.float32([-1, 1])))
    pose = re.search(r'<svg id="pose".*?</svg>', mirrored, re.DOTALL)[0]
    assert pose.index("infant’s left") < pose.index("infant’s right")
    assert "may be mirrored" in mirrored
    still = dict(zip(factory().contributions, pose_of(factory()).still[:, 1]))
    assert still["nose"] < still["pelvis"] < still["left_ankle"]  # y points upwards


def test_an_hour_is_thinned_to_fit(factory):
    page = to_html(factory(1440, frames=108_000))
    assert data_of(page)["movement"]["fps"] == 2.5
    assert len(page.encode()) < 1_500_000


def test_a_skeleton_of_ones_own_is_drawn_without_bones(factory):
    joints = ("head", "hand_a", "hand_b", "foot_a", "foot_b")
    page = to_html(
        factory(
            2,
            skeleton="my-five",
            contributions=dict.fromkeys(joints, 0.5),
            movement=factory().movement[:9, :5],
            missing=dict.fromkeys(joints, 0.0),
        )
    )
    pose = re.search(r'<svg id="pose".*?</svg>', page, re.DOTALL)[0]
    assert pose.count("<circle") == 5
    assert "<line" not in pose
    with pytest.raises(ValueError, match="the movement has 5 joints, skeleton in-motion-19 19"):
        to_html(factory(movement=factory().movement[:, :5]))


@pytest.mark.parametrize(
    ("seconds", "digits", "shown"),
    [(0, 0, "0:00"), (59.96, 1, "1:00.0"), (61.25, 1, "1:01.2"), (3599.6, 0, "1:00:00"), (3725, 0, "1:02:05")],
)
def test_times_read_as_minutes_and_seconds(seconds, digits, shown):
    assert text.clock(seconds, digits) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0 %"), (1, "100 %"), (0.0004, "under 0.1 %"), (0.004, "0.4 %"), (0.643, "64 %"), (0.9999, "over 99.9 %")],
)
def test_shares_read_as_percent(share, shown):
    assert text.percent(share) == shown.replace(" %", "\N{NO-BREAK SPACE}%")


def test_nested_values_become_lists_of_terms(factory):
    page = to_html(factory(2, frames=5, metadata={"a": {"b": [1, 2]}, "c": ["x", True, None], "d": {}}))
    assert "<dl><dt><bdi>a</bdi></dt><dd><dl><dt><bdi>b</bdi></dt><dd>1, 2</dd></dl>" in page
    assert "<ol><li><bdi>x</bdi></li><li>yes</li>" in page


def test_a_method_without_decision_and_explanation_has_a_page(factory):
    page = to_html(
        factory(
            4,
            frames=20,
            headline=Quantity(
                "score", "motor score", 36.0, 30.0, 41.0, "middle half of the windows", "points", (0, 72)
            ),
            threshold=None,
            classes=None,
            positive=None,
            agreement=None,
            certainty=None,
            contributions=None,
            quantities=(Quantity("median", "median over windows", 35.0, unit="points"),),
            intervals=np.array([[0.0, 2.5]]),
            intervals_label="fidgety movements",
            time_series=replace(factory(4).time_series, certainty=None, threshold=None),
        )
    )
    assert ">36.00</p>" in re.sub("<span.*?</span>", "", page)
    assert "median over windows" in page
    assert "0:00.0 to 0:02.5" in page
    assert 'class="strip"' not in page
    assert 'class="still"' not in page
    assert data_of(page)["windows"][0].keys() == {"start", "median", "q1", "q3", "usable"}


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(factory):
    shown = factory(2, frames=5)._repr_html_()
    assert shown.startswith("<iframe ")
    assert outline(shown) == [("iframe", ["sandbox", "title", "style", "srcdoc"])]


def rich(factory, windows=6, **changes):
    """An assessment with all that some methods and ensembles give: contributions over time, a cohort, limbs."""
    rng = np.random.default_rng(2)
    joints = factory().contributions
    values = rng.uniform(size=(len(joints), windows)).round(3)
    values[:, 1] = np.nan
    given = {
        "window_contributions": dict(zip(joints, values)),
        "cohort": CohortRisks("simulated infants", (54, 30), (40, 3), (tuple(range(20)), (0.0,) * 19 + (30.0,))),
        "limbs": (LimbMovement("arm", "right", 0.5, 1.2, 80.0), LimbMovement("arm", "left", 0.4, 1.1, float("nan"))),
    }
    return factory(windows, frames=20, **(given | changes))


def part(page, name):
    return re.search(rf'<section aria-labelledby="h-{name}">.*?</section>', page, re.DOTALL)[0]


def test_the_heatmap_shows_each_window_that_was_assessed_and_each_joint_with_a_contribution(factory):
    assessment = rich(factory)
    jsonschema.Draft202012Validator(schema()).validate(assessment.to_dict())
    shown = part(to_html(assessment), "joints")
    # Five of six windows, six joints; those without a contribution to the whole are left out.
    assert sum(path.count("M") for path in re.findall(r'd="([^"]*)"', shown)) == 5 * 6
    assert [*re.findall(r'class="tick y"[^>]*>([^<]*)<', shown)][:2] == ["left wrist", "left elbow"]
    long = part(to_html(rich(factory, 1440)), "joints")
    assert len(long) < 100_000


def test_the_cohort_says_how_many_infants_of_each_outcome_have_a_lower_risk(factory):
    shown = part(to_html(rich(factory)), "cohort")
    assert "40 of 54 simulated infants without the outcome and 3 of 30 with it" in shown
    assert "with the outcome (30)" in shown
    with_outcome, without = re.findall(r'<path class="\w+" d="([^"]*)"', shown)
    assert (with_outcome.count("M"), without.count("M")) == (1, 19)


def test_limbs_are_compared_and_what_is_not_known_is_a_dash(factory):
    shown = part(to_html(rich(factory)), "movement")
    cells = [re.sub("<[^>]*>", "|", row) for row in re.findall(r"<tr><th scope=\"row\".*?</tr>", shown)]
    assert [[c for c in row.split("|") if c][1:] for row in cells] == [
        ["0.50", "0.40", "80\N{NO-BREAK SPACE}%"],
        ["1.20", "1.10", "92\N{NO-BREAK SPACE}%"],
        ["80", "–", "–"],
    ]


def test_what_an_assessment_lacks_leaves_no_empty_box(factory):
    page = to_html(factory(4, frames=20))
    for name in ("joints", "cohort", "movement", "quality"):
        assert f'"h-{name}"' not in page


# --- the index -------------------------------------------------------------------------------------------------------


def test_the_index_links_every_page_and_says_why_others_failed(factory):
    rows = [
        Row.of("b c.csv", factory(name="B").to_dict(), page="b c.html"),
        Row(file="broken.csv", message="broken.csv: <empty>"),
    ]
    page = index_html([Glance(row) for row in rows])
    assert re.findall('href="([^"]*)"', page) == ["data:,", "#limits", "b%20c.html"]
    assert "broken.csv: &lt;empty&gt;" in page
    assert "above the threshold; uncertain" in page
    assert page.count(factory().statement) == 1
    assert page.count("<script") == 1
    assert "script-src 'sha256-" in page
