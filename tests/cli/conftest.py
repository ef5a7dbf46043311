"""Runs the program in this process, and small inputs for it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from infantjax import cache as runtime
from infantjax import cli
from infantjax import formats as readers
from infantjax.cli.options import common
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, simulate


class Outcome(NamedTuple):
    """What a command left: its status, and the lines of both streams."""

    status: int
    out: list[str]
    err: list[str]

    def refused(self, message: str) -> None:
        """Status 2 and one line that names what is wrong, nothing else."""
        assert self.status == 2
        assert self.out == []
        (line,) = self.err
        assert line.startswith("infantjax: ")
        assert re.search(message, line), line


@pytest.fixture(scope="module")
def cache():
    """The session's compilation cache, with what JAX traced in it as well."""
    before = runtime._folder
    runtime.use_compilation_cache()
    yield
    runtime._folder = before


@pytest.fixture
def run(capsys, monkeypatch, cache) -> Callable[..., Outcome]:
    """Runs the program in this process, without its settings of the whole process."""
    monkeypatch.setattr(common, "prepare_process", lambda distributed=None: None)

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = cli.run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(status, out.splitlines(), err.splitlines())

    return run


@pytest.fixture(scope="module")
def infant() -> Recording:
    """Six seconds: two windows."""
    return simulate(5, InfantConfig(duration=6.0), name="infant")


@pytest.fixture
def good(infant, tmp_path) -> Path:
    """The infant as a table without times, so that its frame rate has to be said."""
    readers.write(infant, tmp_path / "timed.csv", "wide-csv")
    rows = [line.split(",") for line in (tmp_path / "timed.csv").read_text().splitlines()]
    (tmp_path / "timed.csv").unlink()
    assert rows[0][:2] == ["frame", "time"]
    path = tmp_path / "good.csv"
    path.write_text("".join(",".join(row[2:]) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Path:
    """Four simulated infants of six seconds, two with outcome 1."""
    folder = tmp_path_factory.mktemp("cli") / "cohort"
    options = ("-n", "4", "--prevalence", "0.5", "--duration", "6", "--quiet")
    assert cli.run(["simulate", "-o", str(folder), *options]) == 0
    return folder
