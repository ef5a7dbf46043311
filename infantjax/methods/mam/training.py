"""MAM, training: cross-validation as one stack of runs, see `training.loop`.

First the reference branch is trained alone on annotated clips, then every step joins such clips with the instances of
one normal and one risk video. The validation videos select nothing: the last weights are kept.

Source: Gao, Yao, Tian et al. 2023, through a published summary. Published: batches of 64, half of them clips, half
instances of one normal and one risk video; 300 epochs of SGD with a cyclic rate that begins at 0.001; the margin 0.4;
the sum of a triplet loss, a closeness loss and two cross-entropies. Our choice: every other default of
`TrainingConfig`, the length of an epoch, training of the reference branch alone, the formula of the closeness loss.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from einops import rearrange
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.methods.mam import preprocessing
from infantjax.methods.mam.model import MAM
from infantjax.methods.mam.preprocessing import Distance, Input
from infantjax.settings import Count, NonNegative, Range, Seed, check_fields
from infantjax.training import metrics, optimizers
from infantjax.training.cohorts.crossval import TrainingSetup
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_runs
from infantjax.training.task import BatchFunction, EpochPlan, EvalResult, SupervisedTask, mask, permutation

Squares = Literal["sum", "mean"]


def triplet(z: Float[Array, "clip width"], labels: Int[Array, " clip"], margin: float = 0.4) -> Float[Array, ""]:
    """Mean of `max(0, d(a, p) - d(a, n) + margin)` with Euclidean distances of embeddings scaled to unit length.

    All triplets count (our choice).

    Args:
        z: embeddings.
        labels: classes; a clip a, another p of its class and one n of the other make a triplet.
        margin: 0.4 as published.

    Returns:
        0 where there is no triplet.
    """
    unit = z * lax.rsqrt(jnp.maximum(jnp.sum(z**2, axis=-1, keepdims=True), 1e-12))
    squared = jnp.sum((unit[:, None] - unit[None]) ** 2, axis=-1)
    # The root has no slope at zero.
    apart = jnp.where(squared > 1e-12, jnp.sqrt(jnp.where(squared > 1e-12, squared, 1)), 0)
    same = labels[:, None] == labels[None]
    positive, negative = same & ~jnp.eye(len(z), dtype=bool), ~same
    valid = positive[:, :, None] & negative[:, None, :]
    excess = apart[:, :, None] - apart[:, None, :] + margin
    return jnp.where(valid, jax.nn.relu(excess), 0).sum() / jnp.maximum(valid.sum(), 1)


def presence(p: Float[Array, "video instance"], risk: Array, share: float = 0.1) -> Float[Array, "video instance"]:
    """How far each instance counts as fidgety for the closeness loss; without gradient.

    Args:
        p: probabilities of fidgety movements.
        risk: `[video]` which ones are risk: of these all but the highest are 0, for they hold few fidgety movements.
        share: of a risk video's instances that stay, rounded up.
    """
    p = lax.stop_gradient(p)
    highest = jnp.sort(p, axis=1)[:, p.shape[1] - math.ceil(share * p.shape[1]), None]
    return jnp.where(risk[:, None] & (p < highest), 0, p)


def closeness(
    z: Float[Array, "*n width"], p: Float[Array, "*n"], centers: Float[Array, "2 width"], squares: Squares = "mean"
) -> Float[Array, ""]:
    """Mean of `p |z - c_F|^2 + (1 - p) |z - c_N|^2`; published is its purpose, the formula is our choice.

    Embeddings are normalized, so their entries are about 1: the mean of squares is about as large as the other losses.
    Their sum is the width times as large: it draws all embeddings together, so that clips are no longer told apart.

    Args:
        z: embeddings of instances.
        p: how far each counts as fidgety; without gradient.
        centers: c_N and c_F, of embeddings without and with fidgety movements; without gradient.
        squares: `|.|^2` is the sum over entries, or the mean.
    """
    p, centers = lax.stop_gradient(p), lax.stop_gradient(centers)
    over = jnp.mean if squares == "mean" else jnp.sum
    without, fidgety = (over((z - center) ** 2, axis=-1) for center in centers)
    return (p * fidgety + (1 - p) * without).mean()


def moved(
    centers: Float[Array, "2 width"], z: Float[Array, "clip width"], weights: Float[Array, "2 clip"], rate: float = 0.1
) -> Float[Array, "2 width"]:
    """Running means, one step further; a class without weight stays. Without gradient.

    Args:
        centers: so far.
        z: embeddings.
        weights: of each in either class.
        rate: share of the new mean.
    """
    z, weights = lax.stop_gradient(z), lax.stop_gradient(weights)
    total = weights.sum(axis=1, keepdims=True)
    mean = weights @ z / jnp.where(total > 0, total, 1)
    return jnp.where(total > 0, centers + rate * (mean - centers), centers)


Standardize = Literal["none", "channel", "token"]

FLOOR = 1e-4
"""Of the variances that are brought to one, relative to the largest: what lies far below is noise and stays small."""


@dataclass(frozen=True)
class TrainingConfig:
    """How every run of a stack is trained. See the module for what of the defaults is published.

    Attributes:
        inputs: what the network reads.
        distance: of two joints: one length, or one for each axis.
        standardize: `channel` gives each channel of a joint mean 0 and deviation 1, `token` also decorrelates the
            frames of a token (our choice). With `none` distances teach nothing.
        pretraining: epochs of the reference branch alone, each over all annotated clips.
        joint: epochs of all branches, each over all videos at risk.
        clips: annotated clips of a step.
        instances: clips of each of the two videos of a step.
        step: frames between the clips of a video.
        lowest_rate: lowest learning rate of a cycle.
        highest_rate: highest learning rate of a cycle.
        half_cycle: steps from the lowest to the highest rate.
        momentum: at the highest and at the lowest rate.
        decay: weight decay of all parameters.
        margin: of the triplet loss.
        center_rate: rate at which the running mean of a class's embeddings follows.
        fidgety_share: fraction of a video at risk that may count as fidgety.
        squares: how the closeness loss adds the squares of an embedding.
        clip_weight: of the cross-entropy of the clips.
        triplet_weight: of the triplet loss.
        bag_weight: of the cross-entropy of the videos.
        closeness_weight: of the closeness loss.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of range.
    """

    inputs: tuple[Input, ...] = ("distances",)
    distance: Distance = "euclidean"
    standardize: Standardize = "token"
    pretraining: Annotated[int, Range(0)] = 50
    joint: Count = 300
    clips: Count = 32
    instances: Count = 16
    step: Count = preprocessing.STEP
    lowest_rate: float = 0.001
    highest_rate: float = 0.01
    half_cycle: Count = 2000
    momentum: tuple[float, float] = (0.8, 0.9)
    decay: NonNegative = 1e-4
    margin: NonNegative = 0.4
    center_rate: Annotated[float, Range(above=0, at_most=1)] = 0.1
    fidgety_share: Annotated[float, Range(above=0, at_most=1)] = 0.1
    squares: Squares = "mean"
    clip_weight: NonNegative = 1.0
    triplet_weight: NonNegative = 1.0
    bag_weight: NonNegative = 1.0
    closeness_weight: NonNegative = 1.0
    seed: Seed = 1

    def __post_init__(self) -> None:
        preprocessing.channels(self.inputs, distance=self.distance)
        check_fields(self)
        if not self.reference and self.pretraining:
            raise ValueError("without the reference branch there is no pretraining")
        _ = self.optimizer

    @property
    def epochs(self) -> int:
        """Of both stages."""
        return self.pretraining + self.joint

    @property
    def reference(self) -> bool:
        """Whether annotated clips are trained on."""
        return bool(self.clip_weight or self.triplet_weight)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Gradient descent with a rate in cycles."""
        return optimizers.cyclical(self.lowest_rate, self.highest_rate, self.half_cycle, self.momentum, self.decay)

    def without(self, part: Literal["closeness", "reference"]) -> "TrainingConfig":
        """An ablation: no closeness loss, or no reference branch; then the centers are those of the instances."""
        if part == "closeness":
            return replace(self, closeness_weight=0.0)
        return replace(self, clip_weight=0.0, triplet_weight=0.0, pretraining=0)


