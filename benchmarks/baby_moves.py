"""Baby Moves: a whole video, a training step, and repeats as one stack of runs, against PyTorch and against a loop.

    python -m benchmarks.baby_moves

The twin in PyTorch has the same weights and is shown to give the same logits and the same weights after a step. A
whole video is 547 clips, which we read as one series and PyTorch as clips, cut beforehand. A step has the published
batch of 8 clips. The stack trains its runs for a few epochs with compilation, as a user waits for them; the loop trains
one run after the other, each compiled again as in separate programs.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
import torch
import tyro

from benchmarks import common
from benchmarks.systems import Pair, contenders, descend, predicted
from benchmarks.torch_systems import TorchBabyMoves
from infantjax import cache as runtime
from infantjax.cache import COMPILER_OPTIONS
from infantjax.methods.baby_moves.model import BabyMoves
from infantjax.methods.baby_moves.preprocessing import clip_starts
from infantjax.methods.baby_moves.training import (
    TrainingConfig,
    Videos,
    penalty,
    setup,
    smoothed_cross_entropy,
    video_logit,
)
from infantjax.nn.initializers import initialize
from infantjax.training import optimizers
from infantjax.training.fitting import fit
from infantjax.training.splits import random_splits


@dataclass(frozen=True)
class Options:
    """What is measured."""

    rounds: int = 15
    """Timed rounds of a video and of a step."""
    runs: int = 25
    """Runs of the stack; 25 as published. 0 leaves it out."""
    epochs: int = 2
    """Epochs of each run of the stack."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    rows = []
    for work, (ours, peer) in both_sides().items():
        comparison = common.compare(ours, peer, options.rounds)
        rows.append({"work": work, **comparison.summary()})
        print(json.dumps(rows[-1]), flush=True)
    if options.runs:
        rows.append({"work": f"{options.runs} runs", **stack_against_loop(options)})
        print(json.dumps(rows[-1]), flush=True)
    shapes = {"clips": 547, "batch": 8, "runs": options.runs, "jax_matmul_gflops": common.jax_ceiling()}
    print(common.write("baby_moves", rows, shapes, where) if options.write else common.table(rows))


def both_sides() -> dict[str, Pair]:
    """Ours and PyTorch for each kind of work, after they were shown to be equal."""
    module = BabyMoves(dropout=0.0)
    rng = np.random.default_rng(0)
    series = rng.standard_normal((4500, 46)).astype(np.float32)
    clips = rng.standard_normal((8, 1, 128, 46)).astype(np.float32)
    labels = (np.arange(8) % 3 == 0).astype(np.int32)
    variables = initialize(module, jax.random.key(0), clips)
    options = COMPILER_OPTIONS.get(jax.default_backend())
    twin = TorchBabyMoves(variables).eval()
    cut = torch.as_tensor(series[clip_starts()[:, None] + np.arange(128)].transpose(0, 2, 1).copy())
    on = jax.device_put(variables)
    video = predicted(lambda v, s: video_logit(module, v, s), variables, series, lambda x: twin(x, 547)[0], cut)
    optimizer = optimizers.nesterov(0.005, 0.9)

    def step(variables: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            (logits, _), updates = module.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
            return smoothed_cross_entropy(logits, y).mean() + penalty(params), updates

        gradient, updates = jax.grad(loss, has_aux=True)(variables["params"])
        change, state = optimizer.update(gradient, state)
        return {"params": optax.apply_updates(variables["params"], change), **updates}, state

    compiled = jax.jit(step, compiler_options=options)
    trained = TorchBabyMoves(variables).train()
    sgd = torch.optim.SGD(trained.parameters(), lr=0.005, momentum=0.9, nesterov=True)
    x, y = torch.as_tensor(clips[:, 0].transpose(0, 2, 1).copy()), torch.as_tensor(0.9 * labels + 0.05)

    def peer_step() -> torch.Tensor:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(trained(x, 1), y.float())
        return descend(sgd, loss + trained.penalty())

    state, on_clips, on_labels = optimizer.init(on["params"]), jax.device_put(clips), jax.device_put(labels)
    stepped, _ = compiled(on, state, on_clips, on_labels)
    peer_step()
    kernel = trained.convs[0].weight.detach().numpy().transpose(2, 1, 0)
    common.require_equal(stepped["params"]["block1"]["kernel"], kernel, 1e-5, "first kernel after a step")
    ours = lambda: compiled(on, state, on_clips, on_labels)  # noqa: E731
    return {"video": video, "training step": contenders(ours, peer_step)}


def stack_against_loop(options: Options) -> dict[str, float]:
    """Seconds of runs as one stack, and of the same runs one after the other; their losses are equal."""
    config = TrainingConfig(epochs=options.epochs, warm_up=0, curves=1000)
    rng = np.random.default_rng(0)
    labels = (np.arange(24) % 4 == 0).astype(int).tolist()
    data = Videos.create(list(rng.standard_normal((24, 4500, 46)).astype(np.float32)), labels, None, config)
    partitions = random_splits(labels, options.runs)
    module = BabyMoves()
    begun = time.perf_counter()
    together = fit(*setup(module, data, partitions, config))
    stack = time.perf_counter() - begun
    begun = time.perf_counter()
    # The first run alone has the number, and so the key, of the first of the stack.
    alone = [fit(*setup(module, data, [partition], config)) for partition in partitions]
    one_by_one = time.perf_counter() - begun
    common.require_equal(alone[0].best_score[0], together.best_score[0], 1e-6, "loss of the first run")
    return {"ours_median_s": stack, "peer_median_s": one_by_one, "ratio": one_by_one / stack}


if __name__ == "__main__":
    main(tyro.cli(Options))
