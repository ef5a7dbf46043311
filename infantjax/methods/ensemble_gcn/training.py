"""Networks that read windows of keypoints, trained as a stack of runs.

Folds, seeds, repeats and candidates of one shape are runs of a stack, see `training.loop`. Each has its own index sets
and random key; the data set lies on the device once; sampling, augmentation, features, the optimizer and the evaluation
of an epoch are one compiled call over the whole stack.

Source: Groos et al., Paper III with supplement, and the released movement-outcome program.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Unpack

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt32

from infantjax.recording import augmentation, features, windows
from infantjax.training import loop, metrics
from infantjax.training import optimizers as optimizers
from infantjax.training.loop import EpochResult, EvalResult, Execution, RunMapping, permute_from_bits, take_runs
from infantjax.training.splits import Split
from infantjax.training.state import CohortData, Run, TrainingConfig, TrainState, index_sets, run_keys

__all__ = ["CohortData", "Result", "RunMapping", "TrainingConfig", "take_runs", "trace", "train"]

FEATURES = ("position", "velocity", "bone")


@dataclass(frozen=True, eq=False, kw_only=True)
class Result(loop.TrainResult):
    """What a stack of runs came to; arrays are NumPy with a leading run axis.

    Attributes:
        best_auc: `[run]` validation AUC at that epoch.
        risks: for each run the risks of its validation recordings at that epoch, in the order of the fold.
    """

    best_auc: np.ndarray
    risks: tuple[np.ndarray, ...]


def train(
    module: nn.Module,
    data: CohortData,
    folds: Sequence[Split],
    config: TrainingConfig,
    *,
    names: Sequence[str] = FEATURES,
    run_ids: Sequence[int] | None = None,
    description: Mapping[str, Any] | None = None,
    variables: Any = None,
    streams: Sequence[int] | None = None,
    programs: loop.CompiledTraining | None = None,
    **how: Unpack[Execution],
) -> Result:
    """Train one run for each fold, all at once, and keep each run's best epoch.

    Args:
        module: network with `init(key, x)` and `apply(variables, x, train=...) -> (logits [batch, 2], aux)`; training
            changes its collections `params` and `batch_stats` and no others.
        data: the cohort.
        folds: recordings that each run trains and is validated on.
        config: the same for all runs.
        names: input features of the network, see `recording.features.build_features`.
        run_ids: number of each run, from which its random key is derived; None counts from 0.
        description: of the model (name, overrides), JSON-compatible; a checkpoint of another one is refused.
        variables: `[run, ...]` of the network, with which the runs begin; None draws them.
        streams: number of each run's random key; None is that of the run. Runs of equal numbers draw alike.
        programs: what `trace` made of these arguments, or of others that differ in arrays alone, compiled; None
            compiles here.
        how: see `loop.Execution`.

    Returns:
        The best epoch of every run, and how each ended.

    Raises:
        ValueError: no folds, ids that repeat, recordings that do not exist, or too few samples for a batch.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    run_ids = list(range(len(folds))) if run_ids is None else list(run_ids)
    if not folds or len(run_ids) != len(folds) or len(set(run_ids)) != len(run_ids):
        raise ValueError(f"{len(folds)} folds need as many different run ids, got {run_ids}")
    task = programs.task if programs else _task(module, data, config, names, variables)
    setup = {
        "config": asdict(config),
        "cohort": data.digest,
        "folds": [asdict(fold) for fold in folds],
        "run_ids": [int(i) for i in run_ids],
        "features": list(names),
        "model": dict(description or {}),
    }
    state = loop.train(
        task,
        _runs(data, folds, config, streams or run_ids, variables),
        data,
        setup,
        run_ids=run_ids,
        summary=_summary,
        programs=programs,
        **how,
    )
    return Result(
        **loop.TrainResult.of(state),
        best_auc=np.asarray(state.best_score),
        risks=tuple(np.asarray(risks[: len(fold.validation)]) for risks, fold in zip(state.best_outputs, folds)),
    )


def trace(
    module: nn.Module,
    data: CohortData,
    folds: Sequence[Split],
    config: TrainingConfig,
    *,
    names: Sequence[str] = FEATURES,
    mapping: RunMapping = "auto",
    devices: Sequence[jax.Device] | None = None,
    variables: Any = None,
) -> loop.Tracing:
    """The programs of a training that does not begin yet, see `loop.trace`; arguments and errors as of `train`."""
    task = _task(module, data, config, names, variables)
    runs = _runs(data, folds, config, range(len(folds)), variables)
    return loop.trace(task, runs, data, len(folds), mapping=mapping, devices=devices)


def _task(
    module: nn.Module, data: CohortData, config: TrainingConfig, names: Sequence[str], variables: Any
) -> "WindowTask":
    task = WindowTask.of(module, tuple(names), config, len(data.skeleton.joints), data.window)
    if variables is None:
        return task
    return replace(task, start=jax.eval_shape(lambda: jax.tree.map(lambda leaf: leaf[0], variables)))


