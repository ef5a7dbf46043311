"""`study`: tracking, split, training, assessment and evaluation by one file of settings."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from infantjax.methods.base import Method
from infantjax.simulation import write_cohort
from infantjax.weights.ensemble import load_ensemble, save_ensemble

SETTINGS = """\
data = "cohort"
outcomes = "cohort/outcomes.csv"
[split]
folds = 2
test-fraction = 0.5
"""


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Eight simulated infants, four with the outcome."""
    folder = tmp_path_factory.mktemp("study") / "cohort"
    return write_cohort(folder, 8, 0, 6.0, prevalence=0.5)


@pytest.fixture
def study(eight, tmp_path):
    (tmp_path / "cohort").symlink_to(eight)
    path = tmp_path / "study.toml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def trained(ensemble_folder, monkeypatch):
    """Training, which gives an ensemble that is there; the cohorts that it got."""
    cohorts = []

    def train(method, cohort, directory, options=None, **others):
        cohorts.append(cohort)
        ensemble = load_ensemble(ensemble_folder)
        record = {"runs": [], "metrics": {}, "cohort": {"recordings": len(cohort)}}
        return save_ensemble(replace(ensemble, info=replace(ensemble.info, training=record)), directory)

    monkeypatch.setattr(Method, "crossval", train)
    return cohorts


def test_a_study_tests_once_on_infants_that_took_no_part_in_training(run, study, trained, tmp_path):
    outcome = run("study", "run", study, "-o", tmp_path / "out")
    assert (outcome.status, outcome.out) == (0, [str(tmp_path / "out" / "index.html")]), outcome.err
    (cohort,) = trained
    tested = {path.stem for path in (tmp_path / "out" / "results").glob("sim*.json")}
    assert tested
    assert not tested & set(cohort.names)
    assert len(tested) + len(cohort) == 8
    assert "auc" in json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'href="results/index.html"' in page
    assert "Set aside before anything was trained" in page


def test_a_complete_step_is_kept_and_one_with_other_options_is_refused(run, study, trained, tmp_path):
    assert run("study", "run", study, "-o", tmp_path / "out").status == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*") if path.is_file()}
    again = run("study", "run", study, "-o", tmp_path / "out")
    assert again.status == 0
    assert len(trained) == 1
    assert [line for line in again.err if ": complete" in line] == [
        f"{name}: complete, {tmp_path / 'out' / folder}"
        for name, folder in (
            ("split", "split"),
            ("crossval", "ensemble"),
            ("assess", "results"),
            ("evaluate", "evaluation"),
        )
    ]
    assert {path: path.read_bytes() for path in before} == before
    study.write_text(SETTINGS.replace("0.5", "0.25"))
    run("study", "run", study, "-o", tmp_path / "out", "--quiet").refused(
        "split: holds the step split with other options"
    )


def test_an_interrupted_study_goes_on(run, study, trained, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Method, "crossval", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run("study", "run", study, "-o", tmp_path / "out").status == 130
    assert (tmp_path / "out" / "split" / "split.toml").exists()
    assert not (tmp_path / "out" / "index.html").exists()
    assert run("study", "run", study, "-o", tmp_path / "out").status == 0
    assert (tmp_path / "out" / "index.html").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('data = "a"\n', "study.toml: lacks outcomes"),
        (SETTINGS + "[asess]\n", 'study.toml: has "asess"; did you mean assess'),
        (SETTINGS.replace("test-fraction", "fraction"), "split: option --fraction does not exist"),
        ('method = "mom"\n' + SETTINGS, 'method: is "mom"'),
    ],
)
def test_wrong_settings_are_refused_in_one_line(run, study, tmp_path, text, message):
    study.write_text(text)
    run("study", "run", study, "-o", tmp_path / "out", "--quiet").refused(message)


def test_the_file_of_init_is_read_and_never_written_over(run, tmp_path):
    from infantjax.cli.study.run import TABLES, read_settings

    path = tmp_path / "study.toml"
    assert run("study", "init", path) == (0, [str(path)], [])
    assert set(read_settings(path)["tables"]) <= set(TABLES)
    run("study", "init", path).refused("exists")


OF_SCORES = """\
data = "tracks"
outcomes = "tracks/outcomes.csv"
method = "sma-cnn"
[split]
folds = 2
test-fraction = 0.5
[crossval]
preprocessing = {window = 120, step = 100}
network = {features = [2, 2, 2, 4]}
training = {iterations = 2, report = 1, batch-size = 4, evaluation-batch = 4}
[assess]
force = true
"""


@pytest.mark.slow
def test_a_study_of_scores_ends_with_their_errors(run, tmp_path):
    assert run("simulate", "-n", 4, "--method", "sma-cnn", "--duration", 8, "-o", tmp_path / "tracks").status == 0
    (tmp_path / "study.toml").write_text(OF_SCORES)
    assert run("study", "run", tmp_path / "study.toml", "-o", tmp_path / "out").status == 0
    found = json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
    assert (found["recordings"], found["infants"]) == (6, 2)
    assert (tmp_path / "out" / "evaluation" / "bland_altman.svg").exists()
    assert "limit_high" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.slow
def test_a_study_of_videos_that_is_killed_goes_on_to_its_end(tmp_path):
    from infantjax.weights import bundled

    command = [sys.executable, "-m", "infantjax.cli"]
    words = ["-n", "8", "--duration", "6", "--prevalence", "0.5", "--video", "--quiet", "-o", str(tmp_path / "made")]
    words += ["--film.out-of-view", "0"]
    subprocess.run([*command, "simulate", *words], check=True)
    for name in list((tmp_path / "made" / "videos").glob("*.csv")):
        name.unlink()
    (tmp_path / "study.toml").write_text(
        f"""\
data = "made/videos"
outcomes = "made/outcomes.csv"
[pose]
weights = "{bundled.pose_path()}"
[split]
folds = 2
test-fraction = 0.25
[crossval]
model = "st-gcn"
folds = 2
epochs = 2
batch-size = 4
samples-per-negative = 2
positive-ratio = 2
[assess]
force = true
"""
    )
    study = [*command, "study", "run", str(tmp_path / "study.toml"), "-o", str(tmp_path / "out")]
    for seen in ("keypoints/sim0003.csv", "ensemble/checkpoints"):
        with subprocess.Popen(study, stderr=subprocess.DEVNULL) as running:
            while not (tmp_path / "out" / seen).exists() and running.poll() is None:
                time.sleep(0.1)
            running.send_signal(signal.SIGKILL)
    done = subprocess.run(study, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert f"pose: complete, {tmp_path / 'out' / 'keypoints'}" in done.stderr
    tested = {line.partition(";")[0] for line in (tmp_path / "out" / "split" / "test.csv").read_text().splitlines()[1:]}
    assert len(tested) == 2
    assert {path.stem for path in (tmp_path / "out" / "results").glob("sim*.json")} == tested
    assert "auc" in json.loads((tmp_path / "out" / "evaluation" / "evaluation.json").read_text())
