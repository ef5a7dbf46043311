"""SMA CNN, training: one run for each held-out subject, all as one stack, see `training.loop`.

Every iteration draws its batch anew from all training windows. Nothing is selected and nothing stops: a run keeps its
last weights. The held-out subject's errors are measured on the way and choose nothing.

Source: the workshop paper of the SMA CNN. Chosen, where it is silent, and options: how much more the linear layers are
shrunk, that biases are not, and that the momentum is the classical one.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from infantjax.files import sha256
from infantjax.methods.sma_cnn.model import SmaCnn
from infantjax.training import loop
from infantjax.training.loop import EpochResult, EvalResult, Execution, shuffled
from infantjax.training.splits import Split
from infantjax.training.state import Status, TrainState, run_keys, stack_tables


@dataclass(frozen=True)
class SmaConfig:
    """How every run of a stack is trained; the defaults are the published ones.

    Attributes:
        iterations: steps of a run.
        report: iterations between two measurements of the held-out windows; divides `iterations`.
        batch_size: windows of a step.
        learning_rate: constant.
        momentum: of the descent.
        nesterov: its form; chosen is the classical one.
        decay: times a kernel is added to its gradient.
        linear_decay: how much more for the kernels of the linear layers (chosen; published is that it is more).
        bias_decay: the same for biases; chosen is none.
        evaluation_batch: held-out windows that are computed at once; memory, not method.
        seed: root of every random number.

    Raises:
        ValueError: a value out of range.
    """

    iterations: int = 1000
    report: int = 50
    batch_size: int = 400
    learning_rate: float = 1e-4
    momentum: float = 0.95
    nesterov: bool = False
    decay: float = 0.9
    linear_decay: float = 2.0
    bias_decay: float = 0.0
    evaluation_batch: int = 50
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("iterations", "report", "batch_size", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.iterations % self.report:
            raise ValueError(f"report must divide the {self.iterations} iterations, got {self.report}")
        for name in ("learning_rate", "decay", "linear_decay", "bias_decay"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")

    @property
    def epochs(self) -> int:
        """What the loop calls so: stretches of iterations between two reports."""
        return self.iterations // self.report


class ScoredWindows(NamedTuple):
    """The windows of all recordings: what lies on the device once.

    Attributes:
        windows: `[window, row, frame]` float32, see `motion.limbs.windows`.
        scores: `[window]` float32, of the recording that each is cut from.
    """

    windows: Float[Array, "window row frame"]
    scores: Float[Array, " window"]


class SmaRun(NamedTuple):
    """The index sets of one run. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of training windows.
        window: `[sample]` which they are.
        held: `[]` number of held-out windows.
        held_window: `[window]` which they are.
    """

    key: Array
    samples: Array
    window: Array
    held: Array
    held_window: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut(loop.TrainResult):
    """What a stack of runs came to, after their last iterations; its epochs are reports.

    Attributes:
        predictions: `[window]` by the run that held the window's subject out; NaN where none did or it diverged.
    """

    predictions: Float[np.ndarray, " window"]


def leave_one_out(subjects: Sequence[Hashable]) -> tuple[Split, ...]:
    """A fold for each subject, in the order of their first windows, which holds out all windows of that subject.

    Raises:
        ValueError: fewer than two subjects.
    """
    names = list(dict.fromkeys(subjects))
    if len(names) < 2:
        raise ValueError(f"leaving one subject out needs two at least, got {len(names)}")
    rows = {name: tuple(i for i, subject in enumerate(subjects) if subject == name) for name in names}
    everything = range(len(subjects))
    return tuple(Split(tuple(i for i in everything if subjects[i] != name), rows[name]) for name in names)


def train(
    module: SmaCnn,
    windows: Float[np.ndarray, "window row frame"],
    scores: Sequence[float],
    subjects: Sequence[Hashable],
    config: SmaConfig | None = None,
    *,
    folds: Sequence[Split] | None = None,
    description: Mapping[str, Any] | None = None,
    **how: Unpack[Execution],
) -> HeldOut:
    """Train one run for each subject on the windows of all others, all at once.

    Args:
        module: the network.
        windows: standardized, of all recordings.
        scores: `[window]` of the recording that each is cut from.
        subjects: `[window]`.
        config: the same for all runs; None is as published.
        folds: of the windows, one for each run; None leaves each subject out.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        how: see `loop.Execution`. A run of the published size holds 430 MB.

    Raises:
        ValueError: lengths that differ, missing values, one subject only, or fewer training windows than a batch.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    config = config or SmaConfig()
    given, targets = np.asarray(windows, np.float32), np.asarray(scores, np.float32)
    if given.ndim != 3 or not len(given) == len(targets) == len(subjects):
        raise ValueError(f"windows [window, row, frame] need scores and subjects, got {given.shape}, {targets.shape}")
    if not (np.isfinite(given).all() and np.isfinite(targets).all()):
        raise ValueError("windows and scores must not hold missing values")
    folds = leave_one_out(subjects) if folds is None else folds
    if (fewest := min(len(fold.train) for fold in folds)) < config.batch_size:
        raise ValueError(f"{fewest} training windows do not fill a batch of {config.batch_size}")
    tables = [
        {
            "samples": np.int32(len(fold.train)),
            "window": np.array(fold.train, np.int32),
            "held": np.int32(len(fold.validation)),
            "held_window": np.array(fold.validation, np.int32),
        }
        for fold in folds
    ]
    state = loop.train(
        ScoreTask(module, config, (1, *given.shape[1:], 1)),
        SmaRun(key=run_keys(config.seed, range(len(folds))), **stack_tables(tables)),  # type: ignore[arg-type]
        ScoredWindows(given, targets),  # type: ignore[arg-type]
        {
            "config": asdict(config),
            "cohort": sha256(given.tobytes() + targets.tobytes()),
            "folds": [asdict(fold) for fold in folds],
            "model": dict(description or {}),
        },
        run_ids=range(len(folds)),
        **how,
    )
    predictions = np.full(len(given), np.nan)
    for fold, held, status in zip(folds, np.asarray(state.best_outputs), state.status):
        if status != Status.DIVERGED:
            predictions[list(fold.validation)] = held[: len(fold.validation)]
    return HeldOut(**loop.TrainResult.of(state), predictions=predictions)


