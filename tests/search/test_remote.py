"""A study that one process serves to others."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from infantjax.errors import InputError
from infantjax.search import kbest, remote
from infantjax.search import storage as storages
from infantjax.search.claims import Claims
from infantjax.search.kbest import RandomSearch
from infantjax.search.sampler import history
from infantjax.search.storage import OUTAGE, Heartbeat, connect, open_storage
from infantjax.search.study import join_study, read_study
from infantjax.search.worker import run_worker


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(remote, "QUIET", 0.05)
    monkeypatch.setattr("infantjax.search.worker.POLL", 0.1)


@pytest.fixture
def served(pretend, storage, address, tmp_path):
    """A search of three random candidates whose study is served."""
    heartbeat = Heartbeat(1, 1)
    task = pretend.task(tmp_path, f"grpc://{address}", strategy=RandomSearch(), trials=3, heartbeat=heartbeat)
    with remote.serving(storage, address, heartbeat):
        yield task


def by_hand(pretend, task):
    """The whole search without Optuna."""
    return kbest.run(task.strategy, task.space, lambda each: pretend.value(task.space.label(each)), 1, task.trials)


def test_a_search_through_a_served_study_is_that_of_its_file(pretend, served, storage):
    run_worker(served, range(2))
    found = read_study(served.study, served.storage)
    assert found.history == by_hand(pretend, served)
    assert found.trials == read_study(served.study, storage).trials


def test_a_trial_whose_worker_shows_no_life_is_run_again_after_the_grace(pretend, served, tmp_path):
    opened = open_storage(served.storage, served.heartbeat)
    study = join_study(served.study, opened, served.sampler, served.setup)
    study.enqueue_trial(served.space.choices(study.sampler.propose([])))
    elsewhere = Claims(study, served.storage, tmp_path / "elsewhere")
    assert elsewhere.claim(study.get_trials(states=(TrialState.WAITING,))[0])
    began = time.monotonic()
    run_worker(served)
    assert time.monotonic() - began > served.heartbeat.grace
    assert history(served.space, study.get_trials()) == by_hand(pretend, served)
    opened.close()


def test_a_heartbeat_keeps_a_trial_from_being_run_again(served):
    study = join_study(served.study, open_storage(served.storage), served.sampler, served.setup)
    watching = connect(served.storage, Heartbeat(1, 0))
    trial = study.ask()
    for wanted in ([], []):
        study._storage.record_heartbeat(trial._trial_id)
        assert watching._get_stale_trial_ids(study._study_id) == wanted
    assert watching._get_stale_trial_ids(study._study_id) == [trial._trial_id]
    study.tell(trial, 1.0)
    study._storage.record_heartbeat(trial._trial_id)
    assert watching._get_stale_trial_ids(study._study_id) == []


def test_time_without_an_answer_does_not_count_against_a_worker(pretend, storage, address, tmp_path):
    heartbeat = Heartbeat(1, 2)
    task = pretend.task(tmp_path, f"grpc://{address}", strategy=RandomSearch(), trials=3, heartbeat=heartbeat)
    watching = connect(task.storage, heartbeat)
    with remote.serving(storage, address, heartbeat):
        study = join_study(task.study, open_storage(task.storage), task.sampler, task.setup)
        study._storage.record_heartbeat(study.ask()._trial_id)
        assert watching._get_stale_trial_ids(study._study_id) == []
    end = time.monotonic() + 2.2
    while time.monotonic() < end:
        with contextlib.suppress(*OUTAGE):
            watching.get_all_studies()
        time.sleep(0.1)
    with remote.serving(storage, address, heartbeat):
        while True:
            with contextlib.suppress(*OUTAGE):
                assert watching._get_stale_trial_ids(study._study_id) == []
                break
            time.sleep(0.05)


def test_a_server_that_is_away_is_an_outage_that_workers_wait_for(address):
    with pytest.raises(OUTAGE, match="UNAVAILABLE"):
        connect(f"grpc://{address}", Heartbeat()).get_all_studies()


def test_a_server_that_does_not_come_is_one_line(address, monkeypatch):
    monkeypatch.setattr(storages, "STARTUP", 0.1)
    with pytest.raises(InputError, match=r"did not answer for 0\.1 s; start the search on the first host"):
        open_storage(f"grpc://{address}")
    with pytest.raises(InputError, match="names no port"):
        open_storage("grpc://host")


def test_a_port_that_is_taken_is_one_line(served, storage):
    with pytest.raises(InputError, match="the port is taken"), remote.serving(storage, served.storage[7:], Heartbeat()):
        pass


def test_a_study_is_served_at_the_given_address_alone(storage, address):
    port = int(address.rpartition(":")[2])
    with remote.serving(storage, f"127.0.0.2:{port}", Heartbeat()):
        socket.create_connection(("127.0.0.2", port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("host", ["192.0.2.1", "node003"])
def test_a_host_that_others_know_by_another_address_serves_on_all_interfaces(
    storage, address, host, monkeypatch, caplog
):
    """The name of a machine often has a loopback address on itself."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.1.1" if host == "node003" else host, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **keywords: found)
    port = int(address.rpartition(":")[2])
    with remote.serving(storage, f"{host}:{port}", Heartbeat()), socket.socket() as client:
        client.connect(("127.0.0.1", port))
    assert "served on all interfaces" in caplog.text


