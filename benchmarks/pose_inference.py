"""Frames per second of the pose networks against the same networks elsewhere.

    python -m pip install -e ".[bench,onnx]"
    python -m benchmarks.pose_inference
    python -m benchmarks.pose_inference --models efficientpose-iv efficienthourglass-b4 --batches 1 --rounds 3

Both sides get the same images and the same random weights and give confidence maps before upscaling, which are shown
to be equal. The peers are those that are installed of PyTorch and ONNX Runtime, which runs the export of the former.
They get normalized images, one call after the other. Ours runs as `pose.Tracker` does, several calls at a time on a
CPU: the network alone, and with normalizing, upscaling and decoding ("tracker").
"""

import io
import json
import os
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks import common
from infantjax import cache as runtime
from infantjax import models
from infantjax.models import count_image
from infantjax.nn.initializers import initialize
from infantjax.pose import PoseConfig, PoseEstimator, Tracker
from infantjax.pose.images import NORMALIZATIONS
from infantjax.skeletons import MPII_16

TOLERANCE = 1e-4
Run = Callable[[], np.ndarray]
"""Maps `[image, row, column, keypoint]` of the images that a peer was made for."""


def normalized(squares: np.ndarray, network: PoseEstimator) -> np.ndarray:
    """What the network reads of 8-bit images, on the host."""
    mean, deviation = (np.asarray(values, np.float32) for values in NORMALIZATIONS[network.normalization])
    return (squares.astype(np.float32) / 255 - mean) / deviation


def pytorch(network: PoseEstimator, squares: np.ndarray) -> Run:
    """Norms folded, channels last; on the GPU if there is one.

    Raises:
        ImportError: PyTorch is not installed.
        NotImplementedError: the network has no twin there.
    """
    import torch

    from benchmarks.torch_pose import TorchPose

    twin = TorchPose(network.module, network.variables).eval()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    given = torch.as_tensor(normalized(squares, network).transpose(0, 3, 1, 2).copy(), device=device)
    given, twin = given.contiguous(memory_format=torch.channels_last), twin.to(device)

    def run() -> np.ndarray:
        with torch.inference_mode():
            return twin(given).permute(0, 2, 3, 1).cpu().numpy()

    return run


def onnx_runtime(network: PoseEstimator, squares: np.ndarray) -> Run:
    """On the CPU, PyTorch's export of the twin.

    Raises:
        ImportError: PyTorch, onnx or ONNX Runtime is not installed.
        NotImplementedError: the network has no twin in PyTorch.
    """
    import onnxruntime
    import torch

    from benchmarks.torch_pose import TorchPose

    given, stream = normalized(squares, network).transpose(0, 3, 1, 2).copy(), io.BytesIO()
    twin, examples = TorchPose(network.module, network.variables).eval(), (torch.as_tensor(given),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes become constants, as they should
        torch.onnx.export(twin, examples, stream, input_names=["images"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(stream.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": given})[0].transpose(0, 2, 3, 1)


PEERS = {"PyTorch": pytorch, "ONNX Runtime": onnx_runtime}


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
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    ceiling = common.jax_ceiling()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        network = network_of(name)
        for batch in options.batches:
            for row in _measure(network, batch, ceiling, options):
                print(json.dumps(row), flush=True)
                rows.append(row)
    shapes = {"frames": options.frames, "jax_matmul_gflops": ceiling}
    print(common.write("pose_inference", rows, shapes, where) if options.write else common.table(rows))


def _measure(network: PoseEstimator, batch: int, ceiling: float, options: Options) -> list[dict[str, Any]]:
    flops = count_image(network.module, (network.side, network.side, 3)).executed
    calls = max(1, min(options.frames, int(1e9 * options.gflop / flops)) // batch)
    count, squares = calls * batch, squares_of(network, batch)
    run = _ours(network, squares)
    ours = common.Contender("infantjax", lambda: _at_once(run, calls))
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
            **summary,
        }
        for compared in common.compare_all((ours, whole), peers, options.rounds, options.warm_up)
    ]


def network_of(name: str) -> PoseEstimator:
    """With random weights."""
    entry = models.get(name)
    early = {"early_heads": False} if entry.method == "efficientpose" else {}
    module, side = entry.build(upscale=False, **early), entry.input_shape[0]
    x = jnp.zeros((1, side, side, 3))
    variables = jax.device_get(dict(initialize(module, jax.random.key(0), x)))
    variables["params"] = jax.tree_util.tree_map_with_path(lively, variables["params"])
    return PoseEstimator(module, variables, MPII_16, side, entry.normalization or "imagenet", name, "")


def squares_of(network: PoseEstimator, batch: int) -> np.ndarray:
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


def lively(path: Any, leaf: np.ndarray) -> np.ndarray:
    """Depthwise kernels as large as their taps want; those of a fresh network would make all maps zero."""
    depthwise = leaf.ndim == 3
    return leaf * np.sqrt(2 * leaf.shape[-1]).astype(np.float32) if depthwise else leaf


if __name__ == "__main__":
    main(tyro.cli(Options))
