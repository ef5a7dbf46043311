"""Training: one step, and one epoch of a stack of seven folds.

    python -m benchmarks.stack_training

Against PyTorch twins of the same networks in eager mode that begin with the same weights. One step on the same batch
must give the same loss and the same weights on both sides. Then two things are timed in turns: the steps of an epoch of
one run, and a whole epoch of the stack with its evaluation. Our side cuts, augments and describes every window inside
the compiled epoch, aggregates the risks and computes the AUC; the peer gets finished batches and runs nothing but the
networks and their optimizer. GFLOP/s count a step as three forward passes by the published rule.
"""

import copy
import json
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from benchmarks import common, torch_twin
from infantjax import cache as runtime
from infantjax import models
from infantjax.cache import COMPILER_OPTIONS
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.architecture import KBEST, Architecture
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.models.entry import count_flops
from infantjax.recording.windows import WINDOW, window_starts
from infantjax.skeletons import IN_MOTION_19
from infantjax.training import metrics
from infantjax.training.execution.layout import map_runs
from infantjax.training.optimizers import nesterov
from infantjax.training.splits import Split, stratified_splits
from infantjax.weights import import_movement_outcome

TOLERANCE = 1e-8
"""On the loss and on the weights after a step, in float64."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = ("kbest-gcn-2", "kbest-gcn-5")
    """Networks."""
    folds: int = 7
    """Runs of the stack."""
    infants: int = 14
    """Recordings of the cohort, half of them positive; ten seconds each."""
    batch_size: int = 32
    """Windows of a step."""
    samples_per_negative: int = 4
    """Windows of a negative infant in an epoch; a positive one gives twice as many."""
    rounds: int = 3
    """Timed rounds."""
    warm_up: int = 4
    """Untimed rounds after the first call: in the first few the system hands out the memory of a step page by page, and
    a training has hundreds."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    torch.manual_seed(0)
    where = common.environment()
    rows = [row for name in options.models for row in _measure(name, options)]
    ceilings = {"jax_matmul_gflops": common.jax_ceiling(), "torch_matmul_gflops": common.torch_ceiling()}
    shapes = {"folds": options.folds, "batch": options.batch_size, "infants": options.infants, **ceilings}
    print(common.write("stack_training", rows, shapes, where) if options.write else common.table(rows))


