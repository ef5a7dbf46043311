"""Baby Moves in PyTorch, with the weights of ours: what the benchmark runs against."""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class TorchBabyMoves(nn.Module):
    """The network without age and cohort, in the layout `[clip, channel, time]`, dropout off."""

    def __init__(self, variables: Any) -> None:
        super().__init__()
        params, stats = variables["params"], variables["batch_stats"]

        def tensor(x: Any) -> torch.Tensor:
            return torch.as_tensor(np.array(x, np.float32))

        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for name in sorted(stats):
            kernel = tensor(params[name]["kernel"]).permute(2, 1, 0)
            conv = nn.Conv1d(kernel.shape[1], kernel.shape[0], kernel.shape[2], bias=False)
            norm = nn.BatchNorm1d(kernel.shape[0], eps=1e-3, momentum=0.01)
            conv.weight.data = kernel.contiguous()
            norm.weight.data, norm.bias.data = (tensor(params[name]["norm"][k]) for k in ("scale", "bias"))
            norm.running_mean, norm.running_var = (tensor(stats[name]["norm"][k]) for k in ("mean", "var"))
            self.convs.append(conv)
            self.norms.append(norm)
        layers = (params["dense"], params["attention"]["units"], params["logit"])
        self.dense, self.units, self.logit = (nn.Linear(*layer["kernel"].shape) for layer in layers)
        for module, layer in zip((self.dense, self.units, self.logit), layers):
            module.weight.data, module.bias.data = tensor(layer["kernel"]).T.contiguous(), tensor(layer["bias"])
        self.context = nn.Parameter(tensor(params["attention"]["context"]))

    def forward(self, x: torch.Tensor, clips: int) -> torch.Tensor:
        """Logits of videos from their clips `[video * clip, series, time]`."""
        for conv, norm in zip(self.convs, self.norms):
            x = F.max_pool1d(norm(F.relu(conv(F.pad(x, (conv.kernel_size[0] - 1, 0))))), 4)
        x = F.relu(self.dense(x.transpose(1, 2).reshape(len(x), -1)))
        weights = torch.sigmoid(torch.tanh(self.units(x)) @ self.context)
        return self.logit((weights[:, None] * x).reshape(-1, clips, x.shape[1]).mean(1))[:, 0]

    def penalty(self) -> torch.Tensor:
        """As ours."""
        kernels = [m.weight for m in (*self.convs, self.dense, self.units, self.logit)]
        return 0.005 * sum(kernel.square().sum() for kernel in kernels)
