"""Checkpoints: a training that was interrupted, killed or damaged continues as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax import places
from infantjax.errors import InputError
from infantjax.training.execution.compiled import trace
from infantjax.training.loop import TrainOptions
from infantjax.training.records.checkpoints import open_checkpoints

RUNS = 2


@pytest.fixture(scope="module")
def program(toy):
    """The programs of both runs, which trainings of the same settings share."""
    return trace(toy.toy_task(), toy.toy_runs(toy.toy_splits(RUNS)), toy.toy_data()).compile()


@pytest.fixture(scope="module")
def run(toy, program):
    """Trains two runs: `run(directory, config, on_epoch, ...)`."""

    def run(directory=None, config=None, on_epoch=None, **options):
        options.setdefault("description", {"name": "toy"})
        how = TrainOptions(on_epoch=on_epoch)
        config, compiled = config or toy.CONFIG, program if config is None else None
        splits = toy.toy_splits(RUNS)
        return toy.toy_train(splits, config, directory=directory, options=how, compiled=compiled, **options)

    return run


@pytest.fixture(scope="module")
def interrupted(run):
    """A training that ends behind an epoch: `interrupted(directory, after)`."""

    def interrupted(directory, after=2):
        def interrupt(epoch, _):
            if epoch == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(directory, on_epoch=interrupt)

    return interrupted


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(folder), folder


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(vars(a)), jax.tree.leaves(vars(b)), strict=True):
        np.testing.assert_array_equal(x, y)


def steps(folder: Path) -> list[str]:
    return sorted(p.name.partition("-")[0] for p in (folder / "checkpoints").iterdir())


def file_of(folder: Path, epoch: int) -> Path:
    (found,) = (folder / "checkpoints").glob(f"{epoch}-*")
    return found


def test_an_interrupted_training_continues_bit_for_bit(run, interrupted, uninterrupted, tmp_path):
    interrupted(tmp_path)
    epochs = []
    result = run(tmp_path, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [3, 4]
    assert_same(result, uninterrupted[0])
    assert (tmp_path / "history.csv").read_bytes() == (uninterrupted[1] / "history.csv").read_bytes()


def test_checkpoints_change_nothing_in_the_result(run, uninterrupted):
    assert_same(run(), uninterrupted[0])


def test_a_finished_training_is_read_and_not_run_again(run, uninterrupted):
    epochs = []
    result = run(uninterrupted[1], on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == []
    assert_same(result, uninterrupted[0])


def test_only_the_newest_three_epochs_are_kept(uninterrupted):
    assert steps(uninterrupted[1]) == ["2", "3", "4"]


def test_history_has_a_row_for_each_run_and_epoch(uninterrupted):
    result, folder = uninterrupted
    header, *rows = (folder / "history.csv").read_text().splitlines()
    assert header == "run,epoch,training_loss,validation_loss,auc"
    assert [tuple(row.split(",")[:2]) for row in rows] == [(str(r), str(e)) for r in range(RUNS) for e in range(1, 5)]
    assert np.float32(rows[5].split(",")[2]) == result.history["training_loss"][1, 1]


def test_tensorboard_has_every_figure_of_every_epoch_once(run, interrupted, tmp_path, uninterrupted):
    from tensorboardX.proto.event_pb2 import Event

    interrupted(tmp_path)
    result = run(tmp_path)
    found = {}
    for file in sorted((tmp_path / "tensorboard" / "run-001").iterdir()):
        data = file.read_bytes()
        while data:
            length = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]
            found |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
    assert {key for key in found if key[0] == "auc"} == {("auc", e) for e in range(1, 5)}
    assert found["training_loss", 3] == result.history["training_loss"][1, 2]


def test_a_damaged_epoch_is_named_and_the_one_before_is_used(run, interrupted, uninterrupted, tmp_path, caplog):
    interrupted(tmp_path, after=3)
    (tmp_path / "checkpoints" / ".tmp-half").write_text("")  # as a kill leaves it
    damaged = file_of(tmp_path, 3)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    epochs = []
    result = run(tmp_path, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [3, 4]
    assert f"{damaged}: damaged" in caplog.text
    assert_same(result, uninterrupted[0])
    assert steps(tmp_path) == ["2", "3", "4"]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_every_flipped_bit_of_a_checkpoint_is_noticed(uninterrupted, tmp_path_factory, place, bit):
    folder = tmp_path_factory.mktemp("flipped")
    whole = file_of(uninterrupted[1], 4)
    content = bytearray(whole.read_bytes())
    content[place % len(content)] ^= 1 << bit
    with open_checkpoints(folder, {}) as store:
        (folder / "checkpoints" / whole.name).write_bytes(content)
        with pytest.raises(InputError, match="no checkpoint is whole"):
            store.restore({})


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"learning_rate": 0.1}, {}, "config.learning_rate was 0.05, now 0.1"),
        ({"seed": 2}, {}, "config.seed was 1, now 2"),
        ({}, {"description": {"name": "other"}}, 'model.name was "toy", now "other"'),
    ],
)
def test_another_training_in_the_folder_is_refused(run, toy, uninterrupted, config, options, message):
    with pytest.raises(InputError, match=message):
        run(uninterrupted[1], replace(toy.CONFIG, **config), **options)


def test_other_data_or_splits_in_the_folder_are_refused(run, toy, uninterrupted):
    data = toy.toy_data()
    data.x[0] += np.float32(1e-3)
    with pytest.raises(InputError, match="holds another training: data differ"):
        run(uninterrupted[1], data=data)
    splits, how = toy.toy_splits(3)[1:], {"directory": uninterrupted[1], "description": {"name": "toy"}}
    with pytest.raises(InputError, match="splits differ"):
        toy.toy_train(splits, **how)


def test_a_second_process_in_the_folder_is_refused(run, tmp_path):
    with open_checkpoints(tmp_path, {}), pytest.raises(InputError, match="in use by another process"):
        run(tmp_path)


IN_SUBPROCESS = """
import importlib.util, sys, time
import jax, numpy as np
spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from dataclasses import replace
from infantjax.training.loop import TrainOptions
directory, epochs = sys.argv[2], int(sys.argv[3])
def pause(*_):
    time.sleep(0.05)
