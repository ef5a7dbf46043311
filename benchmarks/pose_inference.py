"""Frames per second of the pose networks against the same networks elsewhere.

    python -m pip install -e ".[bench,onnx]"
    python -m benchmarks.pose_inference
    python -m benchmarks.pose_inference --models efficientpose-iv efficienthourglass-b4 --batches 1 --rounds 3

Both sides get the same images and the same random weights and give confidence maps before upscaling, which are shown
to be equal. The peers (`benchmarks.pose_peers`) are those that are installed of PyTorch and ONNX Runtime. They
get normalized images, one call after the other. Ours runs as `pose.Tracker` does, several calls at a time on a CPU:
the network alone, and with normalizing, upscaling and decoding ("tracker").

Peak memory is that of a process of its own which makes the same calls; it includes the framework.
"""

import json
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks import common
from benchmarks.pose_peers import PEERS, Run, normalized
from infantjax import cache as runtime
from infantjax import models
from infantjax.models import count_image
from infantjax.nn.initializers import initialize
from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.skeletons import MPII_16

TOLERANCE = 1e-4
OURS = "infantjax"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = (
        *(f"efficientpose-{name}" for name in ("rt", "i", "ii", "iii", "rt-lite", "i-lite", "ii-lite")),
        *("efficienthourglass-b0", "efficienthourglass-l0", "cima-pose", "openpose"),
    )
    """Networks of `infantjax models`; without the largest two, which want hours and gigabytes."""
    peers: tuple[str, ...] = tuple(PEERS)
    """Those that are not installed, or lack a network, are left out."""
    batches: tuple[int, ...] = (1, 8, 32)
    """Images of a call."""
    frames: int = 96
    """Images of a round, at most."""
    gflop: float = 100.0
    """Work of a round: fewer images of a large network, but no less than a call."""
    rounds: int = 5
    """Timed rounds."""
    warm_up: int = 1
    """Untimed rounds after the first call."""
    memory: bool = True
    """Also measure peak memory."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    ceiling = common.jax_ceiling()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        network = _network(name)
        for batch in options.batches:
            for row in _measure(network, batch, ceiling, options):
                print(json.dumps(row), flush=True)
                rows.append(row)
    shapes = {"frames": options.frames, "jax_matmul_gflops": ceiling}
    print(common.write("pose_inference", rows, shapes, where) if options.write else common.table(rows))


def _measure(network: PoseEstimator, batch: int, ceiling: float, options: Options) -> list[dict[str, Any]]:
    flops = count_image(network.module, (network.side, network.side, 3)).executed
    calls = max(1, min(options.frames, int(1e9 * options.gflop / flops)) // batch)
    count, squares = calls * batch, _squares(network, batch)
    run = _ours(network, squares)
    ours = common.Contender(OURS, lambda: _at_once(run, calls))
    tracker = Tracker(network, PoseConfig(batch_size=batch))
    whole = common.Contender("tracker", lambda: _at_once(lambda: tracker.find(squares), calls))
    expected = run()
    scale = np.abs(expected).max()
    peers, errors = [], {}
    for name in options.peers:
        try:
            peer = PEERS[name](network, squares)
        except (ImportError, NotImplementedError) as missing:
            print(f"{network.name}: no {name} ({missing})")
            continue
        errors[name] = common.require_equal(peer() / scale, expected / scale, TOLERANCE, f"{network.name}, {name}")
        peers.append(common.Contender(name, partial(_repeated, peer, calls)))
    peaks = {name: _peak_mb(network.name, batch, name) if options.memory else None for name in (OURS, *errors)}
    return [
        {
            "model": network.name,
            "batch": batch,
            "what": compared.ours,
            "peer": compared.peer,
            "frames": count,
            "difference": errors[compared.peer],
            "ours_fps": count / (summary := compared.summary(flops * count))["ours_median_s"],
            "peer_fps": count / summary["peer_median_s"],
            "ours_of_ceiling": summary["ours_gflops"] / ceiling,
            "peer_of_ceiling": summary["peer_gflops"] / ceiling,
            "ours_peak_mb": peaks[OURS],
            "peer_peak_mb": peaks[compared.peer],
            **summary,
        }
        for compared in common.compare_all((ours, whole), peers, options.rounds, options.warm_up)
    ]


def _network(name: str) -> PoseEstimator:
    """With random weights."""
    entry = models.get(name)
    early = {"early_heads": False} if entry.method == "efficientpose" else {}
    module, side = entry.build(upscale=False, **early), entry.input_shape[0]
    x = jnp.zeros((1, side, side, 3))
    variables = jax.device_get(dict(initialize(module, jax.random.key(0), x)))
    variables["params"] = jax.tree_util.tree_map_with_path(lively, variables["params"])
    return PoseEstimator(module, variables, MPII_16, side, entry.normalization or "imagenet", name, "")


def _squares(network: PoseEstimator, batch: int) -> np.ndarray:
    shape = (min(batch, 8), network.side, network.side, 3)
    return np.resize(np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8), (batch, *shape[1:]))


def _ours(network: PoseEstimator, squares: np.ndarray) -> Run:
    apply = jax.jit(lambda variables, x: network.module.apply(variables, x)[0])
    held, given = jax.device_put((network.variables, normalized(squares, network)))
    return lambda: np.asarray(apply(held, given))


def _repeated(run: Callable[[], Any], calls: int) -> Any:
    return [run() for _ in range(calls)][-1]


def _at_once(run: Any, calls: int) -> Any:
    """Calls from as many threads as the tracker has."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        pending = deque(pool.submit(run) for _ in range(calls))
        return [one.result() for one in pending][-1]


def _peak_mb(name: str, batch: int, side: str) -> float | None:
    """Largest resident memory of a process that makes a few calls; None where the system does not tell."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_called, name, batch, side).result()


def _called(name: str, batch: int, side: str) -> float | None:
    if side == OURS:
        runtime.keep_freed_memory()
    network = _network(name)
    squares = _squares(network, batch)
    if side == OURS:
        _at_once(_ours(network, squares), 2 * (os.cpu_count() or 1) + 2)
    else:
        run = PEERS[side](network, squares)
        [run() for _ in range(3)]
    return common.peak_mb()


def lively(path: Any, leaf: np.ndarray) -> np.ndarray:
    """Depthwise kernels as large as their taps want; those of a fresh network would make all maps zero."""
    depthwise = leaf.ndim == 3
    return leaf * np.sqrt(2 * leaf.shape[-1]).astype(np.float32) if depthwise else leaf


if __name__ == "__main__":
    main(tyro.cli(Options))
