"""PyTorch twins of the graph networks: the peer that the benchmarks measure against.

`GraphNetwork` (the 20-choice network) is what a competent PyTorch user would write from the papers: eager
modules in the layout [batch, channel, time, joint], 2-D convolutions over time, one `einsum` for the graph convolution.
It follows the published state names and shapes, parameters that exist but are never used included, so that one set of
weights runs in both libraries and the outputs can be shown to be equal before anything is timed. The mathematics is
that of `infantjax.methods.ensemble_gcn.model`; nothing is shared with it but the skeleton's adjacency matrices.

Needs PyTorch: `pip install "infantjax[bench]"`.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from infantjax import skeletons

FEATURES = 2
"""Channels of one input branch: x and y of position, velocity or bone."""


def activation(kind: str) -> nn.Module:
    """ReLU (in place, as is usual) or Swish."""
    return nn.ReLU(inplace=True) if kind == "relu" else nn.SiLU()


def convolution(
    inputs: int,
    outputs: int,
    gain: float,
    *,
    kernel: int = 1,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution over time, "same" padding, weights He normal in the fan-out form without regard to groups."""
    layer = nn.Conv2d(
        inputs,
        outputs,
        (kernel, 1),
        stride=(stride, 1),
        padding=(dilation * (kernel - 1) // 2, 0),
        dilation=(dilation, 1),
        groups=groups,
        bias=bias,
    )
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(outputs * kernel))
    return layer


