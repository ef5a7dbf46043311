"""The whole of Ensemble-NAS-GCN on a simulated cohort: it runs to its end, and again only what is missing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "ensemble_nas_gcn.py"
SMALL = ("--simulate", "--infants", "20", "--duration", "6", "--searches", "1", "--trials", "2", "--folds", "2")


@pytest.mark.slow
def test_a_small_run_ends_in_the_tables_and_the_same_when_run_again(tmp_path):
    command = [sys.executable, SCRIPT, *SMALL, "--held-out", "1", "--search-training.epochs", "1", "-o", tmp_path]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    titles = re.findall(r"^## (.*)$", first.stdout, re.M)
    assert [re.search(r"(Table \S+\d|eTable 5)", title)[1] for title in titles] == [
        *("Table A.3", "Table A.4", "Table A.5", "Table D.1", "eTable 5")
    ]
    assert (tmp_path / "tables.md").read_text().strip() == first.stdout.strip()
    assert (tmp_path / "ensemble" / "ensemble.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert "compiling" not in again.stderr


def test_published_rows_stand_under_our_own_and_their_shares_are_the_published_ones(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    tables = importlib.import_module("ensemble_nas_gcn")
    found = SimpleNamespace(evaluated=[SimpleNamespace(value=0.94), SimpleNamespace(value=0.7)], history=[1, 2])
    by_rule = tables.comparison_table(None, [found]).splitlines()
    assert by_rule[-3].startswith("| K-Best search | 1 (50.0 %) | 1 (50.0 %) |")
    assert "| 144 (21.3 %) | 32 (4.7 %) | 0 (0.0 %) |" in by_rule[-2]
    assert "| 335 (49.6 %) | 158 (23.4 %) | 4 (0.6 %) |" in by_rule[-1]
    by_k = tables.population_table({5: found, 9: found}).splitlines()
    assert by_k[-2:] == ["| AUC, published | 0.949 | - |", "| No. trials, published | 49 | - |"]
