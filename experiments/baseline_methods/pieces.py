"""Training on pieces of recordings with labels of whole recordings: one run for each split, all as one stack.

A training sample is a piece of some frames with the label of its recording; the risk of a recording is the mean over
its pieces. The network is `apply(variables, x [piece, time, ...], train=...) -> (logits [piece, 2], aux)`.

Source: Nguyen-Thai et al. 2021 (STAM): pieces of 1000 frames, Adam at 1e-4 with weight decay 1e-4, batches of 64,
cross-entropy, the epoch of the best validation AUC, which makes the metrics optimistic; `at_last_epoch` gives those
that are not. Our choice, where the description does not say: the number of epochs, that the last piece ends with the
recording and overlaps the one before, and the mean over pieces.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from infantjax.training import metrics
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.optimizers import elementwise
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, StackResult, Status, stack_runs
from infantjax.training.task import EvalResult, SupervisedTask, mask


@dataclass(frozen=True)
class PieceConfig:
    """How every run of a stack is trained; the defaults are those of STAM, but for `epochs`.

    Attributes:
        epochs: passes over the training pieces (our choice).
        batch_size: pieces of a step; an incomplete last batch is dropped.
        learning_rate: of Adam, constant.
        decay: factor of the parameters that are added to their gradients.
        evaluation_batch: pieces per call; it changes memory, not results.
        seed: root of every random number.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-4
    decay: float = 1e-4
    evaluation_batch: int = 8
    seed: int = 1


class Pieces(NamedTuple):
    """A whole cohort in pieces.

    Attributes:
        x: `[piece, time, ...]` float32.
        recording: `[piece]` int32, the recording of each; ascending.
        labels: `[recording]` int32, 1 is abnormal.
    """

    x: Float[Array, "piece time *axes"]
    recording: Int[Array, " piece"]
    labels: Int[Array, " recording"]

    @classmethod
    def create(
        cls, recordings: Sequence[Float[np.ndarray, " time *axes"]], labels: Sequence[float], frames: int
    ) -> "Pieces":
        """Cut recordings into pieces.

        Args:
            recordings: what the network reads of each.
            labels: of each, 0 or 1.
            frames: of a piece.
        """
        parts, owners = [], []
        for number, given in enumerate(recordings):
            starts = sorted({*range(0, len(given) - frames + 1, frames), len(given) - frames})
            parts += [given[start : start + frames] for start in starts]
            owners += [number] * len(starts)
        # `device_put` of the loop moves NumPy arrays too.
        x, owner, known = np.asarray(parts, np.float32), np.asarray(owners, np.int32), np.asarray(labels, np.int32)
        return cls(x, owner, known)  # type: ignore[arg-type]


class HeldOut(NamedTuple):
    """Validation recordings of a run.

    Attributes:
        place: `[piece]` of each validation piece: the place of its recording among those held out.
        recording: `[recording]` which recordings they are.
        count: `[]` their number.
    """

    place: Array
    recording: Array
    count: Array  # type: ignore[assignment]


def train(
    task: "PieceTask", data: Pieces, splits: Sequence[Split], *, options: TrainOptions | None = None
) -> StackResult:
    """Train one run for each split, all at once, and keep each run's best epoch.

    Args:
        task: what is trained. A published batch of STAM holds 3136 clips, whose activations need an accelerator.
        data: the cohort.
        splits: of the recordings.
        options: of the execution.

    Returns:
        `outputs` are the risks of the validation recordings of each run `[run, recording]`, padded.

    Raises:
        ValueError: no splits, recordings that do not exist, or fewer training pieces than a batch.
        InputError: see `training.fit`.
    """
    if not splits:
        raise ValueError("training needs at least one split")
    sets = [_index_sets(data, split, task.config) for split in splits]
    runs = stack_runs(task.config.seed, range(len(splits)), sets)
    return fit(task, data, runs, options=options or TrainOptions(save_every=10))


def at_last_epoch(result: StackResult, splits: Sequence[Split], count: int) -> Float[np.ndarray, " recording"]:
    """Risk of each recording by the last weights of the run that held it out: no held-out outcome chose anything.

    Args:
        result: of a task whose history holds `risks`.
        splits: of its runs.
        count: number of recordings.

    Returns:
        NaN where the run diverged.
    """
    risks = np.full(count, np.nan)
    for split, of_run, last, status in zip(splits, result.history["risks"], result.last_epoch, result.status):
        if status != Status.DIVERGED:
            risks[list(split.validation)] = of_run[last - 1, : len(split.validation)]
    return risks


def _index_sets(data: Pieces, split: Split, config: PieceConfig) -> IndexSets:
    split.check(len(data.labels), "recordings")
    owner, held = np.asarray(data.recording), np.asarray(split.validation)
    pieces, held_pieces = (np.flatnonzero(np.isin(owner, rows)) for rows in (split.train, split.validation))
    if len(pieces) < config.batch_size:
        raise ValueError(f"{len(pieces)} training pieces do not fill a batch of {config.batch_size}")
    place = {int(row): number for number, row in enumerate(held)}
    places: Any = np.array([place[int(row)] for row in owner[held_pieces]])
    count: Any = np.int32(len(held))
    extra: Any = HeldOut(places, held, count)  # type: ignore[arg-type]
    return IndexSets(pieces, held_pieces, extra)


@dataclass(frozen=True, eq=False)
class PieceTask(SupervisedTask):
    """Two classes from pieces; the best epoch has the highest AUC of the held-out recordings."""

    module: nn.Module
    config: PieceConfig

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam, the decay as part of the gradient."""
        decayed = optax.add_decayed_weights(self.config.decay)
        return elementwise(optax.chain(decayed, optax.adam(self.config.learning_rate)))

    def sample(self, key: Array, row: Array, data: Pieces) -> tuple[Array, Array]:
        """A piece and its label."""
        return data.x[row], data.labels[data.recording[row]]

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Cross-entropy."""
        x, labels = batch
        (logits, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
        return metrics.cross_entropy(logits, labels).mean(), updates

    def predict(self, variables: dict[str, Any], rows: Array, data: Pieces) -> Float[Array, " piece"]:
        """Risks of pieces."""
        return jax.nn.softmax(self.module.apply(variables, data.x[rows])[0])[:, 1]

    def evaluate(self, predictions: Array, variables: dict[str, Any], run: Run, data: Pieces) -> EvalResult:
        """AUC and cross-entropy of the held-out recordings."""
        held, count = run.extra, len(run.extra.recording)
        real = mask(run.validation_count, len(run.validation)).astype(predictions.dtype)
        sums, pieces = (jnp.zeros(count).at[held.place].add(values) for values in (real * predictions, real))
        risks, known = sums / jnp.maximum(pieces, 1), mask(held.count, count).astype(predictions.dtype)
        labels = data.labels[held.recording]
        likelihood = jnp.clip(jnp.where(labels == 1, risks, 1 - risks), 1e-7, 1)
        auc = metrics.auc(risks, labels, known)
        return EvalResult((-known * jnp.log(likelihood)).sum() / held.count, auc, risks, {"auc": auc, "risks": risks})

    def format_summary(self, best_scores: np.ndarray) -> str:
        """Median and range of the best AUC."""
        return f"AUC {np.median(best_scores):.3f} ({best_scores.min():.3f} to {best_scores.max():.3f})"
