"""Every experiment can be imported; on simulated data it prints its table, and bad input is one line."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import baby_moves
import pandas as pd
import pytest

from infantjax import cli
from infantjax.errors import InputError
from infantjax.evaluation.tables import read_risks
from infantjax.methods.mam.preprocessing import Input

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(p.stem for p in (ROOT / "experiments").glob("*.py") if "if __name__" in p.read_text("utf-8"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_experiment_can_be_imported_and_names_its_command(name):
    module = importlib.import_module(name)
    assert f"python experiments/{name}.py" in module.__doc__


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "experiments" / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "last"),
    [
        ("mam.py", ("--simulate", 6, "--folds", 2, "--epochs", 1, "--pretraining", 1), "AUC of clips"),
        ("comparators.py", ("--simulate", 12, "--folds", 2, "--epochs", 1, "--methods", "stam", "fft-pls"), "fft-pls"),
    ],
)
def test_a_simulated_experiment_prints_the_published_table(name, arguments, last):
    done = run(name, *arguments)
    assert done.returncode == 0, done.stderr
    assert "published" in done.stdout
    assert last in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_errors_of_a_cross_validation_stand_beside_the_published_ones(tmp_path):
    cohort, ensemble = tmp_path / "cohort", tmp_path / "ensemble"
    assert cli.run(["simulate", "-n", "3", "--method", "sma-cnn", "-o", str(cohort)]) == 0
    small = ["--features", "2", "2", "2", "4", "--iterations", "10", "--report", "10", "--batch-size", "8"]
    assert cli.run(["crossval", str(cohort), "--method", "sma-cnn", "-o", str(ensemble), *small]) == 0
    done = run("sma_cnn.py", cohort, ensemble)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "published" in lines[1]
    assert lines[-1].startswith("recordings  fence")
    written = pd.read_csv(ensemble / "out_of_fold.csv")
    error = (written.value - written.outcome).abs().mean()
    assert next(line for line in lines if line.startswith("recordings  mean")).split()[3] == f"{error:.2f}"


def test_metrics_of_a_cross_validation_stand_beside_the_published_ones(tmp_path):
    runs = [{"metrics": {"AUC": 0.7, "ppv": None}}, {"metrics": {"AUC": 0.8, "ppv": 0.5}}]
    record = {"method": "baby-moves", "runs": runs, "cohort": {"recordings": 9}}
    text = baby_moves.table(record | {"settings": {"network": {"metadata": True}}}).splitlines()
    assert text[0].startswith("2 random splits of 9 videos")
    assert [line.split() for line in text[3:]] == [
        ["AUC", "0.750", "0.071", "0.795", "+-", "0.080"],
        ["ppv", "0.500", "nan", "0.277", "+-", "0.077"],
    ]
    with pytest.raises(InputError, match="holds no training of baby-moves; run infantjax crossval"):
        baby_moves.main(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "trainings"),
    [
        ("inputs", [f"{name}, {axes}-D" for axes in (3, 2) for name in get_args(Input)]),
        ("ablations", ["all parts", "without closeness", "without reference", "without both"]),
    ],
)
def test_a_comparison_of_mam_is_a_line_for_each_training(what, trainings):
    done = run("mam.py", "--simulate", 6, "--folds", 2, "--epochs", 1, "--pretraining", 1, "--compare", what)
    assert done.returncode == 0, done.stderr
    _, table = done.stdout.split("training  ")
    rows = [re.split(r"\s{2,}", line) for line in table.splitlines()[1 : len(trainings) + 1]]
    assert [row[0] for row in rows] == trainings
    assert all(0 <= float(row[1]) <= 1 for row in rows)


@pytest.mark.slow
def test_the_risks_of_the_comparators_are_tables_that_evaluate_reads(tmp_path):
    simulated = ("--simulate", 12, "--folds", 2)
    done = run("comparators.py", *simulated, "--methods", "histograms-lda", "fft-pls", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "done: fft-pls" in done.stderr
    (first, problems), (second, _) = (read_risks(tmp_path / f"{name}.csv") for name in ("histograms-lda", "fft-pls"))
    assert (len(first), list(first.id), problems) == (12, list(second.id), [])
    unknown = run("comparators.py", *simulated, "--methods", "lda")
    assert unknown.stderr.startswith("error: --methods: has no lda; known: ensemble-gcn, st-gcn, ")
    table = (tmp_path / "comparators.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["method", "histograms-lda", "fft-pls"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mam.py", "comparators.py"])
def test_without_data_an_experiment_names_the_option(name):
    done = run(name)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --")
    assert len(done.stderr.splitlines()) == 1
