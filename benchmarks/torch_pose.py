"""Pose networks in PyTorch as a user would run them there: channels last; norms folded, or trained for EfficientPose.

They read the variables of `infantjax.models`, so that both sides compute the same numbers.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import torch
from torch.nn import functional

from benchmarks.pose_twins import Weights, folded, twin
from infantjax.pose.networks.efficientnet import plan
from infantjax.pose.networks.efficientpose import PASSES, EfficientPose

_EPSILON = 1e-3


class TorchPose(torch.nn.Module):
    """Confidence maps before upscaling, `[batch, keypoint, row, column]` of images `[batch, 3, row, column]`.

    Raises:
        NotImplementedError: the network has no twin.
    """

    def __init__(self, network: nn.Module, variables: Any) -> None:
        super().__init__()
        self.network, self.maps = network, twin(network)
        arrays, self.structure = jax.tree.flatten(folded(network, variables))
        self.arrays = torch.nn.ParameterList(torch.nn.Parameter(_laid_out(array), False) for array in arrays)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The maps."""
        return self.maps(Torch(), self.network, jax.tree.unflatten(self.structure, list(self.arrays)), x)


def _laid_out(array: np.ndarray) -> torch.Tensor:
    """Kernels as `[out, in, row, column]`, what belongs to channels as it broadcasts over images."""
    if array.ndim < 3:
        return torch.as_tensor(np.array(array))
    kernel = torch.as_tensor(np.array(array if array.ndim == 4 else array[..., None, :]))
    return kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)


