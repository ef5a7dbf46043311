"""Settings by name, and which values are tried; a training of each is a slow test."""

import subprocess
import sys
from pathlib import Path

import pytest
from training_settings import VARIED, parse, with_settings

from infantjax.errors import InputError
from infantjax.methods import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("method", VARIED)
def test_what_the_papers_varied_are_settings_that_include_the_published_value(method):
    base = registry.get(method)()
    for name, values in VARIED[method].items():
        assert sum(with_settings(base, {name: value}) == base for value in values) == 1, name


def test_values_are_numbers_where_they_can_be_and_wrong_names_are_refused():
    given = parse("--vary", ("model=st-gcn,kbest-gcn-2", "training.learning-rate=0.1,1e-3"))
    assert given == {"model": ["st-gcn", "kbest-gcn-2"], "training.learning-rate": [0.1, 0.001]}
    base = registry.get("ensemble-gcn")()
    assert with_settings(base, {"training.learning-rate": 0.1}).training.learning_rate == 0.1
    for wrong in ({"training.rate": 1}, {"traning.rate": 1}, {"training.momentum": 2}):
        with pytest.raises(InputError, match="settings"):
            with_settings(base, wrong)
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse("--set", ("momentum",))


@pytest.mark.slow
@pytest.mark.parametrize("trials", [0, 2])
def test_a_setting_is_varied_or_searched(tmp_path, trials):
    command = [sys.executable, str(ROOT / "experiments/training_settings.py"), "--simulate", "8", "-o", str(tmp_path)]
    command += ["--vary", "training.learning_rate=0.0005,0.01", "--trials", str(trials)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "learning_rate" in line]
    assert len(lines) == 2
    assert trials or sum("*" in line for line in lines) == 1
