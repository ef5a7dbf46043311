"""A run of a stack: its index sets, the state that training changes, and its result.

Everything on the device is a named tuple of arrays; in a stack each array has a leading `run` axis.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from infantjax.training.splits import Split


class Status(enum.IntEnum):
    """State of a run. A run that is not RUNNING has ended and changes no more."""

    RUNNING = 0
    FINISHED = 1
    STOPPED = 2
    """Early stopping."""
    DIVERGED = 3
    """A loss or a weight was not finite; the state is that of the epoch before."""


class Run(NamedTuple):
    """Index sets of one run, padded to the longest run of its stack.

    Attributes:
        key: `[]` JAX key of the run.
        train: `[sample]` what identifies each training sample: an index into the data, or a tree of such arrays.
        train_count: `[]` number of training samples; samples beyond it are padding.
        validation: `[sample]` likewise, of the validation samples.
        validation_count: `[]` number of validation samples.
        extra: further arrays of a method; None without.
    """

    key: Array
    train: Any
    train_count: Array
    validation: Any
    validation_count: Array
    extra: Any = None


class IndexSets(NamedTuple):
    """Index sets of one run before padding: NumPy arrays, or trees of them; see `Run`."""

    train: Any
    validation: Any
    extra: Any = None


class TrainState(NamedTuple):
    """All that an epoch changes.

    Attributes:
        variables: collections of the network: `params`, `batch_stats` and others. Within the compiled program each
            collection is one vector.
        opt_state: of the optimizer.
        epoch: `[]` number of epochs begun.
        status: `[]` a `Status`.
        best: variables after the epoch with the highest score, the first one on ties; the newest variables while no
            epoch has a sufficient score.
        best_epoch: `[]` that epoch, counted from 1; 0 while there is none.
        best_score: `[]` its score.
        best_outputs: outputs of the evaluation of that epoch, see `EvalResult`.
        history: `[epoch, ...]` each, by name: losses and metrics after each epoch; NaN for epochs that were not run.
    """

    variables: dict[str, Any]
    opt_state: Any
    epoch: Array
    status: Array
    best: dict[str, Any]
    best_epoch: Array
    best_score: Array
    best_outputs: Any
    history: dict[str, Array]


@dataclass(frozen=True, eq=False, kw_only=True)
class StackResult:
    """Result of a stack of runs. Arrays are NumPy with a leading run axis.

    Attributes:
        variables: of the best epoch of each run; the last ones where no epoch has a sufficient score.
        best_epoch: `[run]` counted from 1; 0 where no epoch has a sufficient score.
        best_score: `[run]` score of that epoch; higher is better.
        outputs: outputs of the evaluation of that epoch, padded; see the task.
        status: how each run ended.
        last_epoch: `[run]` last epoch that counts; for a diverged run the epoch before it diverged.
        history: `[run, epoch, ...]` of each loss and metric; NaN for epochs that were not run or diverged.
    """

    variables: dict[str, Any]
    best_epoch: np.ndarray
    best_score: np.ndarray
    outputs: Any
    status: tuple[Status, ...]
    last_epoch: np.ndarray
    history: dict[str, np.ndarray]

    @classmethod
    def from_state(cls, state: TrainState) -> "StackResult":
        """From the final state of a stack, on the host."""
        return cls(
            variables=state.best,
            best_epoch=np.asarray(state.best_epoch),
            best_score=np.asarray(state.best_score),
            outputs=jax.tree.map(np.asarray, state.best_outputs),
            status=tuple(Status(int(s)) for s in state.status),
            last_epoch=np.asarray(state.epoch - (state.status == Status.DIVERGED)),
            history=jax.tree.map(np.asarray, state.history),
        )

    def validation_outputs(self, splits: Sequence[Split]) -> tuple[np.ndarray, ...]:
        """Outputs of the validation samples of each run, in the order of its split, where `outputs` is one array."""
        return tuple(of_run[: len(split.validation)] for of_run, split in zip(self.outputs, splits))

    def held_out(self, splits: Sequence[Split], count: int) -> np.ndarray:
        """Output of each sample `[sample]` by the run that validated on it; NaN where none did or it diverged."""
        values = np.full(count, np.nan)
        for split, found, status in zip(splits, self.validation_outputs(splits), self.status):
            if status != Status.DIVERGED:
                values[list(split.validation)] = found
        return values


def run_keys(seed: int, run_ids: Sequence[int]) -> Array:
    """The key of each run: a function of the seed and the run's number alone, so other runs do not matter."""
    root = jax.random.key(seed)
    return jax.vmap(lambda run: jax.random.fold_in(root, run))(jnp.asarray(run_ids, jnp.uint32))


def stack_runs(seed: int, run_ids: Sequence[int], sets: Sequence[IndexSets]) -> Run:
    """Stack the index sets of several runs, each padded to the longest.

    Args:
        seed: root of the keys.
        run_ids: number of each run.
        sets: index sets of each run.

    Returns:
        `[run, ...]` of each array; counts are the lengths before padding.
    """

    def counts(trees: Sequence[Any]) -> np.ndarray:
        return np.array([len(jax.tree.leaves(tree)[0]) for tree in trees], np.int32)

    train, validation, extra = zip(*sets)
    return Run(
        run_keys(seed, run_ids),
        jax.tree.map(lambda *leaves: stack_padded(leaves), *train),
        counts(train),  # type: ignore[arg-type]
        jax.tree.map(lambda *leaves: stack_padded(leaves), *validation),
        counts(validation),  # type: ignore[arg-type]
        jax.tree.map(lambda *leaves: stack_padded(leaves), *extra),
    )


def stack_padded(arrays: Sequence[Any]) -> np.ndarray:
    """Stack integer arrays of equal rank, each padded with zeros at the end of its axes, as int32."""
    hosts = [np.asarray(array) for array in arrays]
    shape = tuple(np.max([a.shape for a in hosts], axis=0).astype(int))
    stacked = np.zeros((len(hosts), *shape), np.int32)
    for number, array in enumerate(hosts):
        index: Any = (number, *(slice(n) for n in array.shape))
        stacked[index] = array
    return stacked
