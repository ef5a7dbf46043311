"""What happens to a search when processes, disks and storages fail: minutes of it, and on PostgreSQL."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from infantjax.search import kbest
from infantjax.search.claims import CRASHES, MAX_CRASHES
from infantjax.search.kbest import KBest, RandomSearch
from infantjax.search.sampler import REASON, history
from infantjax.search.storage import close, open_storage
from infantjax.search.study import join_study, read_study

pytestmark = pytest.mark.slow


def start(pretend, folder: Path, storage: str, *options: object) -> subprocess.Popen:
    command = [sys.executable, pretend.__file__, str(folder), storage, *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def workers_of(process: subprocess.Popen) -> list[int]:
    """Process numbers of the workers of a search."""
    tasks = Path(f"/proc/{process.pid}/task")
    try:
        children = [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    except (FileNotFoundError, ProcessLookupError):
        return []
    # Beside the workers there is a process of Python's own that tracks resources.
    return [pid for pid, command in commands.items() if b"spawn_main" in command]


def evaluated(pretend, folder: Path) -> Counter:
    """How often the evaluation of each candidate came to its end."""
    return Counter(pretend.journal(folder, "end"))


def by_hand(pretend, strategy, trials: int | None = None) -> list[kbest.Observation]:
    """The whole search without Optuna."""
    space = pretend.SPACE
    return kbest.run(strategy, space, lambda candidate: pretend.value(space.label(candidate)), 1, trials)


def kill_often(pretend, folder: Path, storage: str, kills: int, *options: object) -> set[tuple]:
    """Kill random workers at random moments while a search runs; returns (trial, value) of all that was ever finished.

    Raises:
        AssertionError: a finished trial changed, a candidate failed, or the search did not end.
    """
    rng, acknowledged, killed = random.Random(0), {}, 0
    process = start(pretend, folder, storage, *options)
    while process.poll() is None:
        time.sleep(rng.uniform(0.5, 3.0))
        with contextlib.suppress(Exception):
            for trial in read_study("pretend", storage).trials:
                if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
                    value = (trial.state, trial.value, tuple(trial.params.values()))
                    assert acknowledged.setdefault(trial.number, value) == value
        alive = workers_of(process)
        if alive and killed < kills:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(alive), signal.SIGKILL)
                killed += 1
    out, _ = process.communicate()
    assert process.returncode == 0, out
    assert killed == kills, f"the search ended after {killed} of {kills} kills"
    trials = {trial.number: trial for trial in read_study("pretend", storage).trials}
    for number, (state, value, params) in acknowledged.items():
        assert (trials[number].state, trials[number].value, tuple(trials[number].params.values())) == (
            state,
            value,
            params,
        )
    assert not read_study("pretend", storage).failures
    # No attempt ends in vain but by a kill.
    assert len(pretend.journal(folder, "begin")) - len(pretend.journal(folder, "end")) <= kills
    return set(acknowledged)


def test_fifty_kills_of_two_workers_lose_nothing_and_repeat_nothing(pretend, tmp_path, storage):
    kill_often(pretend, tmp_path, storage, 50, "--workers", 2, "--trials", 250, "--seconds", 0.4)
    found = read_study("pretend", storage)
    assert not found.count(TrialState.RUNNING) + found.count(TrialState.WAITING)
    results = history(found.space, found.trials)
    assert len(results) == 250
    valued = Counter(tuple(t.params.values()) for t in found.trials if t.value is not None)
    assert set(valued.values()) == {1}
    for trial in found.evaluated:
        assert trial.value == pretend.value(found.space.label(found.space.candidate(trial.params)))


def test_kills_of_one_worker_leave_the_study_that_there_would_have_been(pretend, tmp_path, storage):
    kill_often(pretend, tmp_path, storage, 4, "--seconds", 0.4)
    found = read_study("pretend", storage)
    assert found.history == by_hand(pretend, KBest(3, 0.9))


def test_kills_of_the_search_within_one_candidate_leave_the_study_that_there_would_have_been(
    pretend, tmp_path, storage
):
    for kills in range(1, 6):
        process = start(pretend, tmp_path, storage, "--seconds", 60)
        while len(pretend.journal(tmp_path, "begin")) < kills:
            time.sleep(0.1)
        process.kill()
        process.communicate()
    process = start(pretend, tmp_path, storage)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert len(set(pretend.journal(tmp_path, "begin")[:6])) == 1
    assert read_study("pretend", storage).history == by_hand(pretend, KBest(3, 0.9))


def test_a_candidate_that_crashes_its_process_fails_with_its_reason(pretend, tmp_path, storage):
    label = pretend.SPACE.label(by_hand(pretend, RandomSearch(), 3)[1].candidate)
    process = start(pretend, tmp_path, storage, "--trials", 3, "--aborts", label)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    found = read_study("pretend", storage)
    (failed,) = found.failures
    assert failed.number == 1
    assert failed.user_attrs[REASON] == f"its worker crashed {MAX_CRASHES} times: Fatal Python error: Aborted"
    assert failed.user_attrs[CRASHES] == MAX_CRASHES - 1
    assert len(found.history) == 3


def test_a_kill_of_the_whole_search_loses_nothing(pretend, tmp_path, storage):
    process = start(pretend, tmp_path, storage, "--workers", 2, "--trials", 12, "--seconds", 0.5)
    time.sleep(12)
    for pid in [process.pid, *workers_of(process)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    before = {t.number: t.value for t in read_study("pretend", storage).trials if t.value is not None}
    out, _ = start(pretend, tmp_path, storage, "--workers", 2, "--trials", 12).communicate(timeout=120)
    found = read_study("pretend", storage)
    assert {number: found.trials[number].value for number in before} == before, out
    assert len(history(found.space, found.trials)) == 12


def test_a_frozen_workers_result_comes_late_and_is_kept(pretend, tmp_path, storage):
    process = start(pretend, tmp_path, storage, "--workers", 2, "--trials", 12, "--seconds", 2.0, "--grace", 3)
    while len(workers_of(process)) < 2 or not (tmp_path / "journal.txt").exists():
        time.sleep(0.2)
    time.sleep(1)
    frozen = workers_of(process)[0]
    os.kill(frozen, signal.SIGSTOP)
    time.sleep(10)
    os.kill(frozen, signal.SIGCONT)
    out, _ = process.communicate(timeout=180)
    assert process.returncode == 0, out
    found = read_study("pretend", storage)
    assert len(history(found.space, found.trials)) == 12
    assert not found.failures


def test_a_full_disk_stops_nothing_for_good(pretend, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small disk of its own needs the right to mount one")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        storage = f"sqlite:///{disk / 'search.db'}"
        process = start(pretend, disk, storage, "--trials", 20, "--seconds", 0.5)
        while not (disk / "journal.txt").exists():
            time.sleep(0.1)
        with contextlib.suppress(OSError), (disk / "ballast").open("wb") as ballast:
            while True:
                ballast.write(bytes(4096))
                ballast.flush()
        time.sleep(8)
        assert process.poll() is None
        (disk / "ballast").unlink()
        out, _ = process.communicate(timeout=180)
        assert process.returncode == 0, out
        assert "waiting" in out
        found = read_study("pretend", storage)
        assert len(history(found.space, found.trials)) == 20
        assert not found.failures
    finally:
        subprocess.run(["umount", disk], check=True)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


class Server:
    """A PostgreSQL server of the test's own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs, self.folder = programs, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # The server refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-N")
        self.start()

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, user=self.user, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            pytest.skip(f"PostgreSQL does not start here: {done.stderr.strip()[:200]}")

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run(
            "pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", str(self.folder / "log"), "-w", "start"
        )

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")


