"""The range test: the highest learning rate that does not diverge.

Source: Groos et al., Paper I (Section 3.5) names the test; the criterion is our choice.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from infantjax.errors import InputError
from infantjax.files import canonical_json, finite_or_none, write_atomically
from infantjax.pose.training.task import ImageData, PoseTask, PoseTrainingConfig, pose_runs
from infantjax.training import optimizers
from infantjax.training.splits import Split
from infantjax.training.state import Run

FILE = "range_test.json"
"""Rates and losses of the test, in the folder of a training."""


def range_test(
    module: nn.Module,
    data: ImageData,
    rows: Sequence[int],
    config: PoseTrainingConfig,
    lowest: float = 1e-4,
    highest: float = 1e3,
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"], float]:
    """Train one cycle under a rate that rises exponentially.

    Args:
        module: the network.
        data: the images.
        rows: training images.
        config: of the training; its optimizer is taken as `cyclical`.
        lowest: rate of the first step.
        highest: rate of the last one.

    Returns:
        Rate and loss of each step, and the last rate before the loss exceeds four times its smallest value so far, or
        is not finite.
    """
    split = Split(tuple(rows), tuple(rows[:1]))
    task = PoseTask.create(module, data, [split], config)
    steps = config.cycle * task.steps
    rate = optax.exponential_decay(lowest, max(steps - 1, 1), highest / lowest)
    task = task.with_optimizer(optimizers.momentum(rate, config.momentum))
    runs = pose_runs([split], config.seed)
    run, drawn = jax.tree.map(lambda leaf: leaf[0], (runs, task.draw_variables(runs.key)))

    @jax.jit
    def train(run: Run, drawn: Any, data: ImageData) -> Array:
        state = task.init_state(drawn, jnp.bool_(True), run, data)

        def epoch(carry: tuple, key: Array) -> tuple:
            return task.take_steps(carry, state.epoch, run, data, key)

        return lax.scan(epoch, (state.variables, state.opt_state), jax.random.split(run.key, config.cycle))[1]

    losses = np.asarray(train(run, drawn, data)).ravel()
    rates = np.asarray(rate(jnp.arange(steps)))
    smallest = np.minimum.accumulate(np.where(np.isfinite(losses), losses, np.inf))
    diverged = np.flatnonzero(~(losses <= 4 * smallest))
    return rates, losses, float(rates[max(diverged[0] - 1, 0)] if len(diverged) else rates[-1])


def stored_highest_rate(
    module: nn.Module, data: ImageData, rows: Sequence[int], config: PoseTrainingConfig, directory: str | Path | None
) -> float:
    """The highest rate by the range test, kept in the folder of a training so that a continued one has the same.

    Args:
        module: the network.
        data: the images.
        rows: training images.
        config: of the training.
        directory: the folder; None keeps nothing.

    Raises:
        InputError: the folder cannot be written, or the stored file is damaged.
    """
    if directory is None:
        return range_test(module, data, rows, config)[2]
    path = Path(directory) / FILE
    if path.exists():
        try:
            return float(json.loads(path.read_text("utf-8"))["highest"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(path, "is damaged", "remove the folder and train again") from None
    rates, losses, highest = range_test(module, data, rows, config)
    measured = finite_or_none({"highest": highest, "rates": rates.tolist(), "losses": losses.tolist()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, canonical_json(measured))
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", "give another folder") from error
    return highest
