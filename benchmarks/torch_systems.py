"""SMA CNN, Baby Moves, the reading of MAM and VideoPose3D in PyTorch, with our weights.

Each is what a competent PyTorch user would write from the description: images with channels first, PyTorch's own
attention and norms. Nothing is shared with ours but the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


def tensor(x: Any) -> Tensor:
    """A copy in single precision."""
    return torch.as_tensor(np.array(x, np.float32))


def linear(layer: Mapping[str, Any]) -> nn.Linear:
    """A linear layer of ours."""
    module = nn.Linear(*np.shape(layer["kernel"]))
    module.weight.data, module.bias.data = tensor(layer["kernel"]).T.contiguous(), tensor(layer["bias"])
    return module


class TorchSmaCnn(nn.Module):
    """The network over images of rows and frames, as the paper draws it."""

    def __init__(self, params: Mapping[str, Any], dropout: float = 0.0) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        for name, stride, padding in (("conv1", 3, 0), ("conv2", 1, 1), ("conv3", 1, 0)):
            kernel = tensor(params[f"{name}_kernel"]).permute(3, 2, 0, 1).contiguous()
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2:], stride, padding)
            conv.weight.data, conv.bias.data = kernel, tensor(params[f"{name}_bias"])
            self.convs.append(conv)
        self.dense, self.score = linear(params["dense"]), linear(params["score"])
        # Ours reads limb, time, channel; an image is channel, limb, time.
        units, channels = self.dense.out_features, self.convs[-1].out_channels
        weight = self.dense.weight.data.reshape(units, 4, -1, channels).permute(0, 3, 1, 2)
        self.dense.weight.data = weight.reshape(units, -1).contiguous()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of windows `[batch, 1, row, time]`."""
        for conv in self.convs:
            x = functional.max_pool2d(functional.relu(conv(x)), (1, 3), (1, 2), ceil_mode=True)
        return self.score(self.dropout(functional.relu(self.dense(x.flatten(1)))))[:, 0]

    def optimizer(self, config: Any) -> torch.optim.Optimizer:
        """Gradient descent with the decay of each kind of kernel."""
        dense = [self.dense.weight, self.score.weight]
        biases = [layer.bias for layer in (*self.convs, self.dense, self.score)]
        groups = [
            {"params": [conv.weight for conv in self.convs], "weight_decay": config.decay},
            {"params": dense, "weight_decay": config.decay * config.linear_decay},
            {"params": biases, "weight_decay": 0.0},
        ]
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)


class Attention(nn.Module):
    """Self-attention of several heads, by PyTorch's fused product."""

    def __init__(self, params: Mapping[str, Any], heads: int, dropout: float) -> None:
        super().__init__()
        self.read, self.out = linear(params["read"]), linear(params["out"])
        self.heads, self.dropout = heads, dropout

    def forward(self, x: Tensor) -> Tensor:
        """Over the axis before the last."""
        joined = self.read(x).unflatten(-1, (self.heads, -1)).transpose(-2, -3)
        query, key, value = joined.chunk(3, -1)
        share = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=share)
        return self.out(mixed.transpose(-2, -3).flatten(-2))


