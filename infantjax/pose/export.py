"""Pose networks as programs of their own: StableHLO for any JAX, ONNX for ONNX Runtime, also that of the tracker.

Both take what `crop.crop_image` gives, `[image, side, side, 3]` of 8 bits, in any number; the weights are inside. The
lowerings of StableHLO are those of the backend that exports, right on every other; ONNX has plain convolutions.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from infantjax import cache
from infantjax.errors import MissingExtraError
from infantjax.files import write_atomically
from infantjax.pose.codec.heatmap import HeatmapCodec, Points
from infantjax.pose.estimation.config import PoseConfig, Runtime
from infantjax.pose.estimation.estimator import PoseEstimator
from infantjax.pose.images import normalize
from infantjax.pose.onnx_model import INPUT, onnx_model
from infantjax.weights.program import Platform, load_program, write_program


def maps_of(
    network: PoseEstimator,
) -> Callable[[UInt8[Array, "image side side 3"]], Float[Array, "image row column keypoint"]]:
    """A function from padded images to confidence maps before upscaling, with the weights inside."""
    variables = jax.tree.map(jnp.asarray, network.variables)

    def run(pixels: Array) -> Array:
        maps: Array = network.module.apply(variables, normalize(pixels, network.normalization))[0]
        return maps

    return run


def write_stablehlo(
    network: PoseEstimator, path: str | Path, decoder: str | None = None, platforms: Sequence[Platform] = ("cpu",)
) -> None:
    """Write a program from padded images to keypoints that `load_stablehlo` reads, with a digest before it.

    Args:
        network: with its weights.
        path: file to write, whole or not at all.
        decoder: a name of `pose.DECODERS`; None takes the network's own.
        platforms: where it can run.

    Raises:
        ValueError: unknown decoder.
        OSError: the file cannot be written.
    """
    from jax import export

    variables, predict = jax.tree.map(jnp.asarray, network.variables), network.predict_fn(decoder)
    shape = export.symbolic_shape(f"images, {network.side}, {network.side}, 3")
    argument = jax.ShapeDtypeStruct(shape, np.uint8)
    write_program(lambda pixels: tuple(predict(variables, pixels)), argument, path, platforms)


def load_stablehlo(path: str | Path) -> Callable[[UInt8[np.ndarray, "image side side 3"]], Points]:
    """A program that `write_stablehlo` wrote.

    Raises:
        InputError: as `load_program`.
    """
    call = load_program(path)
    return lambda pixels: Points(*call(pixels))


def write_onnx(network: PoseEstimator, path: str | Path) -> None:
    """Write an ONNX model: input `pixels`, float32 gray levels 0..255, output `maps` before upscaling.

    Raises:
        MissingExtraError: onnx is not installed.
        NotImplementedError: the network has an operation that the writer does not know.
        OSError: the file cannot be written.
    """
    write_atomically(Path(path), onnx_model(maps_of(network), (1, network.side, network.side, 3)))


def exported_maps(
    network: PoseEstimator, images: int
) -> Callable[[UInt8[np.ndarray, "image side side 3"]], Float[np.ndarray, "image row column keypoint"]]:
    """A function that computes the maps of a network, before upscaling, by ONNX Runtime; threads may share it.

    The model is written once and kept where compiled programs are, by the digest of the weights. Every call takes one
    thread: calls at the same time use the cores better than several threads in one call.

    Args:
        network: with its weights.
        images: of every call.

    Raises:
        MissingExtraError: onnx or onnxruntime is not installed.
        NotImplementedError: the network has an operation that the writer does not know.
    """

    def make() -> bytes:
        return onnx_model(maps_of(network), (images, network.side, network.side, 3))

    key = [network.digest, network.name, network.side, images]
    return _session(lambda: cache.kept("onnx", key, make) if network.digest else make(), threads=1)


def fastest(config: PoseConfig) -> Runtime:
    """The fastest runtime that does what a configuration asks for: ONNX Runtime on CPUs where it is installed."""
    if config.needs_jax or jax.default_backend() != "cpu":
        return "jax"
    return "onnx" if all(map(find_spec, ("onnx", "onnxruntime"))) else "jax"


def onnx_maps(path: str | Path, pixels: UInt8[np.ndarray, "image side side 3"]) -> np.ndarray:
    """The maps that ONNX Runtime computes from a model of `write_onnx`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    return _session(lambda: str(path))(pixels)


def _session(model: Callable[[], bytes | str], threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images to maps by ONNX Runtime; 0 threads are all."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session: Any = onnxruntime.InferenceSession(model(), options, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {INPUT: pixels.astype(np.float32)})[0]


def difference(network: PoseEstimator, path: str | Path, decoder: str | None = None, seed: int = 0) -> float:
    """How far an exported model is from the network on random images, relative to the largest value.

    Args:
        network: what was exported.
        path: of the model, `.onnx` or else StableHLO.
        decoder: that of the model.
        seed: of the images.
    """
    pixels = np.random.default_rng(seed).integers(0, 256, (3, network.side, network.side, 3)).astype(np.uint8)
    maps = jax.jit(maps_of(network))(pixels)
    pairs: list[tuple[Any, Any]]
    if Path(path).suffix == ".onnx":
        pairs = [(onnx_maps(path, pixels), maps)]
    else:
        pairs = list(
            zip(load_stablehlo(path)(pixels), HeatmapCodec(decoder or network.decoder).decode(maps, network.side))
        )
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max()) for a, b in pairs)
