"""Tasks in threads and on a Ray cluster: two nodes on this machine, one cluster for all tests."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import chex
import pytest

import infantjax
from infantjax import engine as engines
from infantjax import simulation
from infantjax.engine import CrashError, Local, Ray, results
from infantjax.errors import InputError
from infantjax.report import table
from infantjax.search import RandomSearch, read_study
from infantjax.weights import bundled
from infantjax.weights.ensemble import load_ensemble

ROOT = Path(infantjax.__file__).parents[1]


def double(number, *, device):
    if number < 0:
        raise InputError("number", "is negative")
    return 2 * number


def test_results_come_as_they_are_ready_or_in_order():
    second = threading.Event()

    def task(number, *, device):
        if number == 0:
            second.wait(10)
        elif number == 1:
            second.set()
        return number

    found = [future.result() for _, future in results(Local(2), task, [(0,), (1,)])]
    assert sorted(found) == [0, 1]
    second.clear()
    # The first one waits for the third, which gets the device of the second.
    tasks = [(number,) for number in (0, 2, 1)]
    assert [future.result() for _, future in results(Local(2), task, tasks, ordered=True)] == [0, 2, 1]


def test_a_device_has_one_task_at_a_time_and_a_source_is_asked_when_one_is_free(monkeypatch):
    monkeypatch.setattr(engines, "INTERVAL", 0.01)
    busy, most, ticks, asked = Counter(), [], [], iter(range(12))

    def task(number, *, device):
        busy[device] += 1
        most.append(busy[device])
        time.sleep(0.03)
        busy[device] -= 1
        return device

    source = lambda: next(((number,) for number in asked), None)  # noqa: E731
    devices = {future.result() for _, future in results(Local(3), task, source, tick=lambda: ticks.append(1))}
    assert (devices, set(most)) == ({0, 1, 2}, {1})
    assert ticks


def test_an_error_of_a_task_is_the_exception_of_its_future():
    found = {arguments[0]: future.exception() for arguments, future in results(Local(1), double, [(1,), (-1,)])}
    assert found[1] is None
    assert isinstance(found[-1], InputError)


# --- Ray -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two nodes with a core each, with a token."""
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(Path(__file__).parent / "search")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "of-the-tests-of-the-tests-of-the-tests")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_raylet_start_wait_time_s", "60")
        ray = pytest.importorskip("ray")  # reads the environment
        from ray.cluster_utils import Cluster

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        started.add_node(num_cpus=1)
        yield started
        ray.shutdown()
        started.shutdown()


@pytest.fixture(scope="module")
def ray_engine(cluster):
    return Ray(cluster.address)


def of_process(number, folder, *, device):
    """Write down the call; the first calls of two numbers end their processes."""
    calls = len(list(folder.glob(f"{number}-*")))
    (folder / f"{number}-{calls}").touch()
    if (number == 1 and calls < 2) or number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.slow
def test_tasks_of_a_cluster_give_results_and_errors_and_are_repeated_after_a_crash(ray_engine, tmp_path):
    assert ray_engine.devices == 2
    found = {arguments[0]: future for arguments, future in results(ray_engine, double, [(3,), (-1,)])}
    assert found[3].result() == 6
    with pytest.raises(InputError, match="number: is negative"):
        found[-1].result()
    tasks = [(number, tmp_path) for number in range(3)]
    done = {arguments[0]: future for arguments, future in results(ray_engine, of_process, tasks)}
    assert [done[number].result() for number in (0, 1)] == [0, 1]
    with pytest.raises(CrashError, match="its process ended 4 times: a crash or a kill"):
        done[2].result()
    counts = [len(list(tmp_path.glob(f"{number}-*"))) for number in range(3)]
    assert counts == [1, 3, 4]


def slowly(number, *, device):
    time.sleep(0.5)
    return number


