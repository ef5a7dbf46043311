"""Arrays of a Keras file, read without anything else of it: its architecture and the byte code of its layers stay.

The layers of a network are a table of `Conv`; `place_layers` puts the arrays of a file where the table says.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES
from infantjax.pose.importers.tflite import read_tflite
from infantjax.weights.archive import DAMAGE, open_archive, read_npz
from infantjax.weights.placement import Place, Variables, place

Layers = dict[str, dict[str, np.ndarray]]
"""Arrays by layer and by name, for example `kernel`."""

REMEDY = "give a published file of EfficientPose or EfficientHourglass"
_FOLDED = (".npz", ".tflite")
"""Endings of the files whose batch norms are folded into the convolutions."""
_EPSILON = 1e-3
_NORM = {
    "gamma": ("params", "scale"),
    "beta": ("params", "bias"),
    "moving_mean": ("batch_stats", "mean"),
    "moving_variance": ("batch_stats", "var"),
}


class Conv(NamedTuple):
    """A convolution of a network, and the layers of a file that hold it and its batch norm.

    Attributes:
        path: in the variables.
        layer: of the convolution.
        norm: layer; None without a norm.
    """

    path: tuple[str, ...]
    layer: str
    norm: str | None = None


def read_layers(path: Path) -> Layers:
    """The arrays of a Keras file, of a `.tflite` of one, or of a `.npz` with arrays `LAYER/kernel` and `LAYER/bias`.

    Raises:
        InputError: not such a file, damaged, or too large.
    """
    return _read_folded(path) if path.suffix in _FOLDED else _read_keras(path)


def is_pose_weights(path: str | Path) -> bool:
    """Whether a file may be one for `import_pose`: HDF5 with layers of Keras, TFLite, or an archive of kernels."""
    import h5py

    path = Path(path)
    try:
        if path.suffix == ".npz":
            return any(name.endswith("/kernel.npy") for name in open_archive(path).namelist())
        if path.suffix == ".tflite":
            return bool(read_tflite(path))
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("model_weights", file)
            return any(name.startswith("layer_names") for name in group.attrs)
    except DAMAGE:
        return False


def place_layers(
    layers: Layers, table: Sequence[Conv], module: nn.Module, input_shape: tuple[int, ...], path: Path
) -> Variables:
    """The variables of a network from the layers of a file.

    Args:
        layers: of the file; the norms of a `.npz` or `.tflite` are folded into its convolutions.
        table: where they go.
        module: the network.
        input_shape: of one example.
        path: the file, for messages and its kind.

    Raises:
        InputError: an array is missing, left over, of another shape, or not finite.
    """
    layers = _unfold(layers, table) if path.suffix in _FOLDED else layers
    arrays = {f"{layer}/{name}": values for layer, found in layers.items() for name, values in found.items()}
    return place(arrays, dict(_places(table, layers)), module, input_shape, str(path))


def _places(table: Sequence[Conv], layers: Layers) -> Iterator[tuple[str, Place]]:
    for conv in table:
        found = layers.get(conv.layer, {})
        axes = ""
        if conv.path[-1] == "depthwise":
            axes = "h w channel 1 -> h w channel"
        elif conv.layer.startswith("conv2d_transpose"):
            axes = "h w features inputs -> h w inputs features"
        kernel = "depthwise_kernel" if "depthwise_kernel" in found else "kernel"
        yield f"{conv.layer}/{kernel}", Place("params", (*conv.path, "kernel"), axes)
        if conv.norm is None or "bias" in found:
            yield f"{conv.layer}/bias", Place("params", (*conv.path, "bias"))
        if conv.norm is not None:
            for name, (collection, ours) in _NORM.items():
                yield f"{conv.norm}/{name}", Place(collection, (*conv.path, "norm", ours))


def _unfold(layers: Layers, table: Sequence[Conv]) -> Layers:
    """The layers with norms of their own, which only add the bias that each was folded into."""
    unfolded = {name: dict(arrays) for name, arrays in layers.items()}
    for conv in table:
        if conv.norm is not None and "bias" in unfolded.get(conv.layer, {}):
            bias = unfolded[conv.layer].pop("bias")
            mean, variance = np.zeros_like(bias), np.full_like(bias, 1 - _EPSILON)
            ones = np.ones_like(bias)
            unfolded[conv.norm] = {"gamma": ones, "beta": bias, "moving_mean": mean, "moving_variance": variance}
    return unfolded


def _read_keras(path: Path) -> Layers:
    import h5py

    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
        with h5py.File(path, "r", locking=False) as file:
            group, total = file.get("model_weights", file), 0
            layers: Layers = {}
            for layer in _names(group, "layer_names"):
                arrays = {}
                for name in _names(group[layer], "weight_names"):
                    item = group[layer][name]
                    if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f" or item.external or item.is_virtual:
                        raise InputError(path, f"{layer}/{name} is not an array of numbers", REMEDY)
                    total += item.size * 4
                    if total > MAX_FILE_BYTES:
                        raise InputError(path, f"declares more than {MAX_FILE_BYTES} bytes of weights")
                    arrays[name.rsplit("/", 1)[-1].partition(":")[0]] = np.asarray(item, np.float32)
                if arrays:
                    layers[layer] = arrays
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
        raise InputError(path, f"is not a readable Keras file ({reason})", REMEDY) from None
    if not layers:
        raise InputError(path, "holds no weights", REMEDY)
    return layers


def _names(group: Any, attribute: str) -> list[str]:
    # Keras splits an attribute over 64 KB into `layer_names0`, `layer_names1` and so on.
    parts = [attribute] if attribute in group.attrs else sorted(k for k in group.attrs if k.startswith(attribute))
    names = [name for part in parts for name in group.attrs[part]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _read_folded(path: Path) -> Layers:
    try:
        return read_tflite(path) if path.suffix == ".tflite" else _read_npz(path)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(path, f"is not a readable {path.suffix} file ({reason})", REMEDY) from None


def _read_npz(path: Path) -> Layers:
    layers: Layers = {}
    for name, values in read_npz(path).items():
        layer, _, kind = name.rpartition("/")
        layers.setdefault(layer, {})[kind] = values.astype(np.float32)
    return layers
