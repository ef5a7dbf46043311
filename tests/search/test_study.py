"""Studies in the folder of a search: what is opened, what continues, and what is told of them."""

import contextlib
import csv
import io
import json
import shutil
import sqlite3

import optuna
import pytest

from infantjax.errors import InputError
from infantjax.search import KBest, RandomSearch, SearchSpace, read_study
from infantjax.search.study import FILE, StudyWriter, open_storage, read_candidate, status, study_setup, table


@pytest.fixture(scope="module")
def found(searched):
    """A study of five random candidates."""
    return read_study(searched)


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_damaged_file_is_refused_and_named(tmp_path, searched):
    path = tmp_path / FILE
    content = bytearray((searched / FILE).read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"search\.db: is damaged"):
        read_study(tmp_path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\x00"])
def test_a_file_that_is_no_database_is_refused(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"search\.db"):
        read_study(tmp_path)


def test_a_change_that_a_killed_driver_left_half_written_is_undone(tmp_path, searched):
    whole, killed = tmp_path / "whole" / FILE, tmp_path / "killed"
    killed.mkdir()
    shutil.copytree(searched, whole.parent, ignore=shutil.ignore_patterns("candidates"))
    with contextlib.closing(sqlite3.connect(whole, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")  # pages are written before the end of the change
        connection.execute("BEGIN")
        connection.execute("UPDATE trials SET state = 'FAIL'")
        connection.executemany("INSERT INTO studies(study_name) VALUES (?)", [(f"{n:0500d}",) for n in range(200)])
        for path in whole.parent.glob(f"{FILE}*"):
            shutil.copy(path, killed)
    assert (killed / f"{FILE}-journal").stat().st_size
    assert read_study(killed).history == read_study(searched).history


def test_a_search_that_is_only_looked_at_is_not_made(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_study(tmp_path)
    assert not list(tmp_path.iterdir())


# --- what continues --------------------------------------------------------------------------------------------------

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
def test_a_search_for_something_else_is_refused(tmp_path, changed, message):
    settings = {"space": SPACE, "strategy": KBest(), "seed": 1, "objective": {"epochs": 2}}
    with open_storage(tmp_path / FILE, create=True) as storage:
        for _ in range(2):
            StudyWriter(storage, "one", SPACE, study_setup(*settings.values()))
        with pytest.raises(InputError, match="study one: holds another search") as error:
            StudyWriter(storage, "one", SPACE, study_setup(*(settings | changed).values()))
    assert message in str(error.value)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_study_that_is_found_is_the_one_that_was_searched(pretend, found):
    assert found.space == pretend.SPACE
    assert found.strategy == RandomSearch()
    assert len(found.trials) == 5


def test_the_best_come_first(pretend, found):
    told = found.best(3)
    values = sorted((trial.value for trial in found.trials), reverse=True)
    assert [row["value"] for row in told] == values[:3]
    for row in told:
        assert pretend.value(found.space.label(found.space.candidate(row["choices"]))) == row["value"]


def test_the_status_counts_the_trials(found):
    told = status(found)
    assert told["trials"] == told["finished"] + told["stopped"] == 5
    assert told["candidates"] == found.space.size
    assert told["best"] == found.best()[0]["value"]
    assert (told["ended"], told["end"]) == (False, "")  # more trials may be asked for
    json.dumps(told, allow_nan=False)


def test_the_table_has_a_row_for_each_trial(found):
    rows = list(csv.DictReader(io.StringIO(table(found))))
    assert [int(row["trial"]) for row in rows] == list(range(5))
    assert [float(row["value"]) for row in rows] == [trial.value for trial in found.trials]
    assert [row["graph"] for row in rows] == [trial.params["graph"] for trial in found.trials]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_a_name_that_the_folder_lacks_is_refused_with_those_it_has(searched):
    with pytest.raises(InputError, match="has no study other; it has: pretend"):
        read_study(searched, "other")


def test_a_study_of_another_program_is_refused(tmp_path):
    with open_storage(tmp_path / FILE, create=True) as storage:
        optuna.create_study(storage=storage, study_name="foreign")
    with pytest.raises(InputError, match="foreign was not made by infantjax"):
        read_study(tmp_path)


@pytest.mark.parametrize(("suffix", "rank"), [("", 1), ("#1", 1), ("#3", 3), ("@pretend#5", 5), ("@pretend", 1)])
def test_a_candidate_is_read_by_its_rank(found, searched, suffix, rank):
    assert read_candidate(f"{searched}{suffix}") == found.best(rank)[-1]["choices"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{}#6", "study pretend: has 5 candidates with a value, none of rank 6; give a number from 1 to 5"),
        ("{}#0", "none of rank 0"),
        ("{}@other", "has no study other; it has: pretend"),
        ("{}/none", r"search\.db: does not exist"),
        ("#1", r"search\.db: does not exist"),
        ("", "names no folder"),
    ],
)
def test_a_candidate_that_there_is_not_is_one_line(searched, reference, message):
    with pytest.raises(InputError, match=message):
        read_candidate(reference.format(searched))


def test_a_search_without_a_value_and_several_searches_are_one_line(tmp_path):
    setup = study_setup(SPACE, KBest(), 1, {})
    with open_storage(tmp_path / FILE, create=True) as storage:
        with pytest.raises(InputError, match="holds no search; run the search first"):
            read_candidate(str(tmp_path))
        StudyWriter(storage, "first", SPACE, setup)
        with pytest.raises(InputError, match="study first: has 0 candidates with a value"):
            read_candidate(str(tmp_path))
        StudyWriter(storage, "second", SPACE, setup)
        with pytest.raises(InputError, match="holds the searches first, second; name one of them"):
            read_candidate(str(tmp_path))
