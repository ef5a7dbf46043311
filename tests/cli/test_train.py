"""`infantjax simulate`, `crossval` and `train`: options and cohorts."""

import shutil

import numpy as np
import pytest

from infantjax import formats
from infantjax.methods.base import Method
from infantjax.weights import bundled
from infantjax.weights.ensemble import load_ensemble


def test_a_simulated_cohort_is_the_same_for_the_same_seed(run, tmp_path):
    for name in ("a", "b"):
        outcome = run("simulate", "-n", 3, "--seed", 4, "--duration", 6, "-o", tmp_path / name)
        assert (outcome.status, outcome.out) == (0, [str(tmp_path / name)])
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert {"outcomes.csv", "orgcoords_sim0002.csv"} <= set(names)
    compared = set(names) - {"simulate.toml"}  # which names the folder
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in compared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-n", "1"), "a cohort has from 2 to"),
        (("--seed", "-1"), "seed must be at least 0, got -1"),
        (("--duration", "0"), "duration must be above 0"),
        (("--prevalence", "1"), "prevalence must be above 0 and below 1"),
        (("--fps", "0"), "fps must be above 0"),
    ],
)
def test_options_of_simulate_that_cannot_be_are_refused(run, tmp_path, options, message):
    run("simulate", "-o", tmp_path / "c", "--quiet", *options).refused(message)
    assert not (tmp_path / "c").exists()


def test_a_cohort_is_not_written_over_by_chance(run, tmp_path):
    arguments = ("simulate", "-n", 2, "--duration", 1, "-o", tmp_path / "c")
    assert run(*arguments).status == 0
    run(*arguments).refused("holds a simulated cohort already")
    assert run(*arguments, "--overwrite").status == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "color"), 'unknown model "color"'),
        (("--epochs", "0"), "epochs must be at least 1, got 0"),
        (("--batch-size", "0"), "batch_size must be at least 1, got 0"),
        (("--learning-rate", "-1"), "learning_rate must be above 0"),
        (("--samples-per-negative", "0"), "samples_per_negative must be"),
        (("--positive-ratio", "0"), "positive_ratio must be"),
        (("--threshold", "2"), "threshold must be within 0..1"),
        (("--seed", "-1"), "seed must be within 0"),
        (("--format", "color"), '--format: is "color"'),
        (("--outcomes", "nowhere.csv"), "nowhere.csv: does not exist"),
        (("--folds", "1"), "folds must be at least 2, got 1"),
        (("--folds", "3"), "2 recordings with outcome 1 for 3 folds"),
        (("--stratify", "color"), 'no recording has a column "color"'),
        (("--save-every", "0"), "save_every must be at least 1"),
        (("--init", "nowhere"), "nowhere: is not a folder; give the folder that `infantjax crossval` wrote"),
        (("--init", "bundled"), "--init: holds networks kbest-gcn-2, kbest-gcn-5, not st-gcn"),
        (("--trainable", "classifier"), "--trainable: needs weights to start from; name an ensemble by --init"),
    ],
)
def test_options_of_crossval_that_cannot_be_are_refused(run, cohort, tmp_path, options, message):
    given = ("crossval", cohort, "-o", tmp_path / "e", "--model", "st-gcn", "--folds", 2, "--epochs", 1, "--quiet")
    run(*given, *options).refused(message)
    assert not (tmp_path / "e" / "ensemble.json").exists()


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ("0.9", "validation must be a fraction above 0 and at most 0.5"),
        ("nan", "validation must be a fraction above 0 and at most 0.5"),
        ("nowhere.txt", "nowhere.txt: cannot be read .*; give a fraction such as 0.25, or a file of ids"),
    ],
)
def test_a_validation_that_cannot_be_is_refused(run, cohort, tmp_path, validation, message):
    run("train", cohort, "-o", tmp_path / "e", "--validation", validation, "--quiet").refused(message)


