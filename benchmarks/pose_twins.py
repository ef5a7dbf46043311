"""The pose networks, written once for the frameworks that the benchmarks measure against, norms folded.

`twin` gives the confidence maps before upscaling in any framework that has the operations of `Framework`. Weights come
from the variables of `infantjax.models`, so that all sides compute the same numbers; the structure is written anew.
"""

from collections.abc import Callable
from typing import Any, Protocol

import flax.linen as nn
import numpy as np

from infantjax.pose.networks.cima_pose import CimaPose
from infantjax.pose.networks.efficienthourglass import EfficientHourglass
from infantjax.pose.networks.efficientnet import plan
from infantjax.pose.networks.efficientpose import PASSES, EfficientPose
from infantjax.pose.networks.openpose import OpenPose

Weights = dict[str, Any]
"""By layer: `kernel` and `bias`, or `multiplier` and `offset` of a norm by itself, or the `slope` of a PReLU."""


class Framework(Protocol):
    """The operations. Images are in the framework's own layout; paddings are "same" unless a number is given."""

    def conv(self, x: Any, weights: Weights, stride: int = 1, dilation: int = 1, padding: int | None = None) -> Any:
        """Dense (`[row, column, in, out]`) or depthwise (`[row, column, channel]`) convolution with bias."""

    def transposed(self, x: Any, weights: Weights) -> Any:
        """Transposed 4x4 convolution with bias to twice the height and width."""

    def affine(self, x: Any, weights: Weights) -> Any:
        """Channels times `multiplier` plus `offset`."""

    def prelu(self, x: Any, weights: Weights) -> Any:
        """Negative values times the `slope` of their channel."""

    def pool(self, x: Any, kind: str, side: int, stride: int, padding: int = 0) -> Any:
        """`max` or `mean` of squares; zeros on every side before."""

    def mean(self, x: Any) -> Any:
        """Over the image, axes kept."""

    def concat(self, parts: list[Any]) -> Any:
        """Channels side by side."""

    def relu(self, x: Any) -> Any:
        """max(x, 0)."""

    def relu6(self, x: Any) -> Any:
        """min(max(x, 0), 6)."""

    def silu(self, x: Any) -> Any:
        """X times its sigmoid."""

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x))."""


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


def _block(ops: Framework, weights: Weights, x: Any, stride: int, act: Any, first_act: Any = None) -> Any:
    """An inverted residual, without its sum."""
    if "expand" in weights:
        x = (first_act or act)(ops.conv(x, weights["expand"]))
    x = act(ops.conv(x, weights["depthwise"], stride))
    if "se" in weights:
        x = _excited(ops, weights["se"], x, act)
    return ops.conv(x, weights["project"])


def _excited(ops: Framework, weights: Weights, x: Any, act: Any) -> Any:
    y = act(ops.conv(ops.mean(x), weights["squeeze"]))
    return x * ops.sigmoid(ops.conv(y, weights["excite"]))


def _backbone(ops: Framework, weights: Weights, version: str, blocks: int, x: Any, act: Any) -> dict[int, Any]:
    """Activations behind every block, by number; behind the last one also before its sum, as number 0."""
    x = act(ops.conv(x, weights["stem"], 2))
    found = {}
    for number, block in enumerate(plan(version)[1][:blocks], 1):
        for repeat in range(block.repeats):
            y = _block(ops, weights[f"block{number}{chr(ord('a') + repeat)}"], x, 1 if repeat else block.stride, act)
            found[0] = y
            x = y + x if y.shape == x.shape else y
        found[number] = x
    return found


def _efficientpose(ops: Framework, network: EfficientPose, weights: Weights, x: Any) -> Any:
    variant = network.variant
    act = ops.relu6 if variant.lite else ops.silu
    read = _backbone(ops, weights["high"], variant.high, 3, x, act)[3]
    if variant.low:
        low = _backbone(ops, weights["low"], variant.low, 2, ops.pool(x, "mean", 2, 2), act)
        read = ops.concat([read, low[0 if network.low_level_tap == "branch" else 2]])
    act = ops.relu6 if variant.lite else lambda x: 1.25 * ops.silu(x)
    y = read
    for number, kind in PASSES:
        if number != "pass1":
            y = ops.concat([y, read])
        for net in range(1, variant.dense_nets + 1):
            one, two, three = (weights[f"{number}_{kind}_{net}_{i}"] for i in (1, 2, 3))
            a = _block(ops, one, y, 1, act)
            b = ops.concat([_block(ops, two, a, 1, act), a])
            c = ops.concat([_block(ops, three, b, 1, act), b])
            y = c + y if net > 1 else c
    return ops.conv(y, weights["pass3_confs"])


def _efficienthourglass(ops: Framework, network: EfficientHourglass, weights: Weights, x: Any) -> Any:
    form, deepest = network.member[0], network.depth
    act = ops.relu6 if form == "l" else ops.silu
    backbone = ops.silu if network.version[0] == "b" else ops.relu6
    found = _backbone(ops, weights["backbone"], network.version, deepest, x, backbone)
    stages = [(number, stage) for number, stage in enumerate((2, 3, 5), 1) if stage < deepest]
    y = found[deepest]
    for step, (number, stage) in enumerate(reversed(stages), 1):
        bridge = _block(ops, weights[f"bridge{number}"], found[stage], 1, act, ops.relu6 if form == "h" else act)
        y = act(ops.transposed(y, weights[f"up{step}"])) + act(bridge)
        if form != "l":
            y = _excited(ops, weights[f"up{step}_se"], y, act)
    return ops.conv(y, weights["confs"])


def _cima_pose(ops: Framework, _: CimaPose, weights: Weights, x: Any) -> Any:
    x = ops.relu(ops.conv(x, weights["stem"], 2, padding=3))
    x = ops.pool(x, "max", 3, 2, padding=1)
    for block, layers in ((1, 6), (2, 12)):
        for layer in range(1, layers + 1):
            name = f"dense{block}_{layer}"
            y = ops.relu(ops.conv(ops.relu(ops.affine(x, weights[f"{name}_norm"])), weights[f"{name}_conv1"]))
            x = ops.concat([x, ops.conv(y, weights[f"{name}_conv2"])])
        x = ops.conv(ops.relu(ops.affine(x, weights[f"transition{block}_norm"])), weights[f"transition{block}"])
        x = ops.pool(x, "mean", 2, 2) if block == 1 else x
    read = y = ops.relu(ops.conv(x, weights["features"]))
    for stage in (1, 2):
        for number, dilation in enumerate((1, 1, 2, 4, 1), 1):
            y = ops.relu(ops.conv(y, weights[f"stage{stage}_conv{number}"], dilation=dilation))
        found = ops.conv(y, weights[f"stage{stage}_confs"])
        y = ops.concat([found, read])
    return found


def _openpose(ops: Framework, _: OpenPose, weights: Weights, x: Any) -> Any:
    def conv(name: str, x: Any) -> Any:
        return ops.prelu(ops.conv(x, weights[name]), weights[f"{name}_prelu"])

    for block, layers in ((1, 2), (2, 2), (3, 4), (4, 2)):
        x = ops.pool(x, "max", 2, 2) if block > 1 else x
        for layer in range(1, layers + 1):
            x = ops.relu(ops.conv(x, weights[f"vgg{block}_{layer}"]))
    read = y = conv("features2", conv("features1", x))
    for stage in ("field1", "field2", "field3", "field4", "heatmap1", "heatmap2"):
        for block in range(1, 6):
            parts = []
            for layer in (1, 2, 3):
                y = conv(f"{stage}_block{block}_conv{layer}", y)
                parts.append(y)
            y = ops.concat(parts)
        found = ops.conv(conv(f"{stage}_last", y), weights[f"{stage}_maps"])
        y = ops.concat([read, found])
    return found


_TWINS: dict[type[nn.Module], Callable[..., Any]] = {
    EfficientPose: _efficientpose,
    EfficientHourglass: _efficienthourglass,
    CimaPose: _cima_pose,
    OpenPose: _openpose,
}


def twin(network: nn.Module) -> Callable[[Framework, nn.Module, Weights, Any], Any]:
    """What gives maps before upscaling of a framework, the network, `folded` weights laid out for it, and images.

    Raises:
        NotImplementedError: no twin of this network was written.
    """
    if type(network) not in _TWINS:
        raise NotImplementedError(type(network).__name__)
    return _TWINS[type(network)]
