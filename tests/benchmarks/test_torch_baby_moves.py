"""The PyTorch twin of Baby Moves computes what ours computes."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from benchmarks.torch_baby_moves import TorchBabyMoves  # noqa: E402
from infantjax.methods.baby_moves import model as baby_moves  # noqa: E402
from infantjax.methods.baby_moves.training import penalty  # noqa: E402
from infantjax.nn.initializers import initialize  # noqa: E402

pytestmark = pytest.mark.peers


def test_the_twin_gives_the_same_logits_and_penalty():
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