def _measure(name: str, options: Options) -> list[dict[str, Any]]:
    entry = models.get(name)
    module = entry.build()
    data, folds = _cohort(options)
    config = TrainingConfig(
        epochs=10_000,
        batch_size=options.batch_size,
        samples_per_negative=options.samples_per_negative,
        positive_ratio=2,
    )
    task = stack.WindowTask.create(module, data, config, entry.features)
    runs = stack.window_runs(data, folds, config)
    samples = np.asarray(runs.train_count)
    drawn = task.draw_variables(runs.key)
    data, runs, drawn = jax.device_put((data, runs, drawn))
    steps = int(samples[0]) // options.batch_size
    windows = [sum(len(window_starts(int(data.lengths[r]))) for r in fold.validation) for fold in folds]

    twin = torch_twin.GraphNetwork(KBEST[int(name.rsplit("-", 1)[1]) - 1].to_choices())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    twin.to(device)
    architecture = KBEST[int(name.rsplit("-", 1)[1]) - 1]
    error = require_equal_step(name, architecture, module, twin, options.batch_size, device)

    batch = torch.randn(options.batch_size, 6, WINDOW, len(data.skeleton.joints), device=device)
    labels = torch.arange(options.batch_size, device=device) % 2
    optimizer = torch_twin.nesterov_sgd(twin, config.learning_rate)

    def peer_steps(count: int) -> None:
        for _ in range(count):
            torch_twin.torch_training_step(twin, optimizer, batch, labels)

    def peer_epoch() -> None:
        for fold in range(len(folds)):
            peer_steps(int(samples[fold]) // options.batch_size)
            held_out = batch.repeat(-(-windows[fold] // options.batch_size), 1, 1, 1)[: windows[fold]]
            torch_twin.torch_inference(twin, held_out, options.batch_size)

    options_of_compiler = COMPILER_OPTIONS.get(jax.default_backend())
    initialize = jax.jit(jax.vmap(task.init_state, in_axes=(0, 0, 0, None)))
    states = initialize(drawn, jnp.ones(len(folds), bool), runs, data)
    one_state, one_run = jax.tree.map(lambda leaf: leaf[0], (states, runs))
    traced = jax.jit(lambda s, r, d: task.train_epoch(s, r, d, r.key, jnp.array(True)))
    train = traced.lower(one_state, one_run, data).compile(compiler_options=options_of_compiler)
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("run",))
    stacked, every_run = jax.device_put((states, runs), NamedSharding(mesh, P("run")))
    everywhere = jax.device_put(data, NamedSharding(mesh, P()))
    whole = jax.jit(map_runs(task.epoch, mesh))
    epoch = whole.lower(stacked, every_run, everywhere).compile(compiler_options=options_of_compiler)

    forward = count_flops(module, entry.input_shape)
    version = torch.__version__.partition("+")[0]
    rows = []
    for what, ours, peer, flops in (
        (
            f"{steps} steps of one run",
            common.Contender("infantjax", lambda: train(one_state, one_run, data), jax.block_until_ready),
            common.Contender(f"torch {version} eager", lambda: peer_steps(steps), common.torch_wait),
            3 * forward * steps * options.batch_size,
        ),
        (
            f"epoch of {len(folds)} folds",
            common.Contender("infantjax", lambda: epoch(stacked, every_run, everywhere), jax.block_until_ready),
            common.Contender(f"torch {version} eager", peer_epoch, common.torch_wait),
            forward
            * sum(
                3 * (int(samples[f]) // options.batch_size) * options.batch_size + windows[f] for f in range(len(folds))
            ),
        ),
    ):
        comparison = common.compare(ours, peer, options.rounds, options.warm_up)
        rows.append({"model": name, "work": what, "difference": error, **comparison.summary(flops)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _cohort(options: Options) -> tuple[CohortData, tuple[Split, ...]]:
    rng = np.random.default_rng(0)
    labels = [i % 2 for i in range(options.infants)]
    positions = [rng.standard_normal((300, 19, 2)).astype(np.float32) for _ in labels]
    return CohortData.from_recordings(positions, labels, IN_MOTION_19), stratified_splits(labels, options.folds, seed=1)


def require_equal_step(
    name: str, architecture: Architecture, module: Any, twin: torch.nn.Module, size: int, device: str
) -> float:
    """The same loss before and the same weights after one step on the same batch; the largest relative difference.

    Both sides calculate in float64 here: in float32 the gradients of a deep network with ReLU differ by rounding alone
    as much as they would by a small mistake.
    """
    exact = copy.deepcopy(twin).double()

    def exported() -> Any:
        return import_movement_outcome({k: v.cpu().numpy() for k, v in exact.state_dict().items()}, architecture)

    x = np.random.default_rng(1).standard_normal((size, WINDOW, 19, 6))
    y = np.arange(size) % 2
    rate = 0.01
    with jax.enable_x64(True):
        variables = exported()

        def loss(params: Any) -> Any:
            (logits, _), _ = module.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
            return metrics.cross_entropy(logits, jnp.asarray(y)).mean()

        value, gradient = jax.jit(jax.value_and_grad(loss))(variables["params"])
        optimizer = nesterov(rate, 0.9)
        change, _ = optimizer.update(gradient, optimizer.init(variables["params"]))
        ours = jax.device_get(optax.apply_updates(variables["params"], change))

    inputs = torch.as_tensor(x.transpose(0, 3, 1, 2).copy(), device=device)
    step = torch_twin.nesterov_sgd(exact, rate)
    peer = torch_twin.torch_training_step(exact, step, inputs, torch.as_tensor(y, device=device))
    errors = [common.require_equal(value, peer.cpu().numpy(), TOLERANCE, f"loss of {name}")]
    expected = exported()["params"]
    for path, leaf in jax.tree_util.tree_leaves_with_path(ours):
        there = expected
        for key in path:
            there = there[key.key]
        errors.append(common.require_equal(leaf, there, TOLERANCE, f"{name}{jax.tree_util.keystr(path)}"))
    return max(errors)


if __name__ == "__main__":
    runtime.shorten_compilation()
    runtime.keep_freed_memory()
    runtime.use_compilation_cache()
    main(tyro.cli(Options, description=__doc__))
