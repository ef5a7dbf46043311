"""`infantjax assess`: bad input, options, output."""

import dataclasses
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.recording.recording import Recording
from infantjax.report.table import read_summary
from infantjax.weights.ensemble import load_ensemble, save_ensemble


def table(change: Callable[[list[list[str]]], object]) -> Callable[[Path, Path], None]:
    """A change of the cells of the good table: rows of cells, the header first."""

    def write(good: Path, path: Path) -> None:
        rows = [line.split(",") for line in good.read_text().splitlines()]
        rows = change(rows) or rows
        path.write_text("".join(",".join(row) + "\n" for row in rows))

    return write


def text(content: str) -> Callable[[Path, Path], None]:
    return lambda good, path: path.write_text(content) and None


def put(value: str, column: int = 3) -> Callable[[Path, Path], None]:
    """The same value in a column of every row."""

    def change(rows):
        for row in rows[1:]:
            row[column] = value

    return table(change)


def cut(kind: str) -> Callable[[Path, Path], None]:
    def write(good: Path, path: Path) -> None:
        whole = path.with_name(f"whole{path.suffix}")
        readers.write(readers.read(good, fps=30), whole, kind)
        path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
        whole.unlink()

    return write


def all_nan(good: Path, path: Path) -> None:
    def change(rows):
        rows[1:] = [["nan"] * len(row) for row in rows[1:]]

    table(change)(good, path)


