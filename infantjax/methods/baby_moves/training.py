"""Baby Moves, training: repeats of a random split as one stack of runs, see `training.loop`.

An epoch lists every training video once, those of the abnormal class several times; each listing gives one random
clip, warped at random. Every held-out video is judged whole, by all of its clips. Each run keeps the weights of its
lowest validation loss.

Source: Passmore et al. and the released program. Where they differ this is the program: an exponential decay of the
learning rate exists in it, between two equal rates, and is left out.
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

from infantjax.files import sha256
from infantjax.methods.baby_moves.model import BabyMoves
from infantjax.methods.baby_moves.preprocessing import CLIP, FEATURES, STEP, clip_starts
from infantjax.recording import augmentation
from infantjax.training import loop, metrics
from infantjax.training import optimizers as optimizers
from infantjax.training.loop import EpochResult, EvalResult, Execution, shuffled
from infantjax.training.splits import Split
from infantjax.training.state import TrainState, run_keys, stack_tables


@dataclass(frozen=True)
class BabyMovesConfig:
    """How every run of a stack is trained; the defaults are the released ones.

    Attributes:
        epochs: the most there can be.
        warm_up: epochs before stopping is considered; their losses are forgotten.
        patience: epochs without a lower validation loss that stop a run.
        batch_size: clips of a step, each of a video of its own; an incomplete last batch is dropped.
        learning_rate: of SGD with Nesterov momentum, constant.
        momentum: of the same.
        smoothing: share of a label that is spread over both classes: 1 becomes 0.95 and 0 becomes 0.05.
        decay: times the sum of squares of all kernels is added to the loss.
        oversampling: times that a video of the abnormal class is listed in an epoch.
        curves: random curves that warps are chosen from; 0 trains on the clips as they are.
        seed: root of every random number; a run's draws depend on (seed, run, epoch, listing) and nothing else.

    Raises:
        ValueError: a value out of range.
    """

    epochs: int = 10_000
    warm_up: int = 250
    patience: int = 100
    batch_size: int = 8
    learning_rate: float = 0.005
    momentum: float = 0.9
    smoothing: float = 0.1
    decay: float = 0.005
    oversampling: int = 5
    curves: int = 10_000
    seed: int = 1

    def __post_init__(self) -> None:
        least = {"epochs": 1, "patience": 1, "batch_size": 1, "oversampling": 1, "warm_up": 0, "curves": 0, "decay": 0}
        for name, value in least.items():
            if not getattr(self, name) >= value:
                raise ValueError(f"{name} must be at least {value}, got {getattr(self, name)}")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        for name in ("momentum", "smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")


class Videos(NamedTuple):
    """A whole cohort: what lies on the device once.

    Attributes:
        series: `[video, time, 46]` float32, see `motion.baby_moves.features`.
        labels: `[video]` int32, 1 is abnormal or absent.
        metadata: `[video, 2]` float32, age in weeks and 1 for preterm; None for a network without.
        curves: `[curve, time]` of the warps; none of them leaves clips as they are.
    """

    series: Float[Array, "video time 46"]
    labels: Int[Array, " video"]
    metadata: Float[Array, "video 2"] | None
    curves: Float[Array, "curve time"]

    @classmethod
    def of(
        cls,
        series: Sequence[Float[np.ndarray, "time 46"]],
        labels: Sequence[int],
        metadata: Sequence[Sequence[float]] | None = None,
        config: BabyMovesConfig | None = None,
    ) -> "Videos":
        """The cohort with the curves of a configuration.

        Raises:
            ValueError: no videos, lengths or shapes that do not fit, missing values, or a label not 0 or 1.
        """
        config = config or BabyMovesConfig()
        stacked = np.asarray(series, np.float32)
        if stacked.ndim != 3 or stacked.shape[1] < CLIP or stacked.shape[2] != FEATURES:
            raise ValueError(f"series must be [video, time from {CLIP}, {FEATURES}], got {stacked.shape}")
        known = None if metadata is None else np.asarray(metadata, np.float32)
        if len(labels) != len(stacked) or not set(labels) <= {0, 1}:
            raise ValueError(f"{len(stacked)} videos need as many labels of 0 or 1, got {len(labels)}")
        if known is not None and known.shape != (len(stacked), 2):
            raise ValueError(f"metadata must be [{len(stacked)}, 2], got {known.shape}")
        if not np.isfinite(stacked).all() or (known is not None and not np.isfinite(known).all()):
            raise ValueError("series and metadata must not hold missing values")
        curves = augmentation.smooth_curves(jax.random.key(config.seed), config.curves, CLIP)
        # `device_put` of the loop moves NumPy arrays too.
        return cls(stacked, np.asarray(labels, np.int32), known, np.asarray(curves))  # type: ignore[arg-type]

    @property
    def digest(self) -> str:
        """SHA-256 over all that training sees."""
        return sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(self)))


class VideoRun(NamedTuple):
    """The index sets of one run. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of listings of an epoch.
        video: `[sample]` which video each lists.
        held: `[]` number of validation videos.
        held_video: `[video]` which they are.
    """

    key: Array
    samples: Array
    video: Array
    held: Array
    held_video: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class Repeats(loop.TrainResult):
    """What a stack of runs came to; arrays are NumPy with a leading run axis.

    Attributes:
        best_loss: `[run]` validation loss at that epoch, with smoothed labels and penalty.
        validation_logits: for each run those of its validation videos at that epoch, in the order of the partition.
    """

    best_loss: np.ndarray
    validation_logits: tuple[np.ndarray, ...]


def train(
    module: BabyMoves,
    data: Videos,
    partitions: Sequence[Split],
    config: BabyMovesConfig | None = None,
    *,
    description: Mapping[str, Any] | None = None,
    **how: Unpack[Execution],
) -> Repeats:
    """Train one run for each partition, all at once.

    Args:
        module: the network; with `metadata` the data must hold some, and else none.
        data: the cohort; its curves are those of the configuration's seed.
        partitions: videos that each run trains on, stops by, and never sees.
        config: the same for all runs; None is as released.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        how: see `loop.Execution`; checkpoints are 10 epochs apart if not said.

    Raises:
        ValueError: no partitions, metadata that do not fit the network, or too few listings for a batch.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    config = config or BabyMovesConfig()
    if not partitions:
        raise ValueError("there is nothing to train: no partitions")
    if module.metadata != (data.metadata is not None):
        raise ValueError(
            "the network reads metadata and there are none" if module.metadata else "metadata are not read"
        )
    tables = [_tables(data, partition, config) for partition in partitions]
    state = loop.train(
        VideoTask(module, config, (1, 1, CLIP, FEATURES)),
        VideoRun(key=run_keys(config.seed, range(len(partitions))), **stack_tables(tables)),  # type: ignore[arg-type]
        data,
        {
            "config": asdict(config),
            "cohort": data.digest,
            "folds": [asdict(partition) for partition in partitions],
            "model": dict(description or {}),
        },
        run_ids=range(len(partitions)),
        summary=_summary,
        **(Execution(save_every=10) | how),
    )
    held = [len(partition.validation) for partition in partitions]
    return Repeats(
        **loop.TrainResult.of(state),
        best_loss=-np.asarray(state.best_score),
        validation_logits=tuple(np.asarray(logits[:n]) for logits, n in zip(state.best_outputs, held)),
    )


