"""The PyTorch twin is the published network: counts, state names, outputs, gradients and training steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='PyTorch is an extra: pip install "infantjax[bench]"')

from benchmarks import torch_twin as twin  # noqa: E402
from infantjax import models  # noqa: E402

pytestmark = pytest.mark.peers

GOLDEN = [f"published_{i:02d}" for i in (2, 3, 5, 8)] + [f"random_{i:02d}" for i in range(1, 7)]


@pytest.fixture(autouse=True)
def one_thread():
    """OpenMP threads spin at every barrier, which makes PyTorch ten times slower where other tests share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def published(number: int) -> dict[str, Any]:
    return models.get(f"kbest-gcn-{number}").build().architecture.to_choices()


def count(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_inference_in_batches_equals_one_call_for_one_model_and_for_several():
    torch.manual_seed(0)
    twins = [twin.GraphNetwork(published(1)) for _ in range(2)]
    windows = torch.randn(5, 6, 150, 19)
    whole = twins[0].eval()(windows)[0]
    torch.testing.assert_close(twin.torch_inference(twins[0], windows, 2), whole, atol=1e-5, rtol=0)
    several = twin.torch_inference(twins, windows, 2)
    assert several.shape == (2, 5, 2)
    torch.testing.assert_close(several[0], whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(twin.torch_vmapped_inference(twins, windows, 2), several, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_training_steps_change_only_what_is_used():
    torch.manual_seed(0)
    model = twin.GraphNetwork(published(2))
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = twin.nesterov_sgd(model, 1e-2)
    x, y = torch.randn(4, 6, 150, 19), torch.tensor([0, 1, 0, 1])
    losses = [float(twin.torch_training_step(model, optimizer, x, y)) for _ in range(3)]
    assert losses[-1] < losses[0]
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    assert sum(before[n].numel() for n in unused) == 9960  # spec/gcn.md 15.1, "never used"
    after = dict(model.named_parameters())
    assert all(torch.equal(after[n], before[n]) for n in unused)
    # Biases before a batch normalization have a gradient of zero, so only the weights are sure to move.
    assert not any(torch.equal(after[n], before[n]) for n in before if n not in unused and n.endswith("weight"))


def state_of(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {n.removeprefix("state/"): value for n, value in stored.items() if n.startswith("state/")}


def largest_error(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.detach().numpy() - expected).max())


def check_single_precision(model: torch.nn.Module, stored: dict[str, np.ndarray]) -> None:
    """Scores, feature map and batch statistics at the tolerances of spec/gcn.md, Section 19."""
    x = torch.from_numpy(stored["x"])
    scores, features = twin.load(model, state_of(stored)).eval()(x)
    # 1e-5 of the scores' scale: PyTorch's own rounding differs that much between one thread and two.
    scale = max(1.0, np.abs(stored["logits_eval_f64"]).max())
    assert largest_error(scores, stored["logits_eval_f64"]) < 1e-5 * scale
    if "feature_eval_first" in stored:
        first = stored["feature_eval_first"]
        assert largest_error(features[0], first) < 1e-4 * np.abs(first).max()
    scores, _ = model.train()(x)
    assert largest_error(scores, stored["logits_train"]) < 5e-5
    after = model.state_dict()
    for name in stored:
        if name.startswith("stats_after/"):
            expected = stored[name]
            np.testing.assert_allclose(
                after[name.removeprefix("stats_after/")], expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max()
            )


def check_double_precision(model: torch.nn.Module, stored: dict[str, np.ndarray]) -> None:
    """Scores and input gradient, where a rectifier on the other side of zero cannot blur the comparison."""
    twin.load(model.double(), state_of(stored))
    x = torch.from_numpy(stored["x"]).double().requires_grad_()
    scores, _ = model.eval()(x)
    assert largest_error(scores, stored["logits_eval_f64"]) < 1e-13 * max(1.0, np.abs(stored["logits_eval_f64"]).max())
    (gradient,) = torch.autograd.grad(scores[:, 1].sum(), x)
    assert largest_error(gradient, stored["grad_logit1_x"]) < 1e-7 * np.abs(stored["grad_logit1_x"]).max()


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def slow_but(fast: tuple[str, ...]) -> list:
    """All references, of which only some are tested by default."""
    return [name if name in fast else pytest.param(name, marks=pytest.mark.slow) for name in GOLDEN]


@pytest.mark.parametrize("name", slow_but(("published_02", "random_06")))
def test_graph_network_equals_the_reference(shared: Path, name):
    stored = read(shared / "golden" / "gcn" / f"{name}.npz")
    model = twin.GraphNetwork(json.loads(str(stored["config"])))
    assert count(model) == json.loads(str(stored["meta"]))["n_params"]
    check_single_precision(model, stored)


@pytest.mark.parametrize("name", slow_but(("random_06",)))
def test_graph_network_and_its_training_equal_the_reference_in_double(shared: Path, name):
    stored = read(shared / "golden" / "gcn" / f"{name}.npz")
    meta = json.loads(str(stored["meta"]))
    model = twin.GraphNetwork(json.loads(str(stored["config"])))
    check_double_precision(model, stored)

    sgd = meta["nesterov_sgd"]
    optimizer = twin.nesterov_sgd(model, sgd["lr"], sgd["momentum"])
    x, labels = torch.from_numpy(stored["x"]).double(), torch.tensor(meta["labels"])
    losses = []
    for step in range(sgd["steps"]):
        losses.append(float(twin.torch_training_step(model, optimizer, x, labels)))
        if step == 0:
            gradients = {n: p.grad.numpy().copy() for n, p in model.named_parameters() if p.grad is not None}
    np.testing.assert_allclose(losses, stored["train_losses"], rtol=0, atol=1e-12)
    expected = {n.removeprefix("grad_param/"): stored[n] for n in stored if n.startswith("grad_param/")}
    if expected:
        largest = max(np.abs(value).max() for value in expected.values())
        assert gradients.keys() == expected.keys()
        for key, value in expected.items():
            assert np.abs(gradients[key] - value).max() < 1e-7 * largest, key
