"""What asymmetric convolutions save: Asy-regression against the standard regression network, side by side.

    python -m benchmarks.asy_regression

The paper gives 66 % less training time and, by its table, 40 % less prediction time (0.05 to 0.03 s a clip, on a GPU).
By arithmetic the network has 56.3 % fewer multiply-adds. Both networks run here with random weights on the same clip;
they compute different things, so nothing is shown to be equal.
"""

import json
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from benchmarks import common
from infantjax import cache as runtime
from infantjax import models
from infantjax.models.summary import summarize
from infantjax.nn.initializers import initialize
from infantjax.training.optimizers import nesterov


@dataclass(frozen=True)
class Options:
    """What is measured."""

    clips: int = 1
    """Clips of a call; 16 were published, which needs some 15 GB."""
    rounds: int = 3
    """Timed rounds."""
    warm_up: int = 1
    """Untimed rounds after the first call."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    programs = {name: _programs(name, options.clips) for name in ("asy-regression", "babypose-regression")}
    adds = {name: summarize(models.get(name)).flops / 2 for name in programs}
    rows: list[dict[str, Any]] = []
    for work in ("prediction", "training step"):
        ours, peer = (common.Contender(name, programs[name][work], jax.block_until_ready) for name in programs)
        comparison = common.compare(ours, peer, options.rounds, options.warm_up)
        low, middle, high = comparison.ratio_quartiles
        row = {
            "work": work,
            "rounds": options.rounds,
            "asymmetric_s": float(np.median(comparison.ours_seconds)) / options.clips,
            "standard_s": float(np.median(comparison.peer_seconds)) / options.clips,
            "saving_%": 100 * (1 - 1 / middle),
            "saving_q1_%": 100 * (1 - 1 / low),
            "saving_q3_%": 100 * (1 - 1 / high),
            "published_%": {"prediction": 40, "training step": 66}[work],
            "fewer_multiply_adds_%": 100 * (1 - adds["asy-regression"] / adds["babypose-regression"]),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    shapes = {"clips": options.clips, "jax_matmul_gflops": common.jax_ceiling()}
    print(common.write("asy_regression", rows, shapes, where) if options.write else common.table(rows))


def _programs(name: str, clips: int) -> dict[str, Any]:
    entry = models.get(name)
    network = entry.build()
    x = jax.random.normal(jax.random.key(1), (clips, *entry.input_shape))
    y = jnp.zeros((*x.shape[:-1], 20))
    variables = initialize(network, jax.random.key(0), x)
    optimizer = nesterov(0.01, 0.98)

    @jax.jit
    def predict(variables: Any, x: jax.Array) -> jax.Array:
        return network.apply(variables, x)[0]

    @jax.jit
    def step(variables: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        def loss(params: Any) -> Any:
            given = {**variables, "params": params}
            (maps, _), updates = network.apply(given, x, train=True, mutable=["batch_stats"])
            return jnp.square(maps - y).mean(), updates

        (_, updates), gradient = jax.value_and_grad(loss, has_aux=True)(variables["params"])
        change, state = optimizer.update(gradient, state)
        params = jax.tree.map(jnp.add, variables["params"], change)
        return {**variables, **updates, "params": params}, state

    state = optimizer.init(variables["params"])
    return {"prediction": lambda: predict(variables, x), "training step": lambda: step(variables, state, x, y)}


if __name__ == "__main__":
    main(tyro.cli(Options))