WITHOUT_GRPC = """
import sys
sys.modules["grpc"] = None
try:
    import infantjax.search.remote
except ImportError as error:
    print(error)
"""


def test_without_grpc_there_is_one_line_that_says_how_to_get_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT_GRPC], capture_output=True, text=True)
    assert done.stdout.startswith("this needs grpcio: pip install ")
    assert len(done.stdout.splitlines()) == 1


# --- two hosts -------------------------------------------------------------------------------------------------------


def start(pretend, folder: Path, storage: str, *options: object) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    options = ("--devices", 4, "--trials", 40, "--seconds", 0.4, "--grace", 3, *options)
    command = [sys.executable, pretend.__file__, str(folder), storage, *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["first", "second"])
def test_two_hosts_of_four_devices_lose_nothing_when_one_is_killed(pretend, tmp_path, storage, address, killed):
    folders = {name: tmp_path / name for name in ("first", "second")}
    begin = {
        "first": lambda: start(pretend, folders["first"], storage, "--serve", address),
        "second": lambda: start(pretend, folders["second"], f"grpc://{address}"),
    }
    processes = {name: make() for name, make in begin.items()}
    while not all(len(pretend.journal(folder, "end")) > 3 for folder in folders.values()):
        assert all(process.poll() is None for process in processes.values())
        time.sleep(0.1)
    os.kill(processes[killed].pid, signal.SIGKILL)
    processes.pop(killed).communicate()
    before = {trial.number: trial.value for trial in read_study("pretend", storage).trials if trial.value is not None}
    if killed == "first":  # the second host waits for the study
        processes["first"] = begin["first"]()
    outs = [process.communicate(timeout=240)[0] for process in processes.values()]
    assert {process.returncode for process in processes.values()} == {0}, outs
    found = read_study("pretend", storage)
    assert {number: found.trials[number].value for number in before} == before
    assert not found.count(TrialState.RUNNING) + found.count(TrialState.WAITING) + len(found.failures)
    assert len(history(found.space, found.trials)) == 40
    # Each candidate has one trial; only those in progress at the kill were begun twice.
    assert sum(trial.value is not None for trial in found.trials) == 40
    ended = sum((Counter(pretend.journal(folder, "end")) for folder in folders.values()), Counter())
    begun = sum((Counter(pretend.journal(folder, "begin")) for folder in folders.values()), Counter())
    assert begun.total() - 40 <= 4
    if killed == "first":  # its results are still on its disk
        assert set(ended.values()) == {1}