def projection(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Residual path where the shape changes: pointwise convolution and batch normalization."""
    return nn.Sequential(convolution(inputs, outputs, 1.0, stride=stride), nn.BatchNorm2d(outputs))


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that reads their means over time and joints."""

    def __init__(self, channels: int, ratio: int, nonlinearity: str) -> None:
        super().__init__()
        squeezed = channels // ratio
        first = nn.Linear(channels, squeezed, bias=False)
        second = nn.Linear(squeezed, channels, bias=False)
        nn.init.normal_(first.weight, 0.0, math.sqrt(2 / squeezed))
        nn.init.normal_(second.weight, 0.0, math.sqrt(1 / channels))
        self.fc = nn.Sequential(first, activation(nonlinearity), second, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[:, :, None, None]


class GraphConvolution(nn.Module):
    """One pointwise convolution for all matrices, then the weighted sum over neighboring joints.

    With `groups` the channels of the convolution come out input-major and are read matrix-major, as the reference
    implementation does: the weights of the published networks were trained that way.
    """

    def __init__(self, inputs: int, outputs: int, matrices: int, *, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.matrices = matrices
        self.conv = convolution(inputs, matrices * outputs, 1.0, groups=groups, bias=bias)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        x = self.conv(x)
        n, channels, t, v = x.shape
        x = x.view(n, self.matrices, channels // self.matrices, t, v)
        return torch.einsum("nkctv,kvw->nctw", x, adjacency)


class SpatialBlock(nn.Module):
    """Graph convolution over the joints: `basic`, `bottleneck` or `mbconv`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        matrices: int,
        *,
        block: str,
        factor: int,
        residual: bool,
        inner_ratio: int,
        nonlinearity: str,
    ) -> None:
        super().__init__()
        self.block = block
        self.act = activation(nonlinearity)
        if residual and inputs != outputs:
            self.residual = projection(inputs, outputs)
        self.has_residual = residual
        gain = math.sqrt(2)
        if block == "mbconv":
            inner = max(12, inputs * factor)
            self.conv_up = convolution(inputs, inner, gain, bias=False)
            self.bn_up = nn.BatchNorm2d(inner)
            self.depthwise_conv = GraphConvolution(inner, inner, matrices, groups=inner, bias=False)
            self.bn = nn.BatchNorm2d(inner)
            self.conv_down = convolution(inner, outputs, gain, bias=False)
            self.bn_down = nn.BatchNorm2d(outputs)
        else:
            # A basic block owns the two pointwise convolutions of a bottleneck and never runs them.
            inner = outputs if block == "basic" else outputs // factor
            self.conv_down = convolution(inputs, inner, gain)
            self.bn_down = nn.BatchNorm2d(inner)
            self.conv = GraphConvolution(inputs if block == "basic" else inner, inner, matrices)
            self.bn = nn.BatchNorm2d(inner)
            self.conv_up = convolution(inner, outputs, gain)
            self.bn_up = nn.BatchNorm2d(outputs)
        self.se = (
            SqueezeExcitation(inner if block == "mbconv" else outputs, inner_ratio, nonlinearity)
            if inner_ratio
            else nn.Identity()
        )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        if self.block == "basic":
            y = self.se(self.bn(self.conv(x, adjacency)))
        elif self.block == "bottleneck":
            y = self.act(self.bn_down(self.conv_down(x)))
            y = self.act(self.bn(self.conv(y, adjacency)))
            y = self.se(self.bn_up(self.conv_up(y)))
        else:
            y = self.act(self.bn_up(self.conv_up(x)))
            y = self.act(self.bn(self.depthwise_conv(y, adjacency)))
            y = self.bn_down(self.conv_down(self.se(y)))
        if self.has_residual:
            y = y + (self.residual(x) if hasattr(self, "residual") else x)
        return self.act(y)


class TemporalScale(nn.Sequential):
    """One scale of a temporal block. The positions of the layers are those of the published state names."""

    def __init__(
        self,
        channels: int,
        *,
        block: str,
        factor: int,
        kernel: int,
        stride: int,
        dilation: int,
        inner_ratio: int,
        nonlinearity: str,
    ) -> None:
        gain = math.sqrt(2)
        act = activation(nonlinearity)
        over_time = partial(convolution, kernel=kernel, stride=stride, dilation=dilation)
        if block == "mbconv":
            inner = channels * factor
            layers: list[nn.Module] = [
                convolution(channels, inner, gain, bias=False),
                nn.BatchNorm2d(inner),
                over_time(inner, inner, gain, groups=inner, bias=False),
                nn.BatchNorm2d(inner),
                SqueezeExcitation(inner, inner_ratio, nonlinearity) if inner_ratio else nn.Identity(),
                convolution(inner, channels, gain, bias=False),
                nn.BatchNorm2d(channels),
            ]
        else:
            inner = channels if block == "basic" else channels // factor
            layers = [
                convolution(channels, inner, gain),
                nn.BatchNorm2d(inner),
                over_time(inner, inner, gain),
                nn.BatchNorm2d(inner),
                convolution(inner, channels, gain),
                nn.BatchNorm2d(channels),
                nn.Identity(),
                SqueezeExcitation(channels, inner_ratio, nonlinearity) if inner_ratio else nn.Identity(),
            ]
        super().__init__(*layers)
        self.block = block
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        if self.block == "basic":  # the layers 0, 1, 4 and 5 exist and are never run
            return self[7](self[3](self[2](x)))
        x = self.act(self[1](self[0](x)))
        x = self.act(self[3](self[2](x)))
        if self.block == "bottleneck":
            return self[7](self[5](self[4](x)))
        return self[6](self[5](self[4](x)))


class TemporalBlock(nn.Module):
    """Convolutions over time at one or several dilations, fused by a pointwise convolution if there are several."""

    def __init__(
        self,
        channels: int,
        *,
        block: str,
        factor: int,
        scales: int,
        kernel: int,
        stride: int,
        residual: bool,
        inner_ratio: int,
        outer_ratio: int,
        nonlinearity: str,
    ) -> None:
        super().__init__()
        self.act = activation(nonlinearity)
        if residual and stride != 1:
            self.residual = projection(channels, channels, stride)
        self.has_residual = residual
        self.temporal_branches = nn.ModuleList(
            TemporalScale(
                channels,
                block=block,
                factor=factor,
                kernel=kernel,
                stride=stride,
                dilation=scale + 1,
                inner_ratio=inner_ratio,
                nonlinearity=nonlinearity,
            )
            for scale in range(scales)
        )
        # These exist with one scale too, without being run.
        self.conv = convolution(scales * channels, channels, 1.0)
        self.bn = nn.BatchNorm2d(channels)
        if block == "mbconv":
            outer_ratio = max(1, outer_ratio // factor)
        if outer_ratio:
            self.outer_se = SqueezeExcitation(channels, outer_ratio, nonlinearity)

    def forward(self, x: Tensor, module_residual: Tensor | None) -> Tensor:
        if len(self.temporal_branches) == 1:
            y = self.temporal_branches[0](x)
        else:
            y = self.bn(self.conv(torch.cat([branch(x) for branch in self.temporal_branches], 1)))
            if hasattr(self, "outer_se"):
                y = self.outer_se(y)
        if self.has_residual:
            y = y + (self.residual(x) if hasattr(self, "residual") else x)
        if module_residual is not None:
            y = y + module_residual
        return self.act(y)


class SumAttention(nn.Module):
    """Weights over the channels, or over the joints, summing to one."""

    def __init__(self, channels: int, items: int, squeezed: int, over_joints: bool, nonlinearity: str) -> None:
        super().__init__()
        self.over_joints = over_joints
        self.act = activation(nonlinearity)
        self.fcn = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            convolution(items, squeezed, math.sqrt(2)),
            nn.BatchNorm2d(squeezed),
            activation(nonlinearity),
            convolution(squeezed, items, 1.0),
            nn.Softmax(1),
        )
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fcn(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1) if self.over_joints else self.fcn(x)
        return self.act(self.bn(x * weights) + x)


class FrameAttention(nn.Module):
    """Weights over the frames, from the mean and the maximum of each; no squashing function."""

    def __init__(self, channels: int, kernel: int, nonlinearity: str) -> None:
        super().__init__()
        self.act = activation(nonlinearity)
        self.conv = convolution(2, 1, math.sqrt(2), kernel=kernel)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        planes = torch.stack([x.mean((1, 3)), x.amax((1, 3))], 1)[..., None]
        return self.act(self.bn(x * self.conv(planes)) + x)


def attention(kind: str, channels: int, joints: int, kernel: int, nonlinearity: str) -> nn.Module | None:
    """The attention of a module, or None."""
    if kind == "channel":
        return SumAttention(channels, channels, channels // 4, False, nonlinearity)
    if kind == "joint":
        return SumAttention(channels, joints, joints // 2, True, nonlinearity)
    return FrameAttention(channels, kernel, nonlinearity) if kind == "frame" else None


class SpatioTemporalModule(nn.Module):
    """Spatial block, temporal block, attention, and the residual paths around them."""

    def __init__(
        self,
        choices: Mapping[str, Any],
        inputs: int,
        outputs: int,
        matrices: int,
        joints: int,
        *,
        block: str,
        residual: str,
        scales: int,
        stride: int = 1,
        se_ratio: int,
    ) -> None:
        super().__init__()
        common = {
            "block": block,
            "factor": choices["bottleneck_factor"],
            "residual": residual in ("block", "dense"),
            "inner_ratio": se_ratio if choices["se"] in ("inner", "both") else 0,
            "nonlinearity": choices["nonlinearity"],
        }
        self.has_residual = residual in ("module", "dense")
        if self.has_residual and (inputs != outputs or stride != 1):
            self.residual = projection(inputs, outputs, stride)
        self.gcn = SpatialBlock(inputs, outputs, matrices, **common)
        self.tcn = TemporalBlock(
            outputs,
            scales=scales,
            kernel=choices["temporal_kernel_size"],
            stride=stride,
            outer_ratio=se_ratio if choices["se"] in ("outer", "both") else 0,
            **common,
        )
        self.attention = attention(
            choices["attention"], outputs, joints, choices["temporal_kernel_size"], choices["nonlinearity"]
        )

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        residual = None
        if self.has_residual:
            residual = self.residual(x) if hasattr(self, "residual") else x
        x = self.tcn(self.gcn(x, adjacency), residual)
        return x if self.attention is None else self.attention(x)


def _importance(count: int, adjacency: Tensor) -> nn.ParameterDict:
    return nn.ParameterDict({f"{i:05d}": nn.Parameter(torch.ones_like(adjacency)) for i in range(count)})


class GraphNetwork(nn.Module):
    """The 20-choice graph network of the movement-outcome system.

    Args:
        choices: the 20 choices by their published names, for example `{"graph": "dis42", "input_width": 10, ...}`.
        skeleton: joints and their tree.

    `forward` maps windows `[batch, 6, time, joint]` (position, velocity, bone) to the scores `[batch, 2]` and the
    feature map before pooling `[batch, channel, time', joint]`.
    """

    A_input: Tensor
    A_main: Tensor

    def __init__(self, choices: Mapping[str, Any], skeleton: skeletons.Skeleton = skeletons.IN_MOTION_19) -> None:
        super().__init__()
        joints = len(skeleton.joints)
        kinds = ("dis4", "dis2") if choices["graph"] == "dis42" else (choices["graph"],)
        self.register_buffer("A_input", torch.from_numpy(skeletons.adjacency(skeleton, kinds[0])))
        if len(kinds) == 2:
            self.register_buffer("A_main", torch.from_numpy(skeletons.adjacency(skeleton, kinds[1])))
        main_adjacency = self.A_main if len(kinds) == 2 else self.A_input

        def width(base: int, block: str) -> int:
            return base if block == "mbconv" else base * choices["bottleneck_factor"]

        def scales(choice: Any, position: int) -> int:
            return position + 1 if choice == "linear" else choice

        self.data_bn = nn.BatchNorm1d(3 * FEATURES * joints)
        block = choices["block_type"]
        self.st_gcn_input = nn.ModuleList()
        for _ in range(3):
            branch = nn.ModuleList()
            channels = FEATURES
            for i in range(choices["num_input_modules"]):
                module_block = choices["initial_block_type"] if i == 0 else block
                outputs = width(choices["input_width"], module_block)
                branch.append(
                    SpatioTemporalModule(
                        choices,
                        channels,
                        outputs,
                        len(self.A_input),
                        joints,
                        block=module_block,
                        residual=choices["initial_residual"] if i == 0 else choices["residual"],
                        scales=scales(choices["input_temporal_scales"], i),
                        se_ratio=choices["se_ratio"],
                    )
                )
                channels = outputs
            self.st_gcn_input.append(branch)

        main_width = width(choices["initial_main_width"], block)
        self.bottleneck_conv = convolution(3 * channels, main_width, 1.0)
        self.bottleneck_bn = nn.BatchNorm2d(main_width)

        channels = main_width
        self.st_gcn_main = nn.ModuleList()
        for level in range(choices["num_main_levels"]):
            outputs = main_width * 2**level
            for i in range(choices["num_main_level_modules"]):
                self.st_gcn_main.append(
                    SpatioTemporalModule(
                        choices,
                        channels,
                        outputs,
                        len(main_adjacency),
                        joints,
                        block=block,
                        residual=choices["residual"],
                        scales=scales(choices["main_temporal_scales"], level),
                        stride=2 if i == 0 else 1,
                        se_ratio=choices["se_ratio"] * (2**level if choices["se_type"] == "relative" else 1),
                    )
                )
                channels = outputs

        # One series of edge importances over all modules, or one for each of the two graphs.
        input_modules = 3 * choices["num_input_modules"]
        main_modules = len(self.st_gcn_main)
        if len(kinds) == 2:
            self.edge_importance_input = _importance(input_modules, self.A_input)
            self.edge_importance_main = _importance(main_modules, self.A_main)
        else:
            self.edge_importance_input = _importance(input_modules + main_modules, self.A_input)

        self.fcn_pool = convolution(joints * channels, channels, 1.0) if choices["pool"] == "spatial" else None
        self.fcn = convolution(channels, 2, 1.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n, c, t, v = x.shape
        x = self.data_bn(x.permute(0, 3, 1, 2).reshape(n, v * c, t)).view(n, v, c, t).permute(0, 2, 3, 1)
        importance = list(self.edge_importance_input.values())
        main_adjacency = self.A_input
        if hasattr(self, "A_main"):
            main_adjacency = self.A_main
            importance += list(self.edge_importance_main.values())
        edges = iter(importance)

        branches = []
        for branch, y in zip(self.st_gcn_input, x.split(FEATURES, dim=1), strict=True):
            for module in branch:
                y = module(y, self.A_input * next(edges))
            branches.append(y)
        x = self.bottleneck_bn(self.bottleneck_conv(torch.cat(branches, 1)))
        for module in self.st_gcn_main:
            x = module(x, main_adjacency * next(edges))

        if self.fcn_pool is None:
            pooled = x.mean((2, 3), keepdim=True)
        else:
            pooled = self.fcn_pool(x.mean(2).flatten(1)[:, :, None, None])
        return self.fcn(pooled).flatten(1), x


def load(model: nn.Module, state: Mapping[str, Any]) -> nn.Module:
    """Load a mapping from published state names to arrays, strictly: no name may be missing or left over."""
    model.load_state_dict({name: torch.as_tensor(value) for name, value in state.items()}, strict=True)
    return model


def nesterov_sgd(model: nn.Module, learning_rate: float, momentum: float = 0.9) -> torch.optim.Optimizer:
    """The optimizer of the published training."""
    return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=momentum, nesterov=True)


def torch_inference(models: nn.Module | Sequence[nn.Module], windows: Tensor, batch: int) -> Tensor:
    """Scores of all windows in evaluation mode, a batch at a time, one model after the other: the usual loop.

    Args:
        models: one network or a sequence of them.
        windows: `[window, channel, time, joint]`.
        batch: windows a call.

    Returns:
        `[window, 2]`, with a leading model axis if a sequence was given.
    """
    if isinstance(models, Sequence):
        return torch.stack([torch_inference(model, windows, batch) for model in models])
    models.eval()
    with torch.inference_mode():
        return torch.cat([models(part)[0] for part in windows.split(batch)])


def torch_vmapped_inference(models: Sequence[nn.Module], windows: Tensor, batch: int) -> Tensor:
    """Scores as `torch_inference` gives them, of networks of one architecture, through `torch.func.vmap`."""
    for model in models:
        model.eval()
    parameters, buffers = torch.func.stack_module_state(list(models))

    def scores(parameters: dict[str, Tensor], buffers: dict[str, Tensor], part: Tensor) -> Tensor:
        return torch.func.functional_call(models[0], (parameters, buffers), (part,))[0]

    side_by_side = torch.func.vmap(scores, in_dims=(0, 0, None))
    with torch.no_grad():
        return torch.cat([side_by_side(parameters, buffers, part) for part in windows.split(batch)], dim=1)


def torch_training_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> Tensor:
    """One step on a batch in training mode; returns the mean cross-entropy before the step."""
    model.train()
    optimizer.zero_grad(set_to_none=True)
    loss = functional.cross_entropy(model(x)[0], y)
    loss.backward()
    optimizer.step()
    return loss.detach()