def _summary(best: np.ndarray) -> str:
    losses = -best[np.isfinite(best)]
    return (
        f"lowest loss {np.median(losses):.3f} ({losses.min():.3f} to {losses.max():.3f})" if len(losses) else "warm-up"
    )


def listing(labels: Sequence[int] | np.ndarray, factor: int = 5) -> Int[np.ndarray, " listed"]:
    """The videos of an epoch by index: each of the abnormal class several times.

    Args:
        labels: `[video]`, 1 is abnormal or absent.
        factor: how often one of them is listed.
    """
    return np.repeat(np.arange(len(labels)), np.where(np.asarray(labels) == 1, factor, 1)).astype(np.int32)


def _tables(data: Videos, partition: Split, config: BabyMovesConfig) -> dict[str, np.ndarray]:
    train, held = np.asarray(partition.train), np.asarray(partition.validation)
    for rows in (train, held):
        if not len(rows) or rows.min() < 0 or rows.max() >= len(data.labels):
            raise ValueError(f"a partition must name videos 0..{len(data.labels) - 1} to train and to validate on")
    video = train[listing(np.asarray(data.labels)[train], config.oversampling)]
    if len(video) < config.batch_size:
        raise ValueError(f"{len(video)} listings do not fill a batch of {config.batch_size}")
    tables = {"samples": len(video), "video": video, "held": len(held), "held_video": held}
    return {name: np.asarray(table, np.int32) for name, table in tables.items()}


