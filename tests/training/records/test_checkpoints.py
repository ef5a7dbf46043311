"""Checkpoints: a training that was interrupted, killed or damaged continues as if nothing had been."""

import gc
import json
import logging
import os
import random
import shutil
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

from infantjax import places
from infantjax.errors import InputError
from infantjax.training.execution.compiled import trace
from infantjax.training.loop import TrainOptions
from infantjax.training.records.checkpoints import CheckpointStore

RUNS = 2


@pytest.fixture(scope="module", autouse=True)
def frozen():
    """What the session has made so far is left out of the collections of garbage, which then take no time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def quiet_orbax(frozen):
    """Orbax leaves its event loop to the garbage collector."""
    yield
    gc.collect()


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
    return sorted(p.name for p in (folder / "checkpoints").iterdir())


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


def test_open_checkpoints_silence_orbax_and_no_other_user_of_absl(tmp_path, caplog):
    logger = logging.getLogger("absl")
    with CheckpointStore(tmp_path, {}), caplog.at_level("INFO", "absl"):
        logger.warning("of another library")
    assert [record.message for record in caplog.records if record.name == "absl"] == ["of another library"]
    assert not logger.filters


@pytest.mark.parametrize("files", ["state/d/*", "manifest/metadata"])
def test_a_flipped_bit_is_named_and_the_step_before_is_used(run, interrupted, uninterrupted, tmp_path, files, caplog):
    interrupted(tmp_path, after=3)
    for file in (tmp_path / "checkpoints" / "3").glob(files):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    epochs = []
    result = run(tmp_path, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [3, 4]
    assert f"{Path('checkpoints', '3')}: damaged" in caplog.text
    assert_same(result, uninterrupted[0])


def test_every_flipped_bit_of_a_checkpoint_is_noticed_or_harmless(run, interrupted, uninterrupted, tmp_path):
    interrupted(tmp_path, after=2)
    rng = random.Random(0)
    whole = tmp_path / "checkpoints" / "2"
    expected, shapes, setup = saved_state(run, tmp_path)
    files = [p for p in sorted(whole.rglob("*")) if p.is_file() and p.stat().st_size]
    for attempt in range(20):
        copy = tmp_path / f"copy{attempt}"
        shutil.copytree(whole, copy / "checkpoints" / "2")
        file = rng.choice(files)
        damaged = copy / file.relative_to(tmp_path)
        data = bytearray(damaged.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(data)
        with CheckpointStore(copy, setup) as store:
            try:
                _, state = store.restore(shapes)
            except InputError as error:
                assert "epoch 2" in str(error)  # noqa: PT017
                assert "\n" not in str(error)  # noqa: PT017
                continue
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


def saved_state(run, folder):
    """What a checkpoint holds, the shapes that it must fit, and its setup."""
    manifest = json.loads((folder / "checkpoints" / "2" / "manifest" / "metadata").read_text())
    captured = []

    def capture(_, state):
        captured.append(jax.tree.map(np.array, state))

    run(None, on_epoch=capture)
    state = captured[1]
    return state, jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), state), manifest["setup"]


def test_a_half_written_step_is_passed_over(run, interrupted, uninterrupted, tmp_path):
    interrupted(tmp_path, after=3)
    folder = tmp_path / "checkpoints"
    (folder / "3").rename(folder / "3.orbax-checkpoint-tmp")
    (folder / "3.orbax-checkpoint-tmp" / "commit_success.txt").unlink(missing_ok=True)
    result = run(tmp_path)
    assert_same(result, uninterrupted[0])


def test_missing_content_of_a_listed_step_is_passed_over(run, interrupted, uninterrupted, tmp_path):
    interrupted(tmp_path, after=3)
    shutil.rmtree(tmp_path / "checkpoints" / "3" / "state" / "d")
    assert_same(run(tmp_path), uninterrupted[0])


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
    with CheckpointStore(tmp_path, {}), pytest.raises(InputError, match="in use by another process"):
        run(tmp_path)


def test_a_file_in_place_of_the_folder_is_one_line(run, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run(tmp_path / "out")


def test_an_epoch_that_is_there_already_is_an_error(run, interrupted, toy, tmp_path):
    interrupted(tmp_path)
    state, _, setup = saved_state(run, tmp_path)
    with CheckpointStore(tmp_path, setup) as store, pytest.raises(InputError, match="epoch 2 is there already"):
        store.save(2, state)


IN_SUBPROCESS = """
import importlib.util, sys, time
import jax, numpy as np
spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from dataclasses import replace
from infantjax.errors import InputError
from infantjax.training.loop import TrainOptions
directory, epochs, limit = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def pause(*_):
    time.sleep(0.05)
