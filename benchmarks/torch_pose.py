"""Pose networks in PyTorch as a user would run them there: channels last, norms folded, or to be trained.

They read the variables of `infantjax.models`, so that both sides compute the same numbers; the structure is written
anew.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from infantjax.pose.networks.cima_pose import CimaPose
from infantjax.pose.networks.efficienthourglass import EfficientHourglass
from infantjax.pose.networks.efficientnet import plan
from infantjax.pose.networks.efficientpose import PASSES, EfficientPose
from infantjax.pose.networks.openpose import OpenPose

Weights = dict[str, Any]
"""By layer: `kernel` and `bias`, `multiplier` and `offset` of a norm by itself, the `slope` of a PReLU; where the
network is trained, `kernel` and `norm` with its `scale` and `bias`."""
Act = Callable[[Tensor], Tensor]
HEADS = ("pass1_pafs", "pass2_confs", "pass3_confs")
"""Of EfficientPose."""


class TorchPose(torch.nn.Module):
    """Maps before upscaling, `[batch, channel, row, column]` of images `[batch, 3, row, column]`.

    With norms folded `forward` gives confidence maps. To be trained, which is written for EfficientPose, it gives the
    maps of every pass; norms use the statistics of the batch, and keep none.

    Raises:
        NotImplementedError: the network has no twin.
    """

    def __init__(self, network: nn.Module, variables: Any, trained: bool = False) -> None:
        super().__init__()
        if type(network) not in _TWINS:
            raise NotImplementedError(type(network).__name__)
        self.network, self.trained = network, trained
        tree = dict(variables["params"]) if trained else folded(network, variables)
        arrays, self.structure = jax.tree.flatten(tree)
        self.arrays = torch.nn.ParameterList(torch.nn.Parameter(_laid_out(array), trained) for array in arrays)

    def forward(self, x: Tensor) -> Any:
        """The maps."""
        weights = jax.tree.unflatten(self.structure, list(self.arrays))
        found = _TWINS[type(self.network)](self.network, weights, x)
        return found if self.trained else found[-1]


def folded(network: nn.Module, variables: Any) -> Weights:
    """The float32 weights of a network, with norms folded into the convolutions before them."""
    epsilon = 1.001e-5 if isinstance(network, CimaPose) else 1e-3
    return _folded(variables["params"], variables.get("batch_stats", {}), epsilon)


def _folded(params: Any, statistics: Any, epsilon: float) -> Weights:
    if "kernel" in params:
        kernel = np.asarray(params["kernel"], np.float64)
        bias = np.asarray(params.get("bias", np.zeros(kernel.shape[-1])), np.float64)
        if "norm" in params:
            norm = _folded(params["norm"], statistics["norm"], epsilon)
            kernel, bias = kernel * norm["multiplier"], bias * norm["multiplier"] + norm["offset"]
        return {"kernel": np.float32(kernel), "bias": np.float32(bias)}
    if "scale" in params:
        multiplier = np.asarray(params["scale"]) / np.sqrt(np.asarray(statistics["var"], np.float64) + epsilon)
        offset = np.asarray(params["bias"]) - np.asarray(statistics["mean"]) * multiplier
        return {"multiplier": np.float32(multiplier), "offset": np.float32(offset)}
    if "slope" in params:
        return dict(params)
    return {name: _folded(inner, statistics.get(name, {}), epsilon) for name, inner in params.items()}


def _laid_out(array: Any) -> Tensor:
    """Kernels as `[out, in, row, column]`, what belongs to channels as it broadcasts over images."""
    array = np.array(array)
    if array.ndim < 3:
        return torch.as_tensor(array)
    kernel = torch.as_tensor(array if array.ndim == 4 else array[..., None, :])
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


def _conv(x: Tensor, weights: Weights, stride: int = 1, dilation: int = 1, padding: int | None = None) -> Tensor:
    """Dense or depthwise convolution, with its norm if that is not folded; "same" padding unless a number is given."""
    kernel, bias = weights["kernel"], weights.get("bias")
    groups, reach = x.shape[1] // kernel.shape[1], dilation * (kernel.shape[2] - 1) + 1
    if padding is None and stride == 1:
        padding = reach // 2
    elif padding is None:
        x, padding = _padded(x, reach, stride), 0
    y = functional.conv2d(x, kernel, bias, stride, padding, dilation, groups)
    if "norm" not in weights:
        return y
    norm = weights["norm"]
    return functional.batch_norm(y, None, None, norm["scale"], norm["bias"], training=True, eps=1e-3)


def _padded(x: Tensor, reach: int, stride: int) -> Tensor:
    """With the zeros of "same" padding of the TensorFlow kind."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


def _transposed(x: Tensor, weights: Weights) -> Tensor:
    """Transposed 4x4 convolution with bias to twice the height and width."""
    return functional.conv_transpose2d(x, weights["kernel"].transpose(0, 1), weights["bias"], 2, 1)


def _affine(x: Tensor, weights: Weights) -> Tensor:
    return x * weights["multiplier"][:, None, None] + weights["offset"][:, None, None]


def _prelu(x: Tensor, weights: Weights) -> Tensor:
    return functional.prelu(x, weights["slope"])


def _pool(x: Tensor, kind: str, side: int, stride: int, padding: int = 0) -> Tensor:
    """`max` or `mean` of squares; zeros on every side before."""
    pool = functional.max_pool2d if kind == "max" else functional.avg_pool2d
    return pool(functional.pad(x, 4 * [padding]), side, stride)