@dataclass(frozen=True, eq=False)
class VideoTask(loop.Task):
    """One class from clips; the best epoch behind the warm-up has the lowest validation loss."""

    module: BabyMoves
    config: BabyMovesConfig

    @property
    def first_epoch(self) -> int:  # type: ignore[override]
        """The first one whose loss counts."""
        return self.config.warm_up + 1

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As published."""
        return optimizers.nesterov(self.config.learning_rate, self.config.momentum)

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """Early stopping."""
        return epoch - jnp.maximum(best_epoch, self.config.warm_up) >= self.config.patience

    def train_epoch(self, state: TrainState, run: VideoRun, data: Videos, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch; as many as the run has whole batches, so runs of different size share a stack."""
        size = self.config.batch_size
        sample_key, step_key = jax.random.split(key)
        order = shuffled(sample_key, run.samples, run.video.shape[0])
        steps = jnp.where(running, run.samples // size, 0)

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, total = carry
            samples = lax.dynamic_slice_in_dim(order, i * size, size)
            video = run.video[samples]
            keys = jax.vmap(lambda sample: jax.random.fold_in(sample_key, sample))(samples)
            clips = jax.vmap(random_clip, in_axes=(0, None, 0, None))(keys, data.series, video, data.curves)
            metadata = None if data.metadata is None else data.metadata[video]

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                rngs = {"dropout": jax.random.fold_in(step_key, i)}
                (logits, _), updates = self.module.apply(
                    variables, clips[:, None], metadata, train=True, mutable=["batch_stats"], rngs=rngs
                )
                return self.loss(logits, data.labels[video], variables["params"]), updates

            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, total + value

        carry = (state.variables, state.opt_state, jnp.float32(0))
        variables, optimizer, total = lax.fori_loop(0, steps, step, carry)
        return EpochResult(variables, optimizer, total / steps)

    def loss(self, logits: Float[Array, " batch"], labels: Int[Array, " batch"], params: Any) -> Float[Array, ""]:
        """Cross-entropy with smoothed labels, and the penalty."""
        return smoothed_cross_entropy(logits, labels, self.config.smoothing).mean() + penalty(params, self.config.decay)

    def evaluate_run(self, variables: dict[str, Array], run: VideoRun, data: Videos, running: Array) -> EvalResult:
        """The loss over whole validation videos, one at a time: 547 clips are batch enough."""
        unpacked = self.unpack(variables)

        def judged(i: Array, logits: Array) -> Array:
            video = run.held_video[i]
            metadata = None if data.metadata is None else data.metadata[video]
            return logits.at[i].set(video_logit(self.module, unpacked, data.series[video], metadata))

        most = run.held_video.shape[0]
        logits = lax.fori_loop(0, jnp.where(running, run.held, 0), judged, jnp.zeros(most))
        labels, real = data.labels[run.held_video], jnp.arange(most) < run.held
        entropy = jnp.where(real, smoothed_cross_entropy(logits, labels, self.config.smoothing), 0).sum() / run.held
        loss = entropy + penalty(unpacked["params"], self.config.decay)
        auc = metrics.auc(logits, labels, real.astype(jnp.float32))
        return EvalResult(loss, -loss, logits, {"auc": auc})


def random_clip(
    key: Array, series: Float[Array, "video time 46"], video: Int[Array, ""], curves: Float[Array, "curve time"]
) -> Float[Array, "clip 46"]:
    """A random clip of a video, at a multiple of 8 frames, with a random warp of its size and then of its pace.

    Args:
        key: of this listing.
        series: of all videos.
        video: which one.
        curves: to choose the warps from; none leaves the clip as it is.
    """
    start, magnitude, pace = jax.random.split(key, 3)
    clips = len(clip_starts(series.shape[1]))
    first = jax.random.randint(start, (), 0, clips) * STEP
    clip = lax.dynamic_slice(series, (video, first, 0), (1, CLIP, series.shape[2]))[0]
    if not len(curves):
        return clip
    chosen = [curves[jax.random.randint(k, (), 0, len(curves))] for k in (magnitude, pace)]
    return augmentation.time_warp(augmentation.magnitude_warp(clip, chosen[0]), chosen[1])


def video_logit(
    module: BabyMoves, variables: Any, series: Float[Array, "time 46"], metadata: Float[Array, "2"] | None = None
) -> Float[Array, ""]:
    """The logit of a whole video, from all of its clips: 547 of them in 4500 frames.

    Args:
        module: the network.
        variables: of it.
        series: of the video.
        metadata: age and cohort, for a network that reads them.
    """
    return module.apply(variables, series[None], None if metadata is None else metadata[None])[0][0]


def smoothed_cross_entropy(
    logits: Float[Array, "*n"], labels: Int[Array, "*n"], smoothing: float = 0.1
) -> Float[Array, "*n"]:
    """Binary cross-entropy of each video, natural logarithm, with smoothed labels.

    Args:
        logits: of the abnormal class.
        labels: 0 or 1.
        smoothing: share of the label that is spread over both classes.
    """
    return optax.sigmoid_binary_cross_entropy(logits, labels * (1 - smoothing) + smoothing / 2)


def penalty(params: Any, strength: float = 0.005) -> Float[Array, ""]:
    """`strength` times the sum of squares of all kernels; not of biases, norms, or the attention's context vector."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [leaf for path, leaf in leaves if path[-1].key == "kernel"]
    return strength * sum((jnp.sum(jnp.square(kernel)) for kernel in kernels), jnp.float32(0))
