"""Pose networks for use elsewhere: StableHLO for any JAX, ONNX for runtimes without JAX.

Both take what `crop.crop_image` gives, `[image, side, side, 3]` of 8 bits, in any number; the weights are inside. The
lowerings of StableHLO are those of the backend that exports, right on every other; ONNX has plain convolutions.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import MAX_FILE_BYTES, sha256, write_atomically
from infantjax.pose.codec.heatmap import HeatmapCodec, Points
from infantjax.pose.estimator import PoseEstimator
from infantjax.pose.images import normalize
from infantjax.pose.runtime.graph import trace
from infantjax.pose.runtime.onnx_file import onnx_model

Platform = Literal["cpu", "cuda", "rocm", "tpu"]

_MAGIC = b"infantjax stablehlo 1\n"


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
    network: PoseEstimator, path: str | Path, decoder: str = "smoothed", platforms: Sequence[Platform] = ("cpu",)
) -> None:
    """Write a program from padded images to keypoints that `load_stablehlo` reads, with a digest before it.

    Args:
        network: with its weights.
        path: file to write, whole or not at all.
        decoder: a name of `codec.DECODERS`.
        platforms: where it can run.

    Raises:
        ValueError: unknown decoder.
        OSError: the file cannot be written.
    """
    from jax import export

    maps, codec = maps_of(network), HeatmapCodec(decoder)

    def run(pixels: Array) -> tuple[Array, Array]:
        points = codec.decode(maps(pixels), network.side)
        return points.positions, points.confidence

    shape = export.symbolic_shape(f"images, {network.side}, {network.side}, 3")
    program = export.export(jax.jit(run), platforms=tuple(platforms))(jax.ShapeDtypeStruct(shape, np.uint8))
    content = bytes(program.serialize())
    write_atomically(Path(path), _MAGIC + sha256(content).encode() + b"\n" + content)


def load_stablehlo(path: str | Path) -> Callable[[UInt8[np.ndarray, "image side side 3"]], Points]:
    """A program that `write_stablehlo` wrote.

    Raises:
        InputError: no such file, or damaged: a damaged program could end the process.
    """
    from jax import export

    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    if not content.startswith(_MAGIC):
        raise InputError(path, "is not a program of infantjax", "make one with infantjax export")
    digest, _, program = content.removeprefix(_MAGIC).partition(b"\n")
    if sha256(program) != digest.decode("ascii", "replace"):
        raise InputError(path, "is damaged: its content has another digest", "export it again")
    call = export.deserialize(bytearray(program)).call
    return lambda pixels: Points(*call(pixels))


def write_onnx(network: PoseEstimator, path: str | Path) -> None:
    """Write an ONNX model: input `pixels`, float32 gray levels 0..255, output `maps` before upscaling.

    Raises:
        MissingExtraError: onnx is not installed.
        NotImplementedError: the network has an operation that the writer does not know.
        OSError: the file cannot be written.
    """
    graph = trace(maps_of(network), (1, network.side, network.side, 3))
    write_atomically(Path(path), onnx_model(graph))


def onnx_maps(path: str | Path, pixels: UInt8[np.ndarray, "image side side 3"]) -> np.ndarray:
    """The maps that ONNX Runtime computes from a model of `write_onnx`.

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "onnx") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: pixels.astype(np.float32)})[0]
    return found


def difference(network: PoseEstimator, path: str | Path, decoder: str = "smoothed", seed: int = 0) -> float:
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
        pairs = list(zip(load_stablehlo(path)(pixels), HeatmapCodec(decoder).decode(maps, network.side)))
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(np.asarray(b)).max()) for a, b in pairs)
