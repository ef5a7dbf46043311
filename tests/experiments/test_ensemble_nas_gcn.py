"""The whole of Ensemble-NAS-GCN on a simulated cohort: it runs to its end, and again only what is missing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "ensemble_nas_gcn.py"
SMALL = ("--simulate", "--infants", "20", "--duration", "6", "--searches", "1", "--trials", "2", "--folds", "2")


@pytest.mark.slow
def test_a_small_run_ends_in_the_tables_and_the_same_when_run_again(tmp_path):
    command = [sys.executable, SCRIPT, *SMALL, "--held-out", "1", "--search-training.epochs", "1", "-o", tmp_path]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    titles = re.findall(r"^## (.*)$", first.stdout, re.M)
    found = [re.search(r"Table \S+\d", title)[0] for title in titles]
    assert found == ["Table A.3", "Table A.4", "Table A.5", "Table D.1"]
    assert (tmp_path / "tables.md").read_text().strip() == first.stdout.strip()
    assert (tmp_path / "ensemble" / "ensemble.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout == first.stdout
    assert "compiling" not in again.stderr


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPT.parent))
        yield importlib.import_module("ensemble_nas_gcn")


def test_published_rows_stand_under_our_own_and_their_shares_are_the_published_ones(tables):
    found = SimpleNamespace(evaluated=[SimpleNamespace(value=0.94), SimpleNamespace(value=0.7)], history=[1, 2])
    by_rule = tables.comparison_table(None, [found]).splitlines()
    assert by_rule[-3].startswith("| K-Best search | 1 (50.0 %) | 1 (50.0 %) |")
    assert "| 144 (21.3 %) | 32 (4.7 %) | 0 (0.0 %) |" in by_rule[-2]
    assert "| 335 (49.6 %) | 158 (23.4 %) | 4 (0.6 %) |" in by_rule[-1]
    by_k = tables.population_table({5: found, 9: found}).splitlines()
    assert by_k[-2:] == ["| AUC, published | 0.949 | - |", "| No. trials, published | 49 | - |"]


def test_decisions_about_the_test_infants_stand_over_the_published_ones(tables):
    test, risks = SimpleNamespace(outcomes=np.array([0, 0, 1, 1])), np.array([0.1, 0.6, 0.5, 0.9])
    lines = tables.method_table({"Ensemble of 70": risks}, test, 0.7).splitlines()[-5:]
    assert lines[0].startswith("| Ensemble of 70 | 2 | 1 | 1 | 0 | 100.0 [15.8, 100.0] | 50.0 [1.3, 98.7] |")
    assert lines[-1] == (
        "| Ensemble of 70, published | 15 | 7 | 111 | 6 | 71.4 [47.8, 88.7] | 94.1 [88.2, 97.6] | 68.2 [45.1, 86.1] "
        "| 94.9 [89.2, 98.1] | 90.6 [84.5, 94.9] | 0.921 |"
    )