options = TrainOptions(on_epoch=pause)
result = toy.toy_train(toy.toy_splits(2), replace(toy.CONFIG, epochs=epochs), directory=directory, options=options)
np.savez(directory + "/result.npz", *jax.tree.leaves((result.variables, result.best_score, result.history)))
"""


def start(toy, folder, epochs) -> subprocess.Popen:
    command = [sys.executable, "-c", IN_SUBPROCESS, toy.__file__, str(folder), str(epochs)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> str:
    _, error = process.communicate(timeout=240)
    assert process.returncode == 0, error
    return error


def kill_and_continue(toy, folder, kills, epochs):
    """Kill a training at random moments, let it end, and hold it against one that was left alone."""
    rng = random.Random(0)
    finish(start(toy, folder / "whole", epochs))
    checkpoints = folder / "killed" / "checkpoints"

    def kept(checkpoints: Path) -> set[str]:
        return {path.name.partition("-")[0] for path in checkpoints.glob("[0-9]*")}

    for _ in range(kills):
        before = kept(checkpoints)
        process = start(toy, folder / "killed", epochs)
        # Starting takes seconds and an epoch a fraction of one: wait for a sign of life, then a random moment.
        while process.poll() is None and not kept(checkpoints) - before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        newest = max(map(int, kept(checkpoints)), default=0)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert max(map(int, kept(checkpoints)), default=0) >= newest, "a finished epoch was lost"
    assert "damaged" not in finish(start(toy, folder / "killed", epochs))
    with np.load(folder / "whole" / "result.npz") as a, np.load(folder / "killed" / "result.npz") as b:
        for x, y in zip(a.values(), b.values(), strict=True):
            np.testing.assert_array_equal(x, y)
    history = [(folder / name / "history.csv").read_bytes() for name in ("whole", "killed")]
    assert history[0] == history[1]


@pytest.mark.slow
def test_twenty_kills_lose_no_epoch_and_change_no_bit(toy, tmp_path):
    kill_and_continue(toy, tmp_path, kills=20, epochs=60)


FULL_DISK = """
import resource, signal, sys
import numpy as np
from infantjax.errors import InputError
from infantjax.training.records.checkpoints import open_checkpoints

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open_checkpoints(sys.argv[1], {}) as store:
    # No file may grow beyond this: writing more ends as on a full disk, with an error of the system.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.RLIM_INFINITY))
    try:
        store.save(1, {"kernel": np.random.default_rng(0).standard_normal(2**20)})
    except InputError as error:
        print(error)
"""


def test_a_full_disk_is_one_line_without_a_traceback(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path / "run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cannot be written" in done.stdout
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr


# --- in a cloud ------------------------------------------------------------------------------------------------------

PLACE = "memory://bucket/training"


@pytest.fixture
def cloud(tmp_path, monkeypatch):
    """An empty file system in memory."""
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "machine"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    return fs


def test_an_interrupted_training_continues_on_another_machine_from_the_place(
    run, interrupted, uninterrupted, cloud, tmp_path, monkeypatch
):
    with places.working_copy() as copy:
        interrupted(copy.fetch(PLACE), after=3)
    assert [Path(path).name[0] for path in cloud.find("/bucket/training/checkpoints")] == ["1", "2", "3"]
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "another"))
    epochs = []
    with places.working_copy() as copy:
        folder = copy.fetch(PLACE)
        result = run(folder, on_epoch=lambda epoch, _: epochs.append(epoch))
        assert places.publish(folder) == 0
    assert epochs == [4]
    assert_same(result, uninterrupted[0])
    assert cloud.cat_file("/bucket/training/history.csv") == (uninterrupted[1] / "history.csv").read_bytes()
    assert [Path(path).name[0] for path in cloud.find("/bucket/training/checkpoints")] == ["2", "3", "4"]


# --- logs ------------------------------------------------------------------------------------------------------------


def test_loggers_get_the_learning_rate_and_the_speed_and_history_does_not(toy, program, tmp_path):
    options = TrainOptions(loggers=("jsonl",), profile=tmp_path / "profile")
    result = toy.toy_train(toy.toy_splits(RUNS), directory=tmp_path / "run", options=options, compiled=program)
    found = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [(line["run"], line["epoch"]) for line in found] == [(r, e) for e in range(1, 5) for r in range(RUNS)]
    for line in found:
        assert line["learning_rate"] == 0.05
        assert line["auc"] == pytest.approx(float(result.history["auc"][line["run"], line["epoch"] - 1]))
        samples = sum(len(split.train) for split in toy.toy_splits(RUNS))
        assert line["samples_per_second"] * line["seconds"] == pytest.approx(samples)
        assert {"memory_mb"} <= set(line) or not Path("/proc/self/status").exists()
    assert "seconds" not in (tmp_path / "run" / "history.csv").read_text()
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
