"""EfficientPose in PyTorch, as a user would run it there: channels last, for use with the norms folded.

It reads the variables of `infantjax.models.efficientpose`, so that both sides compute the same numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from infantjax.models.efficientnet import plan
from infantjax.models.efficientpose import PASSES, EfficientPose

_EPSILON = 1e-3


class _Conv(torch.nn.Module):
    """A convolution with its norm, folded in or trained, and "same" padding of the TensorFlow kind."""

    def __init__(self, params: Any, statistics: Any, stride: int = 1, trained: bool = False) -> None:
        super().__init__()
        kernel = np.asarray(params["kernel"], np.float64)
        depthwise = kernel.ndim == 3
        kernel = kernel[..., None, :] if depthwise else kernel  # [row, column, in, out]
        bias = np.asarray(params.get("bias", np.zeros(kernel.shape[-1])), np.float64)
        self.norm = None
        if "norm" in params and trained:
            self.norm = torch.nn.BatchNorm2d(kernel.shape[-1], _EPSILON, 0.01)
            for name, values in (("weight", params["norm"]["scale"]), ("bias", params["norm"]["bias"])):
                getattr(self.norm, name).data = torch.as_tensor(np.array(values))
        elif "norm" in params:
            norm, moving = params["norm"], statistics["norm"]
            multiplier = np.asarray(norm["scale"]) / np.sqrt(np.asarray(moving["var"], np.float64) + _EPSILON)
            kernel, bias = (
                kernel * multiplier,
                np.asarray(norm["bias"]) + (bias - np.asarray(moving["mean"])) * multiplier,
            )
        self.stride, self.taps = stride, kernel.shape[0]
        self.groups = kernel.shape[-1] if depthwise else 1
        weight = torch.as_tensor(kernel.transpose(3, 2, 0, 1).astype(np.float32).copy())
        self.weight = torch.nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = torch.nn.Parameter(torch.as_tensor(bias.astype(np.float32))) if self.norm is None else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._convolved(x) if self.norm is None else self.norm(self._convolved(x))

    def _convolved(self, x: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            return functional.conv2d(x, self.weight, self.bias, padding=self.taps // 2, groups=self.groups)
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((-(-side // self.stride) - 1) * self.stride + self.taps - side, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), self.weight, self.bias, self.stride, groups=self.groups)


class _Block(torch.nn.Module):
    def __init__(self, params: Any, statistics: Any, stride: int, act: Any, trained: bool) -> None:
        super().__init__()
        self.act = act
        self.expand = _Conv(params["expand"], statistics["expand"], 1, trained) if "expand" in params else None
        self.depthwise = _Conv(params["depthwise"], statistics["depthwise"], stride, trained)
        self.squeeze = _Conv(params["se"]["squeeze"], {}) if "se" in params else None
        self.excite = _Conv(params["se"]["excite"], {}) if "se" in params else None
        self.project = _Conv(params["project"], statistics["project"], 1, trained)

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
    """Confidence maps at an eighth of the picture's side; to be trained also the maps of the earlier passes."""

    def __init__(self, network: EfficientPose, variables: Any, trained: bool = False) -> None:
        super().__init__()
        variant = network.variant
        self.tap, self.low_version = network.low_level_tap, variant.low
        params, statistics = variables["params"], variables["batch_stats"]
        act: Callable[..., torch.Tensor] = functional.relu6 if variant.lite else functional.silu
        self.act = act
        self.parts = torch.nn.ModuleDict()
        for name, version, blocks in (("high", variant.high, 3), ("low", variant.low, 2)):
            if version:
                self.parts[f"{name}_stem"] = _Conv(params[name]["stem"], statistics[name]["stem"], 2, trained)
                for key, stride in _backbone(version, blocks):
                    self.parts[f"{name}_{key}"] = _Block(params[name][key], statistics[name][key], stride, act, trained)
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
                    self.parts[key] = _Block(params[key], statistics[key], 1, act, trained)
        self.heads = [name for name in ("pass1_pafs", "pass2_confs") if trained]
        for name in (*self.heads, "pass3_confs"):
            self.parts[name] = _Conv(params[name], {})

    def _features(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.parts[f"{name}_stem"](x))
        y = x
        for key, _ in self.backbones[name]:
            y = self.parts[f"{name}_{key}"](x)
            last = name == "low" and key == self.backbones[name][-1][0] and self.tap == "branch"
            x = y if last or y.shape != x.shape else y + x
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `[batch, keypoint, row, column]` of pictures `[batch, 3, row, column]`, channels last in memory."""
        return self.passes(x)[-1]

    def passes(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The maps of every pass that has a head."""
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
            found += [self.parts[name](y) for name in (*self.heads, "pass3_confs") if name.startswith(number)]
        return found


def _backbone(version: str, blocks: int) -> list[tuple[str, int]]:
    return [
        (f"block{number}{chr(ord('a') + repeat)}", 1 if repeat else block.stride)
        for number, block in enumerate(plan(version)[1][:blocks], 1)
        for repeat in range(block.repeats)
    ]
