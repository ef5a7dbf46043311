"""Train any network on any arrays: many runs as one compiled program.

    import flax.linen as nn, jax.numpy as jnp, optax
    from infantjax.training import Task, fit

    task = Task(Net(), optax.softmax_cross_entropy_with_integer_labels, epochs=20)
    result = fit(task, (x, y), [(train, validation)], seeds=range(10), optimizer=optax.adamw(1e-3))

`Task` is for arrays with a sample axis. Whatever else is trained (own batches, several losses, stages of an epoch) is a
subclass of `SupervisedTask`, which `fit` trains as well.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from infantjax.errors import DivergedError
from infantjax.nn.initializers import Initialization
from infantjax.progress import LOGGER
from infantjax.settings import Count, check_fields
from infantjax.training.execution.compiled import CompiledTraining
from infantjax.training.loop import TrainOptions, train
from infantjax.training.splits import Split
from infantjax.training.state import Run, StackResult, Status, run_keys, stack_runs
from infantjax.training.task import EpochPlan, EvalResult, SupervisedTask, mask

Loss = Callable[[Any, Any], Array]
"""`loss(outputs, targets)`: outputs of the network and targets of a batch to the loss of each sample `[batch]`."""
Score = Callable[[Any, Any, Array], Array]
"""`score(outputs, targets, real)`: of all validation samples, `[sample, ...]`, to one number, higher is better; `real`
`[sample]` is false for padding."""


@dataclass(frozen=True, eq=False)
class Task:
    """A network and its loss, to be trained on arrays.

    Attributes:
        module: Flax Linen module, called with the inputs of a batch, and with `train=True` or `False` where its
            `__call__` has an argument of that name. `flax.nnx.bridge.to_linen(Net, ...)` makes one of an NNX module.
        loss: loss of each sample, for example `optax.softmax_cross_entropy_with_integer_labels`.
        score: of the validation samples; the best epoch has the highest. None is minus their mean loss.
        augment: `augment(key, inputs)`, a random view of one sample's inputs for training; None is no augmentation.
        epochs: passes over the training samples.
        batch_size: samples of a step; an incomplete last batch is dropped.
        patience: epochs without a better score after which a run stops; None never stops early.

    Raises:
        ValueError: a number below 1.
    """

    module: nn.Module
    loss: Loss
    score: Score | None = None
    augment: Callable[[Array, Any], Any] | None = None
    epochs: Count = 20
    batch_size: Count = 32
    patience: Count | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class _Config:
    """Settings of a `Task` that the loop and its checkpoints read."""

    epochs: int
    batch_size: int
    patience: int | None
    evaluation_batch: int
    seed: int = 0


@dataclass(frozen=True, eq=False)
class ArrayTask(SupervisedTask):
    """A `Task` on `(inputs, targets)`, trees of arrays with a leading sample axis."""

    task: Task
    inputs: Any

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam with a rate of 1e-3, unless `fit` is given another one (our choice)."""
        return optax.adam(1e-3)

    @property
    def example(self) -> Any:
        """One sample of the inputs."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), self.inputs)

    @cached_property
    def initialization(self) -> Initialization:
        """Initializers of the network, traced once."""
        return Initialization.of(self.module, self.example, **({"train": False} if self._has_train else {}))

    @cached_property
    def _has_train(self) -> bool:
        called: Any = getattr(self.module, "nnx_class", type(self.module)).__call__
        return "train" in inspect.signature(called).parameters

    def outputs(self, variables: dict[str, Any], inputs: Any, train: bool, **options: Any) -> Any:
        """Outputs of the network; in training with the updated collections."""
        given: dict[str, Any] = {"train": train} if self._has_train else {}
        return self.module.apply(variables, inputs, **given, **options)

    def batch(self, plan: EpochPlan, step: Array, run: Run, data: Any) -> tuple[Any, Any]:
        """Inputs and targets of a step."""
        samples = jax.lax.dynamic_slice_in_dim(plan.order, step * self.config.batch_size, self.config.batch_size)
        inputs, targets = jax.tree.map(lambda leaf: leaf[run.train[samples]], data)
        if self.task.augment is not None:
            keys = jax.vmap(lambda sample: jax.random.fold_in(plan.key, sample))(samples)
            inputs = jax.vmap(self.task.augment)(keys, inputs)
        return inputs, targets

    def losses(self, outputs: Any, targets: Any) -> Array:
        """Loss of each sample `[batch]`.

        Raises:
            ValueError: the loss has no sample axis.
        """
        values = jnp.asarray(self.task.loss(outputs, targets))
        count = len(jax.tree.leaves(targets)[0])
        if values.shape[:1] != (count,):
            raise ValueError(f"loss must give a value for each of {count} samples, got shape {values.shape}")
        return values.reshape(count, -1).mean(1)

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Mean loss of a batch, and the collections that the network has updated."""
        inputs, targets = batch
        changing = [name for name in variables if name != "params"]
        outputs, updates = self.outputs(variables, inputs, True, mutable=changing, rngs=rngs)
        return self.losses(outputs, targets).mean(), updates

    def predict(self, variables: dict[str, Any], rows: Array, data: Any) -> tuple[Any, Array]:
        """Outputs and losses of validation samples."""
        inputs, targets = jax.tree.map(lambda leaf: leaf[rows], data)
        outputs = self.outputs(variables, inputs, False)
        return outputs, self.losses(outputs, targets)

    def evaluate(self, predictions: Any, variables: dict[str, Any], run: Run, data: Any) -> EvalResult:
        """Mean loss and score of the validation samples, with their outputs."""
        (outputs, losses), real = predictions, mask(run.validation_count, len(run.validation))
        loss = jnp.where(real, losses, 0).sum() / run.validation_count
        if self.task.score is None:
            return EvalResult(loss, -loss, outputs, {})
        targets = jax.tree.map(lambda leaf: leaf[run.validation], data[1])
        score = jnp.asarray(self.task.score(outputs, targets, real), jnp.float32)
        return EvalResult(loss, score, outputs, {"score": score})

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """After `patience` epochs without a better score."""
        return jnp.bool_(False) if self.config.patience is None else epoch - best_epoch >= self.config.patience


