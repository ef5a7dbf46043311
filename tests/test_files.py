"""Files: names, places, inputs that are outputs."""

import csv
import io
import json
import math
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from infantjax import files
from infantjax.errors import InputError
from infantjax.evaluation.intervals import Estimate
from infantjax.files import (
    canonical_json,
    csv_text,
    finite_or_none,
    locked,
    refuse_inputs,
    require_local,
    safe_stem,
    unique_names,
    without_guard,
)


def test_names_that_occur_again_get_numbers_and_none_is_one_that_exists():
    assert unique_names(["a", "b", "A", "a-2", "a"], ["B"]) == ["a", "b-2", "A-2", "a-2-2", "a-3"]


def test_equal_names_by_the_thousand_take_no_time():
    began = time.perf_counter()
    found = unique_names(["infant"] * 20_000)
    assert len(set(found)) == 20_000
    assert time.perf_counter() - began < 2


def test_a_stem_holds_no_separator_or_control_character():
    assert safe_stem("../a/b\x1b[2J\n") == "_a_b__2J_"
    assert safe_stem("-rf") == "rf"
    assert safe_stem("...") == "recording"
    assert len(safe_stem("x" * 300)) == 100


@pytest.mark.parametrize("place", ["gs://bucket/x", "s3://bucket/x", "https://example.org/x", "gs:/bucket/x"])
def test_an_address_is_no_place_on_this_machine(place):
    with pytest.raises(
        InputError, match="is an address, not a path of this machine; give a local path; the commands also take gs:"
    ):
        require_local(place)


@pytest.mark.parametrize("place", ["x", "a/b:c/d", "C:/x", "C:\\x", "./gs", "a:b"])
def test_a_path_is_a_place_on_this_machine(place):
    require_local(place)


