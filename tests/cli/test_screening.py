"""Recordings of a cohort that are not assessable: told, listed in quality.csv, and left out if the user asks."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from infantjax import formats as readers
from infantjax.cli.pose.pose import Pose
from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.methods.base import Method
from infantjax.search import driver
from infantjax.weights.ensemble import load_ensemble


@pytest.fixture
def spoiled(cohort, tmp_path) -> Path:
    """The cohort of four with a video that stands still: sim0001."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    path = folder / "orgcoords_sim0001.csv"
    infant = readers.read(path)
    keypoints = infant.keypoints.copy()
    keypoints[3:] = keypoints[3]
    readers.write(replace(infant, keypoints=keypoints), path, "wide-csv")
    return folder


@pytest.fixture
def trained(monkeypatch, ensemble_folder) -> list[tuple[str, ...]]:
    """The names of the cohorts that were trained on, in place of a training."""
    seen: list[tuple[str, ...]] = []

    def train(method, cohort, directory, options=None, **others):
        seen.append(cohort.names)
        Path(directory).mkdir(exist_ok=True)
        record = {"runs": [], "metrics": {}, "cohort": {"recordings": len(cohort)}}
        (Path(directory) / "training.json").write_text(json.dumps(record))
        (Path(directory) / "out_of_fold.csv").write_text("id,runs,outcome,value\n")
        ensemble = load_ensemble(ensemble_folder)
        return replace(ensemble, info=replace(ensemble.info, training=record))

    monkeypatch.setattr(Method, "crossval", train)
    return seen


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["id"]: row for row in csv.DictReader(stream)}


@pytest.mark.parametrize(("quality", "used"), [("warn", 4), ("exclude", 3), ("off", 4)])
def test_crossval_tells_lists_and_leaves_out(run, spoiled, trained, tmp_path, quality, used):
    outcome = run("crossval", spoiled, "-o", tmp_path / "e", "--quality", quality)
    assert outcome.status == 0
    assert "Cross-validation" in (tmp_path / "e" / "training.html").read_text("utf-8")
    (names,) = trained
    assert len(names) == used
    told = [line for line in outcome.err if "sim0001: not assessable" in line]
    table = tmp_path / "e" / "quality.csv"
    if quality == "off":
        assert not told
        assert not table.exists()
        return
    assert len(told) == 1
    assert ("left out" if quality == "exclude" else "used all the same") in told[0]
    listed = rows(table)
    assert [row["assessable"] for row in listed.values()] == ["true", "false", "true", "true"]
    assert listed["sim0001"]["reasons"]
    assert float(listed["sim0001"]["frozen"]) > 0.9


def test_crossval_tracks_videos_first(run, cohort, trained, tmp_path, monkeypatch):
    asked = []

    def track(pose):
        asked.append((pose.inputs, pose.video.weights.name, pose.fps))
        shutil.copytree(cohort, pose.output, ignore=shutil.ignore_patterns("outcomes.csv"))
        return len(asked) - 1

    monkeypatch.setattr(Pose, "run", track)
    command = ("crossval", cohort, "-o", tmp_path / "e", "--fps", 30, "--track-with")
    assert run(*command, "a.h5").status == 0
    assert trained == [tuple(sorted(path.stem.removeprefix("orgcoords_") for path in cohort.glob("orgcoords_*")))]
    assert not (tmp_path / "e" / "keypoints-a.h5" / "outcomes.csv").exists()
    run(*command, "b.h5", "--quiet").refused("has videos that cannot be tracked")
    run(*command, "c.h5", "--distributed", "auto").refused("--track-with: is for one process")
    assert asked == [((str(cohort),), "a.h5", 30), ((str(cohort),), "b.h5", 30)]


def test_search_tells_and_lists_before_it_starts(run, spoiled, tmp_path, monkeypatch):
    def stop(*given, **settings):
        raise InputError("search", "was stopped by the test", "none")

    monkeypatch.setattr(driver, "run", stop)
    problem = type(registry.get(registry.DEFAULT).search_problem())
    monkeypatch.setattr(problem, "objective", lambda *given: None)
    outcome = run("search", spoiled, "-o", tmp_path / "s")
    assert any("sim0001: not assessable, used all the same" in line for line in outcome.err)
    assert "was stopped by the test" in outcome.err[-1]
    assert rows(tmp_path / "s" / "quality.csv")["sim0001"]["assessable"] == "false"


def test_evaluate_knows_them_by_the_table_beside_a_cross_validation(run, tmp_path):
    (tmp_path / "out_of_fold.csv").write_text("id,runs,outcome,value\na,0,1,0.9\nb,1,0,0.2\nc,0,1,0.3\nd,0,0,0.4\n")
    (tmp_path / "quality.csv").write_text("id,assessable,reasons\na,true,\nb,true,\nc,false,nothing moves\nd,true,\n")
    warned = run("evaluate", tmp_path / "out_of_fold.csv")
    assert "note: c: not assessable, counted: nothing moves" in warned.err
    assert warned.out[0].startswith("4 infants")
    excluded = run("evaluate", tmp_path / "out_of_fold.csv", "--quality", "exclude")
    assert "note: c: not assessable, left out: nothing moves" in excluded.err
    assert excluded.out[0].startswith("3 infants, 1 with outcome 1")
    assert not any(
        "not assessable" in line for line in run("evaluate", tmp_path / "out_of_fold.csv", "--quality", "off").err
    )


def test_evaluate_knows_them_by_the_summary_of_assess(run, spoiled, ensemble_folder, tmp_path):
    given = ("assess", spoiled, "--ensemble", ensemble_folder, "-o", tmp_path / "out")
    assert run(*given).status == 1
    summary, outcomes = tmp_path / "out" / "summary.csv", spoiled / "outcomes.csv"
    outcome = run("evaluate", summary, outcomes)
    assert any("sim0001: not assessable, has no risk: " in line for line in outcome.err)
    assert outcome.out[0].startswith("3 infants")
    run(*given, "--force", "--overwrite")
    assert run("evaluate", summary, outcomes).out[0].startswith("4 infants")
    assert run("evaluate", summary, outcomes, "--quality", "exclude").out[0].startswith("3 infants")