def fit(
    task: Task | SupervisedTask,
    data: Any,
    splits: Run | Iterable[Split | tuple[Any, Any]],
    *,
    seeds: int | Iterable[int] | None = None,
    optimizer: optax.GradientTransformation | None = None,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    data_digest: str | None = None,
    init: Mapping[str, Any] | None = None,
    shard_batches: bool = False,
    options: TrainOptions | None = None,
    compiled: CompiledTraining | None = None,
) -> StackResult:
    """Train all runs of a stack at once, as one compiled program.

    Args:
        task: what the runs train.
        data: what they share; on the devices once. For a `Task` the pair `(inputs, targets)`, each an array or a tree
            of arrays with a leading sample axis.
        splits: samples to train on and to validate on: pairs of indices, as scikit-learn's splitters give them, or
            `Split`s. Or the index sets of all runs, with a leading run axis, see `state.Run`.
        seeds: one run for each seed and split, the splits of the first seed first. A number is one seed, not how many:
            `range(3)` gives three. None is seed 0 of a `Task`, and the configured one otherwise. The key of a run
            depends on its seed and the number of its split alone.
        optimizer: optax transformation of the tree of parameters, in place of the task's own; masks by path or shape,
            `multi_transform`, schedules and `MultiSteps` work. `elementwise` makes simple ones compile faster.
        directory: for checkpoints, `history.csv` and logs; an interrupted training there is continued. None keeps
            nothing. Another configuration, data, splits or shapes are refused; a changed loss, score or optimizer of a
            `Task` is not noticed, so give it another directory.
        description: of the model, JSON-compatible; checkpoints of another one are refused.
        data_digest: of the data; None computes it.
        init: variables to start from, `[run, ...]` each; None draws them. `description` must differ too.
        shard_batches: shard the batches of every run over the devices, in place of the runs.
        options: of the execution.
        compiled: programs of `execution.compiled.trace` for arguments of equal shapes; None compiles here.

    Returns:
        Variables `[run, ...]`, history, status and best epoch of each run. A run that diverged is named in a warning of
        the logger `infantjax` and keeps the state of the epoch before.

    Raises:
        DivergedError: no run finished an epoch. It is an `InputError`.
        InputError: the directory holds another training, is in use, or cannot be written.
        ValueError: arrays of different lengths, no splits, an index that does not exist, or fewer training samples than
            a batch.
    """
    seeds = None if seeds is None else [seeds] if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if isinstance(task, Task):
        task = _on_arrays(task, data)
        seeds = seeds or [0]
    if isinstance(splits, Run):
        if seeds is not None:
            raise ValueError("seeds need splits: index sets of runs have their keys")
        runs = splits
    else:
        runs = _runs(task, data, list(splits), [task.config.seed] if seeds is None else seeds)
    if optimizer is not None:
        task = task.with_optimizer(optimizer)
    result = train(
        task,
        runs,
        data,
        directory=directory,
        description=description,
        data_digest=data_digest,
        init=init,
        shard_batches=shard_batches,
        options=options,
        compiled=compiled,
    )
    diverged = [run for run, status in enumerate(result.status) if status is Status.DIVERGED]
    if diverged and not result.last_epoch.any():
        what = "the first epoch of every run diverged" if len(result.status) > 1 else "the first epoch diverged"
        raise DivergedError(directory or "training", what, "lower the learning rate or check the data")
    if diverged:
        named = ", ".join(f"run {run} in epoch {result.last_epoch[run] + 1}" for run in diverged)
        LOGGER.warning("training: diverged: %s; each keeps the state of the epoch before", named)
    return result


def _on_arrays(task: Task, data: Any) -> ArrayTask:
    """The supervised task of a `Task` on its data."""
    if not isinstance(data, tuple) or len(data) != 2:
        raise ValueError("data must be a pair (inputs, targets)")
    if len(lengths := {len(leaf) for leaf in jax.tree.leaves(data)}) != 1:
        raise ValueError(f"inputs and targets must have one number of samples, got {sorted(lengths)}")
    config = _Config(task.epochs, task.batch_size, task.patience, task.batch_size)
    return ArrayTask(task.module, config, (), task, data[0])


def _runs(task: SupervisedTask, data: Any, splits: Sequence[Any], seeds: Sequence[int]) -> Run:
    """Index sets of a run for each seed and split, with keys."""
    if not splits or not seeds:
        raise ValueError(f"training needs splits and seeds, got {len(splits)} and {len(seeds)}")
    named = [
        each if isinstance(each, Split) else Split(*(tuple(map(int, np.asarray(side).ravel())) for side in each))
        for each in splits
    ]
    sets = [task.index_sets(split, data) for split in named]
    runs = stack_runs(0, range(len(seeds) * len(sets)), sets * len(seeds))
    return runs._replace(key=jnp.concatenate([run_keys(seed, range(len(sets))) for seed in seeds]))
