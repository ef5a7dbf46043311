"""`infantjax search` as its user meets it."""

import csv
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from optuna.trial import TrialState

from infantjax import cli
from infantjax.cli import parsing
from infantjax.cli.options import common
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.methods.ensemble_gcn.model import Architecture
from infantjax.methods.ensemble_gcn.objective import SPACE as PUBLISHED
from infantjax.methods.ensemble_gcn.search import CHECKPOINTS
from infantjax.search import KBest, RandomSearch, driver, ensemble, estimate, read_study
from infantjax.simulation import write_cohort
from infantjax.weights.ensemble import load_ensemble

ONE = {name: [values[0]] for name, values in PUBLISHED.alternatives}


@pytest.fixture
def run(capsys, monkeypatch):
    """Runs the command in this process; returns its status and both streams."""
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(["search", *(str(argument) for argument in arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_status_of_a_search(run, searched):
    status, out, _ = run("status", "-o", searched, "--study", "pretend")
    assert status == 0
    assert dict(line.split(maxsplit=1) for line in out.splitlines() if len(line.split()) > 1)["trials"] == "5"


def test_the_best_candidates_as_lines_and_as_json(run, pretend, searched):
    status, out, _ = run("best", "-o", searched, "--study", "pretend", "--top", 2, "--json")
    told = json.loads(out)
    assert status == 0
    assert len(told) == 2
    assert told[0]["value"] >= told[1]["value"]
    _, out, _ = run("best", "-o", searched, "--study", "pretend")
    assert [line.split()[0] for line in out.splitlines()] == ["trial", "value", *pretend.SPACE.names]


def test_an_export_writes_all_trials_and_the_best(run, searched, tmp_path):
    shutil.copy(searched / "search.db", tmp_path)
    status, out, _ = run("export", "-o", tmp_path, "--study", "pretend", "--top", 3)
    assert status == 0
    assert out.split() == [str(tmp_path / "trials.csv"), str(tmp_path / "best.json")]
    with (tmp_path / "trials.csv").open(newline="") as stream:
        assert len(list(csv.reader(stream))) == 6
    assert len(json.loads((tmp_path / "best.json").read_text())) == 3


# --- a winner as a network -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def winners(pretend, tmp_path_factory):
    """A folder with a search of two candidates of the published space, and their choices, best first."""
    folder = tmp_path_factory.mktemp("winners")
    space = PUBLISHED.restricted(ONE | {"nonlinearity": ["relu", "swish"]})
    found = pretend.run(folder, RandomSearch(), space=space, trials=2)
    return folder, [row["choices"] for row in found.best(2)]


@pytest.mark.parametrize(
    ("command", "suffix", "rank"), [("crossval", "", 0), ("crossval", "#2", 1), ("train", "#1", 0)]
)
def test_a_winner_is_a_network_of_crossval_and_of_train(winners, command, suffix, rank):
    folder, choices = winners
    words = ["cohort", "-o", "out", "--model", f"search:{folder}{suffix}"]
    settings = parsing.parse(cli.command_type(command), command, words).settings
    assert settings.overrides == choices[rank]
    assert settings.build().architecture == Architecture.from_choices(choices[rank])
    assert EnsembleGCN.from_settings(json.loads(json.dumps(settings.settings))) == settings


def test_overrides_change_choices_of_a_winner(winners):
    folder, choices = winners
    method = EnsembleGCN(model=f"search:{folder}", overrides={"pool": "spatial"})
    assert method.overrides == choices[0] | {"pool": "spatial"}


def test_a_winner_that_there_is_not_is_one_line(winners, cohort, tmp_path, capsys):
    for reference, message in ((f"{winners[0]}#3", "none of rank 3"), (tmp_path, "search.db: does not exist")):
        assert cli.run(["crossval", str(cohort), "-o", str(tmp_path / "out"), "--model", f"search:{reference}"]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--k", "3"), "has 2 different networks with a value, 3 are asked for; give --k 2"),
        (("--k", "0"), "the number of architectures must be at least 1"),
        (("--model", "st-gcn"), "--model: is decided by the search"),
        (("--study", "none"), "has no study none; it has: pretend"),
        (("--method", "mam"), "mam has no architecture search"),
    ],
)
def test_an_ensemble_that_cannot_be_is_one_line_and_writes_nothing(run, winners, cohort, tmp_path, options, message):
    status, out, err = run("ensemble", cohort, winners[0], "-o", tmp_path / "out", *options, "--quiet")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err
    assert not (tmp_path / "out").exists()


# --- a search --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _cohorts_are_read_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common.CohortOptions, "read", functools.cache(common.CohortOptions.read))
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("simulated") / "cohort", 14, 1, 6.0, prevalence=0.5)


@pytest.mark.slow
def test_a_backend_that_the_machine_does_not_have_fails_no_candidate(cohort, tmp_path):
    program = Path(sys.executable).with_name("infantjax")
    done = subprocess.run(
        [program, "search", cohort, "-o", tmp_path / "out", "--trials", "1"],
        env=os.environ | {"JAX_PLATFORMS": "cuda"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert 'JAX_PLATFORMS: "cuda" cannot be used on this machine' in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def asked(monkeypatch, searched):
    """What the command asks to be searched, instead of searching."""
    tasks = []

    def instead(space, objective, strategy, directory, **settings):
        tasks.append(SimpleNamespace(space=space, objective=objective, strategy=strategy, folder=directory, **settings))
        return read_study(searched)

    monkeypatch.setattr(driver, "run", instead)
    return tasks


def test_the_defaults_are_the_published_search(run, cohort, asked, tmp_path):
    status, out, err = run(cohort, "-o", tmp_path / "out")
    assert status == 0, err
    (task,) = asked
    assert "5,435,817,984" in err
    assert task.space == PUBLISHED
    assert task.strategy == KBest(5, 0.9, 10, 1, 3, temperature_lag=True)
    assert (task.trials, task.seed, task.study, task.engine.devices) == (None, 1, "search", jax.local_device_count())
    config, (fold,) = task.objective.config, task.objective.splits
    assert (config.epochs, config.required_auc) == (100, CHECKPOINTS)
    assert len(fold.validation) == 4
    assert task.folder == tmp_path / "out"
    assert "ended                   False" in out


def test_options_reach_the_search(run, cohort, asked, tmp_path):
    (tmp_path / "space.json").write_text(json.dumps({"graph": ["dis2"]}))
    status, _, err = run(
        *(cohort, "-o", tmp_path / "out", "--study", "s", "--devices", 1, "--strategy", "paper", "--population", 3),
        *("--threshold", 0.6, "--seed", 4, "--space", tmp_path / "space.json", "--held-out", 1, "--repeats", 2),
        *("--no-checkpoints", "--epochs", 5, "--training.seed", 6, "--quiet"),
    )
    assert (status, err) == (0, "")
    (task,) = asked
    assert (task.study, task.engine.devices, task.seed) == ("s", 1, 4)
    assert task.strategy == KBest(3, 0.6, temperature_lag=False)
    assert task.space.size == PUBLISHED.size // 4
    assert len(task.objective.splits) == 2
    assert (task.objective.config.epochs, task.objective.config.seed) == (5, 6)
    assert task.objective.config.required_auc == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--strategy", "random"), "random search has no end"),
        (("--held-out", "9"), "held_out must be some of the folds 1 to 7"),
        (("--population", "0"), "population must be at least 1"),
        (("--epochs", "0"), "epochs must be at least 1"),
        (("--repeats", "0"), "repeats must be at least 1"),
        (("--stratify", "center"), 'no recording has a column "center"'),
        (("--devices", "99"), "--devices: is 99, this machine has"),
        (("--space", "/none.json"), "cannot be read"),
        (("--folds", "12"), "for 12 folds"),
    ],
)
def test_options_that_cannot_be_are_one_line(run, cohort, tmp_path, options, message):
    status, out, err = run(cohort, "-o", tmp_path / "out", *options, "--quiet")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_dry_run_writes_nothing(run, cohort, asked, winners, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "estimate_search", lambda space, *given: {"parameters": 12_345, "space": space.size})
    status, out, err = run(cohort, "-o", tmp_path / "out", "--dry-run")
    assert status == 0, err
    assert [line.split() for line in out.splitlines()] == [["parameters", "12,345"], ["space", "5,435,817,984"]]
    assert not asked
    monkeypatch.setattr(ensemble, "estimate_ensemble", lambda found, *given, **options: {"architectures": len(found)})
    status, out, err = run("ensemble", cohort, winners[0], "-o", tmp_path / "out", "--k", 2, "--dry-run")
    assert status == 0, err
    assert out.split() == ["architectures", "2"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("cohort",), ("status",), ("export",)])