def test_an_output_that_is_an_input_by_any_name_is_refused(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    table = folder / "a.csv"
    table.write_text("x")
    (tmp_path / "link.csv").symlink_to(table)
    (tmp_path / "hard.csv").hardlink_to(table)
    (tmp_path / "to").symlink_to(folder)
    for output in (
        table,
        tmp_path / "link.csv",
        tmp_path / "hard.csv",
        tmp_path / "to" / "a.csv",
        folder / ".." / "in",
    ):
        with pytest.raises(InputError, match="is also an input"):
            refuse_inputs([tmp_path / "new", output], [folder])
    refuse_inputs([tmp_path / "new", folder / "new.csv", tmp_path], [table, tmp_path / "missing"])


def test_an_input_that_appears_later_is_refused_by_its_name(tmp_path):
    with pytest.raises(InputError, match="is also an input"):
        refuse_inputs([tmp_path / "x" / ".." / "a"], [tmp_path / "a"])


def test_of_files_that_are_written_together_none_is_there_when_one_fails(tmp_path, monkeypatch):
    old = tmp_path / "a"
    old.write_text("old")

    def full(descriptor):
        calls_of.append(descriptor)
        if len(calls_of) == 2:
            raise OSError(28, "No space left on device")

    calls_of: list[int] = []
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_together({old: "new", tmp_path / "b": b"new"})
    assert caught.value.filename == str(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert old.read_text() == "old"


def test_files_of_two_calls_are_never_there_at_once_whenever_the_process_is_killed(tmp_path, monkeypatch):
    paths, seen, replace = [tmp_path / name for name in "abc"], [], os.replace

    def replaced(*names):
        replace(*names)
        seen.append({path.read_text() for path in paths if path.exists()})

    files.write_together(dict.fromkeys(paths, "old"))
    monkeypatch.setattr(os, "replace", replaced)
    files.write_together(dict.fromkeys(paths, "new"))
    assert seen[0] == {"old"}
    assert seen[-1] == {"new"}
    assert {"old", "new"} not in seen
    assert sorted(tmp_path.iterdir()) == paths


def test_a_file_that_cannot_be_replaced_leaves_the_later_ones_as_they_were(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_text("old")
    with pytest.raises(OSError, match="directory"):
        files.write_together(dict.fromkeys([tmp_path / "a", tmp_path / "b"], "new"))
    assert (tmp_path / "b").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_a_lock_that_is_no_plain_file_is_refused(tmp_path, kind):
    lock, other = tmp_path / ".lock", tmp_path / "other"
    other.write_text("content")
    {"pipe": os.mkfifo, "link": lambda path: path.symlink_to(other), "folder": os.mkdir}[kind](lock)
    with (
        pytest.raises(InputError, match="is not a plain file and cannot be a lock; remove it or give"),
        locked(tmp_path),
    ):
        pass
    assert other.read_text() == "content"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\u202e=1"])
def test_a_text_that_looks_like_a_formula_is_guarded_and_read_as_it_was(text):
    table = csv_text(["id", text], [[text, -1.5], ["'a", None], ["b=c", math.nan]])
    text = text.replace("\r", " ")
    head, first, second, third = csv.reader(io.StringIO(table, newline=""))
    assert head == ["id", f"'{text}"]
    assert (without_guard(first[0]), first[1]) == (text, "-1.5")
    assert (second, third) == (["'a", ""], ["b=c", ""])
    assert without_guard("'a") == "'a"


def test_numbers_that_json_cannot_hold_are_none_at_any_depth():
    estimate = Estimate(0.5, -np.inf, np.float32("nan"))
    found = finite_or_none({"auc": estimate, "counts": (1, 2.0), "runs": [{"loss": np.nan, "name": "a", "best": True}]})
    assert json.loads(canonical_json(found)) == {
        "auc": {"value": 0.5, "low": None, "high": None},
        "counts": [1, 2.0],
        "runs": [{"loss": None, "name": "a", "best": True}],
    }


# --- who may read, and what a killed process leaves ------------------------------------------------------------------


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_folders_are_for_their_owner_unless_a_group_shares_them(tmp_path, monkeypatch):
    files.write_atomically(tmp_path / "private", "risk")
    with files.replaced_folder(tmp_path / "folder"):
        pass
    assert (mode_of(tmp_path / "private"), mode_of(tmp_path / "folder")) == (0o600, 0o700)
    monkeypatch.setenv("INFANTJAX_UMASK", "007")
    files.write_atomically(tmp_path / "shared", "risk")
    with files.replaced_folder(tmp_path / "folder"):
        pass
    assert (mode_of(tmp_path / "shared"), mode_of(tmp_path / "folder")) == (0o660, 0o770)


@pytest.mark.parametrize("text", ["8", "rwx", "0777777", "-077"])
def test_another_umask_is_one_line(monkeypatch, text):
    monkeypatch.setenv("INFANTJAX_UMASK", text)
    with pytest.raises(InputError, match=r"INFANTJAX_UMASK: is .* give an octal number"):
        files.umask()


def test_the_results_of_a_command_are_for_their_owner(tmp_path):
    command = [sys.executable, "-m", "infantjax.cli", "simulate", "-n", "2", "--duration", "6", "-o", "cohort"]
    subprocess.run(command, cwd=tmp_path, check=True, umask=0o022, capture_output=True)
    found = [tmp_path / "cohort", *(tmp_path / "cohort").rglob("*")]
    assert len(found) > 3
    assert {mode_of(path) for path in found} == {0o600, 0o700}


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_and_nothing_is_left(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(files, "_exchanged", lambda *names: False)
    target = tmp_path / "target"
    for content in ("old", "new"):
        with files.replaced_folder(target) as fresh:
            (fresh / "file").write_text(content)
        assert (target / "file").read_text() == content
    assert list(tmp_path.iterdir()) == [target]


def test_a_kill_while_a_folder_is_replaced_never_leaves_it_missing(tmp_path, monkeypatch):
    if not files._exchanged(*(Path(tempfile.mkdtemp(dir=tmp_path)) for _ in range(2))):
        pytest.skip("this system cannot exchange two names at once")
    target = tmp_path / "target"
    target.mkdir()

    def killed(*names):
        raise SystemExit

    monkeypatch.setattr(os, "replace", killed)
    with files.replaced_folder(target) as fresh:
        (fresh / "new").touch()
    assert (target / "new").exists()


@pytest.mark.parametrize("lock", [True, False])
def test_what_a_killed_process_left_a_day_ago_is_removed_at_the_next_lock_or_file(tmp_path, lock):
    names = {name: tmp_path / name for name in (".tmp-old", ".tmp-new", "result")}
    for path in names.values():
        path.touch()
    (tmp_path / ".tmp-folder").mkdir()
    for path in (names[".tmp-old"], tmp_path / ".tmp-folder", names["result"]):
        os.utime(path, (0, 0))
    if lock:
        with files.locked(tmp_path):
            pass
    else:
        files.write_atomically(names["result"], "new")
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {".tmp-new", "result"}
