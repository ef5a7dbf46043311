"""The benchmark of the command: what it tells of a process."""

import subprocess

import pytest

from benchmarks.assess_command import Run, measured, summary


def test_a_run_tells_the_seconds_and_the_memory_of_the_whole_process(tmp_path):
    run = measured(["--version"], tmp_path)
    assert 0 < run.cpu_s < 60
    assert run.wall_s > 0
    assert 10 < run.peak_mb < 2000


def test_a_command_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        measured(["no-command"], tmp_path)


def test_the_summary_has_medians_and_the_largest_memory():
    row = summary("warm", [Run(3.0, 5.0, 700.0), Run(1.0, 6.0, 600.0), Run(2.0, 9.0, 650.0)])
    expected = {"programs": "warm", "runs": 3, "wall_s": 2.0, "least_s": 1.0, "largest_s": 3.0}
    assert row == expected | {"cpu_s": 6.0, "peak_mb": 700.0}
