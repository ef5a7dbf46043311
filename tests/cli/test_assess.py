"""`infantjax assess`: bad input, options, output."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.report.table import read_summary
from infantjax.weights.ensemble import load_ensemble, save_ensemble

BAD = {
    "empty.csv": (b"", "is empty"),
    "wrong_columns.csv": (b"name,age\nAnna,3\n", "without columns like nose_x"),
    "no_skeleton.csv": (b"nose_x,nose_y,tail_x,tail_y\n" + 200 * b"1,2,3,4\n", r'points \("nose", "tail"\) are not'),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(200), "holds an image"),
    "table.npz": (b"nose_x,nose_y\n1,2\n", "is named .npz but holds text"),
    "cut.json": (b'{"people": [', "is not JSON"),
}
"""Files of all kinds; what each reader refuses is tested with the readers."""


def test_bad_recordings_in_a_batch_are_status_1_and_the_good_one_is_done(run, good, ensemble_folder, tmp_path):
    for name, (content, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "short.csv").write_text("".join(good.read_text().splitlines(keepends=True)[:121]))
    bad = {name: message for name, (_, message) in BAD.items()} | {"short.csv": r"lasts 4\.0 s, shorter than a window"}
    options = ("--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    outcome = run("assess", good, *(tmp_path / name for name in bad), *options)
    assert outcome.status == 1
    assert outcome.out[0].startswith("good.csv  risk 0.")
    for (name, message), line in zip(bad.items(), outcome.out[1:], strict=True):
        assert line.startswith(f"{name}  error: ")
        assert re.search(message, line), line
    assert f"{len(bad)} of {len(bad) + 1} recordings failed; see" in outcome.err[-1]
    rows = read_summary(tmp_path / "out" / "summary.csv")
    assert [row.status for row in rows] == ["ok"] + ["error"] * len(bad)
    assert (tmp_path / "out" / "good.html").exists()
    run("assess", tmp_path / "empty.csv", *options).refused(r"empty\.csv: is empty")
    assert not (tmp_path / "out" / "empty.json").exists()
    assert run("assess", *(tmp_path / name for name in BAD), *options).status == 2


@pytest.mark.parametrize(("command", "fps"), [("assess", "-25"), ("convert", "nan"), ("crossval", "1e6")])
def test_a_frame_rate_that_cannot_be_is_refused(run, good, tmp_path, fps, command):
    arguments = {"assess": [good, "-o", tmp_path / "o"], "crossval": [tmp_path, "-o", tmp_path / "o"]}
    outcome = run(command, *arguments.get(command, [good, tmp_path / "b.npz"]), f"--fps={fps}")
    outcome.refused(r"--fps: is \S+, must be above 0 and at most 1000")


def test_a_frame_rate_that_contradicts_the_file_is_told_on_every_surface(run, infant, ensemble_folder, tmp_path):
    readers.write(infant, tmp_path / "a.npz")
    given = ("--ensemble", ensemble_folder, "-o", tmp_path / "out", "--fps", 20)
    outcome = run("assess", tmp_path / "a.npz", *given)
    told = "the file states 30 frames a second; 20 was given and used"
    assert told in outcome.out[0]
    for name in ("a.json", "a.html", "summary.csv", "index.html"):
        assert told in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize(
    ("statement", "told"),
    [("Proven\x1b[2J\nin 900 infants", "Proven?[2J in 900 infants"), ("", "validated on infants.")],
)
def test_what_an_ensemble_says_of_itself_is_its_author_s_word_without_control_characters(
    run, good, ensemble_folder, tmp_path, statement, told
):
    known = load_ensemble(ensemble_folder)
    claims = dataclasses.replace(known, info=dataclasses.replace(known.info, validated=True, statement=statement))
    save_ensemble(claims, tmp_path / "claims")
    outcome = run("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", tmp_path / "claims")
    assert f"note: Stated by its author: {told}" in outcome.err
    for name in ("good.json", "good.html", "summary.csv", "index.html"):
        assert f"Stated by its author: {told}" in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "good.csv.*--fps"),
        (("--fps", 0.001), "has 0.001 frames per second; give at least 5, check --fps"),
        (("--fps", 30, "-o", "{folder}/file"), "file: is a file, a folder is needed"),
        (("--format", "color"), '--format: is "color"; did you mean coco'),
        (("--skeleton", "coco-71"), '--skeleton: is "coco-71"; did you mean coco-17'),
        (("--threshold", "1.5"), "--threshold: is 1.5, must be within 0..1"),
        (("--fps", 30, "--individual", "b"), "does not name individuals"),
    ],
)
def test_options_of_assess_that_cannot_be_are_refused(run, good, ensemble_folder, tmp_path, options, message):
    (tmp_path / "file").write_text("mine")
    arguments = ("assess", good, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    given = [option.format(folder=tmp_path) if isinstance(option, str) else option for option in options]
    run(*arguments, *given).refused(message)


def test_what_explains_is_chosen_by_name(run, good, ensemble_folder, tmp_path):
    given = ("assess", good, "--fps", 30, "--ensemble", ensemble_folder)
    run(*given, "-o", tmp_path / "all")
    run(*given, "-o", tmp_path / "first", "--contributions-of", "first_model")
    records = [json.loads((tmp_path / name / "good.json").read_text()) for name in ("all", "first")]
    assert [r["provenance"]["settings"]["contributions_of"] for r in records] == ["all", "first_model"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("flipped", "is damaged at .*: its digest does not match"),
        ("none", "is not a folder; give the folder that `infantjax crossval` wrote"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(run, good, ensemble_folder, tmp_path, damage, message):
    folder = Path(shutil.copytree(ensemble_folder, tmp_path / "ensemble"))
    (path,) = folder.glob("*.safetensors")
    if damage == "flipped":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        shutil.rmtree(folder)
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", folder, "--quiet")
    run(*arguments).refused(message)


def test_a_risk_without_a_calibration_is_told_and_moved_nowhere(run, good, ensemble_folder, tmp_path):
    where = ("assess", good, "--fps", 30, "--ensemble", ensemble_folder, "-o", tmp_path / "out")
    outcome = run(*where, "--quiet")
    assert any("The risk is no probability: the ensemble holds no out-of-fold risks." in line for line in outcome.err)
    run(*where, "--prevalence", 0.1, "--quiet").refused("--prevalence: needs an ensemble with a calibration map")
    run(*where, "--error", 1.5, "--quiet").refused("error must lie between 0 and 1, got 1.5")


# --- many ------------------------------------------------------------------------------------------------------------

MANY = """
import sys
from infantjax import cli
print(cli.run(["assess", sys.argv[1], "-o", sys.argv[2], "--ensemble", sys.argv[3], "--quiet"]))
"""


@pytest.mark.slow
def test_five_hundred_recordings_one_of_them_bad_are_a_row_each_in_the_memory_of_twenty(
    infant, ensemble_folder, tmp_path, with_its_peak
):
    rng, peaks = np.random.default_rng(0), {}
    for count in (20, 500):
        folder, out = tmp_path / f"in{count}", tmp_path / f"out{count}"
        folder.mkdir()
        for number in range(count):
            moved = infant.keypoints + rng.normal(0, 0.1, infant.keypoints.shape)
            readers.write(dataclasses.replace(infant, keypoints=moved), folder / f"{number:03}.npz")
        (folder / "007.npz").write_bytes(b"nothing")
        printed, peaks[count] = with_its_peak(MANY, folder, out, ensemble_folder)
        *lines, status = printed.splitlines()
        rows = read_summary(out / "summary.csv")
        assert (status, len(lines), [row.id for row in rows]) == ("1", count, [f"{n:03}" for n in range(count)])
        assert [row.id for row in rows if row.status == "error"] == ["007"]
        assert len(list(out.glob("*.html"))) == count  # of all but the bad one, and the index
    assert peaks[500] < peaks[20] + 64e6