class Videos(NamedTuple):
    """Videos and annotated clips: what lies on the device once.

    Attributes:
        positions: `[video, time, joint, axis]` float32 (`preprocessing.prepare`); behind its end a video stands still.
        lengths: `[video]` int32, frames.
        labels: `[video]` int32, 1 is risk.
        info: `[video, 4]` float32 of `model.INFO`; None for a network without.
        clips: `[clip, time, joint, axis]` float32, of infants that no fold has.
        clip_labels: `[clip]` int32, 1 is fidgety.
    """

    positions: Float[Array, "video time joint axis"]
    lengths: Int[Array, " video"]
    labels: Int[Array, " video"]
    info: Float[Array, "video 4"] | None
    clips: Float[Array, "clip time joint axis"]
    clip_labels: Int[Array, " clip"]

    @classmethod
    def create(
        cls,
        positions: Sequence[Float[np.ndarray, "time joint axis"]],
        labels: Sequence[float],
        clips: Float[np.ndarray, "clip time joint axis"],
        clip_labels: Sequence[int] | np.ndarray,
        info: Sequence[Sequence[float] | np.ndarray] | None = None,
    ) -> "Videos":
        """Pad what the method prepared to the longest video."""
        given = np.asarray(clips, np.float32)
        longest = max(given.shape[1], *map(len, positions))
        padded = np.empty((len(positions), longest, *given.shape[2:]), np.float32)
        for row, video in zip(padded, positions):
            row[: len(video)], row[len(video) :] = video, video[-1]
        known = None if info is None else np.asarray(info, np.float32)
        lengths, outcomes, of_clips = (
            np.asarray(values, np.int32) for values in ([len(p) for p in positions], labels, clip_labels)
        )
        # `device_put` of the loop moves NumPy arrays too.
        return cls(padded, lengths, outcomes, known, given, of_clips)  # type: ignore[arg-type]