@pytest.mark.slow
def test_a_node_that_dies_loses_no_task_and_a_new_one_joins(cluster, ray_engine):
    node = cluster.add_node(num_cpus=1)
    found = []
    for _, future in results(ray_engine, slowly, [(number,) for number in range(12)]):
        found.append(future.result())
        if len(found) == 3:
            cluster.remove_node(node, allow_graceful=False)
    assert sorted(found) == list(range(12))


def begin(*command: object) -> subprocess.Popen:
    # Not a pipe: nobody reads while the process runs, and a full one would stop it.
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115, read by `end`
    process = subprocess.Popen(list(map(str, command)), stdout=said, stderr=subprocess.STDOUT)
    process.stdout = said
    return process


def end(process: subprocess.Popen) -> tuple[int, str]:
    """The exit status of a process, after it ended, and its lines."""
    with process.stdout as said:
        status = process.wait(timeout=900)
        said.seek(0)
        return status, said.read()


def kill_a_task() -> None:
    """Kill the process of a task that runs now."""
    for _ in range(400):
        found = subprocess.run(["pgrep", "-f", "^ray::_in_process"], capture_output=True, text=True).stdout.split()
        if found:
            os.kill(int(found[0]), signal.SIGKILL)
            return
        time.sleep(0.02)
    raise AssertionError("no task ran")


def run_with_kills(cluster, command, kind: str, done, moments) -> tuple[int, str]:
    """Run a command on the cluster and kill its driver, a node or the process of a task, again and again.

    Args:
        cluster: of the fixture.
        command: is started again after its driver was killed.
        kind: of what is killed.
        done: counts what the command has done.
        moments: what it has done when it is hit.

    Returns:
        The exit status and the lines of the last driver.
    """
    random, driver = Random(kind), begin(*command)
    for moment in moments:
        node = cluster.add_node(num_cpus=1) if kind == "node" else None
        while driver.poll() is None and done() < moment:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 0.3))
        assert driver.poll() is None, end(driver)
        if kind == "driver":
            driver.kill()
            end(driver)
            driver = begin(*command)
        elif kind == "node":
            cluster.remove_node(node, allow_graceful=False)
        else:
            kill_a_task()
    return end(driver)


KINDS = pytest.mark.parametrize("kind", ["driver", "node", "task"])


@pytest.mark.slow
@KINDS
def test_a_search_on_a_cluster_outlives_six_kills(cluster, tmp_path, kind):
    sys.path.insert(0, str(Path(__file__).parent / "search"))
    import pretend

    sys.path.pop(0)
    command = (sys.executable, pretend.__file__, tmp_path, "--trials", 14, "--seconds", 1, "--cluster", cluster.address)
    steps = lambda: len(pretend.journal(tmp_path, "step"))  # noqa: E731
    status, out = run_with_kills(cluster, command, kind, steps, range(1, 121, 20))
    assert status == 0, out
    assert read_study(tmp_path).history == pretend.by_hand(RandomSearch(), 14)
    # Each continued from its last step; a kill can come between a step and its note.
    assert all(8 <= count <= 12 for count in Counter(pretend.journal(tmp_path, "step")).values())


@pytest.mark.slow
def test_a_candidate_that_crashes_its_process_is_a_failed_trial(cluster, ray_engine, tmp_path):
    sys.path.insert(0, str(Path(__file__).parent / "search"))
    import pretend

    sys.path.pop(0)
    label = pretend.SPACE.label(pretend.by_hand(RandomSearch(), 3)[1].candidate)
    objective = pretend.Pretend(aborts=label)
    found = pretend.run(tmp_path, RandomSearch(), objective, trials=3, engine=ray_engine)
    (failed,) = found.failures
    assert (failed.number, failed.user_attrs["reason"]) == (1, "its process ended 4 times: a crash or a kill")
    assert len(found.history) == 3
    assert pretend.journal(tmp_path, "begin").count(label) == 4


PROGRAM = Path(sys.executable).with_name("infantjax")


def results_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("[!.]*") if path.suffix in (".json", ".csv")}


