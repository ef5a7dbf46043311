"""The reference of the lifting network."""

import numpy as np
import pytest

from infantjax.weights import import_videopose3d


def state_of(z):
    """The reference weights as the state dict that the public program would save."""
    names = {"expand.conv": "expand_conv", "expand.bn": "expand_bn"}
    for i in range(4):
        for j, part in ((2 * i, "a"), (2 * i + 1, "b")):
            names |= {f"block{i}.conv_{part}": f"layers_conv.{j}", f"block{i}.bn_{part}": f"layers_bn.{j}"}
    state = {"shrink.weight": z["w.shrink.kernel"].transpose(2, 1, 0), "shrink.bias": z["w.shrink.bias"]}
    torch = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for ours, theirs in names.items():
        if "bn" in ours:
            state |= {f"{theirs}.{t}": z[f"w.{ours}.{k}"] for k, t in torch.items()}
            state[f"{theirs}.num_batches_tracked"] = np.array(7)
        else:
            state[f"{theirs}.weight"] = z[f"w.{ours}"].transpose(2, 1, 0)
    return state


@pytest.fixture(scope="session")
def lifting_golden(shared):
    """The lifting network of the reference, its variables, and the arrays of the file."""
    with np.load(shared / "golden" / "videopose3d" / "temporal_model.npz") as archive:
        z = dict(archive)
    return (*import_videopose3d(state_of(z)), z)
