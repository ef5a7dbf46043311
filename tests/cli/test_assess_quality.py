"""Bad tracking on the command line: what is refused, forced, repaired, and what every result says of it."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.evaluation.risk_calibration import RiskCalibration
from infantjax.recording.recording import Recording
from infantjax.report import schema
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import COCO_17
from infantjax.weights.ensemble import load_ensemble, save_ensemble


@pytest.fixture(scope="module")
def clean() -> Recording:
    """Twenty seconds, 600 frames."""
    return simulate(5, InfantConfig(duration=20.0), name="clean")


def exchanged(recording: Recording) -> np.ndarray:
    """Left and right are exchanged in three of every fifty frames."""
    keypoints, joints = recording.keypoints.copy(), recording.skeleton.joints
    frames = np.arange(len(keypoints)) % 50 < 3
    for right, left in recording.skeleton.mirror_pairs:
        both = [joints.index(right), joints.index(left)]
        keypoints[np.ix_(frames, both)] = keypoints[np.ix_(frames, both[::-1])]
    return keypoints


def jumping(recording: Recording) -> np.ndarray:
    """A wrist is elsewhere for a single frame, twice a second."""
    keypoints = recording.keypoints.copy()
    keypoints[7::15, recording.skeleton.index("left_wrist")] += 180
    return keypoints


def frozen(recording: Recording) -> np.ndarray:
    """The video stands still after a second."""
    keypoints = recording.keypoints.copy()
    keypoints[30:570] = keypoints[30]
    return keypoints


def two_frames(recording: Recording) -> np.ndarray:
    """Two of 600 frames exist."""
    keypoints = np.full_like(recording.keypoints, np.nan)
    keypoints[[40, 500]] = recording.keypoints[[40, 500]]
    return keypoints


@pytest.fixture
def spoil(clean, tmp_path):
    """Writes the clean recording with a fault: `spoil(frozen)` is its path."""

    def write(fault) -> Path:
        path = tmp_path / f"{fault.__name__}.npz"
        readers.write(replace(clean, keypoints=fault(clean), name=fault.__name__), path)
        return path

    return write


def results(folder: Path, name: str) -> tuple[dict, str, dict[str, str]]:
    """The record of a recording, which follows the schema, its page and its row of the summary."""
    record = json.loads((folder / f"{name}.json").read_text())
    jsonschema.validate(record, schema())
    with (folder / "summary.csv").open(newline="") as stream:
        (row,) = (row for row in csv.DictReader(stream) if row["name"] == name)
    return record, (folder / f"{name}.html").read_text(), row


@pytest.mark.parametrize("fault", [exchanged, jumping])
def test_no_spoiled_recording_is_answered_as_certain(run, spoil, ensemble_folder, tmp_path, fault):
    outcome = run("assess", spoil(fault), "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    record, _, row = results(tmp_path / "out", fault.__name__)
    assert row["certainty"] not in ("green", "red")
    assert row["message"]
    if record["assessable"]:
        assert record["warnings"]
    else:
        assert outcome.status == 1


@pytest.mark.parametrize("fault", [frozen, two_frames])
def test_what_is_not_assessable_has_reasons_everywhere_and_a_value_nowhere(
    run, spoil, ensemble_folder, tmp_path, fault
):
    outcome = run("assess", spoil(fault), "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    record, page, row = results(tmp_path / "out", fault.__name__)
    assert outcome.status == 1
    (reason, *_) = record["reasons"]
    assert outcome.out[0].startswith(f"{fault.__name__}.npz  not assessable: ")
    assert reason in outcome.out[0]
    assert "not assessable; --repair" in outcome.err[-1]
    assert (record["assessable"], record["forced"]) == (False, False)
    for name in ("headline", "decision", "certainty", "agreement", "time_series", "contributions"):
        assert record[name] is None
    assert not all(record["quality"]["usable"])
    assert (row["status"], row["assessable"]) == ("not assessable", "false")
    assert (row["value"], row["decision"], row["certainty"], row["agreement"]) == ("", "", "", "")
    assert reason in row["message"]
    assert '<section class="verdict refused unknown"' in page
    assert reason[1:] in page
    assert not re.search(r'class="(risk|scale|swatch|lines|strip)"', page)
    assert 'id="player"' in page
    assert "Seconds that are not usable: 0:" in page
    index = (tmp_path / "out" / "index.html").read_text()
    assert '<td class="result">not assessable</td>' in index
    assert "1 not assessable" in index


def test_a_forced_value_says_so_everywhere(run, spoil, ensemble_folder, tmp_path):
    outcome = run("assess", spoil(frozen), "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--force")
    record, page, row = results(tmp_path / "out", "frozen")
    assert outcome.status == 0
    assert "forced although not assessable" in outcome.out[0]
    assert (record["assessable"], record["forced"]) == (False, True)
    assert record["headline"]["value"] is not None
    assert (row["status"], row["assessable"]) == ("warning", "false")
    assert row["message"].startswith("forced although not assessable")
    assert "Forced: this recording is not assessable" in page
    assert record["certainty"]["level"] in ("yellow", "orange")


@pytest.mark.parametrize(("fault", "word"), [(exchanged, "left and right"), (jumping, "left_wrist")])
def test_what_is_repaired_is_told_with_its_place_everywhere(run, spoil, ensemble_folder, tmp_path, fault, word):
    outcome = run("assess", spoil(fault), "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--repair")
    record, page, row = results(tmp_path / "out", fault.__name__)
    assert outcome.status == 0
    assert record["assessable"]
    assert record["repairs"]
    assert word in " ".join(record["repairs"])
    for repair in record["repairs"]:
        assert repair in outcome.out[0]
        assert repair in row["message"]
        assert repair in record["warnings"]
        assert repair[1:] in page
    assert record["provenance"]["quality"]["repair"]


def test_without_quality_nothing_is_measured(run, spoil, ensemble_folder, tmp_path):
    given = ("assess", spoil(frozen), "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    assert run(*given, "--no-quality").status == 0
    record, page, row = results(tmp_path / "out", "frozen")
    assert record["quality"] is None
    assert (record["assessable"], record["forced"], row["status"]) == (True, False, "ok")
    assert "Quality of the tracking" not in page
    run(*given, "--no-quality", "--force").refused("nothing to force")


def test_points_that_are_approximated_are_told_once_for_all_and_drawn_hollow(run, clean, ensemble_folder, tmp_path):
    index = [clean.skeleton.joints.index(j) if j in clean.skeleton.joints else 0 for j in COCO_17.joints]
    for name in ("a", "b"):
        moved = clean.keypoints[:, index] + (name == "b")
        readers.write(Recording(moved, clean.fps, COCO_17, name), tmp_path / f"{name}.npz")
    files = (tmp_path / "a.npz", tmp_path / "b.npz")
    outcome = run("assess", *files, "-o", tmp_path / "out", "--ensemble", ensemble_folder, "--force")
    listed = "4 points are approximated from others: head_top, upper_neck, thorax, pelvis"
    record, page, row = results(tmp_path / "out", "a")
    assert listed in row["message"]
    assert listed in record["warnings"]
    assert listed in page
    assert len(re.findall(r'<circle class="joint \w+ approximated"', page)) == 4
    assert len(re.findall(r'<circle class="heat approximated"', page)) == 4
    assert page.count("Dashed points are approximated from others.") == 2
    assert listed not in "".join(outcome.out)
    assert "".join(outcome.err).count(listed) == 1
    assert f"note: 2 of 2 recordings: {listed}" in "".join(outcome.err)


def test_the_meaning_of_risks_is_said_once_and_of_how_many(run, clean, spoil, ensemble_folder, tmp_path):
    ensemble = load_ensemble(ensemble_folder)
    outcomes = [0, 1] * 20
    fitted = RiskCalibration.fit(
        [0.3 + 0.2 * y + 0.3 * (i % 5 == 0) for i, y in enumerate(outcomes)],
        outcomes,
        list(map(str, range(40))),
        [0, 0, 1, 1] * 10,
    )
    calibrated = replace(ensemble, info=replace(ensemble.info, calibration=fitted.to_dict()))
    save_ensemble(calibrated, tmp_path / "ensemble")
    readers.write(clean, tmp_path / "clean.npz")
    files = (tmp_path / "clean.npz", spoil(frozen))
    err = run("assess", *files, "-o", tmp_path / "out", "--ensemble", tmp_path / "ensemble", "--force").err
    doubtful = ["tracking is doubtful" in line for line in err if "1 of 2 recordings: " in line]
    assert sorted(doubtful) == [False, True]
    alone = run("assess", files[0], "-o", tmp_path / "alone", "--ensemble", tmp_path / "ensemble").err
    assert sum("The calibrated risk" in line and "recordings: " not in line for line in alone) == 1