def frame_numbers(good: Path, path: Path) -> None:
    def change(rows):
        return [["frame", *rows[0]]] + [[str(i // 2), *row] for i, row in enumerate(rows[1:])]

    table(change)(good, path)


def folder(good: Path, path: Path) -> None:
    path.mkdir()


def picture(good: Path, path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))


def archive(good: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("word/document.xml", "<a/>")


def three_joints(good: Path, path: Path) -> None:
    path.write_text("nose_x,nose_y,tail_x,tail_y\n" + "1,2,3,4\n" * 200)


def without_hips(good: Path, path: Path) -> None:
    def change(rows):
        keep = [i for i, name in enumerate(rows[0]) if "hip" not in name and "pelvis" not in name]
        return [[row[i] for i in keep] for row in rows]

    table(change)(good, path)


BAD = {
    "empty.csv": (text(""), "is empty"),
    "header_only.csv": (table(lambda rows: rows[:1]), "has no frames; export"),
    "wrong_columns.csv": (text("name,age\nAnna,3\n"), "without columns like nose_x"),
    "no_skeleton.csv": (three_joints, r'its points \("nose", "tail"\) are not those of a known keypoint set'),
    "no_hips.csv": (without_hips, "missing .*pelvis.*, which the networks need"),
    "all_nan.csv": (all_nan, "every point is missing"),
    "one_frame.csv": (table(lambda rows: rows[:2]), "has a single frame"),
    "four_seconds.csv": (table(lambda rows: rows[:121]), r"lasts 4\.0 s, shorter than a window of 5 s"),
    "huge.csv": (put("1e9"), r"line 2, joint nose: the y coordinate is 1e\+09, larger than 1e\+06"),
    "infinite.csv": (put("inf"), "line 2, joint nose: the y coordinate is infinite"),
    "overflowing.csv": (put("1e400"), "line 2, joint nose: the y coordinate is infinite"),
    "no_number.csv": (put("left"), 'line 2, column nose_y: "left" is not a number'),
    "duplicated_frames.csv": (frame_numbers, "line 3: frame number 0 occurs twice"),
    "folder.csv": (folder, "contains no keypoint file or video; give files"),
    "cut.npz": (cut("npz"), "is not an .npz archive that can be read"),
    "cut.h5": (cut("sleap-h5"), "is not an HDF5 file that can be read.*truncated"),
    "picture.csv": (picture, "holds an image"),
    "table.npz": (text("nose_x,nose_y\n1,2\n"), "is named .npz but holds text"),
    "table.h5": (text("nose_x,nose_y\n1,2\n"), "is named .h5 but holds text"),
    "document.npz": (archive, 'no array "keypoints"'),
    "nobody.json": (text("{}"), "JSON without keypoints"),
    "cut.json": (text('{"people": ['), "is not JSON"),
}


@pytest.mark.parametrize("name", ["empty.csv", "folder.csv", "cut.h5"])
def test_one_bad_recording_is_status_2_and_one_line(run, good, ensemble_folder, tmp_path, name):
    write, message = BAD[name]
    write(good, tmp_path / name)
    outcome = run(
        "assess", tmp_path / name, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet"
    )
    outcome.refused(message)
    assert name.partition(".")[0] in outcome.err[0]
    assert not (tmp_path / "out" / f"{Path(name).stem}.json").exists()


def test_bad_recordings_in_a_batch_are_status_1_and_the_good_one_is_done(run, good, ensemble_folder, tmp_path):
    bad = [name for name in BAD if name != "folder.csv"]
    for name in bad:
        BAD[name][0](good, tmp_path / name)
    inputs = [good, *(tmp_path / name for name in bad)]
    outcome = run("assess", *inputs, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    assert outcome.status == 1
    assert outcome.out[0].startswith("good.csv  risk 0.")
    for name, line in zip(bad, outcome.out[1:], strict=True):
        assert line.startswith(f"{name}  error: ")
        assert re.search(BAD[name][1], line), line
    assert f"{len(bad)} of {len(inputs)} recordings failed; see" in outcome.err[-1]
    summary = (tmp_path / "out" / "summary.csv").read_text().splitlines()
    assert [line.split(",")[2] for line in summary[1:]] == ["ok"] + ["error"] * len(bad)
    assert (tmp_path / "out" / "good.html").exists()


def test_a_batch_in_which_every_recording_fails_is_status_2(run, ensemble_folder, tmp_path):
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    outcome = run("assess", *paths, "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    assert (outcome.status, len(outcome.out)) == (2, 2)


@pytest.mark.parametrize("whole_folder", [True, False])
def test_a_folder_that_may_not_be_searched_is_one_line(run, good, ensemble_folder, tmp_path, monkeypatch, whole_folder):
    locked = tmp_path / "locked"
    locked.mkdir()
    good.rename(locked / "a.csv")
    look, options = os.stat, ("-o", tmp_path / "out", "--ensemble", ensemble_folder, "--fps", 30)

    def stat(path, *arguments, **keywords):
        if Path(os.fspath(path) if not isinstance(path, int) else "").parent == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return look(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", stat)
    if whole_folder:
        run("assess", locked, *options).refused(r"a\.csv: cannot be read or written \(Permission denied\)")
    else:
        outcome = run("assess", locked / "a.csv", locked / "b.csv", *options)
        assert outcome.status == 2
        assert all("no permission; change its permissions" in line for line in outcome.out)


def test_negative_coordinates_are_coordinates(run, infant, ensemble_folder, tmp_path):
    for name, shift in (("as_it_is", 0), ("negative", -5000)):
        moved = Recording(infant.keypoints + shift, infant.fps, infant.skeleton, name)
        readers.write(moved, tmp_path / f"{name}.csv", "wide-csv")
    outcome = run("assess", tmp_path, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    assert outcome.status == 0
    first, second = (line.split("  ")[1] for line in outcome.out)
    assert first == second


@pytest.mark.parametrize(
    ("command", "fps"),
    [("assess", "0"), ("assess", "-25"), ("convert", "nan"), ("convert", "inf"), ("crossval", "1e6")],
)
def test_a_frame_rate_that_cannot_be_is_refused(run, good, tmp_path, fps, command):
    arguments = {"assess": [good, "-o", tmp_path / "o"], "crossval": [tmp_path, "-o", tmp_path / "o"]}
    outcome = run(command, *arguments.get(command, [good, tmp_path / "b.npz"]), f"--fps={fps}")
    outcome.refused(r"--fps: is \S+, must be above 0 and at most 1000")


def test_a_frame_rate_that_shows_no_movement_is_refused(run, good, ensemble_folder, tmp_path):
    options = ("--ensemble", ensemble_folder, "-o", tmp_path / "out")
    run("assess", good, *options, "--fps", 0.001).refused("has 0.001 frames per second; give at least 5, check --fps")


@pytest.mark.parametrize("options", [(), ("--no-quality",)])
def test_a_frame_rate_that_contradicts_the_file_is_told_on_every_surface(
    run, infant, ensemble_folder, tmp_path, options
):
    readers.write(infant, tmp_path / "a.npz")
    given = ("--ensemble", ensemble_folder, "-o", tmp_path / "out", "--fps", 20, *options)
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


def test_a_missing_frame_rate_is_asked_for(run, good, ensemble_folder, tmp_path):
    outcome = run("assess", good, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    outcome.refused("good.csv.*--fps")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "color"), '--format: is "color"; did you mean coco'),
        (("--skeleton", "coco-71"), '--skeleton: is "coco-71"; did you mean coco-17'),
        (("--threshold", "1.5"), "--threshold: is 1.5, must be within 0..1"),
        (("--threshold", "nan"), "--threshold: is nan, must be within 0..1"),
        (("--individual", "b"), "does not name individuals"),
        (("--format", "npz"), "good.csv.*archive|good.csv.*npz"),
    ],
)
def test_options_of_assess_that_cannot_be_are_refused(run, good, ensemble_folder, tmp_path, options, message):
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--quiet")
    run(*arguments, *options).refused(message)


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
        ("missing", "cannot be read"),
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
    elif damage == "missing":
        path.unlink()
    else:
        shutil.rmtree(folder)
    arguments = ("assess", good, "--fps", 30, "-o", tmp_path / "out", "--ensemble", folder, "--quiet")
    run(*arguments).refused(message)


def test_an_output_that_cannot_be_is_refused(run, good, ensemble_folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    outcome = run("assess", good, "--fps", 30, "-o", tmp_path / "file", "--ensemble", ensemble_folder, "--quiet")
    outcome.refused("file: is a file, a folder is needed")
    assert (tmp_path / "file").read_text() == "mine"


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