@pytest.fixture
def server():
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not places:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = Server(places[-1], folder)
    yield server
    server.stop()
    shutil.rmtree(folder)


def test_a_search_on_postgresql_is_the_one_on_sqlite(pretend, tmp_path, server, storage):
    for url, folder in ((server.url, tmp_path / "postgresql"), (storage, tmp_path / "sqlite")):
        folder.mkdir()
        out, _ = start(pretend, folder, url).communicate(timeout=180)
        assert "done" in out
    one, other = read_study("pretend", server.url), read_study("pretend", storage)
    assert history(one.space, one.trials) == history(other.space, other.trials)


def test_two_launchers_join_one_study_on_postgresql(pretend, tmp_path, server):
    folders = [tmp_path / name for name in ("first", "second")]
    processes = []
    for folder in folders:
        folder.mkdir()
        processes.append(start(pretend, folder, server.url, "--workers", 2, "--trials", 30, "--seconds", 0.3))
        time.sleep(4)
    outs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outs
    counts = sum((evaluated(pretend, folder) for folder in folders), Counter())
    assert len(counts) == 30
    assert set(counts.values()) == {1}
    assert all(evaluated(pretend, folder) for folder in folders)


def test_a_server_that_goes_away_for_a_minute_loses_nothing(pretend, tmp_path, server):
    process = start(pretend, tmp_path, server.url, "--workers", 2, "--trials", 30, "--seconds", 1.5)
    while not (tmp_path / "journal.txt").exists():
        time.sleep(0.2)
    time.sleep(3)
    server.stop()
    time.sleep(60)
    server.start()
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    assert "waiting" in out
    found = read_study("pretend", server.url)
    assert len(history(found.space, found.trials)) == 30
    assert not found.failures
    # Nothing was evaluated twice: a result whose trial could not be told waited.
    assert set(evaluated(pretend, tmp_path).values()) == {1}


def test_kills_on_postgresql_lose_nothing(pretend, tmp_path, server):
    kill_often(pretend, tmp_path, server.url, 12, "--workers", 2, "--trials", 80, "--seconds", 0.4)
    found = read_study("pretend", server.url)
    assert len(history(found.space, found.trials)) == 80


def test_a_password_is_never_shown(server, capsys):
    from infantjax.errors import InputError

    url = server.url.replace("postgres@", "postgres:secret@").replace(str(server.port), "1")
    with pytest.raises(InputError) as error:
        open_storage(url)
    assert "secret" not in str(error.value)
    assert "127.0.0.1" in str(error.value)


def test_a_study_of_other_settings_is_refused_on_postgresql(pretend, tmp_path, server):
    from infantjax.errors import InputError

    first, other = (pretend.task(tmp_path, server.url, seed=seed) for seed in (1, 2))
    storage = open_storage(server.url)
    join_study("pretend", storage, first.sampler, first.setup)
    with pytest.raises(InputError, match="seed was 1, now 2"):
        join_study("pretend", storage, other.sampler, other.setup)
    close(storage)
