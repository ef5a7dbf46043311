"""SMA CNN, training: one run for each held-out infant, all as one stack, see `training.loop`.

Every iteration draws its batch anew from all training windows. There is no early stopping and no best epoch: a run
keeps its last weights. The errors of the held-out infant are measured on the way and select nothing.

Source: the workshop paper of the SMA CNN. Our choice, where it is silent, and options: how much more the linear layers
are shrunk, that biases are not, and that the momentum is the classical one. Ordinal regression is our addition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from infantjax.methods.sma_cnn.model import SmaCnn, cumulative_loss
from infantjax.settings import Count, Momentum, NonNegative, Range, Seed, check_fields
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.optimizers import elementwise
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_runs
from infantjax.training.task import BatchFunction, EpochPlan, EvalResult, SupervisedTask, mask, permutation


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained; the defaults are the published ones.

    Attributes:
        iterations: steps of a run.
        report: iterations between two evaluations; divides `iterations`.
        batch_size: windows of a step.
        learning_rate: constant.
        momentum: of SGD.
        nesterov: use Nesterov momentum; classical momentum is our choice.
        decay: weight decay of the kernels.
        linear_decay: factor on the decay of linear layers (published: more; 2 is our choice).
        bias_decay: weight decay of the biases (our choice).
        evaluation_batch: held-out windows of a call; changes memory, not results.
        loss: `mse` (published), or `ordinal`: likelihood of ordered levels by cumulative links (our choice). Its
            gradients are smaller, so lower `decay` with it. Not validated on infants.
        levels: with `ordinal`, evenly spaced levels to which scores are rounded; None is one for each whole point.
        normalize: train on scores as shares of their scale. The paper tried normalized labels without gain; the form
            is our choice. Lower `decay` with it.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of range.
    """

    iterations: Count = 1000
    report: Count = 50
    batch_size: Count = 400
    learning_rate: NonNegative = 1e-4
    momentum: Momentum = 0.95
    nesterov: bool = False
    decay: NonNegative = 0.9
    linear_decay: NonNegative = 2.0
    bias_decay: NonNegative = 0.0
    evaluation_batch: Count = 50
    loss: Literal["mse", "ordinal"] = "mse"
    levels: Annotated[int, Range(2, 1000)] | None = None
    normalize: bool = False
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.iterations % self.report:
            given = f"--training.report {self.report} does not divide --training.iterations {self.iterations}"
            raise ValueError(f"{given}; give both")
        if self.levels is not None and self.loss != "ordinal":
            raise ValueError(f"levels are for the loss ordinal, got {self.levels} with {self.loss}")
        if self.normalize and self.loss == "ordinal":
            raise ValueError("normalize is for the loss mse: levels have no unit")

    @property
    def epochs(self) -> int:
        """Epochs of the loop: stretches of iterations between two reports."""
        return self.iterations // self.report


class ScoredWindows(NamedTuple):
    """The windows of all recordings: what lies on the device once.

    Attributes:
        windows: `[window, row, frame]` float32, see `preprocessing.windows`.
        scores: `[window]` float32, of the recording that each is cut from.
    """

    windows: Float[Array, "window row frame"]
    scores: Float[Array, " window"]


@dataclass(frozen=True, eq=False)
class ScoreTask(SupervisedTask):
    """One score from windows; the last weights are kept. An epoch of the loop is a report."""

    module: SmaCnn
    config: TrainingConfig

    @property
    def first_epoch(self) -> int:
        """The last one: nothing is selected by the held-out infant."""
        return self.config.epochs

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Gradient descent with momentum."""
        config = self.config
        return elementwise(optax.sgd(config.learning_rate, momentum=config.momentum, nesterov=config.nesterov))

    def draw_order(self, key: Array, run: Run, data: ScoredWindows) -> None:
        """None: every iteration draws its own samples."""

    def stages(self, epoch: Array, run: Run, data: ScoredWindows) -> list[tuple[Array, BatchFunction]]:
        """The iterations between two reports."""
        return [(jnp.int32(self.config.report), self.batch)]

    def batch(self, plan: EpochPlan, step: Array, run: Run, data: ScoredWindows) -> tuple[Array, Array]:
        """A random batch of all training windows, without replacement."""
        order = permutation(jax.random.fold_in(plan.key, step), run.train_count, len(run.train))
        rows = run.train[order[: self.config.batch_size]]
        return data.windows[rows][..., None], data.scores[rows]

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """The loss of the settings, and the penalty."""
        x, scores = batch
        predictions, aux = self.module.apply(variables, x, train=True, rngs=rngs)
        return self.data_loss(predictions, aux, scores) + self.penalty(variables["params"]), {}

    def data_loss(self, predictions: Array, aux: Any, scores: Array) -> Float[Array, ""]:
        """Half the mean squared error, of shares of the scale if they are learned; or that of ordered levels."""
        if self.module.scale is None:
            return euclidean(predictions, scores)
        low, high = self.module.scale
        if not self.module.levels:
            return euclidean(predictions / (high - low), scores / (high - low))
        last = self.module.levels - 1
        levels = jnp.rint((scores - low) / (high - low) * last).astype(jnp.int32)
        return cumulative_loss(aux["latent"], aux["thresholds"], levels)

    def penalty(self, params: Any) -> Float[Array, ""]:
        """Half the decay times the sums of squares, so that its gradient is the decay times each weight."""
        total = jnp.float32(0)
        for name, layer in params.items():
            if name.endswith("_kernel"):
                total += jnp.sum(jnp.square(layer))
            elif not name.endswith("_bias"):
                total += self.config.linear_decay * jnp.sum(jnp.square(layer["kernel"]))
            if self.config.bias_decay and not name.endswith("_kernel"):
                bias = layer if name.endswith("_bias") else layer["bias"]
                total += self.config.bias_decay * jnp.sum(jnp.square(bias))
        return self.config.decay / 2 * total

    def predict(self, variables: dict[str, Any], rows: Array, data: ScoredWindows) -> Float[Array, " window"]:
        """Scores of windows."""
        return self.module.apply(variables, data.windows[rows][..., None])[0]

    def evaluate(self, predictions: Array, variables: dict[str, Any], run: Run, data: ScoredWindows) -> EvalResult:
        """Errors of the held-out windows, and half their mean square as the loss, whatever is trained."""
        real, count = mask(run.validation_count, len(run.validation)), run.validation_count
        difference = jnp.where(real, predictions - data.scores[run.validation], 0)
        error, loss = jnp.abs(difference).sum() / count, jnp.square(difference).sum() / (2 * count)
        return EvalResult(loss, -error, predictions, {"error": error})


def setup(module: SmaCnn, data: ScoredWindows, splits: Sequence[Split], config: TrainingConfig) -> TrainingSetup:
    """Arguments of `training.fit` for one run of each split; a run of the published size holds 430 MB.

    In its result `outputs` are the scores of the validation windows of each run `[run, window]`, padded.
    """
    sets = [IndexSets(np.array(split.train), np.array(split.validation)) for split in splits]
    task = ScoreTask(module, config, (1, *data.windows.shape[1:], 1))
    return TrainingSetup(task, data, stack_runs(config.seed, range(len(splits)), sets))


def euclidean(predictions: Float[Array, " batch"], scores: Float[Array, " batch"]) -> Float[Array, ""]:
    """Half the mean squared difference."""
    return jnp.square(predictions - scores).mean() / 2
