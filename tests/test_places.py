"""Local copies of files and folders of a cloud, by the file system of fsspec that lies in memory."""

import os
import shutil

import fsspec
import pytest

from infantjax import cache, places
from infantjax.errors import InputError, MissingExtraError


@pytest.fixture(autouse=True)
def cloud(tmp_path, monkeypatch):
    """An empty file system in memory, and an empty cache."""
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "cache"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    return fs


@pytest.fixture
def copy():
    with places.working_copy() as copy:
        yield copy


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("gs://bucket/x", "gs://bucket/x"),
        ("gs:/bucket/x", "gs://bucket/x"),
        ("s3://bucket/a b/c/", "s3://bucket/a b/c"),
        ("s3://bucket", "s3://bucket"),
        ("gs", None),
        ("./gs:", None),
        ("folder/gs://x", None),
        ("az://bucket/x", None),
        ("https://example.org/x", None),
    ],
)
def test_an_address_is_told_from_a_path(text, address):
    assert places.parse(text) == address


@pytest.mark.parametrize("text", ["gs://bucket/../x", "gs://bucket/x/..", "s3://./x", "gs://bucket//x"])
def test_an_address_out_of_its_place_is_refused(text):
    with pytest.raises(InputError, match="is no address of a file or folder"):
        places.parse(text)


def test_a_folder_is_fetched_and_published_again(cloud, copy):
    cloud.pipe({"/b/in/a.txt": b"a", "/b/in/deep/c.txt": b"c", "/b/inner.txt": b"no part of it", "/b/in/.hidden": b""})
    folder = copy.fetch("memory://b/in")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == {
        "a.txt",
        "deep/c.txt",
    }
    assert (folder / "deep" / "c.txt").read_bytes() == b"c"
    assert places.publish(folder) == 0
    (folder / "a.txt").write_text("new")
    (folder / "added").mkdir()
    (folder / "added" / "d.txt").write_text("d")
    (folder / "deep" / "c.txt").unlink()
    (folder / ".lock").write_text("")
    (folder / "5.orbax-checkpoint-tmp").mkdir()
    (folder / "5.orbax-checkpoint-tmp" / "half").write_text("")
    assert places.publish(folder) == 3
    assert places.publish(folder) == 0
    assert set(cloud.find("/b")) == {"/b/in/a.txt", "/b/in/added/d.txt", "/b/in/.hidden", "/b/inner.txt"}
    assert cloud.cat_file("/b/in/a.txt") == b"new"
    (folder / "a.txt").write_text("newer")
    assert places.publish(folder) == 1
    assert cloud.cat_file("/b/in/a.txt") == b"newer"


def test_a_single_file_is_fetched_and_published(cloud, copy):
    cloud.pipe_file("/b/x.csv", b"1")
    path = copy.fetch("memory://b/x.csv")
    assert path.read_bytes() == b"1"
    path.write_bytes(b"22")
    assert places.publish(path) == 1
    assert cloud.cat_file("/b/x.csv") == b"22"


def test_nothing_at_an_address_is_no_path_but_its_folder_is_there(copy):
    path = copy.fetch("memory://b/nothing/x")
    assert not path.exists()
    assert path.parent.is_dir()


def test_what_has_not_changed_is_read_once(cloud, copy, monkeypatch):
    cloud.pipe({"/b/a": b"a", "/b/c": b"c"})
    copy.fetch("memory://b")
    cloud.pipe_file("/b/c", b"changed")
    read = []
    get = type(cloud).get_file
    monkeypatch.setattr(type(cloud), "get_file", lambda self, path, to: (read.append(path), get(self, path, to)))
    folder = copy.fetch("memory://b")
    assert read == ["/b/c"]
    assert (folder / "c").read_bytes() == b"changed"


def test_a_copy_becomes_equal_to_its_place_whatever_was_left_in_it(cloud, copy):
    cloud.pipe({"/b/a": b"a", "/b/c/d": b"d"})
    folder = copy.fetch("memory://b")
    (folder / "a").write_bytes(b"damaged")
    (folder / "left").write_bytes(b"by a killed process")
    shutil.rmtree(folder / "c")
    copy.fetch("memory://b")
    assert {path.name for path in folder.rglob("*")} == {"a", "c", "d"}
    assert (folder / "a").read_bytes() == b"a"


def test_files_appear_in_the_order_in_which_they_were_written_and_old_ones_go_last(cloud, copy, monkeypatch):
    cloud.pipe_file("/b/old", b"")
    folder = copy.fetch("memory://b")
    for number, name in enumerate(["z-weights", "a-index", "m-page"]):
        (folder / name).write_text(name)
        os.utime(folder / name, ns=(number, number))
    (folder / "old").unlink()
    done = []
    for name in ("put_file", "rm_file"):
        method = getattr(type(cloud), name)
        monkeypatch.setattr(
            type(cloud), name, lambda self, *paths, method=method: (done.append(paths[-1]), method(self, *paths))
        )
    places.publish(folder)
    assert done == ["/b/z-weights", "/b/a-index", "/b/m-page", "/b/old"]


