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
def test_every_open_question_gets_its_table(tmp_path):
    small = ("--infants", 16, "--duration", 12, "--seeds", 2, "--folds", 2, "--windows", 5, 40, "--draws", 5)
    done = run("open_questions.py", "--simulate", "-o", tmp_path, *small, "--noise", 0, 0.5, "--training.epochs", 2)
    assert done.returncode == 0, done.stderr
    assert "windows of 40 s left out" in done.stderr
    assert len(re.findall("^## ", done.stdout, re.M)) == 4
    assert [row["networks"] for row in rows_of(tmp_path / "networks.csv")] == ["1", "2", "3", "4"]
    assert [row["seconds"] for row in rows_of(tmp_path / "window.csv")] == ["5"]
    assert len(rows_of(tmp_path / "aggregation.csv")) == 4
    clean = [row for row in rows_of(tmp_path / "noise.csv") if float(row["sd_of_trunk"]) == 0]
    assert {row["risk_change"] for row in clean} == {"0"}
