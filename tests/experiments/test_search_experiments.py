"""Experiments about the search and its networks run to their end, and tell what they found as tables."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(name, *arguments):
    command = [sys.executable, str(ROOT / "experiments" / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1800)


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_on_made_up_aucs_kbest_is_ahead_where_choices_matter_and_random_search_is_spread_as_published(tmp_path):
    done = run("kbest_against_random.py", "-o", tmp_path, "--surfaces", 6, "--searches", 5, "--populations", 2)
    assert done.returncode == 0, done.stderr
    pairs = rows_of(tmp_path / "searches.csv")
    assert len(pairs) == 30
    assert sum(float(p["kbest"]) > float(p["random"]) for p in pairs) > 25
    share = float(re.search(r"Random search(?: \|[^|]*){6} \| ([\d.]+) %", done.stdout)[1])
    assert abs(share - 21.3) < 6  # at least 0.9; some 1500 trials on six surfaces
    assert "| Random search, published | 43.0 % | 41.3 % |" in done.stdout
    assert "| AUC, published | 0.937 | 0.949 |" in done.stdout  # K = 2 and 5
    assert (tmp_path / "convergence.png").exists()


@pytest.mark.slow
def test_where_no_choice_matters_neither_rule_is_ahead(tmp_path):
    arguments = ("--surfaces", 10, "--searches", 5, "--main", 0, "--pairs", 0, "--populations")
    done = run("kbest_against_random.py", "-o", tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    # A search of K-Best ends after trials in vain, so of as many random trials the best is expected a little higher.
    assert -0.003 < float(re.search(r"\| difference \| (\S+)", done.stdout)[1]) < 0.001


@pytest.mark.slow
def test_all_networks_of_the_small_space_are_trained(tmp_path):
    done = run("kbest_against_random.py", "--simulate", "-o", tmp_path, "--seeds", 20, "--training.epochs", 1)
    assert done.returncode == 0, done.stderr
    assert "16 candidates with known AUCs" in done.stdout
    assert len(rows_of(tmp_path / "searches.csv")) == 20


@pytest.mark.slow
def test_searches_are_run_on_the_trials_of_an_exported_study(tmp_path):
    trials = tmp_path / "trials.csv"
    lines = [f"{3 * w + d},complete,0.{5 + w}{d},,,,,{w},{d}" for w in range(4) for d in range(3)]
    head = "trial,state,value,epochs,parameters,seconds,reason,width,depth"
    trials.write_text("\n".join([head, *lines]))
    done = run("kbest_against_random.py", "--trials", trials, "-o", tmp_path / "out", "--seeds", 20)
    assert done.returncode == 0, done.stderr
    assert "12 candidates with known AUCs, best 0.820" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "trial,value,reason,width\n0,,,6\n"])
def test_a_file_that_is_no_table_of_trials_is_told_in_one_line(tmp_path, content):
    (tmp_path / "trials.csv").write_text(content)
    done = run("kbest_against_random.py", "--trials", tmp_path / "trials.csv", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_every_open_question_gets_its_table(tmp_path):
    small = ("--infants", 16, "--duration", 12, "--seeds", 2, "--folds", 2, "--windows", 5, 40, "--draws", 5)
    done = run("open_questions.py", "--simulate", "-o", tmp_path, *small, "--noise", 0, 0.5, "--training.epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "windows of 40 s left out" in done.stderr
    assert len(re.findall("^## ", done.stdout, re.M)) == 5
    assert [row["networks"] for row in rows_of(tmp_path / "networks.csv")] == ["1", "2", "3", "4"]
    assert [row["seconds"] for row in rows_of(tmp_path / "window.csv")] == ["5"]
    assert [row["epoch"] for row in rows_of(tmp_path / "epochs.csv")] == ["1", "2"]
    assert len(rows_of(tmp_path / "aggregation.csv")) == 5
    clean = [row for row in rows_of(tmp_path / "noise.csv") if float(row["sd_of_trunk"]) == 0]
    assert {row["risk_change"] for row in clean} == {"0"}
