"""Raters of blinded clips: their sheets, their metrics, their agreement, and the gain from help."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from infantjax.clinic.raters import evaluate_raters, read_answers, read_key, truth_of
from infantjax.errors import InputError

KINDS = ("highest", "lowest", "random")
CLIPS = pd.DataFrame(
    {"recording": [f"infant{i // 3}" for i in range(12)], "kind": [*KINDS] * 4}, [f"clip_{i:03d}" for i in range(12)]
)
TRUTH = np.array([1.0, 0.0, np.nan] * 4)
ALONE = np.array([1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1])
"""Right on 2 of 4 positive and on 3 of 4 negative clips."""
HELPED = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1])
"""Two more right."""


def sheet(tmp_path, text, name="anna.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_metrics_of_a_rater_by_hand():
    study = evaluate_raters(CLIPS, TRUTH, {"anna": ALONE})
    found = study.alone["anna"]
    assert (study.clips, study.recordings) == (8, 4)
    assert [found[name].value for name in ("accuracy", "sensitivity", "specificity")] == [5 / 8, 2 / 4, 3 / 4]
    # Of 8 clips 5 agree; by chance (3 * 4 + 5 * 4) / 64.
    assert found["kappa"] == pytest.approx((5 / 8 - 1 / 2) / (1 / 2))
    assert found["accuracy"].low < 5 / 8 < found["accuracy"].high
    assert math.isnan(study.fleiss)
    alone = evaluate_raters(CLIPS.assign(recording=CLIPS.index), TRUTH, {"anna": ALONE}).alone["anna"]["sensitivity"]
    assert alone == pytest.approx((0.5, 0.0676, 0.9324), abs=1e-4)  # exact where clips are of other recordings
    scaled = {"anna": 2 * ALONE + 1, "ben": 3 * HELPED}
    plain = evaluate_raters(CLIPS, TRUTH, scaled, positive_from=2)
    assert plain.alone["anna"]["accuracy"].value == 5 / 8
    assert evaluate_raters(CLIPS, TRUTH, scaled, weights="linear").kappas["anna", "ben"] > plain.kappas["anna", "ben"]
    assert study.positive == {"highest": {"anna": 0.5}, "lowest": {"anna": 0.25}, "random": {"anna": 0.5}}


def test_the_gain_from_help_is_that_of_the_clips_that_changed():
    study = evaluate_raters(CLIPS, TRUTH, {"anna": ALONE, "ben": ALONE}, {"anna": HELPED})
    gain = study.gains["anna"]
    assert gain["accuracy"].value == pytest.approx(2 / 8)
    assert [gain[name] for name in ("gained", "lost", "p", "holm")] == [2, 0, 0.5, 0.5]
    assert set(study.helped) == {"anna"}
    assert (study.kappas, study.fleiss) == ({("anna", "ben"): 1.0}, 1.0)
    assert any("0.846, 0.869, 0.837" in line for line in study.lines())
    content = json.loads(json.dumps(study.to_dict()))
    assert content["gains"]["anna"]["gained"] == 2


def test_a_study_without_raters_or_truth_is_refused():
    for alone, helped, truth in (
        ({}, {}, TRUTH),
        ({"a": ALONE}, {"b": ALONE}, TRUTH),
        ({"a": ALONE}, {}, TRUTH * np.nan),
    ):
        with pytest.raises(ValueError, match=r"needs raters|none of this name"):
            evaluate_raters(CLIPS, truth, alone, helped)


def test_the_truth_is_of_clips_recordings_or_windows(tmp_path):
    np.testing.assert_array_equal(truth_of(CLIPS), TRUTH)
    by_infant = truth_of(CLIPS, sheet(tmp_path, "id;outcome\ninfant1;1\ninfant2;0\n"))
    np.testing.assert_array_equal(by_infant, [np.nan] * 3 + [1] * 3 + [0] * 3 + [np.nan] * 3)
    by_clip = truth_of(CLIPS, sheet(tmp_path, "id;outcome\nclip_001;1\ninfant0;0\n"))
    np.testing.assert_array_equal(by_clip[:3], [0, 1, 0])
    with pytest.raises(InputError, match="has no outcome of a clip"):
        truth_of(CLIPS, sheet(tmp_path, "id;outcome\nother;1\n"))


def test_sheets_are_read_in_any_order_and_with_any_separator(tmp_path):
    lines = [f"{clip};{answer};seen twice" for clip, answer in zip(CLIPS.index, ALONE)]
    found = read_answers(sheet(tmp_path, "\n".join(["Clip;Answer;Comment", *lines[::-1]])), CLIPS)
    np.testing.assert_array_equal(found, ALONE)


FULL = "".join(f"{clip},0\n" for clip in CLIPS.index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,answer\n" + FULL.replace("clip_003,0\n", ""), "has no answer to clip_003;"),
        ("clip,answer\n" + FULL.replace(",0\n", ",\n"), "has no answer to clip_000, clip_001, clip_002 and 9 more"),
        ("clip,answer\n" + FULL + "clip_004,1\n", "line 14 has clip_004 a second time"),
        ("clip,answer\n" + FULL + "clip_099,1\n", "answers clip_099, which the key does not have"),
        ("clip,answer\n" + FULL.replace("clip_005,0", "clip_005,2"), 'answers clip_005 with "2"; .* from 0 to 1'),
        ("clip,answer\n" + FULL + ",1\n", "line 14 names no clip"),
        ("clip,answer\n" + FULL.replace("clip_005,0", f"clip_005,{'9' * 5000}"), 'answers clip_005 with "9999'),
        ("clip,answer\n" + FULL.replace("clip_005,0", "clip_005,\u00b2"), "answers clip_005 with"),
        ("clip,answer,CLIP\n" + FULL, "twice, in capital and small letters"),
        ("clip,verdict\n" + FULL, "has no column answer"),
        ("clip,answer\n", "has no rows"),
    ],
)
def test_a_bad_sheet_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_answers(sheet(tmp_path, text), CLIPS)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="has no column recording"):
        read_key(sheet(tmp_path, "clip,answer\nclip_001,1\n"))
