"""STAM, training: one run for each fold, all as one stack, see `training.loop`.

Recordings are trained on in pieces of 1000 frames, each with the label of its recording; the clips within a piece have
no label. The risk of a recording is the mean over its pieces.

Source: Nguyen-Thai et al. 2021: pieces, Adam at 1e-4 with weight decay 1e-4, batches of 64, cross-entropy, the epoch of
the best validation AUC. Chosen, where the description is silent: the number of epochs, that the last piece ends with
the recording and overlaps the one before, and that risks of pieces are averaged. That the epoch is chosen by the
recordings that it is then judged on makes the figures too good.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int
from stam_model import CHANNELS, CLIP, FRAMES, Stam

from infantjax.files import sha256
from infantjax.methods.ensemble_gcn.training import Result
from infantjax.training import loop, metrics
from infantjax.training.loop import EpochResult, EvalResult, Execution, shuffled
from infantjax.training.splits import Split
from infantjax.training.state import TrainState, run_keys, stack_tables


@dataclass(frozen=True)
class StamConfig:
    """How every run of a stack is trained; the defaults are the published ones, but for `epochs`.

    Attributes:
        epochs: passes over the training pieces (chosen).
        batch_size: pieces of a step; an incomplete last batch is dropped.
        learning_rate: of Adam, constant.
        decay: times a parameter is added to its gradient.
        evaluation_batch: pieces that are computed at once; memory, not method.
        seed: root of every random number.

    Raises:
        ValueError: a value out of range.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 1e-4
    decay: float = 1e-4
    evaluation_batch: int = 8
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not (math.isfinite(self.decay) and self.decay >= 0):
            raise ValueError(f"decay must be at least 0, got {self.decay}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")


class Pieces(NamedTuple):
    """A whole cohort in pieces: what lies on the device once.

    Attributes:
        x: `[piece, time, joint, 7]` float32, see `motion.stam.channels`.
        recording: `[piece]` int32, which it is of; in order.
        labels: `[recording]` int32, 1 is abnormal.
    """

    x: Float[Array, "piece time joint 7"]
    recording: Int[Array, " piece"]
    labels: Int[Array, " recording"]

    @classmethod
    def of(
        cls, recordings: Sequence[Float[np.ndarray, "time joint 7"]], labels: Sequence[float], frames: int = FRAMES
    ) -> "Pieces":
        """Cut.

        Args:
            recordings: `motion.stam.channels` of each.
            labels: of each, 0 or 1.
            frames: of a piece, at least a clip.

        Raises:
            ValueError: no recordings, numbers or shapes that do not fit, missing values, a label not 0 or 1, or a
                recording shorter than a piece.
        """
        if not recordings or len(recordings) != len(labels) or not set(map(int, labels)) <= {0, 1}:
            raise ValueError(f"{len(recordings)} recordings need as many labels, 0 or 1, got {len(labels)}")
        if frames < CLIP:
            raise ValueError(f"a piece must hold a clip of {CLIP} frames, got {frames}")
        parts, owners = [], []
        for number, given in enumerate(recordings):
            if given.ndim != 3 or given.shape[1:] != (recordings[0].shape[1], len(CHANNELS)):
                raise ValueError(f"recording {number} has shape {given.shape}, not [time, joint, {len(CHANNELS)}]")
            if len(given) < frames or not np.isfinite(given).all():
                raise ValueError(f"recording {number} has fewer than {frames} frames or missing values")
            starts = sorted({*range(0, len(given) - frames + 1, frames), len(given) - frames})
            parts += [given[start : start + frames] for start in starts]
            owners += [number] * len(starts)
        # `device_put` of the loop moves NumPy arrays too.
        x, owner, known = np.asarray(parts, np.float32), np.asarray(owners, np.int32), np.asarray(labels, np.int32)
        return cls(x, owner, known)  # type: ignore[arg-type]


class StamRun(NamedTuple):
    """The index sets of one run. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of training pieces.
        piece: `[piece]` which they are.
        held: `[]` number of held-out pieces.
        held_piece: `[piece]` which they are.
        held_of: `[piece]` the place of their recordings among those held out.
        recordings: `[]` number of held-out recordings.
        recording: `[recording]` which they are.
    """

    key: Array
    samples: Array
    piece: Array
    held: Array
    held_piece: Array
    held_of: Array
    recordings: Array
    recording: Array


