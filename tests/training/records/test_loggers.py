"""Loggers of a training: JSON lines, and the calls of the libraries that log elsewhere."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from infantjax.errors import InputError, MissingExtraError
from infantjax.training.records.loggers import LOGGERS, require_loggers
from infantjax.training.records.logs import Log, peak_memory


def lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_json_lines_have_a_line_for_each_run_and_epoch(tmp_path):
    with LOGGERS["jsonl"](tmp_path, 2, 1) as write:
        write(1, [{"loss": 0.5}, {"loss": 0.25, "seconds": 2.0}])
    assert lines(tmp_path) == [
        {"run": 0, "epoch": 1, "loss": 0.5},
        {"run": 1, "epoch": 1, "loss": 0.25, "seconds": 2.0},
    ]


def test_json_lines_of_epochs_that_are_run_again_are_replaced(tmp_path):
    for first, value in ((1, 0.5), (3, 0.25), (5, 0.0)):
        with LOGGERS["jsonl"](tmp_path, 1, first) as write:
            for epoch in range(first, 5):
                write(epoch, [{"loss": value}])
        if first < 5:
            with (tmp_path / "log.jsonl").open("a") as stream:
                stream.write('{"run": 0, "epoch": 2, "lo')  # as a killed process leaves it
    assert [(line["epoch"], line["loss"]) for line in lines(tmp_path)] == [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]


def test_metrics_that_are_not_finite_or_not_of_one_number_are_left_out(tmp_path):
    history = {"loss": [[float("nan")], [0.5]], "curve": [[[1.0]], [[1.0]]]}
    with Log(tmp_path, 2, ["jsonl"]) as log:
        log.write(
            1, {name: jax.numpy.asarray(values) for name, values in history.items()}, speed={"rate": float("nan")}
        )
    assert lines(tmp_path) == [{"run": 0, "epoch": 1}, {"run": 1, "epoch": 1, "loss": 0.5}]
    assert not (tmp_path / "tensorboard").exists()


class Wandb:
    """The library as far as the logger calls it, and its arguments."""

    def __init__(self):
        self.given, self.logged, self.finished = {}, [], 0

    def Settings(self, **settings):
        return settings

    def init(self, **given):
        self.given = given
        return self

    def log(self, metrics, step):
        self.logged.append((step, metrics))

    def finish(self):
        self.finished += 1


@pytest.fixture
def wandb(monkeypatch):
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return module


def test_wandb_is_offline_unless_the_user_has_set_its_mode(wandb, tmp_path, monkeypatch):
    with LOGGERS["wandb"](tmp_path, 2, 1) as write:
        assert wandb.given["mode"] == "offline"
        assert wandb.given["save_code"] is False
        assert "config" not in wandb.given
        write(1, [{"loss": 0.5}, {"loss": 0.25}])
    assert wandb.logged == [(1, {"run-000/loss": 0.5, "run-001/loss": 0.25})]
    assert wandb.finished == 1
    before = wandb.given["id"]
    monkeypatch.setenv("WANDB_MODE", "online")
    with LOGGERS["wandb"](tmp_path, 2, 2):
        assert wandb.given["mode"] == "online"
    assert (wandb.given["id"], wandb.given["resume"]) == (before, "allow")


def test_a_logger_that_fails_costs_metrics_and_not_the_training(wandb, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(wandb, "log", lambda metrics, step: 1 / 0)
    with LOGGERS["wandb"](tmp_path, 1, 1) as write:
        write(1, [{"loss": 0.5}])
    assert "wandb: metrics are lost (ZeroDivisionError: division by zero)" in caplog.text


def test_a_logger_that_cannot_be_opened_is_one_line(wandb, tmp_path, monkeypatch):
    monkeypatch.setattr(wandb, "init", lambda **given: 1 / 0)
    with pytest.raises(
        InputError, match=r"--log wandb: cannot be used \(ZeroDivisionError.*; check its settings, or leave"
    ):
        LOGGERS["wandb"](tmp_path, 1, 1).__enter__()


class Mlflow:
    """The library as far as the logger calls it, with the runs of a server."""

    def __init__(self):
        self.runs, self.batches, self.uris, self.ended = {}, [], [], []
        self.entities = SimpleNamespace(Metric=lambda *values: values)

    def MlflowClient(self, tracking_uri):
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name):
        return SimpleNamespace(experiment_id=name) if self.runs else None

    def create_experiment(self, name):
        return name

    def search_runs(self, experiments, filter_string):
        return [run for tag, run in self.runs.items() if tag in filter_string]

    def create_run(self, experiment, run_name, tags):
        self.runs[tags["training"]] = SimpleNamespace(info=SimpleNamespace(run_id=f"id-{run_name}"))
        return self.runs[tags["training"]]

    def log_batch(self, run_id, metrics):
        self.batches.append((run_id, metrics))

    def set_terminated(self, run_id):
        self.ended.append(run_id)


def test_mlflow_writes_into_the_folder_unless_a_server_is_named(tmp_path, monkeypatch):
    mlflow = Mlflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "training"
    with LOGGERS["mlflow"](folder, 70, 1) as write:
        write(3, [{f"figure-{n}": float(run) for n in range(20)} for run in range(70)])
    assert [len(metrics) for _, metrics in mlflow.batches] == [1000, 400]
    name, value, _, step = mlflow.batches[1][1][-1]
    assert (name, value, step) == ("run-069/figure-19", 69.0, 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://server.example")
    with LOGGERS["mlflow"](folder, 1, 4):
        pass
    assert mlflow.uris == [f"sqlite:///{folder}/mlflow.db", "https://server.example"]
    assert mlflow.ended == ["id-training", "id-training"]
    assert len(mlflow.runs) == 1


@pytest.mark.parametrize("library", ["wandb", "mlflow"])
def test_a_missing_library_is_named_before_a_training_begins(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    require_loggers(["tensorboard", "jsonl"])
    with pytest.raises(MissingExtraError, match=f"this needs {library}: pip install .*{library}"):
        require_loggers(["tensorboard", library])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
def test_the_memory_of_this_process_counts_where_no_device_does():
    assert 10 < peak_memory(jax.local_devices()) < 1e6


def test_the_memory_of_the_fullest_device_counts_where_devices_have_statistics():
    devices = [SimpleNamespace(memory_stats=lambda n=n: {"peak_bytes_in_use": n}) for n in (1_000_000, 3_000_000)]
    assert peak_memory(devices) == 3