def test_what_another_process_wrote_is_never_written_over(cloud, copy):
    cloud.pipe_file("/b/a", b"a")
    folder = copy.fetch("memory://b")
    (folder / "a").write_text("ours")
    cloud.pipe_file("/b/a", b"theirs")
    with pytest.raises(InputError, match="memory://b/a: was written by another process; let one process at a time"):
        places.publish(folder)
    assert cloud.cat_file("/b/a") == b"theirs"
    copy.fetch("memory://b")
    (folder / "new").write_text("ours")
    cloud.pipe_file("/b/new", b"theirs")
    with pytest.raises(InputError, match="memory://b/new: was written by another process"):
        places.publish(folder)


def test_an_interrupted_publication_goes_on_where_it_stopped(cloud, copy, monkeypatch):
    folder = copy.fetch("memory://b")
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    put, calls = type(cloud).put_file, []

    def fail(self, path, to):
        calls.append(to)
        if len(calls) == 2:
            raise OSError("connection reset")
        put(self, path, to)

    monkeypatch.setattr(type(cloud), "put_file", fail)
    with pytest.raises(places.UnreachableError, match=r"memory://b: cannot be reached \(OSError: connection reset\)"):
        places.publish(folder)
    assert len(cloud.find("/b")) == 1
    assert places.publish(folder) == 2
    assert len(calls) == 4


def test_work_goes_on_where_a_place_does_not_answer(copy, monkeypatch, caplog):
    path = copy.fetch("memory://b/x")
    path.write_text("x")
    monkeypatch.setattr("fsspec.url_to_fs", lambda address: (_ for _ in ()).throw(ConnectionError("no route")))
    places.publish_progress(path)
    assert "memory://b/x: cannot be reached (ConnectionError: no route); check the address" in caplog.text


def test_a_local_path_has_no_place(tmp_path):
    (tmp_path / "x").write_text("x")
    assert places.publish(tmp_path) == 0
    places.publish_progress(tmp_path)
    assert not places.is_copy(tmp_path)
    assert not (tmp_path / "cache").exists()


def test_two_processes_have_copies_of_their_own(tmp_path):
    with places.working_copy() as first, places.working_copy() as second:
        assert first.root != second.root
        assert oct(cache.user_folder().joinpath("places").stat().st_mode)[-3:] == "700"
    with places.working_copy() as third:
        assert third.root == first.root


def test_a_text_shows_addresses_in_place_of_copies(copy):
    path = copy.fetch("memory://b/x")
    assert places.is_copy(path)
    assert places.shown(f"cannot read {path}: and {path.parent}/y") == "cannot read memory://b/x: and memory://b/y"


def test_a_database_in_use_is_published_as_a_whole_copy(cloud, copy, tmp_path):
    import sqlite3

    folder = copy.fetch("memory://b")
    folder.mkdir()
    with sqlite3.connect(folder / "search.db") as writer:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # a transaction that has not ended
        places.publish(folder)
    writer.close()
    cloud.get_file("/b/search.db", str(tmp_path / "found.db"))
    found = sqlite3.connect(tmp_path / "found.db")
    assert found.execute("SELECT x FROM t").fetchall() == [(1,)]
    found.close()
    assert set(cloud.find("/b")) == {"/b/search.db"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError("Forbidden"), r"gs://b: refused access \(PermissionError: Forbidden\); run `gcloud auth"),
        (Exception("Unable to locate credentials"), r"gs://b: refused access .*run `gcloud auth"),
        (TimeoutError("timed out"), r"gs://b: cannot be reached \(TimeoutError: timed out\); check the address"),
    ],
)
def test_what_keeps_a_place_from_being_used_is_one_line(copy, monkeypatch, error, message):
    monkeypatch.setattr("fsspec.url_to_fs", lambda address: (_ for _ in ()).throw(error))
    for action in (copy.fetch, places.require_writable):
        with pytest.raises(InputError, match=message) as told:
            action("gs://b")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(("address", "library"), [("gs://b/x", "gcsfs"), ("s3://b/x", "s3fs")])
def test_a_missing_library_is_named_with_the_command_that_installs_it(copy, monkeypatch, address, library):
    def missing(address):
        raise ImportError(f"Please install {library}")

    monkeypatch.setattr("fsspec.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=f"this needs {library}: pip install .*{library}"):
        copy.fetch(address)


def test_a_place_with_more_than_the_disk_has_room_for_is_refused_before_it_is_read(cloud, copy, monkeypatch):
    cloud.pipe_file("/b/x", b"x" * 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 0, 10))
    with pytest.raises(InputError, match=r"memory://b: has 0.0 GB, the disk of .* has room for 0.0 GB; make room"):
        copy.fetch("memory://b")


def test_a_place_that_can_be_written_holds_nothing_afterwards(cloud):
    places.require_writable("memory://b/results")
    assert cloud.find("/b") == []
