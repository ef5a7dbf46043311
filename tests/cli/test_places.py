"""Commands whose files lie in a cloud, by the file system of fsspec that lies in memory."""

from dataclasses import replace

import fsspec
import pytest

from infantjax import formats
from infantjax.methods.base import Method
from infantjax.weights.ensemble import load_ensemble, save_ensemble


@pytest.fixture
def cloud(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "cache"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    return fs


@pytest.fixture
def infant_at(cloud, infant, tmp_path):
    formats.write(infant, tmp_path / "infant.csv", "wide-csv")
    cloud.put_file(str(tmp_path / "infant.csv"), "/b/in/infant.csv")
    return "memory://b/in/infant.csv"


def test_an_assessment_of_a_place_is_that_of_local_files(run, cloud, infant_at, ensemble_folder, tmp_path):
    cloud.put(str(ensemble_folder), "/b/ensemble", recursive=True)
    here = run("assess", tmp_path / "infant.csv", "-o", tmp_path / "out", "--ensemble", ensemble_folder)
    there = run("assess", "memory://b/in", "-o", "memory://b/out", "--ensemble", "memory://b/ensemble")
    assert here.status == there.status == 0, there.err
    assert here.out == there.out
    written = sorted(path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith("."))
    assert sorted(path.rpartition("/")[2] for path in cloud.find("/b/out")) == written
    assert '"memory://b/in"' in cloud.cat_file("/b/out/assess.toml").decode()
    for name in set(written) - {"assess.toml"}:
        assert cloud.cat_file(f"/b/out/{name}") == (tmp_path / "out" / name).read_bytes()


def test_a_cohort_and_its_ensemble_lie_at_a_place(run, cloud, cohort, ensemble_folder, monkeypatch):
    def train(method, cohort, directory, options=None, **others):
        ensemble = load_ensemble(ensemble_folder)
        record = {"runs": [], "metrics": {}, "cohort": {"recordings": len(cohort)}}
        return save_ensemble(replace(ensemble, info=replace(ensemble.info, training=record)), directory)

    monkeypatch.setattr(Method, "crossval", train)
    cloud.put(str(cohort), "/b/cohort", recursive=True)
    trained = run("crossval", "memory://b/cohort", "-o", "memory://b/ensemble")
    assert (trained.status, trained.out[-1]) == (0, "ensemble: memory://b/ensemble"), trained.err
    assert any(line.startswith("published") and line.endswith("memory://b/ensemble") for line in trained.err)
    assert {"/b/ensemble/ensemble.json", "/b/ensemble/quality.csv"} <= set(cloud.find("/b/ensemble"))


def test_errors_and_outputs_name_the_address(run, cloud, infant_at):
    nothing = "memory://b/nothing.csv"
    run("assess", nothing, "-o", "memory://b/out", "--quiet").refused(f"{nothing}: does not exist")
    run("convert", infant_at, infant_at, "--quiet").refused("memory://b/in/infant.csv: is also an input")
    outcome = run("convert", infant_at, "memory://b/out/x.csv")
    assert (outcome.status, outcome.out) == (0, ["memory://b/out/x.csv"]), outcome.err
    assert cloud.exists("/b/out/x.csv")


def test_what_a_command_finished_before_it_was_stopped_is_published(
    run, cloud, infant_at, ensemble_folder, monkeypatch
):
    from infantjax.report import page

    cloud.cp_file("/b/in/infant.csv", "/b/in/second.csv")
    write, done = page.to_html, []

    def stopped(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return write(*arguments)

    monkeypatch.setattr(page, "to_html", stopped)
    assert run("assess", "memory://b/in", "-o", "memory://b/out", "--ensemble", ensemble_folder).status == 130
    assert cloud.exists("/b/out/infant.json")
    assert not cloud.exists("/b/out/second.json")


@pytest.mark.parametrize("place", ["az://b/x", "https://example.org/x", "hdfs://b/x"])
def test_a_place_of_another_kind_is_refused(run, infant_at, place):
    run("assess", infant_at, "-o", place).refused("is an address, not a path of this machine; give a local path; the")


def test_a_place_that_cannot_be_written_is_refused_before_work_begins(run, cloud, infant_at, monkeypatch):
    def refuse(self, *arguments, **options):
        raise PermissionError("AccessDenied")

    monkeypatch.setattr(type(cloud), "pipe_file", refuse)
    run("assess", infant_at, "-o", "memory://b/out").refused("memory://b/out: refused access .PermissionError")
