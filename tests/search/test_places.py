"""A search whose folder is the copy of a place in a cloud."""

import shutil
from pathlib import Path

import fsspec
import pytest

from infantjax import places
from infantjax.search.kbest import RandomSearch
from infantjax.search.study import read_study
from infantjax.search.worker import run_worker

PLACE = "memory://bucket/search"


def values(folder: Path) -> list[tuple[int, float, dict]]:
    found = read_study("pretend", f"sqlite:///{folder / 'search.db'}")
    return [(trial.number, trial.value, trial.params) for trial in found.trials if trial.value is not None]


def test_a_killed_search_continues_on_another_machine_with_every_finished_trial(
    pretend, storage, searched, tmp_path, monkeypatch
):
    class Killed(BaseException):
        """As the process would be."""

    def task(folder):
        return pretend.task(folder, f"sqlite:///{folder / 'search.db'}", strategy=RandomSearch(), trials=5)

    begun = []
    evaluate = pretend.Pretend.__call__

    def killed(self, *arguments):
        begun.append(1)
        if len(begun) == 3:
            raise Killed
        return evaluate(self, *arguments)

    fsspec.filesystem("memory").store.clear()
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "first"))
    monkeypatch.setattr(pretend.Pretend, "__call__", killed)
    with places.working_copy() as copy:
        folder = copy.fetch(PLACE)
        folder.mkdir()
        shutil.copy(tmp_path / "search.db", folder)
        pretend.begin(task(folder))
        with pytest.raises(Killed):
            run_worker(task(folder))
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "second"))
    with places.working_copy() as copy:
        folder = copy.fetch(PLACE)
        assert values(folder) == values(searched)[:2]
        run_worker(task(folder))
        assert values(folder) == values(searched)
