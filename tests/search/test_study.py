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
from infantjax.search.study import best, join_study, read_candidate, read_study, status, study_setup, table


@pytest.fixture(scope="module")
def found(searched):
    """A study of five random candidates."""
    return read_study("pretend", f"sqlite:///{searched / 'search.db'}")


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


def test_a_study_that_is_found_is_the_one_that_was_searched(pretend, found):
    assert found.space == pretend.SPACE
    assert found.strategy == RandomSearch()
    assert len(found.trials) == 5


def test_the_best_come_first(pretend, found):
    told = best(found, 3)
    values = sorted((trial.value for trial in found.trials), reverse=True)
    assert [row["value"] for row in told] == values[:3]
    for row in told:
        assert pretend.value(found.space.label(found.space.candidate(row["choices"]))) == row["value"]


def test_the_status_counts_the_trials(found):
    told = status(found)
    assert told["trials"] == told["finished"] + told["stopped"] == 5
    assert told["candidates"] == found.space.size
    assert told["best"] == best(found)[0]["value"]
    assert (told["ended"], told["end"]) == (False, "")  # more trials may be asked for
    json.dumps(told, allow_nan=False)


def test_the_table_has_a_row_for_each_trial(found):
    rows = list(csv.DictReader(io.StringIO(table(found))))
    assert [int(row["trial"]) for row in rows] == list(range(5))
    assert [float(row["value"]) for row in rows] == [trial.value for trial in found.trials]
    assert [row["graph"] for row in rows] == [trial.params["graph"] for trial in found.trials]
    assert {row["state"] for row in rows} <= {"complete", "pruned"}


def test_a_name_that_the_storage_lacks_is_refused_with_those_it_has(searched):
    with pytest.raises(InputError, match="has no study other; it has: pretend"):
        read_study("other", f"sqlite:///{searched / 'search.db'}")


def test_a_study_of_another_program_is_refused(storage):
    opened = open_storage(storage)
    optuna.create_study(storage=opened, study_name="foreign")
    close(opened)
    with pytest.raises(InputError, match="foreign was not made by infantjax"):
        read_study("foreign", storage)


@pytest.mark.parametrize(("suffix", "rank"), [("", 1), ("#1", 1), ("#3", 3), ("@pretend#5", 5), ("@pretend", 1)])
def test_a_candidate_is_read_by_its_rank(found, searched, suffix, rank):
    assert read_candidate(f"{searched}{suffix}") == best(found, rank)[-1]["choices"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{}#6", "study pretend: has 5 candidates with a value, none of rank 6; give a number from 1 to 5"),
        ("{}#0", "none of rank 0"),
        ("{}@other", "holds the searches pretend; name one of them, such as search:.*@pretend"),
        ("{}/none", r"search\.db: does not exist"),
        ("#1", r"search\.db: does not exist"),
        ("", "names no folder"),
    ],
)
def test_a_candidate_that_there_is_not_is_one_line(searched, reference, message):
    with pytest.raises(InputError, match=message):
        read_candidate(reference.format(searched))


def test_a_search_without_a_value_and_several_searches_are_one_line(pretend, tmp_path, storage):
    with pytest.raises(InputError, match="holds no search; run the search first"):
        read_candidate(str(tmp_path))
    pretend.begin(pretend.task(tmp_path, storage, "first"))
    with pytest.raises(InputError, match="study first: has 0 candidates with a value"):
        read_candidate(str(tmp_path))
    pretend.begin(pretend.task(tmp_path, storage, "second"))
    with pytest.raises(InputError, match="holds the searches first, second; name one of them"):
        read_candidate(str(tmp_path))