def test_a_search_needs_a_folder(run, arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert len(err.splitlines()) == 1


WITHOUT_OPTUNA = """
import importlib, sys
sys.modules["optuna"] = None
for module in sys.argv[1:]:
    try:
        importlib.import_module(f"infantjax.search.{module}")
    except ImportError as error:
        print(error)
"""


def test_without_optuna_there_is_one_line_that_says_how_to_get_it():
    modules = ["study", "analysis", "report", "progress", "driver"]
    done = subprocess.run([sys.executable, "-c", WITHOUT_OPTUNA, *modules], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(modules)
    assert all(line.startswith("this needs optuna: pip install ") and ' "optuna' in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_search_on_two_devices_continues_after_it_was_stopped(cohort, tmp_path, stop, code):
    differing = {"attention": ["null", "channel"], "pool": ["global", "spatial"]}
    space = tmp_path / "space.json"
    space.write_text(json.dumps(ONE | differing))
    training = ("--epochs", 4, "--batch-size", 8, "--samples-per-negative", 2, "--positive-ratio", 1)
    where = (cohort, "-o", tmp_path / "out", "--space", space)
    options = (*where, *training, "--strategy", "random", "--trials", 4, "--devices", 2, "--json")
    program = str(Path(sys.executable).with_name("infantjax"))
    command = [program, "search", *(str(option) for option in options)]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    stopped = subprocess.Popen(command, **pipes)
    while stopped.poll() is None and not list((tmp_path / "out").glob("trials/*/run/*")):
        time.sleep(0.2)
    stopped.send_signal(stop)
    _, err = stopped.communicate(timeout=120)
    assert stopped.returncode == code, err
    assert read_study(tmp_path / "out").count(TrialState.RUNNING) == 2
    done = subprocess.run(command, **pipes)
    assert done.returncode == 0, done.stderr
    found = read_study(tmp_path / "out")
    results = [found.space.choices(trial.candidate) for trial in found.history]
    assert not found.failures
    assert sorted(tuple(choices[name] for name in differing) for choices in results) == sorted(
        product(*differing.values())
    )


@pytest.mark.slow
def test_a_small_search_from_the_command_line_finds_a_network(run, cohort, tmp_path):
    space = tmp_path / "space.json"
    space.write_text(json.dumps(ONE | {"nonlinearity": ["relu", "swish"]}))
    options = (
        "--epochs",
        2,
        "--batch-size",
        8,
        "--samples-per-negative",
        1,
        "--positive-ratio",
        1,
        "--strategy",
        "random",
    )
    arguments = (cohort, "-o", tmp_path / "out", "--space", space, "--trials", 2, *options)
    status, out, err = run(*arguments, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["trials"] == 2
    assert np.isfinite(told["best"])
    again = run(*arguments, "--json")
    assert json.loads(again[1]) == told
    network = ("--model", f"search:{tmp_path / 'out'}", "--folds", 2, "--epochs", 1, "--batch-size", 4)
    words = ["crossval", cohort, "-o", tmp_path / "ensemble", *network]
    assert cli.run([str(word) for word in words]) == 0
    (row,) = json.loads(run("best", "-o", tmp_path / "out", "--json")[1])
    assert load_ensemble(tmp_path / "ensemble").members[0].overrides == row["choices"]
    words = ("ensemble", cohort, tmp_path / "out", "-o", tmp_path / "both", "--k", 2, *network[2:])
    status, out, err = run(*words)
    assert status == 0, err
    assert [line.split()[0] for line in out.splitlines()][:2] == ["architecture", "architecture"]
    assert [member.runs for member in load_ensemble(tmp_path / "both").members] == [2, 2]
    words = ["assess", str(next(cohort.glob("*[!s].csv"))), "--ensemble", str(tmp_path / "both")]
    assert cli.run([*words, "-o", str(tmp_path / "assessed")]) == 0
