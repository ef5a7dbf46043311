"""Frames per second of the pose networks against the same networks in PyTorch.

    python -m benchmarks.pose_inference

Both sides get the same normalised pictures and the same random weights and give confidence maps before upscaling, which
are shown to be equal; ours also runs as `pose.Tracker` does, several calls at a time, with decoding ("tracker"). The
peer is PyTorch with norms folded and channels last, as it is fastest there.
"""

import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

from benchmarks import common
from benchmarks.torch_pose import TorchEfficientPose
from infantjax import models, runtime
from infantjax.models import count_image
from infantjax.models.efficientpose import EfficientPose
from infantjax.nn.initialisers import initialise
from infantjax.pose import PoseConfig, PoseNetwork, Tracker
from infantjax.skeletons import MPII_16

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = ("efficientpose-rt", "efficientpose-i", "efficientpose-rt-lite", "efficientpose-i-lite")
    """Networks of the EfficientPose family."""
    batches: tuple[int, ...] = (1, 8, 32)
    """Pictures of a call."""
    frames: int = 96
    """Pictures of a round."""
    rounds: int = 5
    """Timed rounds."""
    warm_up: int = 1
    """Untimed rounds after the first call."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        for row in _measure(name, options):
            print(json.dumps(row), flush=True)
            rows.append(row)
    ceilings = {"jax_matmul_gflops": common.jax_ceiling(), "torch_matmul_gflops": common.torch_ceiling()}
    if options.write:
        print(common.write("pose_inference", rows, {"frames": options.frames, **ceilings}, where))
    else:
        print(common.table(rows), ceilings)


def _measure(name: str, options: Options) -> list[dict[str, Any]]:
    entry = models.get(name)
    network: EfficientPose = entry.build(early_heads=False, upscale=False)
    side = entry.input_shape[0]
    squares = np.random.default_rng(0).integers(0, 256, (options.frames, side, side, 3)).astype(np.uint8)
    pixels = squares[:8].astype(np.float32) / 127.5 - 1
    x = jnp.asarray(pixels[:1])
    variables = jax.device_get(dict(jax.jit(lambda key: initialise(network, key, x))(jax.random.key(0))))
    variables["params"] = jax.tree_util.tree_map_with_path(lively, variables["params"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    twin = TorchEfficientPose(network, variables).to(device).eval()
    apply = jax.jit(lambda v, x: network.apply(v, x)[0])
    held = jax.device_put(variables)

    def peer_of(batch: int) -> common.Contender:
        given = torch.as_tensor(
            np.resize(pixels, (batch, *pixels.shape[1:])).transpose(0, 3, 1, 2).copy(), device=device
        )
        given = given.contiguous(memory_format=torch.channels_last)

        def run() -> torch.Tensor:
            with torch.inference_mode():
                for _ in range(options.frames // batch):
                    found = twin(given)
                return found.cpu()

        return common.Contender("PyTorch", run)

    rows = []
    flops = count_image(network, entry.input_shape).executed * options.frames
    for batch in options.batches:
        given = jnp.asarray(np.resize(pixels, (batch, *pixels.shape[1:])))
        peer = peer_of(batch)
        found, expected = np.asarray(apply(held, given)), peer.run().numpy().transpose(0, 2, 3, 1)
        error = common.require_equal(found, expected, TOLERANCE, name)
        ours = common.Contender("infantjax", lambda g=given: _calls(apply, held, g, options.frames // len(g)))
        tracker = Tracker(
            PoseNetwork(network, variables, MPII_16, side, "lite", name, ""), PoseConfig(batch_size=batch)
        )
        whole = common.Contender("tracker", lambda t=tracker: _tracked(t, squares))
        for contender in (ours, whole):
            comparison = common.compare(contender, peer, options.rounds, options.warm_up).summary(flops)
            fps = {
                "ours_fps": options.frames / comparison["ours_median_s"],
                "peer_fps": options.frames / comparison["peer_median_s"],
            }
            rows.append(
                {"model": name, "batch": batch, "what": contender.name, "difference": error, **fps, **comparison}
            )
    return rows


def lively(path: Any, leaf: np.ndarray) -> np.ndarray:
    """Depthwise kernels as large as their taps want; those of a fresh network would make all maps zero."""
    depthwise = leaf.ndim == 3
    return leaf * np.sqrt(2 * leaf.shape[-1]).astype(np.float32) if depthwise else leaf


def _calls(apply: Any, variables: Any, given: jax.Array, calls: int) -> Any:
    """Calls from as many threads as the tracker has."""
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        pending = deque(pool.submit(lambda: np.asarray(apply(variables, given))) for _ in range(calls))
        return [one.result() for one in pending][-1]


def _tracked(tracker: Tracker, squares: np.ndarray) -> Any:
    size = tracker.batch_size
    with ThreadPoolExecutor((os.cpu_count() or 1) + 1) as pool:
        pending = [pool.submit(tracker.find, squares[i : i + size]) for i in range(0, len(squares), size)]
        return [one.result() for one in pending][-1]


if __name__ == "__main__":
    main(tyro.cli(Options))
