"""The twins of the pose networks compute what ours compute."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.torch_pose import TorchPose  # noqa: E402
from infantjax.nn.initializers import initialize  # noqa: E402
from infantjax.pose.networks.cima_pose import CimaPose  # noqa: E402
from infantjax.pose.networks.efficienthourglass import EfficientHourglass  # noqa: E402
from infantjax.pose.networks.efficientpose import EfficientPose, Variant  # noqa: E402
from infantjax.pose.networks.openpose import OpenPose  # noqa: E402

pytestmark = pytest.mark.peers

NETWORKS = {
    "efficientpose-branch": EfficientPose(
        Variant(32, "b0", "b0", 2), early_heads=False, upscale=False, low_level_tap="branch"
    ),
    "efficientpose-sum": EfficientPose(
        Variant(32, "b0", "b0", 2), early_heads=False, upscale=False, low_level_tap="sum"
    ),
    "efficientpose-lite": EfficientPose(Variant(32, "l0", None, 1), early_heads=False, upscale=False),
    "efficienthourglass-b0": EfficientHourglass("b0", se_ratios=(3, 6, 12), upscale=False),
    "efficienthourglass-l0": EfficientHourglass("l0", upscale=False),
    "efficienthourglass-h0": EfficientHourglass("h0", se_ratios=(3, 6, 12), upscale=False),
    "cima-pose": CimaPose(upscale=False),
    "openpose": OpenPose(upscale=False),
}


def variables_of(network, x):
    """Random ones, with statistics and slopes that no mistake leaves alone."""
    variables = jax.device_get(dict(initialize(network, jax.random.key(0), x)))
    rng = np.random.default_rng(1)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            leaf if path[-1].key == "kernel" else (leaf + rng.uniform(0, 0.3, leaf.shape)).astype(np.float32)
        ),
        variables,
    )


QUICK = {"efficientpose-lite", "cima-pose"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS])
def test_the_twin_gives_the_same_maps(name):
    network = NETWORKS[name]
    x = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float32)
    variables = variables_of(network, x)
    ours = np.asarray(jax.jit(network.apply)(variables, x)[0])
    twin = TorchPose(network, variables).eval()
    with torch.inference_mode():
        found = twin(torch.as_tensor(x.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, ours, rtol=0, atol=1e-5 * np.abs(ours).max())


@pytest.mark.slow
def test_the_twin_that_is_trained_gives_the_maps_of_every_pass():
    network = EfficientPose(Variant(32, "l0", None, 1), upscale=False)
    x = np.random.default_rng(0).standard_normal((4, 32, 32, 3)).astype(np.float32)
    variables = jax.device_get(dict(initialize(network, jax.random.key(0), x)))
    (_, aux), _ = jax.jit(lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"]))(variables, x)
    twin = TorchPose(network, variables, trained=True)
    found = twin(torch.as_tensor(x.transpose(0, 3, 1, 2).copy()))
    for name, maps in zip(("pass1_pafs", "pass2_confs", "pass3_confs"), found, strict=True):
        ours = np.asarray(aux[name])
        theirs = maps.detach().numpy().transpose(0, 2, 3, 1)
        # Thirty norms over so few values, one behind the other.
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-3 * np.abs(ours).max())
