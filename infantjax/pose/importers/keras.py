"""Import of published weights of EfficientPose and EfficientHourglass: Keras and TFLite files, and `.npz` arrays.

The member of the family follows from the names and shapes of a file's layers.
"""

from pathlib import Path

import numpy as np

from infantjax.errors import InputError
from infantjax.pose.importers.keras_file import REMEDY, Layers, is_pose_weights, place_layers, read_layers
from infantjax.pose.importers.keras_layers import efficientpose_layers, hourglass_layers
from infantjax.pose.networks.efficienthourglass import FRAMEWORK_RATIOS, EfficientHourglass
from infantjax.pose.networks.efficientpose import VARIANTS, EfficientPose
from infantjax.weights.placement import Variables

__all__ = ["import_efficienthourglass", "import_efficientpose", "import_pose", "is_pose_weights"]

_WIDTHS = {(40, False): "rt", (48, True): "i", (56, True): "ii", (64, True): "iii", (80, True): "iv"}
_LITE = {"0": "rt-lite", "2": "i-lite", "4": "ii-lite"}
_UPSCALING = ("upscaled_deconv1", "upscaled_deconv2", "upscaled_confs")


def import_pose(path: str | Path) -> tuple[EfficientPose | EfficientHourglass, Variables]:
    """The published pose network of a file; see `import_efficientpose` and `import_efficienthourglass`."""
    path = Path(path)
    layers = read_layers(path)
    return _efficienthourglass(layers, path) if "stage1_confs" in layers else _efficientpose(layers, path)


def import_efficientpose(path: str | Path) -> tuple[EfficientPose, Variables]:
    """A member of the EfficientPose family with its weights.

    Args:
        path: a published `.h5` or `.tflite` file, or a `.npz` of arrays `LAYER/kernel` and `LAYER/bias` with the norms
            folded in.

    Returns:
        The network and its variables as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: not such a file, damaged, too large, a layer missing, left over, of another shape or not finite, or
            an upscaling that is not the fixed bilinear one: one line naming the first.
    """
    path = Path(path)
    return _efficientpose(read_layers(path), path)


def import_efficienthourglass(path: str | Path) -> tuple[EfficientHourglass, Variables]:
    """A Lite EfficientHourglass with its weights: `Block1to5`, the form of the published checkpoint, or `Block1to6`.

    The names of the other forms' squeeze-and-excitations are published nowhere; such files are refused.

    Args:
        path: a Keras checkpoint of the training framework. Its maps are at a quarter of the image's side; the network
            returned upscales them. Of six blocks none is public: the third bridge and step are named after the others.

    Returns:
        The network and its variables as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: as for `import_efficientpose`.
    """
    path = Path(path)
    return _efficienthourglass(read_layers(path), path)


def _efficientpose(layers: Layers, path: Path) -> tuple[EfficientPose, Variables]:
    network, variant = _member(layers, path)
    _require_bilinear(layers, network.keypoints, path)
    layers = {name: arrays for name, arrays in layers.items() if name not in _UPSCALING}
    side = network.variant.side
    table = list(efficientpose_layers(network, variant))
    return network, place_layers(layers, table, network, (side, side, 3), path)


def _efficienthourglass(layers: Layers, path: Path) -> tuple[EfficientHourglass, Variables]:
    lite = next((name for name in layers if name.startswith("efficientnet-lite")), "")
    head = layers.get("stage1_confs", {}).get("kernel")
    if head is None or lite[17:18] not in set("01234"):
        raise InputError(path, "is not an EfficientHourglass of the Lite form", REMEDY)
    deepest = 6 if "Bridge1_Res3_BN1" in layers else 5
    network = EfficientHourglass(f"l{lite[17]}", deepest, head.shape[-1], FRAMEWORK_RATIOS)
    layers = {name: arrays for name, arrays in layers.items() if name not in _UPSCALING}
    return network, place_layers(layers, list(hourglass_layers(network.version, deepest)), network, (64, 64, 3), path)


def _member(layers: Layers, path: Path) -> tuple[EfficientPose, str]:
    """The member of the family that has these layers, and its name."""
    lite = next((name for name in layers if name.startswith("efficientnet-lite")), None)
    width = layers.get("pass1_block1_mbconv1_skeleton_conv2", {}).get("kernel", np.empty(0)).shape[-1]
    variant = _LITE.get(lite[17]) if lite else _WIDTHS.get((width, "stem_conv_res2" in layers))
    head = layers.get("pass3_detection2_confs", {}).get("kernel")
    if variant is None or head is None:
        raise InputError(path, "is not of the EfficientPose family", REMEDY)
    fields = layers.get("pass1_skeleton_pafs", {}).get("kernel")
    segments = 14 if fields is None else fields.shape[-1] // 2
    return EfficientPose(VARIANTS[variant], head.shape[-1], segments, early_heads=fields is not None), variant


def _require_bilinear(layers: Layers, keypoints: int, path: Path) -> None:
    """The upscaling of a file must be the one that the network computes."""
    profile = np.array([0.25, 0.75, 0.75, 0.25], np.float32)
    fixed = np.einsum("i,j,ab->ijab", profile, profile, np.eye(keypoints, dtype=np.float32))
    for name in _UPSCALING:
        if name in layers:
            kernel, bias = (layers[name].get(kind, np.full(1, np.nan)) for kind in ("kernel", "bias"))
            if not np.array_equal(kernel, fixed) or bias.any():
                raise InputError(path, f"holds {name} with an upscaling that is not bilinear", REMEDY)
