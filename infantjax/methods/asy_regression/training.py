"""The depth-video networks of preterm infants' limbs, trained one after the other on clips of depth frames.

First the detection network, towards binary discs and limbs; then a regression network (`babypose-regression` or
`asy-regression`), which reads the frames and the maps of the trained detection network for them.

Published: losses, optimizers, learning rates, batch, epochs and the rule of the best epoch. Our choice, as the papers
do not say: no weights for positive pixels, and an accuracy that counts every pixel of every map alike.

Source: Migliorelli et al. 2021, "Asy-regression"; Moccia et al. 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.methods.asy_regression.model import FRAMES, DetectionNetwork, RegressionNetwork, connections
from infantjax.pose.codec.limb import DiscCodec, FallOff
from infantjax.settings import Count, Momentum, Positive, Seed, check_fields
from infantjax.skeletons import Skeleton
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.execution.layout import shard_batch
from infantjax.training.optimizers import elementwise
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_runs
from infantjax.training.task import EpochPlan, EvalResult, SupervisedTask, mask

RADIUS = 6.0
"""Of discs and limbs, pixels of a frame of 96 x 128."""


@dataclass(frozen=True)
class ClipTrainingConfig:
    """How a network of clips is trained; `DETECTION` and `REGRESSION` are the published settings.

    Attributes:
        epochs: passes over the clips.
        batch_size: clips of a step; an incomplete last batch is dropped.
        optimizer: `adam`, or `momentum` for plain SGD with momentum.
        learning_rate: of the first epochs.
        momentum: of SGD.
        decay: factor of the learning rate after every `decay_every` epochs; "reduced by 10 %" is interpreted as 0.9.
        decay_every: epochs.
        radius: of discs and limbs, pixels.
        fall_off: of the targets of a regression.
        evaluation_batch: validation clips that are computed at once; affects memory, not results.
        seed: root of all random numbers.

    Raises:
        ValueError: a value out of its range.
    """

    epochs: Count = 150
    batch_size: Count = 16
    optimizer: Literal["adam", "momentum"] = "adam"
    learning_rate: Positive = 0.01
    momentum: Momentum = 0.98
    decay: Positive = 0.9
    decay_every: Count = 10
    radius: Positive = RADIUS
    fall_off: FallOff = FallOff()
    evaluation_batch: Count = 4
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)


DETECTION = ClipTrainingConfig()
REGRESSION = ClipTrainingConfig(epochs=100, optimizer="momentum")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ClipData:
    """Annotated depth frames of all infants in a row, as they lie on the device.

    Attributes:
        frames: `[frame, row, column]` float32, each minus its mean.
        points: `[frame, joint, 2]` float32, x and y in pixels of the frame; NaN where missing.
        detector: variables of a trained detection network, for the training of a regression; else None.
        skeleton: of the points.
    """

    frames: Float[Array, "frame row column"]
    points: Float[Array, "frame joint 2"]
    detector: Any
    skeleton: Skeleton = field(metadata={"static": True})


def split_in_time(frames: Sequence[int], training: int = 751, test: int = 249, validation: float = 0.1) -> Split:
    """The published split: within each infant, earlier clips train and later ones test.

    The first `training` frames give clips that overlap, one from every frame; the last `test` frames give clips that do
    not. Our choice: 751 and 249 of 1000 frames, since the published numbers of clips need two frames more than there
    are (749 and 83 clips result); and the last tenth of the training clips selects the epoch, without those that share
    frames with one that trains.

    The same infants train and test, so an error on this split is within infants; `split_by_infant` is the other kind.

    Args:
        frames: of each infant, in the order of `ClipData`.
        training: frames.
        test: frames.
        validation: share of the training clips.

    Returns:
        First frames of the clips of each part.

    Raises:
        ValueError: an infant with fewer frames, or too few of them to split.
    """
    if min(frames, default=0) < training + test or training < 12 + FRAMES or test < FRAMES:
        raise ValueError(f"every infant needs {training} + {test} frames, the fewest are {min(frames, default=0)}")
    train: list[int] = []
    held: list[int] = []
    tested: list[int] = []
    for start, count in zip(_starts(frames), frames):
        clips = range(start, start + training - FRAMES + 1)
        cut = len(clips) - max(int(validation * len(clips)), 1)
        train += clips[:cut]
        held += clips[min(cut + FRAMES - 1, len(clips) - 1) :]
        tested += range(start + count - test, start + count - FRAMES + 1, FRAMES)
    return Split(tuple(train), tuple(held), tuple(tested))


def split_by_infant(frames: Sequence[int], splits: Sequence[Split]) -> list[Split]:
    """Splits of infants as splits of clips: overlapping clips train, those that do not overlap validate and test.

    Args:
        frames: of each infant, in the order of `ClipData`.
        splits: of infants.
    """
    starts = _starts(frames)

    def clips(infants: Sequence[int], step: int) -> tuple[int, ...]:
        return tuple(first for i in infants for first in range(starts[i], starts[i] + frames[i] - FRAMES + 1, step))

    return [
        Split(clips(split.train, 1), clips(split.validation, FRAMES), clips(split.test, FRAMES)) for split in splits
    ]


def _starts(frames: Sequence[int]) -> list[int]:
    return [int(first) for first in np.cumsum(frames) - np.asarray(frames)]


def setup(
    module: DetectionNetwork | RegressionNetwork, data: ClipData, splits: Sequence[Split], config: ClipTrainingConfig
) -> TrainingSetup:
    """Arguments of `training.fit` for one run of each split.

    In its result `best_score` is the pixel accuracy of a detection, or minus the mean absolute error of a regression.

    Args:
        module: the network; a regression needs the detection network's variables in the data.
        data: all infants.
        splits: first frames of the clips that each run trains on and is validated on.
        config: the same for all runs.

    Raises:
        ValueError: too few clips for a batch.
    """
    detects = isinstance(module, DetectionNetwork)
    channels = 1 if detects else 1 + module.maps
    task = ClipTask(module, config, (1, FRAMES, *data.frames.shape[1:], channels))
    if (fewest := min(len(split.train) for split in splits)) < config.batch_size:
        raise ValueError(f"{fewest} clips do not fill a batch of {config.batch_size}")
    sets = [IndexSets(np.asarray(split.train), np.asarray(split.validation)) for split in splits]
    return TrainingSetup(task, data, stack_runs(config.seed, range(len(splits)), sets))


@dataclass(frozen=True, eq=False)
class ClipTask(SupervisedTask):
    """Maps of joints and connections from clips."""

    module: DetectionNetwork | RegressionNetwork
    config: ClipTrainingConfig

    @property
    def detects(self) -> bool:
        """Whether it is a detection network."""
        return isinstance(self.module, DetectionNetwork)

    @property
    def metric(self) -> str:
        """The metric that selects the epoch."""
        return "accuracy" if self.detects else "mean_absolute_error"

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The published one; `update_scale` applies the rate of an epoch."""
        if self.config.optimizer == "adam":
            return elementwise(optax.scale_by_adam())
        return elementwise(optax.trace(self.config.momentum))

    def update_scale(self, epoch: Array) -> Array:
        """Minus the learning rate of the epoch."""
        return -self.config.learning_rate * self.config.decay ** (epoch // self.config.decay_every)

    def learning_rate(self, epoch: int) -> float:
        """Of an epoch (from 0)."""
        return -float(self.update_scale(jnp.int32(epoch)))

    def batch(
        self, plan: EpochPlan, step: Array, run: Run, data: ClipData
    ) -> tuple[Array, Float[Array, "batch time row column map"]]:
        """Clips and their target maps."""
        size = self.config.batch_size
        x, points = self.clips(run.train[lax.dynamic_slice_in_dim(plan.order, step * size, size)], data)
        return x, self.targets(points, data.skeleton, x.shape[2:4])

    def loss(self, variables: dict[str, Any], batch: Any, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Mean over the pixels of all maps."""
        x, wanted = batch
        (maps, _), updates = self.module.apply(variables, x, train=True, mutable=["batch_stats"])
        return self.pixel_loss(maps, wanted).mean(), updates

    def clips(
        self, first: Int[Array, " batch"], data: ClipData
    ) -> tuple[Float[Array, "batch time row column channel"], Float[Array, "batch time joint 2"]]:
        """Clips by their first frames, for a regression with the maps that are detected in them; and their points."""
        at = first[:, None] + jnp.arange(FRAMES)
        x = shard_batch(data.frames[at][..., None])
        if not self.detects:
            detector = DetectionNetwork(maps=self.module.maps, narrow=self.module.narrow)
            x = jnp.concatenate([x, detector.apply(data.detector, x)[1]["maps"]], -1)
        return x, data.points[at]

    def targets(self, points: Float[Array, "batch time joint 2"], skeleton: Skeleton, shape: tuple[int, ...]) -> Array:
        """Maps of joints and connections: binary for a detection, decreasing for a regression."""
        fall_off = None if self.detects else self.config.fall_off
        return DiscCodec(connections(skeleton), self.config.radius, fall_off).encode(points, shape[0], shape[1])

    def pixel_loss(self, maps: Array, wanted: Array) -> Float[Array, "batch time row column map"]:
        """Cross-entropy of every pixel, or its squared error."""
        return optax.sigmoid_binary_cross_entropy(maps, wanted) if self.detects else jnp.square(maps - wanted)

    def predict(
        self, variables: dict[str, Any], rows: Int[Array, " clip"], data: ClipData
    ) -> tuple[Float[Array, " clip"], Float[Array, " clip"]]:
        """Loss and metric of each clip: its maps would not fit into memory."""
        x, points = self.clips(rows, data)
        maps, _ = self.module.apply(variables, x)
        wanted = self.targets(points, data.skeleton, maps.shape[2:4])
        metric = ((maps > 0) == (wanted > 0.5)) if self.detects else jnp.abs(maps - wanted)
        pixels = (1, 2, 3, 4)
        return self.pixel_loss(maps, wanted).mean(pixels), metric.astype(jnp.float32).mean(pixels)

    def evaluate(self, predictions: Any, variables: dict[str, Any], run: Run, data: ClipData) -> EvalResult:
        """Share of pixels on the right side of one half, or minus the mean absolute error."""
        real = mask(run.validation_count, len(run.validation))
        loss, metric = (jnp.where(real, values, 0).sum() / run.validation_count for values in predictions)
        return EvalResult(loss, metric if self.detects else -metric, jnp.zeros(0), {self.metric: metric})

    def format_summary(self, best_scores: np.ndarray) -> str:
        """The best score."""
        return f"best {self.metric} {abs(best_scores.max()):.4f}"


def overlap_of_maps(
    detector: DetectionNetwork, variables: Any, data: ClipData, clips: Sequence[int], radius: float
) -> dict[str, float]:
    """How well the detection network finds the binary maps of joints and of connections.

    Dice is twice the pixels that are in both maps, over the sum of those in each; recall the share of the annotated
    pixels that were detected. Both are counted over the pixels of all clips and averaged over the maps.

    Args:
        detector: the network.
        variables: its weights.
        data: annotated frames.
        clips: first frames.
        radius: of the discs that it was trained with, pixels.

    Source: Moccia et al. 2020, as recalled; pooling over all clips is our choice.
    """
    codec = DiscCodec(connections(data.skeleton), radius)

    @jax.jit
    def count(frames: Array, points: Array) -> Array:
        found = detector.apply(variables, frames[None, ..., None])[1]["maps"][0] > 0.5  # type: ignore[index]
        wanted = codec.encode(points, *frames.shape[1:]) > 0.5
        return jnp.stack([maps.sum((0, 1, 2)) for maps in (found & wanted, found, wanted)])

    counts = [count(*(jnp.asarray(part[at : at + FRAMES]) for part in (data.frames, data.points))) for at in clips]
    both, found, wanted = np.sum(np.asarray(counts, np.float64), axis=0)
    joints, seen = len(data.skeleton.joints), wanted > 0
    overlap = {}
    for part, maps in {"joints": slice(None, joints), "connections": slice(joints, None)}.items():
        if seen[maps].any():
            dice, recall = 2 * both / np.maximum(found + wanted, 1), both / np.maximum(wanted, 1)
            overlap[f"Dice of {part}"] = float(dice[maps][seen[maps]].mean())
            overlap[f"recall of {part}"] = float(recall[maps][seen[maps]].mean())
    return overlap
