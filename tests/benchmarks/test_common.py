"""Paired timing, equality before timing, and how results are kept."""

import json
import subprocess

import numpy as np
import pytest

from benchmarks import common


def test_contenders_take_turns_and_the_one_that_begins_alternates():
    calls, waited = [], []
    a = common.Contender("a", lambda: calls.append("a"), waited.append)
    b = common.Contender("b", lambda: calls.append("b"))
    found = common.compare(a, b, rounds=3, warm_up=1)
    assert "".join(calls) == "ab" + "ab" + "ab" + "ba" + "ab"
    assert len(found.ours_seconds) == len(found.peer_seconds) == 3
    assert len(waited) == calls.count("a"), "a run ends when its result is there"


def test_ratio_is_the_median_of_the_paired_ratios_with_its_quartiles():
    found = common.Comparison("a", "b", (9.0, 1.0), (1.0, 2.0, 1.0, 1.0, 1.0), (1.0, 4.0, 3.0, 4.0, 5.0))
    assert found.ratio_quartiles == (2.0, 3.0, 4.0)
    summary = found.summary(flops=2e9)
    assert summary["ours_gflops"] == 2.0
    assert summary["peer_gflops"] == 0.5
    assert summary["ours_first_call_s"] == 9.0


def test_equal_results_pass_and_give_their_relative_error():
    assert common.require_equal([10.0, 0.0], [10.0, 1e-6], 1e-6, "scores") == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("found", "message"), [([1.0, 2.1], "differ by"), ([1.0], "shapes"), ([1.0, float("nan")], "finite")]
)
def test_different_results_are_not_timed(found, message):
    with pytest.raises(AssertionError, match=message):
        common.require_equal(found, [1.0, 2.0], 1e-3, "scores")


@pytest.mark.parametrize("ceiling", [common.jax_ceiling, pytest.param(common.torch_ceiling, marks=pytest.mark.peers)])
def test_a_ceiling_is_a_positive_rate(ceiling):
    if ceiling is common.torch_ceiling:
        pytest.importorskip("torch", reason='PyTorch is an extra: pip install "infantjax[bench]"')
    assert np.isfinite(ceiling(size=32, repeats=2))
    assert ceiling(size=32, repeats=2) > 0


def test_a_result_is_kept_as_json_and_table(tmp_path):
    rows = [{"model": "a", "ratio": 2.0}, {"model": "all", "ratio": 2.3456}]
    where = {"device": "cpu", "versions": {"jax": "1"}}
    text = common.write("speed", rows, {"windows": 3}, where, tmp_path)
    assert "| all   | 2.35  |" in text
    assert text in (tmp_path / "speed.md").read_text()
    document = json.loads((tmp_path / "speed.json").read_text())
    assert document == {"benchmark": "speed", "environment": where, "shapes": {"windows": 3}, "rows": rows}


def test_the_environment_names_device_and_versions():
    found = common.environment()
    assert found["device"]
    assert found["versions"]["jax"]
    assert json.dumps(found)


def test_a_run_tells_the_seconds_and_the_memory_of_the_whole_process(tmp_path):
    run = common.measured(["--version"], tmp_path)
    assert 0 < run.cpu_s < 60
    assert run.wall_s > 0
    assert 10 < run.peak_mb < 2000


def test_a_command_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        common.measured(["no-command"], tmp_path)