def train(
    module: Stam,
    data: Pieces,
    folds: Sequence[Split],
    config: StamConfig | None = None,
    *,
    description: Mapping[str, Any] | None = None,
    **how: Unpack[Execution],
) -> Result:
    """Train one run for each fold, all at once, and keep each run's best epoch.

    Args:
        module: the network. A published batch holds 3136 clips, whose activations want an accelerator.
        data: the cohort.
        folds: of the recordings.
        config: the same for all runs; None is as published.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        how: see `loop.Execution`; checkpoints are 10 epochs apart if not said.

    Raises:
        ValueError: no folds, recordings that do not exist, or fewer training pieces than a batch.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    config = config or StamConfig()
    if not folds:
        raise ValueError("there is nothing to train: no folds")
    tables = [_tables(data, fold, config) for fold in folds]
    leaves = b"".join(np.asarray(leaf).tobytes() for leaf in data)
    state = loop.train(
        PieceTask(module, config, (1, *data.x.shape[1:])),
        StamRun(key=run_keys(config.seed, range(len(folds))), **stack_tables(tables)),  # type: ignore[arg-type]
        data,
        {
            "config": asdict(config),
            "cohort": sha256(leaves),
            "folds": [asdict(fold) for fold in folds],
            "model": dict(description or {}),
        },
        run_ids=range(len(folds)),
        summary=lambda best: f"AUC {np.median(best):.3f} ({best.min():.3f} to {best.max():.3f})",
        **(Execution(save_every=10) | how),
    )
    held = [len(fold.validation) for fold in folds]
    return Result(
        **loop.TrainResult.of(state),
        best_auc=np.asarray(state.best_score),
        risks=tuple(np.asarray(risks[:n]) for risks, n in zip(state.best_outputs, held)),
    )


def _tables(data: Pieces, fold: Split, config: StamConfig) -> dict[str, np.ndarray]:
    owner, (train, held) = np.asarray(data.recording), (np.asarray(fold.train), np.asarray(fold.validation))
    for rows in (train, held):
        if not len(rows) or rows.min() < 0 or rows.max() >= len(data.labels):
            raise ValueError(f"a fold must name recordings 0..{len(data.labels) - 1} to train and to validate on")
    piece, held_piece = (np.flatnonzero(np.isin(owner, rows)) for rows in (train, held))
    if len(piece) < config.batch_size:
        raise ValueError(f"{len(piece)} training pieces do not fill a batch of {config.batch_size}")
    place = {int(row): number for number, row in enumerate(held)}
    tables = {
        "samples": len(piece),
        "piece": piece,
        "held": len(held_piece),
        "held_piece": held_piece,
        "held_of": [place[int(row)] for row in owner[held_piece]],
        "recordings": len(held),
        "recording": held,
    }
    return {name: np.asarray(table, np.int32) for name, table in tables.items()}


@dataclass(frozen=True, eq=False)
class PieceTask(loop.Task):
    """Two classes from pieces; the best epoch has the highest AUC of the held-out recordings."""

    module: Stam
    config: StamConfig

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam, the decay as part of the gradient."""
        return optax.chain(optax.add_decayed_weights(self.config.decay), optax.adam(self.config.learning_rate))

    def train_epoch(self, state: TrainState, run: StamRun, data: Pieces, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; as many as the run has whole batches."""
        size = self.config.batch_size
        order = shuffled(key, run.samples, run.piece.shape[0])
        steps = jnp.where(running, run.samples // size, 0)

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, total = carry
            drawn = run.piece[lax.dynamic_slice_in_dim(order, i * size, size)]
            labels = data.labels[data.recording[drawn]]

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                rngs = {"dropout": jax.random.fold_in(key, run.piece.shape[0] + i)}
                (logits, _), updates = self.module.apply(
                    variables, data.x[drawn], train=True, mutable=["batch_stats"], rngs=rngs
                )
                return metrics.cross_entropy(logits, labels).mean(), updates

            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, total + value

        carry = (state.variables, state.opt_state, jnp.float32(0))
        variables, optimizer, total = lax.fori_loop(0, steps, step, carry)
        return EpochResult(variables, optimizer, total / steps)

    def evaluate_run(self, variables: dict[str, Array], run: StamRun, data: Pieces, running: Array) -> EvalResult:
        """AUC and cross-entropy of the held-out recordings."""
        unpacked, size, most = self.unpack(variables), self.config.evaluation_batch, run.held_piece.shape[0]
        rows = jnp.pad(run.held_piece, (0, -most % size))

        def chunk(i: Array, found: Array) -> Array:
            logits, _ = self.module.apply(unpacked, data.x[lax.dynamic_slice_in_dim(rows, i * size, size)])
            return lax.dynamic_update_slice_in_dim(found, jax.nn.softmax(logits)[:, 1], i * size, 0)

        chunks = jnp.where(running, -(-run.held // size), 0)
        found = lax.fori_loop(0, chunks, chunk, jnp.zeros(rows.shape))[:most]
        real, count = (jnp.arange(most) < run.held).astype(found.dtype), run.recording.shape[0]
        sums, pieces = (jnp.zeros(count).at[run.held_of].add(values) for values in (real * found, real))
        risks, held = sums / jnp.maximum(pieces, 1), (jnp.arange(count) < run.recordings).astype(found.dtype)
        labels = data.labels[run.recording]
        chosen = jnp.clip(jnp.where(labels == 1, risks, 1 - risks), 1e-7, 1)
        area = metrics.auc(risks, labels, held)
        return EvalResult((-held * jnp.log(chosen)).sum() / run.recordings, area, risks, {"auc": area})
