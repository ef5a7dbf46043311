"""What a run of a stack is: its settings, its index sets, and the state that training changes.

Everything on the device is a named tuple of arrays; in a stack each array has a leading `run` axis.
"""

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from infantjax.files import sha256
from infantjax.recording import windows
from infantjax.recording.augmentation import Augmentation
from infantjax.skeletons import Skeleton
from infantjax.training.splits import Split


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained; the defaults are those of the published cross-validation.

    Attributes:
        epochs: passes over the training samples; 200 in cross-validation, 100 in the search.
        batch_size: windows of a step; an incomplete last batch is dropped.
        learning_rate: of SGD with Nesterov momentum, constant.
        momentum: of the same.
        samples_per_negative: windows that an infant without CP gives in an epoch.
        positive_ratio: an infant with CP gives this many times as many.
        roll: repeat shorter recordings end to end up to the longest of the training set, as released; else a window
            lies within the infant's own recording.
        augmentation: random views of training windows; None trains on the windows as they are.
        required_auc: (epoch, AUC) pairs: a run stops after the validation of an epoch from the named one on if its
            best AUC so far is below; equality passes. Empty in cross-validation.
        evaluation_batch: validation windows that are computed at once; memory, not method.
        seed: root of every random number; a run's draws depend on (seed, run, epoch, sample) and nothing else.

    Raises:
        ValueError: a value out of range.

    Source: Groos et al., Paper III with supplement; the released program.
    """

    epochs: int = 200
    batch_size: int = 32
    learning_rate: float = 5e-4
    momentum: float = 0.9
    samples_per_negative: int = 12
    positive_ratio: int = 5
    roll: bool = True
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    required_auc: tuple[tuple[int, float], ...] = ()
    evaluation_batch: int = 32
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "samples_per_negative", "positive_ratio", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")
        for epoch, least in self.required_auc:
            if epoch < 1 or not 0 <= least <= 1:
                raise ValueError(f"required_auc must hold (epoch from 1, AUC in 0..1) pairs, got ({epoch}, {least})")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class CohortData:
    """Standardized positions of a whole cohort, padded to the longest recording: what lies on the device once.

    Attributes:
        positions: `[recording, time, joint, 2]` float32, 0 after a recording's end.
        lengths: `[recording]` int32, frames.
        labels: `[recording]` int32, 1 is CP.
        skeleton: of the joints.
        rotation: of the preprocessing; `window_first` turns each window when it is cut.
        window: frames of a window.
    """

    positions: Float[Array, "recording time joint 2"]
    lengths: Int[Array, " recording"]
    labels: Int[Array, " recording"]
    skeleton: Skeleton = field(metadata={"static": True})
    rotation: str = field(default="frame", metadata={"static": True})
    window: int = field(default=windows.WINDOW, metadata={"static": True})

    @classmethod
    def from_recordings(
        cls,
        positions: Sequence[Float[np.ndarray, "time joint 2"]],
        labels: Sequence[float],
        skeleton: Skeleton,
        rotation: str = "frame",
        window: int = windows.WINDOW,
    ) -> "CohortData":
        """Pad standardized positions, one array a recording.

        Raises:
            ValueError: no recordings, a number of labels or joints that does not fit, a recording shorter than a
                window, missing points, or a label that is neither 0 nor 1.
        """
        if not positions or len(positions) != len(labels):
            raise ValueError(f"{len(positions)} recordings need as many labels, got {len(labels)}")
        if not set(labels) <= {0, 1}:
            raise ValueError("labels must be 0 or 1")
        for number, array in enumerate(positions):
            if array.ndim != 3 or array.shape[1:] != (len(skeleton.joints), 2) or len(array) < window:
                expected = f"[time from {window}, {len(skeleton.joints)}, 2]"
                raise ValueError(f"recording {number} has shape {array.shape}, expected {expected}")
            if not np.isfinite(array).all():
                raise ValueError(f"recording {number} has missing points; training needs every joint of every frame")
        lengths: Any = np.array([len(p) for p in positions], np.int32)
        padded: Any = np.zeros((len(positions), int(lengths.max()), len(skeleton.joints), 2), np.float32)
        for row, array in zip(padded, positions):
            row[: len(array)] = array
        outcomes: Any = np.asarray(labels, np.int32)
        return cls(padded, lengths, outcomes, skeleton, rotation, window)

    @property
    def digest(self) -> str:
        """SHA-256 over all that training sees of the cohort."""
        text = f"{self.positions.shape} {self.skeleton} {self.rotation} {self.window}".encode()
        return sha256(text + b"".join(np.asarray(a).tobytes() for a in (self.positions, self.lengths, self.labels)))


class Run(NamedTuple):
    """The index sets of one run: which windows it may train on, and which it is validated on. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of training samples of an epoch; what lies beyond in the next three is padding.
        recording: `[sample]` recording that the sample is cut from.
        part: `[sample]` which part of the recording, from 0.
        parts: `[sample]` number of parts that the recording is taken in.
        longest: `[]` frames of the longest training recording.
        windows: `[]` number of validation windows.
        window_recording: `[window]` recording of each validation window.
        window_start: `[window]` its first frame.
        infant_windows: `[infant, slot]` windows of each validation recording.
        infant_count: `[infant]` their number; 0 is padding.
        infant_label: `[infant]` its label.
        variables: of the network, with which the run begins; None draws them.
    """

    key: Array
    samples: Array
    recording: Array
    part: Array
    parts: Array
    longest: Array
    windows: Array
    window_recording: Array
    window_start: Array
    infant_windows: Array
    infant_count: Array
    infant_label: Array
    variables: Any = None


class Status(enum.IntEnum):
    """Where a run stands. Everything but RUNNING has ended: its state changes no more."""

    RUNNING = 0
    FINISHED = 1
    STOPPED = 2
    """It gave up: its best AUC was below the required one, say."""
    DIVERGED = 3
    """A loss or a weight was no longer finite; the state is that of the epoch before."""


class TrainState(NamedTuple):
    """All that an epoch changes.

    Attributes:
        variables: of the network: `params`, `batch_stats`, and any other collection, which stays constant; within the
            compiled program each collection is one vector.
        opt_state: of the optimizer.
        epoch: `[]` epochs begun.
        status: `[]` a `Status`.
        best: variables after the epoch with the highest score, the first on ties; the newest ones as long as none was
            high enough.
        best_epoch: `[]` that epoch, counted from 1; 0 as long as no score was high enough.
        best_score: `[]` its score.
        best_outputs: what is kept of that epoch beside its weights.
        history: `[epoch]` each, by name: what was measured after each epoch; NaN where the run did not get so far.
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