if limit:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    pause = lambda epoch, _: epoch == 2 and resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    options = TrainOptions(on_epoch=pause)
    result = toy.toy_train(toy.toy_splits(2), replace(toy.CONFIG, epochs=epochs), directory=directory, options=options)
except InputError as error:
    sys.exit(str(error))
np.savez(directory + "/result.npz", *jax.tree.leaves((result.variables, result.best_score, result.history)))
"""


def start(toy, folder, epochs, limit=0) -> subprocess.Popen:
    command = [sys.executable, "-c", IN_SUBPROCESS, toy.__file__, str(folder), str(epochs), str(limit)]
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
    for _ in range(kills):
        before = set(checkpoints.glob("*"))
        process = start(toy, folder / "killed", epochs)
        # Starting takes seconds and an epoch a fraction of one: wait for a sign of life, then a random moment.
        while process.poll() is None and not set(checkpoints.glob("*")) - before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        newest = max((int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()), default=0)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = [int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()]
        assert max(kept, default=0) >= newest, "a finished epoch was lost"
    assert "damaged" not in finish(start(toy, folder / "killed", epochs))
    with np.load(folder / "whole" / "result.npz") as a, np.load(folder / "killed" / "result.npz") as b:
        for x, y in zip(a.values(), b.values(), strict=True):
            np.testing.assert_array_equal(x, y)
    history = [(folder / name / "history.csv").read_bytes() for name in ("whole", "killed")]
    assert history[0] == history[1]


@pytest.mark.slow
def test_three_kills_lose_no_epoch_and_change_no_bit(toy, tmp_path):
    kill_and_continue(toy, tmp_path, kills=3, epochs=12)


@pytest.mark.slow
def test_twenty_kills_lose_no_epoch_and_change_no_bit(toy, tmp_path):
    kill_and_continue(toy, tmp_path, kills=20, epochs=60)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_keeps_the_finished_epochs(toy, tmp_path):
    process = start(toy, tmp_path, epochs=4, limit=100)
    _, error = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "cannot be written" in error.splitlines()[-1]
    assert "finished epochs are kept" in error.splitlines()[-1]
    assert len(error.splitlines()) == 1, "libraries told it too"
    assert {"1", "2"} <= set(steps(tmp_path))
    finish(start(toy, tmp_path, epochs=4))


FULL_DISK = """
import resource, signal, sys
import numpy as np
from infantjax.errors import InputError
from infantjax.training.records.checkpoints import CheckpointStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with CheckpointStore(sys.argv[1], {}) as store:
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
    assert {path.split("/")[4] for path in cloud.find("/bucket/training/checkpoints")} == {"1", "2", "3"}
    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "another"))
    epochs = []
    with places.working_copy() as copy:
        folder = copy.fetch(PLACE)
        result = run(folder, on_epoch=lambda epoch, _: epochs.append(epoch))
        assert places.publish(folder) == 0
    assert epochs == [4]
    assert_same(result, uninterrupted[0])
    assert cloud.cat_file("/bucket/training/history.csv") == (uninterrupted[1] / "history.csv").read_bytes()
    assert {path.split("/")[4] for path in cloud.find("/bucket/training/checkpoints")} == {"2", "3", "4"}


def test_an_epoch_of_which_a_part_was_published_gives_way_to_the_one_before(run, interrupted, cloud, caplog):
    with places.working_copy() as copy:
        interrupted(copy.fetch(PLACE), after=3)
        files = cloud.find("/bucket/training/checkpoints/3")
        cloud.rm(max(files, key=cloud.size))
        epochs = []
        run(copy.fetch(PLACE), on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == [3, 4]
    assert "damaged" in caplog.text
    assert len(cloud.find("/bucket/training/checkpoints/3")) == len(files)


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