class NormalVideos(NamedTuple):
    """Normal training videos of a run; the risk videos are its training samples.

    Attributes:
        rows: `[video]`.
        count: `[]` their number.
    """

    rows: Array
    count: Array  # type: ignore[assignment]


class MamBatch(NamedTuple):
    """Samples of a step.

    Attributes:
        inputs: `[clip, time, joint, channel]` annotated clips, then the instances of a normal and of a risk video.
        real: `[clip]` frames of each that are not padding.
        annotated: number of annotated clips.
        labels: `[annotated]` 1 is fidgety.
        info: `[2, 4]` of the two videos; None for a network without.
        joint: whether the two videos are part of the step.
    """

    inputs: Array
    real: Array
    annotated: int
    labels: Array
    info: Array | None
    joint: bool


class EpochOrder(NamedTuple):
    """Random orders of an epoch, of annotated clips and of either kind of videos."""

    clips: Array
    normal: Array
    risk: Array


@dataclass(frozen=True, eq=False)
class VideoTask(SupervisedTask):
    """Fidgety movements of clips and the risk of videos; the last weights are kept."""

    module: MAM
    config: TrainingConfig

    @property
    def first_epoch(self) -> int:
        """The last one: nothing is selected by the validation videos."""
        return self.config.epochs

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As configured."""
        return self.config.optimizer

    def init_variables(self, variables: dict[str, Any], run: Run, data: Videos) -> dict[str, Any]:
        """Standardize the inputs by the annotated clips, and info by the training videos of the run."""
        if self.config.standardize != "none":
            variables = {**variables, "inputs": self.standards(data.clips)}
        if data.info is None:
            return variables
        normal = run.extra
        rows = data.info[jnp.concatenate([normal.rows, run.train])]
        real = [mask(normal.count, len(normal.rows)), mask(run.train_count, len(run.train))]
        weights = jnp.concatenate(real)[:, None] / (normal.count + run.train_count)
        mean = (weights * rows).sum(axis=0)
        deviation = jnp.sqrt((weights * (rows - mean) ** 2).sum(axis=0))
        return {**variables, "standard": {"mean": mean, "deviation": jnp.where(deviation > 0, deviation, 1)}}

    def standards(self, clips: Float[Array, "clip time joint axis"]) -> dict[str, Array]:
        """Statistics that standardize the inputs, from annotated clips; see `TrainingConfig.standardize`."""

        def inputs(clip: Array) -> Array:
            return preprocessing.inputs(clip, self.config.inputs, self.config.distance)

        def moments(clip: Array) -> tuple[Array, Array]:
            return inputs(clip).mean(axis=0), inputs(clip).var(axis=0)

        def products(clip: Array) -> Array:
            z = rearrange(
                (inputs(clip) - mean) / deviation,
                "(step frame) joint channel -> step frame (joint channel)",
                frame=token,
            )
            return jnp.einsum("stf,suf->tu", z, z) * token / z.size

        # One clip after the other: the distances of all of them would not fit into memory.
        means, variances = lax.map(moments, clips)
        mean, deviation = means.mean(axis=0), jnp.sqrt(variances.mean(axis=0) + means.var(axis=0))
        # A joint is always as far from itself, and bones hardly change.
        deviation = jnp.where(deviation > 1e-4 * deviation.max(), deviation, 1)
        token = self.module.token
        if self.config.standardize == "channel":
            return {"mean": mean, "deviation": deviation, "mixing": jnp.eye(token)}
        values, vectors = jnp.linalg.eigh(lax.map(products, clips).mean(axis=0))
        mixing = vectors * lax.rsqrt(values + FLOOR * values[-1]) @ vectors.T
        return {"mean": mean, "deviation": deviation, "mixing": mixing}

    def draw_order(self, key: Array, run: Run, data: Videos) -> EpochOrder:
        """Orders of the clips and of the videos."""
        clips, normal, risk = jax.random.split(key, 3)
        return EpochOrder(
            permutation(clips, jnp.int32(len(data.clips)), len(data.clips)),
            permutation(normal, run.extra.count, len(run.extra.rows)),
            permutation(risk, run.train_count, len(run.train)),
        )

    def stages(self, epoch: Array, run: Run, data: Videos) -> list[tuple[Array, BatchFunction]]:
        """The reference branch alone: every clip once. All branches: every risk video once."""
        alone = epoch < self.config.pretraining
        joint = (jnp.where(alone, 0, run.train_count), partial(self.mixed_batch, joint=True))
        if not self.config.pretraining:
            return [joint]
        return [(jnp.where(alone, self._clip_batches(data), 0), partial(self.mixed_batch, joint=False)), joint]

    def _clip_batches(self, data: Videos) -> int:
        return max(len(data.clips) // self.config.clips, 1)

    def mixed_batch(self, plan: EpochPlan, step: Array, run: Run, data: Videos, joint: bool) -> MamBatch:
        """Annotated clips, and with `joint` random instances of a normal and a risk video."""
        config, frames, order = self.config, self.module.frames, plan.order
        clips = lax.dynamic_slice_in_dim(order.clips, step % self._clip_batches(data) * config.clips, config.clips)
        count = len(clips) if config.reference else 0
        parts = [data.clips[clips]] if config.reference else []
        real = [jnp.full(count, frames)] if config.reference else []
        info = None
        if joint:
            normal = run.extra.rows[order.normal[step % run.extra.count]]
            pair = jnp.stack([normal, run.train[order.risk[step % run.train_count]]])
            info = None if data.info is None else data.info[pair]
            keys = jax.random.split(jax.random.fold_in(plan.key, step))
            for key, video in zip(keys, pair):
                instances, of_instances = self.draw(key, data, video)
                parts, real = [*parts, instances], [*real, of_instances]
        x = preprocessing.inputs(jnp.concatenate(parts), config.inputs, config.distance)
        return MamBatch(x, jnp.concatenate(real), count, data.clip_labels[clips], info, joint)

    def loss(
        self, variables: dict[str, Any], batch: MamBatch, rngs: dict[str, Array]
    ) -> tuple[Array, Mapping[str, Any]]:
        """The sum of all losses of a step, and the centers after it."""
        config, count, labels = self.config, batch.annotated, batch.labels
        encoded: Any = self.module.apply(variables, batch.inputs, batch.real, True, rngs=rngs, method="encode")
        z, logits = encoded
        centers, total = variables["centers"]["centers"], jnp.float32(0)
        if config.reference:
            total += config.clip_weight * metrics.cross_entropy(logits[:count], labels).mean()
            total += config.triplet_weight * triplet(z[:count], labels, config.margin)
            weights = jnp.stack([1 - labels, labels]).astype(z.dtype)
            centers = moved(centers, z[:count], weights, config.center_rate)
        if batch.joint:
            instances, of_instances = (
                rearrange(a[count:], "(video instance) entry -> video instance entry", video=2) for a in (z, logits)
            )
            fused: Any = self.module.apply(variables, instances, of_instances, batch.info, method="fuse")
            total += config.bag_weight * optax.sigmoid_binary_cross_entropy(fused[0], jnp.array([0.0, 1.0])).mean()
            p = presence(jax.nn.softmax(of_instances)[..., 1], jnp.array([False, True]), config.fidgety_share)
            if not config.reference:
                weights = jnp.stack([1 - p.reshape(-1), p.reshape(-1)])
                centers = moved(centers, z, weights, config.center_rate)
            total += config.closeness_weight * closeness(instances, p, centers, config.squares)
        return total, {"centers": {"centers": centers}}

    def draw(self, key: Array, data: Videos, video: Int[Array, ""]) -> tuple[Array, Array]:
        """Random instances of a video: their positions, and frames of each that are not padding."""
        number = self.config.instances
        count, most = self._instances(data, data.lengths[video])
        each_once = jnp.pad(permutation(key, count, most), (0, max(number - most, 0)))[:number]
        repeated = jax.random.randint(jax.random.fold_in(key, most), (number,), 0, count)
        return self._cut(data, video, jnp.where(count >= number, each_once, repeated))

    def _instances(self, data: Videos, length: Int[Array, ""]) -> tuple[Array, int]:
        """How many instances a video has, and the longest one: as `preprocessing.clip_starts`."""
        behind = data.positions.shape[1] - self.module.frames
        count = -(-jnp.maximum(length - self.module.frames, 0) // self.config.step) + 1
        return count, -(-behind // self.config.step) + 1

    def _cut(self, data: Videos, video: Int[Array, ""], number: Int[Array, " instance"]) -> tuple[Array, Array]:
        length, frames = data.lengths[video], self.module.frames
        starts = jnp.minimum(number * self.config.step, jnp.maximum(length - frames, 0))
        size = (1, frames, *data.positions.shape[2:])
        clips = jax.vmap(lambda start: lax.dynamic_slice(data.positions, (video, start, 0, 0), size)[0])(starts)
        return clips, jnp.full(len(number), jnp.minimum(length, frames))

    def predict(self, variables: dict[str, Any], rows: Int[Array, "1"], data: Videos) -> Float[Array, "1"]:
        """The log-odds of risk of a whole video, by all of its instances."""
        video = rows[0]
        count, most = self._instances(data, data.lengths[video])
        clips, real = self._cut(data, video, jnp.arange(most))
        x = preprocessing.inputs(clips, self.config.inputs, self.config.distance)
        info = None if data.info is None else data.info[video][None]
        return self.module.apply(variables, x[None], info, real[None], mask(count, most)[None])[0]

    def evaluate(self, predictions: Array, variables: dict[str, Any], run: Run, data: Videos) -> EvalResult:
        """Cross-entropy and AUC of the validation videos."""
        labels, real = data.labels[run.validation], mask(run.validation_count, len(run.validation))
        entropy = jnp.where(real, optax.sigmoid_binary_cross_entropy(predictions, labels), 0).sum()
        loss = entropy / run.validation_count
        return EvalResult(loss, -loss, predictions, {"auc": metrics.auc(predictions, labels, real.astype(jnp.float32))})


def setup(module: MAM, data: Videos, splits: Sequence[Split], config: TrainingConfig) -> TrainingSetup:
    """Arguments of `training.fit` for one run of each split.

    In its result `outputs` are the log-odds of the validation videos of each run `[run, video]`, padded.

    Args:
        module: the network, of as many channels as the configured inputs have.
        data: videos and annotated clips of as many frames as the network's.
        splits: of the videos; our choice are five stratified folds, by infant.
        config: the same for all runs.

    Raises:
        ValueError: data that do not fit the network.
    """
    frames, joints, axes = data.clips.shape[1:]
    channels = preprocessing.channels(config.inputs, axes, joints, config.distance)
    if bool(module.info) != (data.info is not None):
        raise ValueError("the network needs info" if module.info else "the network reads no info")
    if (module.frames, module.joints, module.channels) != (frames, joints, channels):
        raise ValueError(
            f"the network reads {module.frames} frames of {module.joints} joints and {module.channels} channels, the "
            f"data have {frames}, {joints} and {channels}"
        )
    task = VideoTask(module, config, (1, 1, frames, joints, channels))
    return TrainingSetup(task, data, video_runs(data, splits, config.seed))


def video_runs(data: Videos, splits: Sequence[Split], seed: int) -> Run:
    """Index sets of a stack of runs, each with training videos of both classes."""
    sets, labels = [], np.asarray(data.labels)
    for split in splits:
        train = np.asarray(split.train)
        normal, risk = (train[labels[train] == label] for label in (0, 1))
        extra = NormalVideos(normal, np.int32(len(normal)))  # type: ignore[arg-type]
        sets.append(IndexSets(risk, np.asarray(split.validation), extra))
    return stack_runs(seed, range(len(splits)), sets)
