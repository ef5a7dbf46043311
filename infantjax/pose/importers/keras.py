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

__all__ = ["import_pose", "is_pose_weights"]

_WIDTHS = {(40, False): "rt", (48, True): "i", (56, True): "ii", (64, True): "iii", (80, True): "iv"}
_LITE = {"0": "rt-lite", "2": "i-lite", "4": "ii-lite"}
_UPSCALING = ("upscaled_deconv1", "upscaled_deconv2", "upscaled_confs")


def import_pose(path: str | Path) -> tuple[EfficientPose | EfficientHourglass, Variables]:
    """The published pose network of a file: a member of the EfficientPose family, or a Lite EfficientHourglass.

    Of EfficientHourglass `Block1to5`, the form of the published checkpoint, and `Block1to6` are read; the names of the
    other forms' squeeze-and-excitations are published nowhere. Its maps are at a quarter of the image's side; the
    network upscales them. Of six blocks none is public: the third bridge and step are named after the others.

    Args:
        path: a published `.h5` or `.tflite` file, a Keras checkpoint of the training framework, or a `.npz` of arrays
            `LAYER/kernel` and `LAYER/bias` with the norms folded in. The fixed bilinear upscaling in it is not read.

    Returns:
        The network and its variables as nested dicts of float32 NumPy arrays.

    Raises:
        InputError: not such a file, damaged, too large, a layer missing, left over, of another shape or not finite: one
            line naming the first.
    """
    path = Path(path)
    layers = {name: arrays for name, arrays in read_layers(path).items() if name not in _UPSCALING}
    return _efficienthourglass(layers, path) if "stage1_confs" in layers else _efficientpose(layers, path)


def _efficientpose(layers: Layers, path: Path) -> tuple[EfficientPose, Variables]:
    network, variant = _member(layers, path)
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
