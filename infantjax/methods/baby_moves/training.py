"""Baby Moves, training: random splits as one stack of runs, see `training.loop`.

An epoch lists every training video once, those of the abnormal class several times; each listing gives one random
clip, warped at random. Validation videos are evaluated whole, by all of their clips. Each run keeps the weights of its
lowest validation loss.

Source: Passmore et al. and the reference implementation. Where they differ this follows the implementation: it defines
an exponential decay of the learning rate between two equal rates, which is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.methods.baby_moves.model import BabyMoves
from infantjax.methods.baby_moves.preprocessing import CLIP, FEATURES, STEP, clip_starts
from infantjax.recording import augmentation
from infantjax.settings import Count, Momentum, NonNegative, Positive, Range, Seed, check_fields
from infantjax.training import metrics, optimizers
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_runs
from infantjax.training.task import EvalResult, SupervisedTask, mask


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained; the defaults are those of the reference implementation.

    Attributes:
        epochs: maximum.
        warm_up: first epochs, which neither stop a run nor count for patience.
        patience: a run stops after this many epochs without a lower validation loss.
        batch_size: clips of a step, each of another video; an incomplete last batch is dropped.
        learning_rate: constant, of SGD with Nesterov momentum.
        momentum: of SGD.
        smoothing: label smoothing; 0.1 makes 0.95 of 1 and 0.05 of 0.
        decay: factor of the L2 penalty on all kernels.
        oversampling: how often an epoch shows each abnormal video.
        curves: number of random time warps to sample from; 0 for no warping.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of range.
    """

    epochs: Count = 10_000
    warm_up: Annotated[int, Range(0)] = 250
    patience: Count = 100
    batch_size: Count = 8
    learning_rate: Positive = 0.005
    momentum: Momentum = 0.9
    smoothing: Annotated[float, Range(0, below=1)] = 0.1
    decay: NonNegative = 0.005
    oversampling: Count = 5
    curves: Annotated[int, Range(0)] = 10_000
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)


class Videos(NamedTuple):
    """A whole cohort: what lies on the device once.

    Attributes:
        series: `[video, time, 46]` float32, see `preprocessing.features`.
        labels: `[video]` int32, 1 is abnormal or absent.
        metadata: `[video, entry]` float32, age in weeks and 1 for preterm; None for a network without.
        curves: `[curve, time]` of the warps; none of them leaves clips as they are.
    """

    series: Float[Array, "video time 46"]
    labels: Int[Array, " video"]
    metadata: Float[Array, "video entry"] | None
    curves: Float[Array, "curve time"]

    @classmethod
    def create(
        cls,
        series: Sequence[Float[np.ndarray, "time 46"]],
        labels: Sequence[int],
        metadata: Sequence[Sequence[float]] | None,
        config: TrainingConfig,
    ) -> "Videos":
        """The cohort with the curves of a configuration."""
        stacked = np.asarray(series, np.float32)
        known = None if metadata is None else np.asarray(metadata, np.float32)
        curves = augmentation.smooth_curves(jax.random.key(config.seed), config.curves, CLIP)
        # `device_put` of the loop moves NumPy arrays too.
        return cls(stacked, np.asarray(labels, np.int32), known, np.asarray(curves))  # type: ignore[arg-type]


VideoBatch = tuple[Array, Array | None, Array]
"""Clips `[batch, clip, 46]` of different videos, their metadata `[batch, entry]` if it reads any, and labels."""