def files_of(cohort: Path) -> list[Path]:
    return [cohort / "bad.csv", *sorted(cohort.glob("org*.csv"))]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """500 recordings of six seconds and a bad file, and the files that one process writes for the first 60."""
    folder = tmp_path_factory.mktemp("recordings")
    cohort = simulation.write_cohort(folder / "cohort", 500, 1, 6.0)
    (cohort / "bad.csv").write_text("no,keypoints\n1,2\n")
    # One after the other: windows of several recordings that share a call of the networks may round differently.
    program = (
        "import sys\nfrom infantjax import cli\nfor path in sys.argv[2:]: cli.run(['assess', path, '-o', sys.argv[1]])"
    )
    status, out = end(begin(sys.executable, "-c", program, folder / "alone", *files_of(cohort)[:61]))
    assert status == 0, out
    return cohort, {name: content for name, content in results_in(folder / "alone").items() if name != "summary.csv"}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count"), [("driver", 60), ("node", 500), ("task", 60)])
def test_an_assessment_on_a_cluster_outlives_six_kills(cluster, recordings, tmp_path, kind, count):
    cohort, alone = recordings
    command = (PROGRAM, "assess", *files_of(cohort)[: count + 1], "-o", tmp_path, "--cluster", cluster.address)
    assessed = lambda: len(list(tmp_path.glob("sim*.json")))  # noqa: E731
    status, out = run_with_kills(cluster, command, kind, assessed, range(2, 9 * count // 10, 9 * count // 60))
    assert status == 1, out
    assert len(table.read_summary(tmp_path / "summary.csv")) == count + 1
    found = results_in(tmp_path)
    assert len(found) == count + 1
    assert {name: found[name] for name in alone} == alone


@pytest.mark.slow
def test_cross_validations_and_videos_on_a_cluster_give_the_files_of_one_process(cluster, tmp_path):
    def program(*arguments: object) -> subprocess.CompletedProcess:
        command = [PROGRAM, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        return done

    def files(folder: Path) -> dict:
        kept = [path for path in folder.rglob("*") if path.suffix in (".csv", ".json", ".safetensors")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in kept if "checkpoints" not in path.parts}

    cohort = simulation.write_cohort(tmp_path / "cohort", 8, 1, 6.0, prevalence=0.5)
    small = ("--folds", 2, "--epochs", 1, "--batch-size", 8, "--samples-per-negative", 2, "--positive-ratio", 2)
    on_cluster = ("--cluster", cluster.address)
    done = program("crossval", cohort, "-o", tmp_path / "there", "--seeds", 1, 2, *small, *on_cluster)
    assert done.stdout.count("ensemble: ") == 2
    program("crossval", cohort, "-o", tmp_path / "here" / "seed-2", "--seed", 2, *small)
    assert files(tmp_path / "there" / "seed-2") == files(tmp_path / "here" / "seed-2")
    assert (tmp_path / "there" / "seed-1" / "ensemble.json").exists()
    program("crossval", cohort, "-o", tmp_path / "together", "--seed", 2, *small, *on_cluster)
    together, alone = (load_ensemble(tmp_path / name).variables for name in ("together", "here/seed-2"))
    chex.assert_trees_all_close(together, alone, rtol=0, atol=1e-5)  # programs of one run and of two round differently
    videos = [bundled.clip_path(), shutil.copy(bundled.clip_path(), tmp_path / "other.mp4")]
    options = ("--weights", bundled.pose_path())
    program("pose", *videos, "-o", tmp_path / "points", *options, *on_cluster)
    program("pose", *videos, "-o", tmp_path / "alone", *options)
    assert files(tmp_path / "points") == files(tmp_path / "alone")
    assert len(files(tmp_path / "points")) == 2


@pytest.mark.slow
def test_a_cluster_that_there_is_not_is_one_line():
    with pytest.raises(InputError, match="cannot be joined"):
        Ray("127.0.0.1:1")
