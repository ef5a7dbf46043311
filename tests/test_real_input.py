"""Real infant movement from the file to its report, and to the training on a cohort; the risk itself means nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from infantjax import cli
from infantjax.cli.options import common
from infantjax.formats.cohort import read_cohort
from infantjax.weights.ensemble import load_ensemble


@pytest.fixture
def recordings(shared, monkeypatch) -> list[Path]:
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)
    found = sorted((shared / "data" / "minirgbd").glob("pz*.csv"))
    assert len(found) == 6
    return found


@pytest.fixture
def outcomes(tmp_path) -> Path:
    """Made-up outcomes, three of each: of the real ones only one is 1, which no two folds can share."""
    rows = "".join(f"pz10{i};{i % 2}\n" for i in range(1, 7))
    (tmp_path / "outcomes.csv").write_text(f"id;outcome\n{rows}")
    return tmp_path / "outcomes.csv"


def test_six_real_infants_get_six_reports(recordings, ensemble_folder, tmp_path, capsys):
    arguments = ["assess", *recordings, "--fps", 25, "-o", tmp_path / "out", "--ensemble", ensemble_folder]
    assert cli.run([str(a) for a in arguments]) == 0
    printed = capsys.readouterr()
    assert "note: Stated by its author: Random weights, made for a test." in printed.err
    assert len(printed.out.splitlines()) == 6
    for path in recordings:
        report = json.loads((tmp_path / "out" / f"{path.stem}.json").read_text())
        assert report["validated"] is False
        assert 0 < report["headline"]["value"] < 1
        # 40 s: windows of 5 s every 2.5 s, of which the last counts twice, as in the reference implementation.
        assert report["duration"] == pytest.approx(40)
        assert len(report["time_series"]["windows"]) == 16
        assert set(report["approximated"])
        assert "Random weights, made for a test." in (tmp_path / "out" / f"{path.stem}.html").read_text()
    risks = [json.loads((tmp_path / "out" / f"{p.stem}.json").read_text())["headline"]["value"] for p in recordings]
    assert len(set(risks)) == 6


def test_real_infants_make_a_cohort(recordings, outcomes):
    cohort = read_cohort(recordings[0].parent, outcomes, fps=25)
    assert cohort.names == tuple(f"pz10{i}" for i in range(1, 7))
    assert cohort.outcomes == (1, 0, 1, 0, 1, 0)
    assert all(r.fps == 25 and np.isfinite(r.keypoints).mean() > 0.9 for r in cohort.recordings)


@pytest.mark.slow
@pytest.mark.parametrize("weights", [(), ("--init", "given", "--trainable", "classifier")], ids=["scratch", "init"])
def test_each_real_infant_is_left_out_from_scratch_and_from_an_ensemble(
    recordings, ensemble_folder, weights, tmp_path, capsys
):
    arguments = ["crossval", recordings[0].parent, "--fps", 25, "-o", tmp_path / "ensemble", "--folds", "infant"]
    arguments += ["--model", "st-gcn", "--epochs", 1, "--batch-size", 16, "--quiet"]
    assert cli.run([str(ensemble_folder) if a == "given" else str(a) for a in (*arguments, *weights)]) == 0
    printed = capsys.readouterr()
    assert len([line for line in printed.out.splitlines() if line.endswith("last weights)")]) == 6
    assert "by the other infants (nested): AUC" in printed.out
    assert "1 infants with the outcome and 5 without are too few" in printed.out
    # The only infant with the outcome is held out by a network that never saw one.
    assert "run 3 trained on no infant with outcome 1" in printed.err
    assert ("started from the ensemble" in printed.err) == bool(weights)


@pytest.mark.slow
def test_real_infants_are_trained_on_by_cross_validation(recordings, outcomes, tmp_path, capsys):
    arguments = ["crossval", recordings[0].parent, "--outcomes", outcomes, "--fps", 25, "-o", tmp_path / "ensemble"]
    arguments += ["--model", "st-gcn", "--folds", 2, "--epochs", 1, "--quiet"]
    assert cli.run([str(a) for a in arguments]) == 0
    printed = capsys.readouterr()
    assert len([line for line in printed.out.splitlines() if line.startswith("run ")]) == 2
    assert "never validated" in printed.err
    (member,) = load_ensemble(tmp_path / "ensemble").members
    assert member.runs == 2
    # What was trained assesses; no infant of the two folds is left out of the table.
    table = (tmp_path / "ensemble" / "out_of_fold.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in table[1:]) == [p.stem for p in recordings]
    arguments = ["assess", recordings[0], "--fps", 25, "-o", tmp_path / "out", "--ensemble", tmp_path / "ensemble"]
    assert cli.run([str(a) for a in arguments]) == 0