@dataclass(frozen=True, eq=False)
class VideoTask(SupervisedTask):
    """One class from clips; the best epoch after the warm-up has the lowest validation loss."""

    module: BabyMoves
    config: TrainingConfig

    @property
    def first_epoch(self) -> int:
        """The first one after the warm-up."""
        return self.config.warm_up + 1

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As published."""
        return optimizers.nesterov(self.config.learning_rate, self.config.momentum)

    def should_stop(self, epoch: Array, best_epoch: Array, best_score: Array) -> Array:
        """Early stopping."""
        return epoch - jnp.maximum(best_epoch, self.config.warm_up) >= self.config.patience

    def sample(self, key: Array, row: Array, data: Videos) -> VideoBatch:
        """A random clip of a video."""
        metadata = None if data.metadata is None else data.metadata[row]
        return random_clip(key, data.series, row, data.curves), metadata, data.labels[row]

    def loss(
        self, variables: dict[str, Any], batch: VideoBatch, rngs: dict[str, Array]
    ) -> tuple[Array, Mapping[str, Any]]:
        """Cross-entropy with smoothed labels, and the penalty."""
        clips, metadata, labels = batch
        (logits, _), updates = self.module.apply(
            variables, clips[:, None], metadata, train=True, mutable=["batch_stats"], rngs=rngs
        )
        entropy = smoothed_cross_entropy(logits, labels, self.config.smoothing).mean()
        return entropy + penalty(variables["params"], self.config.decay), updates

    def predict(self, variables: dict[str, Any], rows: Int[Array, "1"], data: Videos) -> Float[Array, "1"]:
        """The logit of a whole video: its 547 clips are batch enough."""
        metadata = None if data.metadata is None else data.metadata[rows[0]]
        return video_logit(self.module, variables, data.series[rows[0]], metadata)[None]

    def evaluate(self, predictions: Array, variables: dict[str, Any], run: Run, data: Videos) -> EvalResult:
        """Loss and AUC of the validation videos."""
        labels, real = data.labels[run.validation], mask(run.validation_count, len(run.validation))
        entropy = jnp.where(real, smoothed_cross_entropy(predictions, labels, self.config.smoothing), 0).sum()
        loss = entropy / run.validation_count + penalty(variables["params"], self.config.decay)
        auc = metrics.auc(predictions, labels, real.astype(jnp.float32))
        return EvalResult(loss, -loss, predictions, {"auc": auc})

    def format_summary(self, best_scores: np.ndarray) -> str:
        """Median and range of the lowest validation loss."""
        losses = -best_scores[np.isfinite(best_scores)]
        if not len(losses):
            return "warm-up"
        return f"lowest loss {np.median(losses):.3f} ({losses.min():.3f} to {losses.max():.3f})"


def setup(module: BabyMoves, data: Videos, splits: Sequence[Split], config: TrainingConfig) -> TrainingSetup:
    """Arguments of `training.fit` for one run of each split.

    In its result `best_score` is minus the validation loss, with smoothed labels and penalty; `outputs` are the logits
    of the validation videos of each run `[run, video]`, padded.

    Args:
        module: the network; with `metadata` the data must hold some, and else none.
        data: the cohort; its curves are those of the configuration's seed.
        splits: videos that each run trains on, stops by, and never sees.
        config: the same for all runs.

    Raises:
        ValueError: too few listings for a batch.
    """
    sets = []
    for split in splits:
        train = np.asarray(split.train)
        listed = train[listing(np.asarray(data.labels)[train], config.oversampling)]
        if len(listed) < config.batch_size:
            raise ValueError(f"{len(listed)} listings do not fill a batch of {config.batch_size}")
        sets.append(IndexSets(listed, np.asarray(split.validation)))
    task = VideoTask(module, config, (1, 1, CLIP, FEATURES))
    return TrainingSetup(task, data, stack_runs(config.seed, range(len(splits)), sets))


def listing(labels: Sequence[int] | np.ndarray, factor: int = 5) -> Int[np.ndarray, " listed"]:
    """The videos of an epoch by index: each of the abnormal class several times.

    Args:
        labels: `[video]`, 1 is abnormal or absent.
        factor: how often one of them is listed.
    """
    return np.repeat(np.arange(len(labels)), np.where(np.asarray(labels) == 1, factor, 1)).astype(np.int32)


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
    module: BabyMoves, variables: Any, series: Float[Array, "time 46"], metadata: Float[Array, " entry"] | None = None
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
