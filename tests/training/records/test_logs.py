"""Loggers of a training: JSON lines, and the memory that they tell."""

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

from infantjax.training.records.logs import LOGGERS, Log, peak_memory


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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
def test_the_memory_of_this_process_counts_where_no_device_does():
    assert 10 < peak_memory(jax.local_devices()) < 1e6


def test_the_memory_of_the_fullest_device_counts_where_devices_have_statistics():
    devices = [SimpleNamespace(memory_stats=lambda n=n: {"peak_bytes_in_use": n}) for n in (1_000_000, 3_000_000)]
    assert peak_memory(devices) == 3
