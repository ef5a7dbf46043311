"""Frames per second of the tracker by JAX and by ONNX Runtime.

    python -m pip install -e ".[onnx]"
    python -m benchmarks.pose_runtimes

Random weights. It is `Tracker.find` from as many threads as the tracker has: normalizing, maps, upscaling and decoding.

Both sides run in turns. On a machine that others use the ratio of CPU time is the surer one.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from benchmarks import common
from benchmarks.pose_inference import network_of, squares_of
from infantjax import cache as runtime
from infantjax.pose import PoseConfig, PoseEstimator, Tracker

RUNTIMES = ("jax", "onnx")
TOLERANCE = 0.1
"""Pixels of the network's input between keypoints of two runtimes."""
Sides = dict[str, Callable[[], Any]]


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
            rows += _measured(_tracker_sides(network, batch, options.frames), options, name, batch)
    print(
        common.write("pose_runtimes", rows, {"frames": options.frames}, where) if options.write else common.table(rows)
    )


def _tracker_sides(network: PoseEstimator, batch: int, frames: int) -> Sides:
    squares, calls, workers = squares_of(network, batch), max(1, frames // batch), (os.cpu_count() or 1) + 1
    trackers = {name: Tracker(network, PoseConfig(batch_size=batch, runtime=name)) for name in RUNTIMES}  # type: ignore[arg-type]
    expected = network.side * trackers["jax"].find(squares).positions
    for name, tracker in trackers.items():
        common.require_equal(network.side * tracker.find(squares).positions, expected, TOLERANCE / network.side, name)

    def side(tracker: Tracker) -> Callable[[], Any]:
        def run() -> Any:
            with ThreadPoolExecutor(workers) as pool:
                return list(pool.map(lambda _: tracker.find(squares), range(calls)))

        return run

    return {name: side(tracker) for name, tracker in trackers.items()}


def _measured(sides: Sides, options: Options, model: str, batch: int) -> list[dict]:
    """A row for each side, with its ratios to JAX."""
    for run in sides.values():
        frames = len(run()) * batch
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(options.rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            began = time.perf_counter(), time.process_time()
            sides[name]()
            found[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    rows = []
    for name, times in found.items():
        ratios = np.array(found["jax"]) / np.array(times)
        (wall_1, cpu_1), (wall, cpu), (wall_3, cpu_3) = np.quantile(ratios, (0.25, 0.5, 0.75), axis=0).tolist()
        row: dict[str, Any] = {"model": model, "what": "tracker", "batch": batch, "runtime": name, "against": "jax"}
        row |= {"rounds": options.rounds, "frames": frames, "fps": frames / float(np.median([t[0] for t in times]))}
        row |= {"wall_ratio": wall, "wall_q1": wall_1, "wall_q3": wall_3}
        rows.append(row | {"cpu_ratio": cpu, "cpu_q1": cpu_1, "cpu_q3": cpu_3})
        print(common.table(rows[-1:]), flush=True)
    return rows


if __name__ == "__main__":
    main(tyro.cli(Options))
