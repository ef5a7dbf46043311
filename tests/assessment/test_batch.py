"""Which files a batch takes, and what it leaves behind when some are bad, doubled, or the work is cut off."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from infantjax import files
from infantjax import formats as readers
from infantjax.assessment import batch
from infantjax.assessment.batch import ReadOptions, assess_files, find_recordings
from infantjax.clinic import visits
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.recording.recording import Recording
from infantjax.report import table
from infantjax.report.film import FilmOptions
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19, get
from infantjax.video.writing import write_video
from infantjax.weights.ensemble import load_ensemble


def infant(seed: int = 0, frames: int = 170, name: str = "infant", skeleton=IN_MOTION_19) -> Recording:
    """A simulated infant, two windows; of another skeleton random points, which no test assesses."""
    if skeleton is IN_MOTION_19:
        return simulate(seed, InfantConfig(duration=frames / 30, dropout_rate=0), name=name)
    points = np.random.default_rng(seed).uniform(100, 500, (frames, len(skeleton.joints), 2))
    return Recording(points.round(3), 30.0, skeleton, name)


def write(path: Path, seed: int = 0, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    readers.write(infant(seed, name=path.stem, **options), path)
    return path


def write_openpose(folder: Path, seed: int = 0) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    readers.write(infant(seed, skeleton=get("openpose-25")), folder, "openpose")
    return folder


@pytest.fixture(scope="module")
def assessor(ensemble_folder) -> EnsembleGcnAssessor:
    """One for all tests: its program is compiled once."""
    return EnsembleGcnAssessor(load_ensemble(ensemble_folder))


def relative(paths, folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in paths]


# --- which files -----------------------------------------------------------------------------------------------------


def test_a_folder_stands_for_its_recordings_in_the_order_of_their_names(tmp_path):
    for name in ("b.csv", "a.npz", "c/deeper.csv", ".hidden.csv", "~lock.csv", "outcomes.csv", "truth.csv"):
        write(tmp_path / name) if not name.startswith(("o", "t")) else (tmp_path / name).write_text("id;outcome\n")
    for name in ("summary.csv", "notes.txt.bak", "film.mp4", "film.overlay.mp4", "b.MOV", "simulation.json"):
        (tmp_path / name).write_text("x")
    # The keypoints of b.MOV lie beside it.
    assert relative(find_recordings([tmp_path]), tmp_path) == ["a.npz", "b.csv", "film.mp4"]


def test_an_openpose_export_is_a_recording_itself_and_inside_a_folder(tmp_path):
    export = write_openpose(tmp_path / "one")
    write_openpose(tmp_path / "two", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "notes.txt").write_text("none")
    assert find_recordings([export]) == [export]
    assert relative(find_recordings([tmp_path]), tmp_path) == ["one", "two"]


def test_files_stay_in_the_order_in_which_they_are_given_each_once(tmp_path):
    a, b = write(tmp_path / "a.csv"), write(tmp_path / "b.csv")
    (tmp_path / "link.csv").symlink_to(b)
    given = [b, a, tmp_path / "link.csv", str(tmp_path / "*.csv"), tmp_path, tmp_path / "." / "a.csv"]
    assert find_recordings(iter(given)) == [b, a]


def test_a_pattern_stands_for_what_it_matches(tmp_path):
    for name in ("a1.csv", "a2.csv", "b1.csv", "a3.html", "outcomes.csv"):
        write(tmp_path / name) if name.endswith(".csv") else (tmp_path / name).write_text("x")
    write_openpose(tmp_path / "a4")
    assert relative(find_recordings([str(tmp_path / "a*")]), tmp_path) == ["a1.csv", "a2.csv", "a4"]


def test_a_table_beside_recordings_is_passed_over_among_others_and_taken_alone(tmp_path):
    a = write(tmp_path / "a.csv")
    (tmp_path / "outcomes.csv").write_text("id;outcome\n")
    assert find_recordings([a, tmp_path / "outcomes.csv"]) == [a]
    assert find_recordings(iter([tmp_path / "outcomes.csv", a])) == [a]
    # Alone it was meant: the reader says what is wrong with it.
    assert find_recordings([tmp_path / "outcomes.csv"]) == [tmp_path / "outcomes.csv"]


def test_records_of_an_earlier_report_are_no_recordings(tmp_path, assessor):
    a = write(tmp_path / "a.csv")
    assess_files([a], tmp_path, assessor)
    assert (tmp_path / "a.json").exists()
    assert find_recordings([tmp_path]) == [a]


def test_a_folder_or_pattern_without_recordings_is_refused_and_nothing_at_all(tmp_path):
    (tmp_path / "empty").mkdir()
    message = "contains no keypoint file or video; give files, folders of files, or a pattern"
    for name in ("empty", "nothing*"):
        with pytest.raises(InputError, match=message):
            find_recordings([write(tmp_path / "a.csv"), str(tmp_path / name)])
    with pytest.raises(InputError, match="names no recording"):
        find_recordings([])


# --- results ---------------------------------------------------------------------------------------------------------


def files_in(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".lock")}


def test_each_recording_gets_its_record_and_page_and_a_line_of_the_summary(tmp_path, assessor):
    paths = [write(tmp_path / "in" / f"{n}.csv", seed) for seed, n in enumerate("ab")]
    out, reported = tmp_path / "new" / "deeper", []
    rows = assess_files(paths, out, assessor, report=lambda done, row: reported.append((done, row.file)))
    assert set(files_in(out)) == {"a.json", "a.html", "b.json", "b.html", "summary.csv", "index.html"}
    assert reported == [(1, "a.csv"), (2, "b.csv")]
    assert [row.status for row in rows] == ["ok", "ok"]
    assert [line.split(",")[0] for line in (out / "summary.csv").read_text().splitlines()] == ["file", "a.csv", "b.csv"]
    record = json.loads((out / "b.json").read_text())
    assert record["name"] == "b"
    assert record["headline"]["value"] == rows[1].value


def test_a_new_visit_finds_the_earlier_ones_of_its_infant(tmp_path, assessor):
    ages = {"old": "9", "other": "8", "new": "14"}
    table = {name: {"infant": "B" if name == "other" else "A", "age_weeks": age} for name, age in ages.items()}
    for seed, name in enumerate(ages):
        path = write(tmp_path / f"{name}.csv", seed)
        options = ReadOptions(metadata=table)
        assess_files([path], tmp_path / "out", assessor, options, describe_visits=visits.describe)
    new, old = ((tmp_path / "out" / f"{name}.html").read_text("utf-8") for name in ("new", "old"))
    assert 'href="old.html"' in new
    assert 'href="other.html"' not in new
    assert "h-visits" not in old
    assert sorted(path.name for path in (tmp_path / "out").glob("*visits*")) == ["new.visits.csv", "new.visits.json"]
    assert [row["id"] for row in json.loads((tmp_path / "out" / "new.visits.json").read_text())["visits"]] == [
        "old",
        "new",
    ]
    with pytest.raises(InputError, match="contains no keypoint file"):
        find_recordings([tmp_path / "out"])
    assess_files([path], tmp_path / "out", assessor, overwrite=True)
    assert not list((tmp_path / "out").glob("*visits*"))


def test_the_page_of_a_video_shows_stills_and_links_to_it(tmp_path, assessor):
    clip, recording = tmp_path / "clip.mp4", infant(frames=200)
    write_video((np.full((64, 64, 3), level % 200, np.uint8) for level in range(200)), recording.fps, clip)
    options = ReadOptions(tracker=lambda frames, target: replace(recording, name="clip"))
    (row,) = assess_files([clip], tmp_path / "out", assessor, options)
    page = (tmp_path / "out" / "clip.html").read_text("utf-8")
    assert row.status in ("ok", "warning")
    assert page.count("<img") == 2
    assert '<video id="film" src="../clip.mp4"' in page
    assess_files([clip], tmp_path / "out", assessor, options, film=FilmOptions(hide_heads=True))
    assert '<video id="film" src="clip.hidden.mp4"' in (tmp_path / "out" / "clip.html").read_text("utf-8")


def test_bad_files_among_good_ones_are_rows_and_the_rest_go_on(tmp_path, assessor):
    inputs = tmp_path / "in"
    paths = [write(inputs / "a.csv"), inputs / "none.csv", inputs / "empty.csv", write(inputs / "z.csv", 1)]
    paths[2].write_text("")
    short = infant(2, frames=100, name="short")
    readers.write(short, inputs / "short.csv")
    rows = assess_files([*paths, inputs / "short.csv"], tmp_path / "out", assessor)
    assert [row.status for row in rows] == ["ok", "error", "error", "ok", "error"]
    assert "none.csv: does not exist" in rows[1].message
    assert "shorter than a window of 5 s" in rows[4].message
    assert set(files_in(tmp_path / "out")) == {"a.json", "a.html", "z.json", "z.html", "summary.csv", "index.html"}
    assert [line.split(",")[2] for line in (tmp_path / "out" / "summary.csv").read_text().splitlines()[1:]] == [
        row.status for row in rows
    ]


def test_whatever_happens_to_some_recordings_the_others_are_assessed(tmp_path, assessor, monkeypatch):
    errors = {
        "b": (MemoryError(), "b.csv: needs more memory than there is; split the recording"),
        "c": (RuntimeError("RESOURCE_EXHAUSTED: out of memory"), "needs more memory than there is"),
        "d": (PermissionError(13, "Permission denied", "x"), r"x: cannot be read or written \(Permission denied\)"),
        "e": (KeyError("a bug"), r"e.csv: unexpected KeyError \('a bug'\); assess it alone to see where"),
    }

    def fail(recording):
        if recording.name in errors:
            raise errors[recording.name][0]
        return convert(recording)

    convert = assessor.convert
    monkeypatch.setattr(assessor, "convert", fail)
    paths = [write(tmp_path / f"{name}.csv", seed) for seed, name in enumerate("abcdef")]
    rows = assess_files(paths, tmp_path / "out", assessor)
    assert [row.status for row in rows] == ["ok", *["error"] * 4, "ok"]
    for row, (_, message) in zip(rows[1:], errors.values()):
        assert re.search(message, row.message)


def test_a_bug_that_one_recording_meets_alone_stays_visible(tmp_path, assessor, monkeypatch):
    monkeypatch.setattr(assessor, "convert", lambda recording: {}[recording.name])
    with pytest.raises(KeyError):
        assess_files([write(tmp_path / "a.csv")], tmp_path / "out", assessor)


def test_a_good_recording_gives_the_same_bytes_alone_and_among_others(tmp_path, assessor):
    paths = [write(tmp_path / "in" / f"{n}.csv", seed, frames=150 + 40 * seed) for seed, n in enumerate("abc")]
    (tmp_path / "in" / "bad.csv").write_text("nothing")
    assess_files([paths[1]], tmp_path / "alone", assessor)
    assess_files([paths[0], tmp_path / "in" / "bad.csv", *paths[1:]], tmp_path / "among", assessor)
    alone, among = files_in(tmp_path / "alone"), files_in(tmp_path / "among")
    for name in ("b.json", "b.html"):
        assert alone[name] == among[name]


def test_files_of_one_name_from_several_folders_get_results_of_their_own(tmp_path, assessor):
    paths = [write(tmp_path / folder / "infant.csv", seed) for seed, folder in enumerate(("one", "two"))]
    paths.append(write(tmp_path / "three" / "INFANT.npz", 4))
    rows = assess_files(find_recordings(tmp_path / f for f in ("one", "two", "three")), tmp_path / "out", assessor)
    results = {"infant": 0, "infant-2": 1, "INFANT-3": 2}
    for stem, number in results.items():
        record = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
        assert record["headline"]["value"] == rows[number].value
        assert (record["name"], rows[number].id, rows[number].page) == (stem, stem, f"{stem}.html")
    assert len({row.value for row in rows}) == 3
    assert [row.message for row in rows] == [
        "",
        'named infant-2: another recording is named "infant"',
        'named INFANT-3: another recording is named "INFANT"',
    ]


def test_the_same_content_under_another_name_is_assessed_and_told(tmp_path, assessor):
    a, b = write(tmp_path / "a.csv"), tmp_path / "b.csv"
    b.write_bytes(a.read_bytes())
    rows = assess_files([a, b], tmp_path / "out", assessor)
    assert [row.message for row in rows] == ["", "same content as a.csv"]
    assert [row.status for row in rows] == ["ok", "warning"]


def test_openpose_exports_are_told_apart_by_their_frames(tmp_path):
    one, two = write_openpose(tmp_path / "one"), write_openpose(tmp_path / "two", 1)
    copy = Path(shutil.copytree(one, tmp_path / "copy"))
    digests = [batch.digest_of(folder) for folder in (one, two, copy)]
    assert digests[0] == digests[2] != digests[1]
    (copy / "notes.txt").write_text("beside the frames")
    assert batch.digest_of(copy) == digests[0]
    frame = min(copy.glob("*.json"))
    frame.write_bytes(frame.read_bytes() + b" ")
    assert batch.digest_of(copy) != digests[0]


def test_how_files_are_read_is_passed_on(tmp_path, assessor):
    path = write(tmp_path / "a.csv")
    (row,) = assess_files([path], tmp_path / "out", assessor, ReadOptions(format="coco"))
    assert row.status == "error"
    (row,) = assess_files([path], tmp_path / "out", assessor, ReadOptions(skeleton="coco-17"))
    assert json.loads((tmp_path / "out" / "a.json").read_text())["approximated"]
    rows = [path.read_text().splitlines()[i].split(",", 2)[2] for i in range(171)]
    path.write_text("\n".join(rows))
    (row,) = assess_files([path], tmp_path / "out", assessor)
    assert "frame rate" in row.message or "fps" in row.message
    (row,) = assess_files([path], tmp_path / "again", assessor, ReadOptions(fps=30.0))
    assert row.status == "ok"
    assert json.loads((tmp_path / "again" / "a.json").read_text())["fps"] == 30


# --- writing over results --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["input", "settings", "no record"])
def test_results_of_another_input_or_other_settings_are_kept_unless_told(tmp_path, assessor, ensemble_folder, change):
    path, out, other = write(tmp_path / "a.csv"), tmp_path / "out", assessor
    assess_files([path], out, assessor)
    if change == "input":
        write(path, seed=1)
    elif change == "settings":
        other = EnsembleGcnAssessor(assessor.ensemble, threshold=0.4)
        other._program = assessor._program  # compiled already
    else:
        (out / "a.json").write_text("something of the user's")
    before = files_in(out)
    (row,) = assess_files([path], out, other)
    assert row.status == "error"
    assert "holds results of another input or other settings; use --overwrite or another folder" in row.message
    after, over_all = files_in(out), ("summary.csv", "index.html")
    assert {k: v for k, v in after.items() if k not in over_all} == {
        k: v for k, v in before.items() if k not in over_all
    }
    (row,) = assess_files([path], out, other, overwrite=True)
    assert row.status == "ok"
    assert files_in(out)["a.json"] != before["a.json"]


def test_a_folder_that_another_process_writes_is_refused(tmp_path, assessor):
    with files.locked(tmp_path / "out"), pytest.raises(InputError, match="is in use by another process"):
        assess_files([write(tmp_path / "a.csv")], tmp_path / "out", assessor)


def test_a_full_disk_is_an_error_of_each_recording_and_leaves_no_record_without_its_page(
    tmp_path, assessor, monkeypatch
):
    path = write(tmp_path / "a.csv")
    synced = []

    def full(descriptor):
        synced.append(descriptor)
        if len(synced) == 2:  # the record is on the disk, its page is not
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    (row,) = assess_files([path], tmp_path / "out", assessor)
    assert row.status == "error"
    assert "a.html: cannot be written (No space left on device); make room" in row.message
    assert set(files_in(tmp_path / "out")) == {"summary.csv", "index.html"}


# --- inputs are never written over -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "link"),
    [("summary.csv", None), ("index.html", "hardlink_to"), ("infant.json", "symlink_to"), ("infant.html", None)],
)
def test_a_result_that_is_an_input_is_refused_whatever_is_told(tmp_path, assessor, name, link):
    out = tmp_path / "out"
    out.mkdir()
    given = write(tmp_path / "a.csv").rename(out / name)
    if link:
        given = tmp_path / ("link" + Path(name).suffix)
        getattr(given, link)(out / name)
    before = (out / name).read_bytes()
    with pytest.raises(InputError, match=f"{name}: is also an input, which is never written over; give another place"):
        assess_files([write(tmp_path / "infant.csv"), given], out, assessor, overwrite=True)
    assert (out / name).read_bytes() == before
    assert os.listdir(out) == [name]


def test_a_table_that_is_read_is_not_written_over(tmp_path, assessor):
    path = write(tmp_path / "in" / "a.csv")
    table = tmp_path / "out" / "summary.csv"
    table.parent.mkdir()
    table.write_text("id;age\na;12\n")
    with pytest.raises(InputError, match="is also an input"):
        assess_files([path], table.parent, assessor, overwrite=True, read_only=[table])


# --- a second batch into the same folder -----------------------------------------------------------------------------


def test_rows_of_an_earlier_batch_stay_in_the_summary_and_the_index(tmp_path, assessor):
    a, b, out = write(tmp_path / "a.csv"), write(tmp_path / "b.csv", 1), tmp_path / "out"
    assess_files([a], out, assessor)
    assess_files([b], out, assessor)
    assess_files([a, b], tmp_path / "both", assessor)
    assert files_in(out) == files_in(tmp_path / "both")
    (out / "a.html").unlink()
    assess_files([b], out, assessor)
    assert [row.id for row in table.read_summary(out / "summary.csv")] == ["b"]


def test_an_error_replaces_no_row_of_an_earlier_result(tmp_path, assessor):
    out = tmp_path / "out"
    (first,) = assess_files([write(tmp_path / "one" / "a.csv")], out, assessor)
    other = write(tmp_path / "two" / "a.csv", 1)
    for _ in range(2):
        (error,) = assess_files([other], out, assessor)
        assert table.read_summary(out / "summary.csv") == [first, error]
    (row,) = assess_files([other], out, assessor, overwrite=True)
    assert table.read_summary(out / "summary.csv") == [row]


def test_a_summary_of_someone_else_is_kept(tmp_path, assessor):
    path, out = write(tmp_path / "a.csv"), tmp_path / "out"
    out.mkdir()
    (out / "summary.csv").write_text("infant,remark\n1,important\n")
    with pytest.raises(InputError, match="is no summary that this version wrote; use --overwrite or another folder"):
        assess_files([path], out, assessor)
    assert (out / "summary.csv").read_text() == "infant,remark\n1,important\n"
    (row,) = assess_files([path], out, assessor, overwrite=True)
    assert table.read_summary(out / "summary.csv") == [row]


# --- interruption ----------------------------------------------------------------------------------------------------


def test_an_interruption_keeps_what_was_finished_and_the_rest_can_be_done_later(tmp_path, assessor):
    paths = [write(tmp_path / "in" / f"{n}.csv", seed) for seed, n in enumerate("abc")]

    def interrupt(done, row):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        assess_files(paths, tmp_path / "out", assessor, report=interrupt)
    kept = files_in(tmp_path / "out")
    assert set(kept) == {"a.json", "a.html", "b.json", "b.html", "summary.csv", "index.html"}
    assert len(kept["summary.csv"].splitlines()) == 3
    assess_files(paths, tmp_path / "out", assessor)
    assess_files(paths, tmp_path / "whole", assessor)
    assert files_in(tmp_path / "out") == files_in(tmp_path / "whole")