def _block(weights: Weights, x: Tensor, stride: int, act: Act, first_act: Act | None = None) -> Tensor:
    """An inverted residual, without its sum."""
    if "expand" in weights:
        x = (first_act or act)(_conv(x, weights["expand"]))
    x = act(_conv(x, weights["depthwise"], stride))
    if "se" in weights:
        x = _excited(weights["se"], x, act)
    return _conv(x, weights["project"])


def _excited(weights: Weights, x: Tensor, act: Act) -> Tensor:
    y = act(_conv(x.mean((2, 3), keepdim=True), weights["squeeze"]))
    return x * torch.sigmoid(_conv(y, weights["excite"]))


def _backbone(weights: Weights, version: str, blocks: int, x: Tensor, act: Act) -> dict[int, Tensor]:
    """Activations behind every block, by number; behind the last one also before its sum, as number 0."""
    x = act(_conv(x, weights["stem"], 2))
    found = {}
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            y = _block(weights[f"block{number}{chr(ord('a') + repeat)}"], x, 1 if repeat else block.stride, act)
            found[0] = y
            x = y + x if y.shape == x.shape else y
        found[number] = x
    return found


def _e_swish(x: Tensor) -> Tensor:
    return 1.25 * functional.silu(x)


def _efficientpose(network: EfficientPose, weights: Weights, x: Tensor) -> list[Tensor]:
    """The maps of every pass that has a head, in order."""
    variant = network.variant
    act = functional.relu6 if variant.lite else functional.silu
    read = _backbone(weights["high"], variant.high, 3, x, act)[3]
    if variant.low:
        low = _backbone(weights["low"], variant.low, 2, _pool(x, "mean", 2, 2), act)
        read = torch.cat([read, low[0 if network.low_level_tap == "branch" else 2]], 1)
    act = functional.relu6 if variant.lite else _e_swish
    y, found = read, []
    for number, kind in PASSES:
        if number != "pass1":
            y = torch.cat([y, read], 1)
        for net in range(1, variant.dense_nets + 1):
            one, two, three = (weights[f"{number}_{kind}_{net}_{i}"] for i in (1, 2, 3))
            a = _block(one, y, 1, act)
            b = torch.cat([_block(two, a, 1, act), a], 1)
            c = torch.cat([_block(three, b, 1, act), b], 1)
            y = c + y if net > 1 else c
        found += [_conv(y, weights[head]) for head in HEADS if head.startswith(number) and head in weights]
    return found


def _efficienthourglass(network: EfficientHourglass, weights: Weights, x: Tensor) -> list[Tensor]:
    form, deepest = network.member[0], network.depth
    act = functional.relu6 if form == "l" else functional.silu
    backbone = functional.silu if network.version[0] == "b" else functional.relu6
    found = _backbone(weights["backbone"], network.version, deepest, x, backbone)
    stages = [(number, stage) for number, stage in enumerate((2, 3, 5), 1) if stage < deepest]
    y = found[deepest]
    for step, (number, stage) in enumerate(reversed(stages), 1):
        bridge = _block(weights[f"bridge{number}"], found[stage], 1, act, functional.relu6 if form == "h" else act)
        y = act(_transposed(y, weights[f"up{step}"])) + act(bridge)
        if form != "l":
            y = _excited(weights[f"up{step}_se"], y, act)
    return [_conv(y, weights["confs"])]


def _cima_pose(_: CimaPose, weights: Weights, x: Tensor) -> list[Tensor]:
    x = functional.relu(_conv(x, weights["stem"], 2, padding=3))
    x = _pool(x, "max", 3, 2, padding=1)
    for block, layers in ((1, 6), (2, 12)):
        for layer in range(1, layers + 1):
            name = f"dense{block}_{layer}"
            y = functional.relu(_conv(functional.relu(_affine(x, weights[f"{name}_norm"])), weights[f"{name}_conv1"]))
            x = torch.cat([x, _conv(y, weights[f"{name}_conv2"])], 1)
        x = _conv(functional.relu(_affine(x, weights[f"transition{block}_norm"])), weights[f"transition{block}"])
        x = _pool(x, "mean", 2, 2) if block == 1 else x
    read = y = functional.relu(_conv(x, weights["features"]))
    for stage in (1, 2):
        for number, dilation in enumerate((1, 1, 2, 4, 1), 1):
            y = functional.relu(_conv(y, weights[f"stage{stage}_conv{number}"], dilation=dilation))
        found = _conv(y, weights[f"stage{stage}_confs"])
        y = torch.cat([found, read], 1)
    return [found]


def _openpose(_: OpenPose, weights: Weights, x: Tensor) -> list[Tensor]:
    def conv(name: str, x: Tensor) -> Tensor:
        return _prelu(_conv(x, weights[name]), weights[f"{name}_prelu"])

    for block, layers in ((1, 2), (2, 2), (3, 4), (4, 2)):
        x = _pool(x, "max", 2, 2) if block > 1 else x
        for layer in range(1, layers + 1):
            x = functional.relu(_conv(x, weights[f"vgg{block}_{layer}"]))
    read = y = conv("features2", conv("features1", x))
    for stage in ("field1", "field2", "field3", "field4", "heatmap1", "heatmap2"):
        for block in range(1, 6):
            parts = []
            for layer in (1, 2, 3):
                y = conv(f"{stage}_block{block}_conv{layer}", y)
                parts.append(y)
            y = torch.cat(parts, 1)
        found = _conv(conv(f"{stage}_last", y), weights[f"{stage}_maps"])
        y = torch.cat([read, found], 1)
    return [found]


_TWINS: dict[type[nn.Module], Callable[..., list[Tensor]]] = {
    EfficientPose: _efficientpose,
    EfficientHourglass: _efficienthourglass,
    CimaPose: _cima_pose,
    OpenPose: _openpose,
}
"""What gives the maps before upscaling of a network, its weights and images."""