def run_keys(seed: int, run_ids: Sequence[int]) -> Array:
    """The key of each run: a function of the seed and the run's number alone, so that neighbors do not matter."""
    root = jax.random.key(seed)
    return jax.vmap(lambda run: jax.random.fold_in(root, run))(jnp.asarray(run_ids, jnp.uint32))


def index_sets(
    lengths: np.ndarray,
    labels: np.ndarray,
    folds: Sequence[Split],
    config: TrainingConfig,
    window: int = windows.WINDOW,
) -> dict[str, np.ndarray]:
    """The fields of `Run` but its key for a stack: made for each fold, padded to the longest, stacked.

    Args:
        lengths: `[recording]` frames.
        labels: `[recording]` 0 or 1.
        folds: of each run.
        config: samples per recording and batch size.
        window: frames of a window.

    Raises:
        ValueError: a fold names a recording that does not exist or has none, or its samples do not fill a batch.
    """
    return stack_tables([_run_tables(lengths, labels, fold, config, window) for fold in folds])


def stack_tables(tables: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Index sets of several runs, `[run, ...]` each: padded with zeros to the longest, stacked."""
    return {name: _padded([t[name] for t in tables]) for name in tables[0]}


def _run_tables(
    lengths: np.ndarray, labels: np.ndarray, fold: Split, config: TrainingConfig, window: int
) -> dict[str, np.ndarray]:
    for side in (fold.train, fold.validation):
        if not side or min(side) < 0 or max(side) >= len(lengths):
            raise ValueError(f"a fold must name recordings 0..{len(lengths) - 1} to train and to validate on")
    rows = np.asarray(fold.train)
    parts = config.samples_per_negative * np.where(labels[rows] == 1, config.positive_ratio, 1)
    if parts.sum() < config.batch_size:
        raise ValueError(f"{parts.sum()} training samples do not fill a batch of {config.batch_size}")
    starts = [windows.window_starts(int(lengths[r]), window) for r in fold.validation]
    counts = np.array([len(s) for s in starts])
    first = np.cumsum(counts) - counts
    tables = {
        "samples": parts.sum(),
        "recording": np.repeat(rows, parts),
        "part": np.concatenate([np.arange(p) for p in parts]),
        "parts": np.repeat(parts, parts),
        "longest": lengths[rows].max(),
        "windows": counts.sum(),
        "window_recording": np.repeat(fold.validation, counts),
        "window_start": np.concatenate(starts),
        "infant_windows": _padded([np.arange(f, f + c) for f, c in zip(first, counts)]),
        "infant_count": counts,
        "infant_label": labels[np.asarray(fold.validation)],
    }
    return {name: np.asarray(table, np.int32) for name, table in tables.items()}


def _padded(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Stack arrays of one rank, each padded with zeros at the ends of its axes."""
    shape = tuple(np.max([a.shape for a in arrays], axis=0).astype(int))
    stacked = np.zeros((len(arrays), *shape), np.int32)
    for number, array in enumerate(arrays):
        index: Any = (number, *(slice(n) for n in array.shape))
        stacked[index] = array
    return stacked
