"""Studies in their storage: what is opened, who may join, and what is told of them."""

import csv
import io
import json

import optuna
import pytest

from infantjax.errors import InputError
from infantjax.search.kbest import KBest, RandomSearch
from infantjax.search.sampler import StrategySampler
from infantjax.search.space import SearchSpace
from infantjax.search.storage import close, open_storage
from infantjax.search.study import best, join_study, read_study, status, study_setup, table
from infantjax.search.worker import run_worker


@pytest.fixture
def searched(pretend, tmp_path, storage):
    """A study of eight random candidates."""
    task = pretend.task(tmp_path, storage, strategy=RandomSearch(), trials=8)
    opened = open_storage(storage)
    join_study(task.study, opened, task.sampler, task.setup)
    close(opened)
    run_worker(task)
    return read_study(task.study, storage)


# --- storages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "journal.log", "redis://host", "", "sqlite://"])
def test_storages_without_a_heartbeat_are_refused(url):
    with pytest.raises(InputError) as error:
        open_storage(url)
    assert "sqlite:///FILE" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_damaged_file_is_refused_and_named(tmp_path, storage):
    path = tmp_path / "search.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"search\.db: is damaged"):
        open_storage(storage)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00"])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    path = tmp_path / "other.db"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.db"):
        open_storage(f"sqlite:///{path}")


def test_a_storage_that_is_only_looked_at_is_not_made(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_study("search", f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_a_storage_in_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="its folder is missing"):
        open_storage(f"sqlite:///{tmp_path / 'none' / 'search.db'}")


def test_a_server_that_does_not_answer_is_one_line():
    with pytest.raises(InputError, match="cannot be opened") as error:
        open_storage("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(error.value)


# --- who may join ----------------------------------------------------------------------------------------------------

SPACE = SearchSpace({"a": (1, 2), "b": ("x", "y")})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 2}, "seed was 1, now 2"),
        ({"strategy": KBest(4)}, "strategy was"),
        ({"strategy": RandomSearch()}, "strategy was"),
        ({"space": SearchSpace({"a": (1, 2), "b": ("y", "x")})}, "space was"),
        ({"objective": {"epochs": 3}}, "epochs was 2, now 3"),
    ],
)
def test_a_worker_that_would_search_something_else_is_refused(storage, changed, message):
    settings = {"space": SPACE, "strategy": KBest(), "seed": 1, "objective": {"epochs": 2}}
    opened = open_storage(storage)
    for given in (settings, settings):
        join_study("one", opened, StrategySampler(KBest(), SPACE, 1), study_setup(*given.values()))
    with pytest.raises(InputError, match="study one: holds another search") as error:
        join_study("one", opened, StrategySampler(KBest(), SPACE, 1), study_setup(*(settings | changed).values()))
    assert message in str(error.value)
    close(opened)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_study_that_is_found_is_the_one_that_was_searched(pretend, searched):
    assert searched.space == pretend.SPACE
    assert searched.strategy == RandomSearch()
    assert len(searched.trials) == 8


def test_the_best_come_first(pretend, searched):
    told = best(searched, 3)
    values = sorted((trial.value for trial in searched.trials), reverse=True)
    assert [row["value"] for row in told] == values[:3]
    for row in told:
        assert pretend.value(searched.space.label(searched.space.candidate(row["choices"]))) == row["value"]


def test_the_status_counts_the_trials(searched):
    told = status(searched)
    assert told["trials"] == told["finished"] + told["stopped"] == 8
    assert told["candidates"] == searched.space.size
    assert told["best"] == best(searched)[0]["value"]
    json.dumps(told, allow_nan=False)


def test_the_table_has_a_row_for_each_trial(searched):
    rows = list(csv.DictReader(io.StringIO(table(searched))))
    assert [int(row["trial"]) for row in rows] == list(range(8))
    assert [float(row["value"]) for row in rows] == [trial.value for trial in searched.trials]
    assert [row["graph"] for row in rows] == [trial.params["graph"] for trial in searched.trials]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_a_name_that_the_storage_lacks_is_refused_with_those_it_has(searched, storage):
    with pytest.raises(InputError, match="has no study other; it has: pretend"):
        read_study("other", storage)


def test_a_study_of_another_program_is_refused(storage):
    opened = open_storage(storage)
    optuna.create_study(storage=opened, study_name="foreign")
    close(opened)
    with pytest.raises(InputError, match="foreign was not made by infantjax"):
        read_study("foreign", storage)
