"""The PyTorch twins of the SMA CNN, of MAM, of VideoPose3D and of Baby Moves compute what ours compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.torch_systems import TorchBabyMoves, TorchLifting, TorchMam, TorchSmaCnn  # noqa: E402
from infantjax.methods.baby_moves import model as baby_moves  # noqa: E402
from infantjax.methods.baby_moves.training import penalty  # noqa: E402
from infantjax.methods.mam import preprocessing as motion  # noqa: E402
from infantjax.methods.mam.model import MAM  # noqa: E402
from infantjax.methods.mam.training import MamBatch, TrainingConfig, VideoTask  # noqa: E402
from infantjax.methods.sma_cnn.model import SmaCnn  # noqa: E402
from infantjax.nn.initializers import initialize  # noqa: E402
from infantjax.pose.networks.videopose3d import LiftingNetwork  # noqa: E402

pytestmark = pytest.mark.peers


def drawn(network, x):
    """Variables with biases, norms and statistics away from where they begin; inputs unscaled, as in the twins."""
    variables = jax.device_get(dict(initialize(network, jax.random.key(0), x)))
    rng = np.random.default_rng(1)
    moved = jax.tree.map(lambda leaf: (leaf + rng.uniform(0, 0.2, leaf.shape)).astype(np.float32), variables)
    return moved | {name: of for name, of in variables.items() if name == "inputs"}


def test_the_twin_of_the_sma_cnn_gives_the_same_scores():
    x = np.random.default_rng(0).standard_normal((3, 12, 120, 1)).astype(np.float32)
    network = SmaCnn(features=(3, 4, 5, 6))
    variables = drawn(network, x)
    with torch.inference_mode():
        found = TorchSmaCnn(variables["params"]).eval()(torch.as_tensor(x.transpose(0, 3, 1, 2).copy())).numpy()
    expected = np.asarray(jax.jit(network.apply)(variables, x)[0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_the_twin_of_mam_gives_the_same_losses_and_centers():
    network = MAM(joints=3, channels=3, frames=12, token=4, width=8, blocks=1, heads=2, hidden=8, dropout=0.0)
    rng = np.random.default_rng(0)
    # Each video has as many instances as a step draws.
    config = TrainingConfig(pretraining=0, joint=1, clips=6, instances=3, step=6)
    positions = rng.standard_normal((2, 24, 3, 3)).astype(np.float32)
    clips, labels = rng.standard_normal((6, 12, 3, 3)).astype(np.float32), np.arange(6) % 2
    variables = drawn(network, jnp.zeros((1, 1, 12, 3, 3)))
    task = VideoTask(network, config, (1, 1, 12, 3, 3))
    cuts = [motion.cut(video, motion.clip_starts(24, 12, 6), 12)[0] for video in positions]
    x = motion.inputs(jnp.concatenate([clips, *cuts]).astype(jnp.float32), config.inputs, config.distance)
    batch = MamBatch(x, jnp.full(len(x), 12), len(clips), jnp.asarray(labels), None, True)
    loss, updates = jax.jit(lambda v: task.loss(v, batch, {"dropout": jax.random.key(0)}))(variables)
    centers = torch.as_tensor(variables["centers"]["centers"].copy())
    twin = TorchMam(variables["params"], network.token, network.heads)
    given = (torch.as_tensor(clips), torch.as_tensor(labels), torch.as_tensor(np.stack(cuts)))
    assert float(twin.loss(*given, centers, config).detach()) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(centers.numpy(), updates["centers"]["centers"], rtol=0, atol=1e-5)


def test_the_twin_of_videopose3d_gives_the_same_positions():
    network = LiftingNetwork(inputs=4, outputs=5, widths=(3, 3), channels=6)
    x = np.random.default_rng(0).standard_normal((2, 18, 4, 2)).astype(np.float32)
    variables = drawn(network, x)
    expected = jax.jit(lambda v, x: network.apply(v, x)[0])(variables, x)
    with torch.inference_mode():
        found = TorchLifting(variables, network.widths).eval()(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_twin_of_baby_moves_gives_the_same_logits_and_penalty():
    network = baby_moves.build(dropout=0.0)
    x = np.random.default_rng(0).standard_normal((3, 2, 128, 46)).astype(np.float32)
    variables = jax.device_get(dict(initialize(network, jax.random.key(0), x)))
    rng = np.random.default_rng(1)
    variables["batch_stats"] = jax.tree.map(
        lambda leaf: (leaf + rng.uniform(0, 0.3, leaf.shape)).astype(np.float32), variables["batch_stats"]
    )
    expected = np.asarray(jax.jit(network.apply)(variables, x)[0])
    twin = TorchBabyMoves(variables).eval()
    with torch.inference_mode():
        found = twin(torch.as_tensor(x.reshape(6, 128, 46).transpose(0, 2, 1).copy()), 2).numpy()
        assert float(twin.penalty()) == pytest.approx(float(penalty(variables["params"])), rel=1e-5)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
