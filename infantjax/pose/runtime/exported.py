"""The maps of a pose network by another runtime, which reads an exported copy of the network.

The copy is made once and kept where compiled programs are (`cache.kept`), by the digest of the weights and the shape of
the images. Every call takes one thread: calls at the same time, as a tracker makes them, use the cores better than
several threads in one call.
"""

from collections.abc import Callable
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
from jaxtyping import Float, UInt8

from infantjax import cache
from infantjax.errors import MissingExtraError
from infantjax.pose.runtime.graph import Graph, trace
from infantjax.pose.runtime.onnx_file import onnx_model
from infantjax.pose.runtime.tflite_file import tflite_model

if TYPE_CHECKING:
    from infantjax.pose.config import PoseConfig
    from infantjax.pose.estimator import PoseEstimator

Runtime = Literal["jax", "onnx", "litert"]
Maps = Float[np.ndarray, "image row column keypoint"]
Call = Callable[[Float[np.ndarray, "image side side 3"]], Maps]

RUNTIMES: dict[str, str] = {"onnx": "ONNX Runtime", "litert": "LiteRT"}
"""Names of the runtimes beside JAX, the fastest first (`benchmarks/pose_runtimes.py`)."""
_LIBRARIES = {"onnx": ("onnx", "onnxruntime"), "litert": ("ai_edge_litert",)}


def fastest(config: "PoseConfig") -> Runtime:
    """The fastest runtime that is installed and does what a configuration asks for: on other devices than CPUs JAX."""
    if config.needs_jax or jax.default_backend() != "cpu":
        return "jax"
    found = (name for name, libraries in _LIBRARIES.items() if all(map(find_spec, libraries)))
    return next(found, "jax")  # type: ignore[arg-type]


def exported_maps(
    network: "PoseEstimator", runtime: Runtime, images: int
) -> Callable[[UInt8[np.ndarray, "image side side 3"]], Maps]:
    """What computes the maps of a network, before upscaling; it may be called from several threads at a time.

    Args:
        network: with its weights.
        runtime: a name of `RUNTIMES`.
        images: of every call.

    Raises:
        MissingExtraError: the runtime is not installed.
        NotImplementedError: the network has an operation that the runtime lacks.
    """
    open_model, write = {"onnx": (_onnx_runtime, onnx_model), "litert": (_litert, tflite_model)}[runtime]

    def make() -> bytes:
        from infantjax.pose.export import maps_of

        graph: Graph = trace(maps_of(network), (images, network.side, network.side, 3))
        return write(graph)

    key = [network.digest, network.name, network.side, images]
    call = open_model(lambda: cache.kept(runtime, key, make) if network.digest else make())
    return lambda crops: call(crops.astype(np.float32))


def _onnx_runtime(content: Callable[[], bytes]) -> Call:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session: Any = onnxruntime.InferenceSession(content(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})[0]


def _litert(content: Callable[[], bytes]) -> Call:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise MissingExtraError("ai-edge-litert", "litert") from None
    model, idle = content(), SimpleQueue[Any]()

    def made() -> Any:
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        return interpreter

    def call(pixels: np.ndarray) -> np.ndarray:
        # One interpreter computes one call at a time.
        try:
            interpreter = idle.get_nowait()
        except Empty:
            interpreter = made()
        try:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
            interpreter.invoke()
            maps: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            return maps
        finally:
            idle.put(interpreter)

    return call