def test_an_unknown_network_is_told_before_any_file_is_read(run, tmp_path):
    run("crossval", tmp_path / "nowhere", "-o", tmp_path / "e", "--model", "color").refused('unknown model "color"')


def test_outcomes_of_unknown_infants_are_listed_together(run, cohort, tmp_path):
    lines = (cohort / "outcomes.csv").read_text().splitlines()
    (tmp_path / "o.csv").write_text("\n".join([*lines, "nobody;1", "noone;0"]).replace(",", ";") + "\n")
    outcome = run(
        "crossval", cohort, "-o", tmp_path / "e", "--outcomes", tmp_path / "o.csv", "--folds", 3, "--model", "st-gcn"
    )
    assert outcome.status == 2
    notes = " ".join(outcome.err)
    assert "nobody" in notes
    assert "noone" in notes


def test_a_cohort_without_recordings_of_its_table_is_refused(run, tmp_path, good):
    (tmp_path / "outcomes.csv").write_text("id;outcome\nnobody;1\nnoone;0\n")
    run("crossval", tmp_path, "-o", tmp_path / "e", "--fps", 30, "--quiet").refused("nobody")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id;outcome\nsim0000;0\nsim0000;1\n", "sim0000"),
        ("id;outcome\nsim0000;2\n", "2"),
        ("name;result\nsim0000;0\n", "outcome"),
        ("", "is empty"),
    ],
)
def test_a_table_of_outcomes_that_cannot_be_is_refused(run, cohort, tmp_path, table, message):
    (tmp_path / "outcomes.csv").write_text(table)
    run("crossval", cohort, "-o", tmp_path / "e", "--outcomes", tmp_path / "outcomes.csv", "--quiet").refused(message)


def test_networks_train_on_recordings_with_the_measured_error_of_a_tracker_too(run, cohort, tmp_path, monkeypatch):
    exact = formats.read(cohort / "orgcoords_sim0000.csv", fps=30)
    rng = np.random.default_rng(0)
    found = exact.with_step("tracked", keypoints=exact.keypoints + rng.normal(0, 9, exact.keypoints.shape))
    for name, recording in (("exact", exact), ("found", found)):
        formats.write(recording, tmp_path / f"{name}.csv", "wide-csv")
    measured = run("evaluate", "pose", tmp_path / "found.csv", tmp_path / "exact.csv", "--errors", tmp_path / "e.npz")
    assert (measured.status, measured.err) == (0, [f"errors: {tmp_path / 'e.npz'}"])
    cohorts = []
    monkeypatch.setattr(Method, "crossval", lambda method, cohort, *a, **k: cohorts.append(cohort) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("crossval", cohort, "-o", tmp_path / "out", "--fps", 30, "--tracker-errors", tmp_path / "e.npz")
    (used,) = cohorts
    assert used.names[:2] == ("sim0000", "sim0000+error")
    assert used.groups[:4] == ("sim0000", "sim0000", "sim0001", "sim0001")
    assert 0 < np.nanstd(used.recordings[1].keypoints - used.recordings[0].keypoints) < 12


@pytest.mark.slow
def test_an_ensemble_of_videos_is_trained_and_keeps_their_keypoints(run, tmp_path):
    assert (
        run("simulate", "-n", 4, "--duration", 6, "--prevalence", 0.5, "--video", "-o", tmp_path / "made").status == 0
    )
    clips = tmp_path / "made" / "videos"
    shutil.copy(tmp_path / "made" / "outcomes.csv", clips)
    small = ("--folds", 2, "--epochs", 1, "--batch-size", 4, "--samples-per-negative", 2, "--positive-ratio", 2)
    command = ("crossval", clips, "-o", tmp_path / "e", "--track-with", bundled.pose_path(), *small)
    assert run(*command).status == 0
    assert load_ensemble(tmp_path / "e").members[0].runs == 2
    assert len(formats.read(tmp_path / "e" / "keypoints-pose" / "sim0003.csv").keypoints) == 180
    assert "sim0003.csv: exists and is kept" in "\n".join(run(*command).err)