class Torch:
    """The operations of `pose_twins.Framework`; images `[batch, channel, row, column]`."""

    relu, relu6, silu, sigmoid = (
        staticmethod(f) for f in (functional.relu, functional.relu6, functional.silu, torch.sigmoid)
    )

    def conv(
        self, x: torch.Tensor, weights: Weights, stride: int = 1, dilation: int = 1, padding: int | None = None
    ) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        kernel, bias = weights["kernel"], weights["bias"]
        groups, reach = x.shape[1] // kernel.shape[1], dilation * (kernel.shape[2] - 1) + 1
        if stride == 1 or padding is not None:
            padding = reach // 2 if padding is None else padding
            return functional.conv2d(x, kernel, bias, stride, padding, dilation, groups)
        return functional.conv2d(_padded(x, reach, stride), kernel, bias, stride, 0, dilation, groups)

    def transposed(self, x: torch.Tensor, weights: Weights) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        return functional.conv_transpose2d(x, weights["kernel"].transpose(0, 1), weights["bias"], 2, 1)

    def affine(self, x: torch.Tensor, weights: Weights) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        return x * weights["multiplier"][:, None, None] + weights["offset"][:, None, None]

    def prelu(self, x: torch.Tensor, weights: Weights) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        return functional.prelu(x, weights["slope"])

    def pool(self, x: torch.Tensor, kind: str, side: int, stride: int, padding: int = 0) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        pool = functional.max_pool2d if kind == "max" else functional.avg_pool2d
        return pool(functional.pad(x, 4 * [padding]), side, stride)

    def mean(self, x: torch.Tensor) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        return x.mean((2, 3), keepdim=True)

    def concat(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """See `pose_twins.Framework`."""
        return torch.cat(parts, 1)


def _padded(x: torch.Tensor, reach: int, stride: int) -> torch.Tensor:
    """With the zeros of "same" padding of the TensorFlow kind."""
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + reach - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


class _Conv(torch.nn.Module):
    """A convolution with its norm, if it has one, and "same" padding of the TensorFlow kind."""

    def __init__(self, params: Any, stride: int = 1) -> None:
        super().__init__()
        self.norm = None
        if "norm" in params:
            self.norm = torch.nn.BatchNorm2d(params["kernel"].shape[-1], _EPSILON, 0.01)
            for name, values in (("weight", params["norm"]["scale"]), ("bias", params["norm"]["bias"])):
                getattr(self.norm, name).data = torch.as_tensor(np.array(values))
        self.weight = torch.nn.Parameter(_laid_out(np.asarray(params["kernel"])))
        self.bias = torch.nn.Parameter(torch.as_tensor(np.array(params["bias"]))) if "bias" in params else None
        self.stride, self.taps = stride, self.weight.shape[2]
        self.groups = self.weight.shape[0] if np.ndim(params["kernel"]) == 3 else 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._convolved(x) if self.norm is None else self.norm(self._convolved(x))

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            return functional.conv2d(x, self.weight, self.bias, padding=self.taps // 2, groups=self.groups)
        padded = _padded(x, self.taps, self.stride)
        return functional.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


class _Block(torch.nn.Module):
    def __init__(self, params: Any, stride: int, act: Any) -> None:
        super().__init__()
        self.act = act
        self.expand = _Conv(params["expand"]) if "expand" in params else None
        self.depthwise = _Conv(params["depthwise"], stride)
        self.squeeze = _Conv(params["se"]["squeeze"]) if "se" in params else None
        self.excite = _Conv(params["se"]["excite"]) if "se" in params else None
        self.project = _Conv(params["project"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.expand is not None:
            x = self.act(self.expand(x))
        x = self.act(self.depthwise(x))
        if self.squeeze is not None and self.excite is not None:
            x = x * torch.sigmoid(self.excite(self.act(self.squeeze(x.mean((2, 3), keepdim=True)))))
        return self.project(x)


def _e_swish(x: torch.Tensor) -> torch.Tensor:
    return 1.25 * functional.silu(x)


class TorchEfficientPose(torch.nn.Module):
    """To be trained: the maps of every pass that has a head, at an eighth of the image's side, in order.

    Images `[batch, 3, row, column]`, maps `[batch, channel, row, column]`, channels last in memory.
    """

    def __init__(self, network: EfficientPose, params: Any) -> None:
        super().__init__()
        variant = network.variant
        self.tap, self.low_version = network.low_level_tap, variant.low
        act: Callable[..., torch.Tensor] = functional.relu6 if variant.lite else functional.silu
        self.act = act
        self.parts = torch.nn.ModuleDict()
        for name, version, blocks in (("high", variant.high, 3), ("low", variant.low, 2)):
            if version:
                self.parts[f"{name}_stem"] = _Conv(params[name]["stem"], 2)
                for key, stride in _backbone(version, blocks):
                    self.parts[f"{name}_{key}"] = _Block(params[name][key], stride, act)
        self.backbones = {
            name: _backbone(version, blocks)
            for name, version, blocks in (("high", variant.high, 3), ("low", variant.low, 2))
            if version
        }
        self.dense_nets = variant.dense_nets
        act = functional.relu6 if variant.lite else _e_swish
        for number, kind in PASSES:
            for net in range(1, variant.dense_nets + 1):
                for block in (1, 2, 3):
                    key = f"{number}_{kind}_{net}_{block}"
                    self.parts[key] = _Block(params[key], 1, act)
        self.heads = ("pass1_pafs", "pass2_confs", "pass3_confs")
        for name in self.heads:
            self.parts[name] = _Conv(params[name])

    def _features(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.parts[f"{name}_stem"](x))
        y = x
        for key, _ in self.backbones[name]:
            y = self.parts[f"{name}_{key}"](x)
            last = name == "low" and key == self.backbones[name][-1][0] and self.tap == "branch"
            x = y if last or y.shape != x.shape else y + x
        return x

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The maps."""
        read = self._features("high", x)
        if self.low_version:
            read = torch.cat([read, self._features("low", functional.avg_pool2d(x, 2))], 1)
        y, found = read, []
        for number, kind in PASSES:
            if number != "pass1":
                y = torch.cat([y, read], 1)
            for net in range(1, self.dense_nets + 1):
                part = f"{number}_{kind}_{net}"
                a = self.parts[f"{part}_1"](y)
                b = torch.cat([self.parts[f"{part}_2"](a), a], 1)
                c = torch.cat([self.parts[f"{part}_3"](b), b], 1)
                y = c + y if net > 1 else c
            found += [self.parts[name](y) for name in self.heads if name.startswith(number)]
        return found


def _backbone(version: str, blocks: int) -> list[tuple[str, int]]:
    return [
        (f"block{number}{chr(ord('a') + repeat)}", 1 if repeat else block.stride)
        for number, block in enumerate(plan(version)[1][:blocks], 1)
        for repeat in range(block.repeats)
    ]
