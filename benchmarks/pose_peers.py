"""The pose networks in other frameworks, with the same weights, as they are fastest there."""

import io
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.pose import PoseEstimator
from infantjax.pose.export import write_onnx
from infantjax.pose.images import NORMALIZATIONS

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

    twin = _twin(network)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    given = torch.as_tensor(normalized(squares, network).transpose(0, 3, 1, 2).copy(), device=device)
    given, twin = given.contiguous(memory_format=torch.channels_last), twin.to(device)

    def run() -> np.ndarray:
        with torch.inference_mode():
            return twin(given).permute(0, 2, 3, 1).cpu().numpy()

    return run


def onnx_runtime(network: PoseEstimator, squares: np.ndarray) -> Run:
    """On the CPU: PyTorch's export of the twin where there is one, else what `infantjax export` writes.

    The second is given 8-bit gray levels and normalizes them itself.

    Raises:
        ImportError: onnx or ONNX Runtime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    try:
        content = _exported_twin(network)
        given, order = normalized(squares, network).transpose(0, 3, 1, 2).copy(), (0, 2, 3, 1)
    except (ImportError, NotImplementedError):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            write_onnx(network, path)
            content = path.read_bytes()
        given, order = squares.astype(np.float32), (0, 1, 2, 3)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: given})[0].transpose(order)


PEERS = {"PyTorch": pytorch, "ONNX Runtime": onnx_runtime}


def _twin(network: PoseEstimator) -> Any:
    from benchmarks.torch_pose import TorchPose

    return TorchPose(network.module, network.variables).eval()


def _exported_twin(network: PoseEstimator) -> bytes:
    """An ONNX model of the twin, for any number of images."""
    import torch

    side, stream = network.side, io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes become constants, as they should
        torch.onnx.export(
            _twin(network),
            (torch.zeros(1, 3, side, side),),
            stream,
            input_names=["images"],
            dynamic_axes={"images": {0: "count"}},
            dynamo=False,
        )
    return stream.getvalue()
