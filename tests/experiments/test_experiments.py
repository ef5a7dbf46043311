"""Every experiment can be imported; on simulated data it prints its table, and bad input is one line."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

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
        ("baby_moves.py", ("--simulate", 20, "--repeats", 2, "--epochs", 12, "--metadata"), "AUC of cohort alone"),
        ("sma_cnn.py", ("--simulate", 3, "--iterations", 10), "fence"),
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
    assert unknown.stderr.startswith("error: --methods: has no lda; known: st-gcn, stam, ")
    table = (tmp_path / "comparators.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["method", "histograms-lda", "fft-pls"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["baby_moves.py", "sma_cnn.py", "mam.py", "comparators.py"])
def test_without_data_an_experiment_names_the_option(name):
    done = run(name)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --")
    assert len(done.stderr.splitlines()) == 1
