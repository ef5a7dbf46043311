"""A training in two processes gives what one process gives, and continues in one."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import infantjax
from infantjax.errors import InputError
from infantjax.training.execution import distributed
from infantjax.training.loop import TrainOptions

IN_PROCESS = """
import importlib.util, sys
import jax, numpy as np
spec = importlib.util.spec_from_file_location("toy", sys.argv[1])
toy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toy)
from dataclasses import replace
from infantjax.training.execution.distributed import agree
from infantjax.training.loop import TrainOptions

address, number, folder, epochs = sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
jax.distributed.initialize(address, 2, number, initialization_timeout=60, heartbeat_timeout_seconds=60)
assert (len(jax.devices()), len(jax.local_devices())) == (4, 2)
assert agree({"number": number, "text": "a" * (3 + 8 * number)}) == {"number": 0, "text": "aaa"}
config = replace(toy.CONFIG, epochs=epochs)
result = toy.toy_train(toy.toy_splits(3), config, directory=folder, options=TrainOptions())
np.savez(f"{folder}/result-{number}.npz", *jax.tree.leaves((result.variables, result.best_score, result.history)))
"""


def two_processes(toy, folder: Path, epochs: int) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", IN_PROCESS, toy.__file__, address, str(number), str(folder), str(epochs)],
            env={**os.environ, "XLA_FLAGS": flags},
            cwd=Path(infantjax.__file__).parents[1],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(said)


@pytest.mark.slow
def test_two_processes_give_what_one_gives_and_one_continues_their_folder(toy, tmp_path):
    two_processes(toy, tmp_path, toy.CONFIG.epochs)
    options = TrainOptions(devices=jax.devices()[:1])
    one = toy.toy_train(toy.toy_splits(3), options=options)
    expected = jax.tree.leaves((one.variables, one.best_score, one.history))
    with np.load(tmp_path / "result-0.npz") as first, np.load(tmp_path / "result-1.npz") as second:
        written = list(first.values())
        for a, b, alone in zip(written, second.values(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
            # XLA fuses the program of a mesh differently: float32 rounding of values around 1.
            np.testing.assert_allclose(a, alone, rtol=0, atol=1e-6)
    again = toy.toy_train(toy.toy_splits(3), options=options, directory=tmp_path)
    for a, b in zip(jax.tree.leaves((again.variables, again.best_score, again.history)), written, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("text", ["host,2,0", "host:1,2", "host:1,2,2", "host:1,two,0", ""])
def test_a_process_that_is_not_named_rightly_is_refused(text):
    with pytest.raises(InputError, match="ADDRESS:PORT,COUNT,NUMBER"):
        distributed.join(text)


def test_what_jax_finds_no_others_for_is_one_line(monkeypatch):
    def initialize(**given):
        assert given == {"coordinator_address": "host:123", "num_processes": 2, "process_id": 1}
        raise RuntimeError("no answer\nfrom host")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(InputError, match=r"the other processes cannot be found \(no answer from host\); name them"):
        distributed.join("host:123,2,1")