class Block(nn.Module):
    """A block of the Transformer."""

    def __init__(self, params: Mapping[str, Any], heads: int, dropout: float) -> None:
        super().__init__()
        self.over_joints = Attention(params["over_joints"], heads, dropout)
        self.over_time = Attention(params["over_time"], heads, dropout)
        self.norms = nn.ModuleList(norm(params[f"norm{i}"]) for i in (1, 2, 3))
        self.mlp = nn.Sequential(
            linear(params["expand"]), nn.GELU("tanh"), nn.Dropout(dropout), linear(params["reduce"])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Tokens `[batch, step, joint, width]`."""
        x = x + self.over_joints(self.norms[0](x))
        x = x + self.over_time(self.norms[1](x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp(self.norms[2](x))


def norm(layer: Mapping[str, Any]) -> nn.LayerNorm:
    """A layer norm of ours."""
    module = nn.LayerNorm(len(layer["scale"]), eps=1e-6)
    module.weight.data, module.bias.data = tensor(layer["scale"]), tensor(layer["bias"])
    return module


class TorchMam(nn.Module):
    """The network without the info branch, for clips that are not filled up."""

    def __init__(self, params: Mapping[str, Any], token: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.token = token
        self.embed, self.norm = linear(params["embed"]), norm(params["norm"])
        self.joint_position = nn.Parameter(tensor(params["joint_position"]))
        self.step_position = nn.Parameter(tensor(params["step_position"]))
        count = sum(name.startswith("transformer_") for name in params)
        self.blocks = nn.ModuleList(Block(params[f"transformer_{i}"], heads, dropout) for i in range(count))
        self.clip_hidden, self.clip_out = linear(params["clip_hidden"]), linear(params["clip_out"])
        self.units, self.gate, self.score = (
            linear(params["instance_attention"][name]) for name in ("units", "gate", "score")
        )
        self.bag_out = linear(params["bag_out"])

    def encode(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings and clip logits from positions `[clip, time, joint, axis]`, by the distances of joints."""
        x = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
        x = x.unflatten(1, (-1, self.token)).transpose(2, 3).flatten(3)
        x = self.embed(x) + self.step_position[:, None] + self.joint_position
        for block in self.blocks:
            x = block(x)
        z = self.norm(x.mean((1, 2)))
        return z, self.clip_out(functional.relu(self.clip_hidden(z)))

    def fuse(self, z: Tensor, clips: Tensor) -> Tensor:
        """Log-odds of videos from their instances `[video, instance, ...]`."""
        scores = self.score(torch.tanh(self.units(z)) * torch.sigmoid(self.gate(z)))
        bag = (scores.softmax(1) * torch.cat([z, clips.softmax(-1)], -1)).sum(1)
        logits = self.bag_out(bag)
        return logits[:, 1] - logits[:, 0]

    def loss(self, clips: Tensor, labels: Tensor, pair: Tensor, centers: Tensor, config: Any) -> Tensor:
        """The sum of all losses of a step; the centers `[2, width]` move in place.

        Args:
            clips: annotated ones, positions.
            labels: of them.
            pair: `[2, instance, time, joint, axis]` of a normal and of a risk video.
            centers: of embeddings without and with fidgety movements.
            config: `MamConfig`.
        """
        z, logits = self.encode(torch.cat([clips, pair.flatten(0, 1)]))
        count = len(clips)
        total = functional.cross_entropy(logits[:count], labels) + triplet(z[:count], labels, config.margin)
        with torch.no_grad():
            for label in (0, 1):
                centers[label] += config.center_rate * (z[:count][labels == label].mean(0) - centers[label])
        instances, of_instances = z[count:].unflatten(0, (2, -1)), logits[count:].unflatten(0, (2, -1))
        fused = self.fuse(instances, of_instances)
        total = total + functional.binary_cross_entropy_with_logits(fused, torch.tensor([0.0, 1.0]))
        p = of_instances.detach().softmax(-1)[..., 1]
        kept = int(np.ceil(config.fidgety_share * p.shape[1]))
        p[1, p[1] < p[1].sort(descending=True).values[kept - 1]] = 0
        over = torch.mean if config.squares == "mean" else torch.sum
        without, fidgety = (over((instances - center).square(), -1) for center in centers)
        return total + (p * fidgety + (1 - p) * without).mean()


def triplet(z: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Mean over all triplets of embeddings scaled to unit length."""
    unit = functional.normalize(z, dim=-1)
    apart = (unit[:, None] - unit[None]).square().sum(-1).clamp_min(1e-12).sqrt()
    same = labels[:, None] == labels[None]
    valid = (same & ~torch.eye(len(z), dtype=torch.bool))[:, :, None] & ~same[:, None, :]
    excess = apart[:, :, None] - apart[:, None, :] + margin
    return functional.relu(excess[valid]).mean()


class TorchLifting(nn.Module):
    """VideoPose3D for whole sequences, not causal."""

    def __init__(self, variables: Mapping[str, Any], widths: Sequence[int]) -> None:
        super().__init__()
        params, stats = variables["params"], variables["batch_stats"]
        self.widths = tuple(widths)
        names = ["expand"] + [f"block{i}_{part}" for i in range(1, len(widths)) for part in ("conv", "mix")]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for name in names:
            add_layer(self, params[name], stats[name])
        shrink = linear(params["shrink"])
        self.shrink = nn.Conv1d(shrink.in_features, shrink.out_features, 1)
        self.shrink.weight.data, self.shrink.bias.data = shrink.weight.data[..., None], shrink.bias.data

    def forward(self, x: Tensor) -> Tensor:
        """Positions `[batch, time_out, joint, 3]` from keypoints `[batch, time, keypoint, 2]`."""
        x, dilation = self._layer(0, x.flatten(2).transpose(1, 2), 1), self.widths[0]
        for number, width in enumerate(self.widths[1:], 1):
            y = self._layer(2 * number, self._layer(2 * number - 1, x, dilation), 1)
            x, dilation = x[:, :, dilation * (width // 2) :][:, :, : y.shape[2]] + y, dilation * width
        return self.shrink(x).transpose(1, 2).unflatten(2, (-1, 3))

    def _layer(self, number: int, x: Tensor, dilation: int) -> Tensor:
        y = functional.conv1d(x, self.convs[number].weight, dilation=dilation)
        return functional.relu(self.norms[number](y))


class TorchBabyMoves(nn.Module):
    """Baby Moves without age and cohort, in the layout `[clip, channel, time]`, dropout off."""

    def __init__(self, variables: Any) -> None:
        super().__init__()
        params, stats = variables["params"], variables["batch_stats"]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for name in sorted(stats):
            add_layer(self, params[name], stats[name], eps=1e-3, momentum=0.01)
        layers = (params["dense"], params["attention"]["units"], params["logit"])
        self.dense, self.units, self.logit = (linear(layer) for layer in layers)
        self.context = nn.Parameter(tensor(params["attention"]["context"]))

    def forward(self, x: Tensor, clips: int) -> Tensor:
        """Logits of videos from their clips `[video * clip, series, time]`."""
        for conv, norm in zip(self.convs, self.norms):
            padded = functional.pad(x, (conv.kernel_size[0] - 1, 0))
            x = functional.max_pool1d(norm(functional.relu(conv(padded))), 4)
        x = functional.relu(self.dense(x.transpose(1, 2).reshape(len(x), -1)))
        weights = torch.sigmoid(torch.tanh(self.units(x)) @ self.context)
        return self.logit((weights[:, None] * x).reshape(-1, clips, x.shape[1]).mean(1))[:, 0]

    def penalty(self) -> Tensor:
        """As ours."""
        kernels = [m.weight for m in (*self.convs, self.dense, self.units, self.logit)]
        return 0.005 * sum(kernel.square().sum() for kernel in kernels)


def add_layer(network: Any, params: Mapping[str, Any], stats: Mapping[str, Any], **how: float) -> None:
    """Append a convolution over time without bias to `network.convs`, and its norm to `network.norms`."""
    kernel = tensor(params["kernel"]).permute(2, 1, 0).contiguous()
    conv = nn.Conv1d(kernel.shape[1], kernel.shape[0], kernel.shape[2], bias=False)
    conv.weight.data = kernel
    batch_norm = nn.BatchNorm1d(kernel.shape[0], **how)
    batch_norm.weight.data, batch_norm.bias.data = (tensor(params["norm"][part]) for part in ("scale", "bias"))
    batch_norm.running_mean, batch_norm.running_var = (tensor(stats["norm"][part]) for part in ("mean", "var"))
    network.convs.append(conv)
    network.norms.append(batch_norm)
