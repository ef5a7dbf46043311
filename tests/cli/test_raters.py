"""`infantjax raters`: from an assessed recording to the metrics of its raters."""

import csv
import json

import pytest

from infantjax import formats
from infantjax.files import sha256


@pytest.fixture
def assessed(infant, tmp_path):
    """Keypoints, and the part of the record of their assessment that clips are cut by."""
    formats.write(infant, tmp_path / "infant.npz")
    windows = [{"start": float(start), "median": value} for start, value in enumerate((0.2, 0.9, 0.1, 0.8, 0.5))]
    record = {
        "time_series": {"label": "risk", "length": 1.0, "windows": windows},
        "duration": 6.0,
        "fps": 30.0,
        "provenance": {"input": {"sha256": sha256(tmp_path / "infant.npz")}},
    }
    (tmp_path / "infant.json").write_text(json.dumps(record))
    return tmp_path / "infant.json"


def fill(sheet, path, answers):
    path.parent.mkdir(exist_ok=True)
    names = [row["clip"] for row in rows_of(sheet)]
    path.write_text("clip,answer\n" + "".join(f"{name},{answers[name]}\n" for name in names))
    return path


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_raters_are_measured_by_the_sheets_that_they_got(run, assessed, tmp_path):
    study = tmp_path / "study"
    keypoints = ("--keypoints", tmp_path / "infant.npz")
    outcome = run("raters", "clips", assessed, "-o", study, *keypoints, "--random", 1, "--quiet")
    key, help_sheet = tmp_path / "study-key.csv", tmp_path / "study-answers-with-help.csv"
    assert (outcome.status, outcome.out) == (0, [str(study), str(key), str(help_sheet)]), outcome.err
    assert sorted(path.name for path in study.iterdir()) == ["answers.csv", *(f"clip_00{i}.mp4" for i in range(1, 6))]
    truth = {row["clip"]: int(row["kind"] == "highest") for row in rows_of(key)}
    wrong = truth | {next(name for name, value in truth.items() if value): 0}
    alone = [fill(study / "answers.csv", tmp_path / "alone" / f"{name}.csv", wrong) for name in ("ann", "bob")]
    helped = fill(help_sheet, tmp_path / "helped" / "ann.csv", truth)
    outcome = run("raters", "evaluate", key, *alone, "--with-help", helped, "--json")
    found = json.loads("\n".join(outcome.out))
    assert found["alone"]["bob"]["sensitivity"]["value"] == 0.5
    assert found["gains"]["ann"]["accuracy"]["value"] == 0.25
    assert (found["gains"]["ann"]["gained"], found["fleiss"]) == (1, 1.0)
    assert "share of positive answers" in "\n".join(run("raters", "evaluate", key, *alone).out)
    run("raters", "evaluate", key, helped, "--with-help", *alone).refused(
        "bob has a sheet with help, and none of this name without"
    )
    run("raters", "evaluate", key, alone[0], helped).refused("sheets: are of one name")
    run("raters", "clips", assessed, "-o", study, *keypoints).refused("exists")
    inside = ("--key", tmp_path / "new" / "key.csv")
    run("raters", "clips", assessed, "-o", tmp_path / "new", *keypoints, *inside).refused("lies in the folder")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--highest", -1), "highest must be within 0"),
        (("--seconds", 60), "lasts 6 s, a clip 60 s"),
        (("--videos", "absent.mp4"), "has no video of its name"),
    ],
)
def test_raters_clips_refuses_in_one_line(run, assessed, tmp_path, options, message):
    keypoints = ("--keypoints", tmp_path / "infant.npz")
    run("raters", "clips", assessed, "-o", tmp_path / "study", *keypoints, *options, "--quiet").refused(message)
    assert not (tmp_path / "study").exists()
    assert not (tmp_path / "study-key.csv").exists()
