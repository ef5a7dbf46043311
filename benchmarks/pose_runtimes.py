"""Frames per second of the tracker by JAX and by ONNX Runtime.

    python -m pip install -e ".[onnx]"
    python -m benchmarks.pose_runtimes

Random weights. It is `Tracker.find` from as many threads as the tracker has: normalizing, maps, upscaling and decoding.

Ratios are times of JAX over those of ONNX Runtime. On a machine that others use that of CPU time is the surer one.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tyro

from benchmarks import common
from benchmarks.pose_inference import network_of, squares_of
from infantjax import cache as runtime
from infantjax.pose import PoseConfig, PoseEstimator, Tracker

TOLERANCE = 0.1
"""Pixels of the network's input between keypoints of two runtimes."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = ("efficientpose-rt-lite", "efficientpose-i-lite", "efficientpose-ii-lite")
    """Networks of `infantjax models`."""
    batches: tuple[int, ...] = (1, 2, 4, 8)
    """Images of a call."""
    frames: int = 24
    """Images of a round."""
    rounds: int = 9
    """Timed rounds, after one that is not."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where, rows = common.environment(), []
    for name in options.models:
        network = network_of(name)
        for batch in options.batches:
            calls = max(1, options.frames // batch)
            comparison = common.compare(*contenders(network, batch, calls), options.rounds)
            rows.append({"model": name, "batch": batch, "frames": calls * batch, **comparison.summary()})
            print(common.table(rows[-1:]), flush=True)
    if options.write:
        common.write("pose_runtimes", rows, {"frames": options.frames}, where)


def contenders(network: PoseEstimator, batch: int, calls: int) -> tuple[common.Contender, common.Contender]:
    """The tracker by ONNX Runtime and by JAX, after both were shown to find the same keypoints."""
    squares, workers = squares_of(network, batch), (os.cpu_count() or 1) + 1

    def contender(runtime: Literal["onnx", "jax"]) -> tuple[common.Contender, np.ndarray]:
        tracker = Tracker(network, PoseConfig(batch_size=batch, runtime=runtime))

        def run() -> Any:
            with ThreadPoolExecutor(workers) as pool:
                return list(pool.map(lambda _: tracker.find(squares), range(calls)))

        return common.Contender(runtime, run), network.side * tracker.find(squares).positions

    (onnx, found), (jax, expected) = contender("onnx"), contender("jax")
    common.require_equal(found, expected, TOLERANCE / network.side, network.name)
    return onnx, jax


if __name__ == "__main__":
    main(tyro.cli(Options))