def _runs(
    data: CohortData, folds: Sequence[Split], config: TrainingConfig, streams: Sequence[int], variables: Any
) -> Run:
    tables = index_sets(np.asarray(data.lengths), np.asarray(data.labels), folds, config, data.window)
    return Run(key=run_keys(config.seed, streams), variables=variables, **tables)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class WindowTask(loop.Task):
    """Two classes from windows; the best epoch has the highest AUC over the held-out infants.

    Attributes:
        names: input features.
        start: shapes of the variables of a run, where runs begin with given ones.
    """

    config: TrainingConfig
    names: tuple[str, ...]
    start: Any = None

    min_score = 0.0
    """The published rule: the AUC of the best epoch is above 0."""

    @classmethod
    def of(
        cls,
        module: nn.Module,
        names: tuple[str, ...],
        config: TrainingConfig,
        joints: int,
        window: int = windows.WINDOW,
    ) -> "WindowTask":
        """For a network that reads these features of so many joints, in windows of so many frames."""
        input_shape = (1, window, joints, sum(features.CHANNELS[name] for name in names))
        return cls(module, config, input_shape, names)

    @cached_property
    def variables(self) -> Any:
        """Shapes of the network's variables."""
        return super().variables if self.start is None else self.start

    def initial(self, key: Array, run: Run, data: CohortData) -> dict[str, Array]:
        """The variables that the run begins with, or drawn ones."""
        return super().initial(key, run, data) if run.variables is None else self.pack(run.variables)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As published."""
        return optimizers.nesterov(self.config.learning_rate, self.config.momentum)

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """The published checkpoints of the search."""
        too_low = [(epoch >= due) & (best_score < least) for due, least in self.config.required_auc]
        return jnp.any(jnp.asarray(too_low, bool))

    def train_epoch(self, state: TrainState, run: Run, data: CohortData, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; as many as the run has whole batches, so runs of different size share a stack."""
        size = self.config.batch_size
        sample_key, step_key = jax.random.split(key)
        # All random bits of the epoch, see `augmentation.sample_from_bits`. Padding changes no sample's bits.
        bits = jax.random.bits(sample_key, (run.recording.shape[0], 2 + len(augmentation.AffineParams._fields)))
        order = permute_from_bits(bits[:, 0], run.samples)
        steps = jnp.where(running, run.samples // size, 0)

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, total = carry
            samples = lax.dynamic_slice_in_dim(order, i * size, size)
            x, labels = self.training_batch(bits[samples, 1:], samples, run, data)

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                rngs = {"dropout": jax.random.fold_in(step_key, i)}
                (logits, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
                return metrics.cross_entropy(logits, labels).mean(), updates

            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, total + value

        carry = (state.variables, state.opt_state, jnp.float32(0))
        variables, optimizer, total = lax.fori_loop(0, steps, step, carry)
        return EpochResult(variables, optimizer, total / steps)

    def training_batch(
        self, bits: UInt32[Array, "batch 5"], samples: Int[Array, " batch"], run: Run, data: CohortData
    ) -> tuple[Float[Array, "batch time joint channel"], Int[Array, " batch"]]:
        """Cut, augment and describe the windows of some samples, by random bits for the start and the view."""
        recording = run.recording[samples]
        length = data.lengths[recording]
        frames = jnp.broadcast_to(run.longest, length.shape) if self.config.roll else length
        low, high = windows.sample_range(frames, run.part[samples], run.parts[samples], data.window)
        start = low + (bits[:, 0] % (high - low + 1).astype(jnp.uint32)).astype(low.dtype)
        # A recording repeated end to end is read modulo its length; without repetition the remainder changes nothing.
        times = (start[:, None] + jnp.arange(data.window)) % length[:, None]
        positions = windows.align_windows(data.positions[recording[:, None], times], data.skeleton, data.rotation)
        if self.config.augmentation is not None:
            positions = augmentation.apply(
                positions, augmentation.sample_from_bits(bits[:, 1:], self.config.augmentation)
            )
        return features.build_features(positions, data.skeleton, self.names), data.labels[recording]

    def evaluate_run(self, variables: dict[str, Array], run: Run, data: CohortData, running: Array) -> EvalResult:
        """AUC over the risks of the validation recordings (medians over windows), class-balanced loss over windows."""
        size = self.config.evaluation_batch
        most = run.window_start.shape[0]
        chunks = jnp.where(running, -(-run.windows // size), 0)

        def chunk(i: Array, carry: tuple) -> tuple:
            risks, total, count = carry
            window = i * size + jnp.arange(size)
            real = window < run.windows
            window = jnp.minimum(window, most - 1)
            recording = run.window_recording[window]
            times = run.window_start[window][:, None] + jnp.arange(data.window)
            positions = windows.align_windows(data.positions[recording[:, None], times], data.skeleton, data.rotation)
            x = features.build_features(positions, data.skeleton, self.names)
            logits, _ = self.module.apply(self.unpack(variables), x, train=False)
            labels = data.labels[recording]
            of_class = real & (labels == jnp.arange(2)[:, None])
            total += jnp.sum(jnp.where(of_class, metrics.cross_entropy(logits, labels), 0), axis=1)
            risk = jax.nn.softmax(logits)[:, 1]
            return lax.dynamic_update_slice_in_dim(risks, risk, i * size, 0), total, count + jnp.sum(of_class, axis=1)

        carry = (jnp.zeros(-(-most // size) * size), jnp.zeros(2), jnp.zeros(2))
        risks, total, count = lax.fori_loop(0, chunks, chunk, carry)
        risks = metrics.median_over_windows(risks, run.infant_windows, run.infant_count)
        auc = metrics.auc(risks, run.infant_label, (run.infant_count > 0).astype(jnp.float32))
        return EvalResult(metrics.balanced(total, count), auc, risks, {"auc": auc})


def _summary(best: np.ndarray) -> str:
    return f"best AUC {np.median(best):.3f} ({best.min():.3f} to {best.max():.3f})"