@dataclass(frozen=True, eq=False)
class ScoreTask(loop.Task):
    """One score from windows; the last weights are kept."""

    module: SmaCnn
    config: SmaConfig

    @property
    def first_epoch(self) -> int:  # type: ignore[override]
        """Only the last one counts: nothing is chosen by the held-out subject."""
        return self.config.epochs

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Gradient descent with momentum."""
        config = self.config
        return optax.sgd(config.learning_rate, momentum=config.momentum, nesterov=config.nesterov)

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

    def train_epoch(
        self, state: TrainState, run: SmaRun, data: ScoredWindows, key: Array, running: Array
    ) -> EpochResult:
        """The iterations between two reports."""

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, total = carry
            order, dropout = jax.random.split(jax.random.fold_in(key, i))
            drawn = run.window[shuffled(order, run.samples, run.window.shape[0])[: self.config.batch_size]]

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                x = data.windows[drawn][..., None]
                found, _ = self.module.apply(variables, x, train=True, rngs={"dropout": dropout})
                return euclidean(found, data.scores[drawn]) + self.penalty(variables["params"]), {}

            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, total + value

        steps = jnp.where(running, self.config.report, 0)
        carry = (state.variables, state.opt_state, jnp.float32(0))
        variables, optimizer, total = lax.fori_loop(0, steps, step, carry)
        return EpochResult(variables, optimizer, total / steps)

    def evaluate_run(self, variables: dict[str, Array], run: SmaRun, data: ScoredWindows, running: Array) -> EvalResult:
        """Errors of the held-out windows."""
        unpacked, size, most = self.unpack(variables), self.config.evaluation_batch, run.held_window.shape[0]
        rows = jnp.pad(run.held_window, (0, -most % size))

        def chunk(i: Array, found: Array) -> Array:
            x = data.windows[lax.dynamic_slice_in_dim(rows, i * size, size)][..., None]
            return lax.dynamic_update_slice_in_dim(found, self.module.apply(unpacked, x)[0], i * size, 0)

        chunks = jnp.where(running, -(-run.held // size), 0)
        found = lax.fori_loop(0, chunks, chunk, jnp.zeros(rows.shape))[:most]
        difference = jnp.where(jnp.arange(most) < run.held, found - data.scores[run.held_window], 0)
        error, loss = jnp.abs(difference).sum() / run.held, jnp.square(difference).sum() / (2 * run.held)
        return EvalResult(loss, -error, found, {"error": error})


def euclidean(found: Float[Array, " batch"], scores: Float[Array, " batch"]) -> Float[Array, ""]:
    """Half the mean squared difference."""
    return jnp.square(found - scores).mean() / 2
