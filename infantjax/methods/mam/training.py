"""A reading of MAM, training: cross-validation as one stack of runs, see `training.loop`; and localizing afterwards.

First the reference branch is trained alone on annotated clips, then every step joins such clips with the instances of
one normal and one risk video. Nothing is chosen by the videos that a run holds out: the last weights are kept.

Source: Gao, Yao, Tian et al. 2023, through a published summary. Published: batches of 64, half of them clips, half
instances of one normal and one risk video; 300 epochs of SGD with a cyclic rate that begins at 0.001; the margin 0.4;
that a triplet loss, a closeness loss and two cross-entropies are summed. Chosen: every other default of `MamConfig`,
what an epoch is, that the reference branch is trained alone first, and the formula of the closeness loss.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Unpack, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int

from infantjax.files import sha256
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam.model import INFO, MAM
from infantjax.methods.mam.preprocessing import Distance, Input
from infantjax.training import loop, metrics
from infantjax.training import optimizers as optimizers
from infantjax.training.loop import EpochResult, EvalResult, Execution, shuffled
from infantjax.training.splits import Split
from infantjax.training.state import Status, TrainState, run_keys, stack_tables

Mining = Literal["all", "hardest"]
Squares = Literal["sum", "mean"]
Standardize = Literal["none", "channel", "token"]

FLOOR = 1e-4
"""Of the variances that are brought to one, relative to the largest: what lies far below is noise and stays small."""


@dataclass(frozen=True)
class MamConfig:
    """How every run of a stack is trained. See the module for what of the defaults is published.

    Attributes:
        inputs: what the network reads, see `motion.mam.inputs`.
        distance: how two joints are compared.
        standardize: by the annotated clips: with `channel` every joint's every channel has mean 0 and deviation 1,
            with `token` the frames of a token are decorrelated too, so that what changes fast weighs as much as
            posture. Published is that inputs are normalized, not how. Distances teach nothing with `none`.
        pretraining: epochs of the reference branch alone; one is every annotated clip once.
        joint: epochs of all branches; one is every risk video once.
        clips: annotated clips of a step.
        instances: of each of a step's two videos; drawn with replacement where it has fewer.
        step: frames between the starts of two instances.
        lowest_rate: of a cycle.
        highest_rate: of a cycle.
        half_cycle: steps from one to the other.
        momentum: at the highest rate, and at the lowest.
        decay: of all parameters.
        margin: of the triplets.
        mining: all triplets of a step, or each clip's farthest of its class and nearest of the other.
        center_rate: of the running means of embeddings.
        fidgety_share: of a risk video's instances that may count as fidgety.
        hard: the closeness loss pulls to the nearest center.
        squares: of the closeness loss: their sum over the entries of an embedding, or their mean, which does not grow
            with the width and leaves the other losses their share.
        clip_weight: of the clips' cross-entropy; without it and the triplets there is no reference branch.
        triplet_weight: of the triplet loss.
        bag_weight: of the videos' cross-entropy.
        closeness_weight: of the closeness loss.
        seed: root of every random number.

    Raises:
        ValueError: a value out of range.
    """

    inputs: tuple[Input, ...] = ("distances",)
    distance: Distance = "euclidean"
    standardize: Standardize = "token"
    pretraining: int = 50
    joint: int = 300
    clips: int = 32
    instances: int = 16
    step: int = motion.STEP
    lowest_rate: float = 0.001
    highest_rate: float = 0.01
    half_cycle: int = 2000
    momentum: tuple[float, float] = (0.8, 0.9)
    decay: float = 1e-4
    margin: float = 0.4
    mining: Mining = "all"
    center_rate: float = 0.1
    fidgety_share: float = 0.1
    hard: bool = False
    squares: Squares = "sum"
    clip_weight: float = 1.0
    triplet_weight: float = 1.0
    bag_weight: float = 1.0
    closeness_weight: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        motion.channels(self.inputs, distance=self.distance)
        for name in ("clips", "instances", "step", "joint", "half_cycle"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        weights = ("clip_weight", "triplet_weight", "bag_weight", "closeness_weight")
        for name in ("pretraining", "margin", "decay", *weights):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        for name in ("center_rate", "fidgety_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be above 0 and at most 1, got {getattr(self, name)}")
        if self.mining not in ("all", "hardest"):
            raise ValueError(f'mining is "all" or "hardest", got "{self.mining}"')
        if self.squares not in get_args(Squares):
            raise ValueError(f'squares is "sum" or "mean", got "{self.squares}"')
        if self.standardize not in get_args(Standardize):
            raise ValueError(f'standardize is none, channel or token, got "{self.standardize}"')
        if not self.reference and self.pretraining:
            raise ValueError("without the reference branch there is no pretraining")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")
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

    def without(self, part: Literal["closeness", "reference"]) -> "MamConfig":
        """An ablation: no closeness loss, or no reference branch; then the centers are those of the instances."""
        if part == "closeness":
            return replace(self, closeness_weight=0.0)
        return replace(self, clip_weight=0.0, triplet_weight=0.0, pretraining=0)


class Videos(NamedTuple):
    """Videos and annotated clips: what lies on the device once.

    Attributes:
        positions: `[video, time, joint, axis]` float32 (`motion.mam.prepare`); behind its end a video stands still.
        lengths: `[video]` int32, frames.
        labels: `[video]` int32, 1 is risk.
        info: `[video, 4]` float32 of `models.mam.INFO`; None for a network without.
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
    def of(
        cls,
        positions: Sequence[Float[np.ndarray, "time joint axis"]],
        labels: Sequence[float],
        clips: Float[np.ndarray, "clip time joint axis"],
        clip_labels: Sequence[int] | np.ndarray,
        info: Sequence[Sequence[float] | np.ndarray] | None = None,
    ) -> "Videos":
        """Pad and check.

        Raises:
            ValueError: no videos or clips, shapes or numbers that do not fit, missing values, or a label not 0 or 1.
        """
        given = np.asarray(clips, np.float32)
        if given.ndim != 4 or not len(given) or len(given) != len(clip_labels):
            raise ValueError(f"clips [clip, time, joint, axis] need labels, got {given.shape} and {len(clip_labels)}")
        if not positions or len(positions) != len(labels):
            raise ValueError(f"{len(positions)} videos need as many labels, got {len(labels)}")
        if not set(map(int, labels)) | set(map(int, clip_labels)) <= {0, 1}:
            raise ValueError("labels must be 0 or 1")
        longest = max(given.shape[1], *map(len, positions))
        padded = np.empty((len(positions), longest, *given.shape[2:]), np.float32)
        for number, (row, video) in enumerate(zip(padded, positions)):
            if video.ndim != 3 or not len(video) or video.shape[1:] != given.shape[2:]:
                raise ValueError(f"video {number} has shape {video.shape}, the clips {given.shape[1:]}")
            row[: len(video)], row[len(video) :] = video, video[-1]
        known = None if info is None else np.asarray(info, np.float32)
        if known is not None and known.shape != (len(positions), len(INFO)):
            raise ValueError(f"info must be [{len(positions)}, {len(INFO)}], got {known.shape}")
        if not all(np.isfinite(array).all() for array in (padded, given, *(() if known is None else (known,)))):
            raise ValueError("positions, clips and info must not hold missing values")
        lengths, outcomes, of_clips = (
            np.asarray(values, np.int32) for values in ([len(p) for p in positions], labels, clip_labels)
        )
        # `device_put` of the loop moves NumPy arrays too.
        return cls(padded, lengths, outcomes, known, given, of_clips)  # type: ignore[arg-type]

    @property
    def digest(self) -> str:
        """SHA-256 over all that training sees."""
        return sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(self)))


class MamRun(NamedTuple):
    """The index sets of one run. Padded.

    Attributes:
        key: `[]` JAX key of the run.
        normals: `[]` number of normal training videos.
        normal: `[video]` which they are.
        risks: `[]` number of risk training videos.
        risk: `[video]` which they are.
        held: `[]` number of videos that are held out.
        held_video: `[video]` which they are.
    """

    key: Array
    normals: Array
    normal: Array
    risks: Array
    risk: Array
    held: Array
    held_video: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut(loop.TrainResult):
    """What a stack of runs came to, after their last epochs.

    Attributes:
        logits: `[video]` log-odds of risk by the run that held the video out; NaN where none did or it diverged.
    """

    logits: Float[np.ndarray, " video"]


def train(
    module: MAM,
    data: Videos,
    folds: Sequence[Split],
    config: MamConfig | None = None,
    *,
    description: Mapping[str, Any] | None = None,
    **how: Unpack[Execution],
) -> HeldOut:
    """Train one run for each fold, all at once.

    Args:
        module: the network, of as many channels as the configured inputs have.
        data: videos and annotated clips of as many frames as the network's.
        folds: of the videos (`folds.stratified_splits`); chosen are five, by infant.
        config: the same for all runs.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        how: see `loop.Execution`; checkpoints are 10 epochs apart if not said.

    Raises:
        ValueError: no folds, one without a training video of a class, data that do not fit the network, or fewer clips
            than a step has.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    config = config or MamConfig()
    if not folds:
        raise ValueError("there is nothing to train: no folds")
    if bool(module.info) != (data.info is not None):
        raise ValueError("the network reads info and there is none" if module.info else "info is not read")
    frames, joints, axes = data.clips.shape[1:]
    channels = motion.channels(config.inputs, axes, joints, config.distance)
    if (module.frames, module.joints, module.channels) != (frames, joints, channels):
        raise ValueError(
            f"the network reads {module.frames} frames of {module.joints} joints and {module.channels} channels, the "
            f"data have {frames}, {joints} and {channels}"
        )
    if config.reference and len(data.clips) < config.clips:
        raise ValueError(f"{len(data.clips)} annotated clips do not fill the {config.clips} of a step")
    labels = np.asarray(data.labels)
    tables = [_tables(labels, fold) for fold in folds]
    state = loop.train(
        VideoTask(module, config, (1, 1, frames, joints, channels)),
        MamRun(key=run_keys(config.seed, range(len(folds))), **stack_tables(tables)),  # type: ignore[arg-type]
        data,
        {
            "config": asdict(config),
            "cohort": data.digest,
            "folds": [asdict(fold) for fold in folds],
            "model": dict(description or {}),
        },
        run_ids=range(len(folds)),
        **(Execution(save_every=10) | how),
    )
    logits = np.full(len(labels), np.nan)
    for fold, held, status in zip(folds, np.asarray(state.best_outputs), state.status):
        if status != Status.DIVERGED:
            logits[list(fold.validation)] = held[: len(fold.validation)]
    return HeldOut(**loop.TrainResult.of(state), logits=logits)


def _tables(labels: np.ndarray, fold: Split) -> dict[str, np.ndarray]:
    train, held = np.asarray(fold.train), np.asarray(fold.validation)
    for rows in (train, held):
        if not len(rows) or rows.min() < 0 or rows.max() >= len(labels):
            raise ValueError(f"a fold must name videos 0..{len(labels) - 1} to train on and to hold out")
    normal, risk = (train[labels[train] == label] for label in (0, 1))
    if not (len(normal) and len(risk)):
        raise ValueError(f"a step needs a normal and a risk video, a fold has {len(normal)} and {len(risk)}")
    tables = {"normals": len(normal), "normal": normal, "risks": len(risk), "risk": risk}
    tables |= {"held": len(held), "held_video": held}
    return {name: np.asarray(table, np.int32) for name, table in tables.items()}


@dataclass(frozen=True, eq=False)
class VideoTask(loop.Task):
    """Fidgety movements of clips and the risk of videos; the last weights are kept."""

    module: MAM
    config: MamConfig

    @property
    def first_epoch(self) -> int:  # type: ignore[override]
        """Only the last one counts: nothing is chosen by the videos held out."""
        return self.config.epochs

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """As configured."""
        return self.config.optimizer

    def initial(self, key: Array, run: MamRun, data: Videos) -> dict[str, Array]:
        """The variables; inputs are standardized by the annotated clips, info by the training videos of the run."""
        variables = super().initial(key, run, data)
        if self.config.standardize != "none":
            variables = {**variables, "inputs": self.packings["inputs"].pack(self.standards(data.clips))}
        if data.info is None:
            return variables
        rows = data.info[jnp.concatenate([run.normal, run.risk])]
        real = [jnp.arange(len(t)) < n for t, n in ((run.normal, run.normals), (run.risk, run.risks))]
        weights = jnp.concatenate(real)[:, None] / (run.normals + run.risks)
        mean = (weights * rows).sum(axis=0)
        deviation = jnp.sqrt((weights * (rows - mean) ** 2).sum(axis=0))
        standard = {"mean": mean, "deviation": jnp.where(deviation > 0, deviation, 1)}
        return {**variables, "standard": self.packings["standard"].pack(standard)}

    def standards(self, clips: Float[Array, "clip time joint axis"]) -> dict[str, Array]:
        """What the network standardizes its inputs by, from annotated clips; see `MamConfig.standardize`."""

        def inputs(clip: Array) -> Array:
            return motion.inputs(clip, self.config.inputs, self.config.distance)

        def moments(clip: Array) -> tuple[Array, Array]:
            return inputs(clip).mean(axis=0), inputs(clip).var(axis=0)

        def products(clip: Array) -> Array:
            z = ((inputs(clip) - mean) / deviation).reshape(-1, token, mean.size)
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

    def train_epoch(self, state: TrainState, run: MamRun, data: Videos, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch of either stage."""
        clip_key, normal_key, risk_key, step_key = jax.random.split(key, 4)
        batches = max(len(data.clips) // self.config.clips, 1)
        clip_order = shuffled(clip_key, jnp.int32(len(data.clips)), len(data.clips))
        normal_order = shuffled(normal_key, run.normals, len(run.normal))
        risk_order = shuffled(risk_key, run.risks, len(run.risk))
        alone = state.epoch < self.config.pretraining

        def step(i: Array, carry: tuple, joint: bool) -> tuple:
            variables, optimizer, total = carry
            clips = lax.dynamic_slice_in_dim(clip_order, i % batches * self.config.clips, self.config.clips)
            pair = jnp.stack([run.normal[normal_order[i % run.normals]], run.risk[risk_order[i % run.risks]]])
            key = jax.random.fold_in(step_key, i)

            def loss(variables: dict[str, Any]) -> tuple[Array, Any]:
                return self.loss(variables, data, clips, pair if joint else None, key)

            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, total + value

        carry = (state.variables, state.opt_state, jnp.float32(0))
        pretraining = jnp.where(running & alone, batches, 0)
        if self.config.pretraining:
            carry = lax.fori_loop(0, pretraining, lambda i, c: step(i, c, False), carry)
        joint = jnp.where(running & ~alone, run.risks, 0)
        variables, optimizer, total = lax.fori_loop(0, joint, lambda i, c: step(i, c, True), carry)
        return EpochResult(variables, optimizer, total / (pretraining + joint))

    def loss(
        self,
        variables: dict[str, Any],
        data: Videos,
        clips: Int[Array, " clip"],
        pair: Int[Array, "2"] | None,
        key: Array,
    ) -> tuple[Float[Array, ""], dict[str, Any]]:
        """The sum of all losses of a step, and the centers behind it.

        Args:
            variables: of the network.
            data: all of it.
            clips: annotated ones of the step.
            pair: a normal and a risk video; None for the reference branch alone.
            key: of the step.
        """
        config, frames = self.config, self.module.frames
        drop, draw = jax.random.split(key)
        count = len(clips) if config.reference else 0
        parts = [data.clips[clips]] if config.reference else []
        real = [jnp.full(count, frames)] if config.reference else []
        if pair is not None:
            for label in (0, 1):
                chosen, seen = self.draw(jax.random.fold_in(draw, label), data, pair[label])
                parts, real = [*parts, chosen], [*real, seen]
        x = motion.inputs(jnp.concatenate(parts), config.inputs, config.distance)
        encoded: Any = self.module.apply(
            variables, x, jnp.concatenate(real), True, rngs={"dropout": drop}, method="encode"
        )
        z, logits = encoded
        centers, total = variables["centers"]["centers"], jnp.float32(0)
        if config.reference:
            labels = data.clip_labels[clips]
            total += config.clip_weight * metrics.cross_entropy(logits[:count], labels).mean()
            total += config.triplet_weight * triplet(z[:count], labels, config.margin, config.mining)
            weights = jnp.stack([1 - labels, labels]).astype(z.dtype)
            centers = moved(centers, z[:count], weights, config.center_rate)
        if pair is not None:
            instances, of_instances = (a[count:].reshape(2, config.instances, -1) for a in (z, logits))
            info = None if data.info is None else data.info[pair]
            fused: Any = self.module.apply(variables, instances, of_instances, info, method="fuse")
            total += config.bag_weight * optax.sigmoid_binary_cross_entropy(fused[0], jnp.array([0.0, 1.0])).mean()
            p = presence(jax.nn.softmax(of_instances)[..., 1], jnp.array([False, True]), config.fidgety_share)
            if not config.reference:
                weights = jnp.stack([1 - p.reshape(-1), p.reshape(-1)])
                centers = moved(centers, z, weights, config.center_rate)
            total += config.closeness_weight * closeness(instances, p, centers, config.hard, config.squares)
        return total, {"centers": {"centers": centers}}

    def draw(self, key: Array, data: Videos, video: Int[Array, ""]) -> tuple[Array, Array]:
        """Random instances of a video: their positions, and frames of each that are real."""
        number = self.config.instances
        count, most = self._instances(data, data.lengths[video])
        each_once = jnp.pad(shuffled(key, count, most), (0, max(number - most, 0)))[:number]
        repeated = jax.random.randint(jax.random.fold_in(key, most), (number,), 0, count)
        return self._cut(data, video, jnp.where(count >= number, each_once, repeated))

    def _instances(self, data: Videos, length: Int[Array, ""]) -> tuple[Array, int]:
        """How many instances a video has, and the longest one: as `motion.mam.clip_starts`."""
        behind = data.positions.shape[1] - self.module.frames
        count = -(-jnp.maximum(length - self.module.frames, 0) // self.config.step) + 1
        return count, -(-behind // self.config.step) + 1

    def _cut(self, data: Videos, video: Int[Array, ""], number: Int[Array, " instance"]) -> tuple[Array, Array]:
        length, frames = data.lengths[video], self.module.frames
        starts = jnp.minimum(number * self.config.step, jnp.maximum(length - frames, 0))
        size = (1, frames, *data.positions.shape[2:])
        clips = jax.vmap(lambda start: lax.dynamic_slice(data.positions, (video, start, 0, 0), size)[0])(starts)
        return clips, jnp.full(len(number), jnp.minimum(length, frames))

    def evaluate_run(self, variables: dict[str, Array], run: MamRun, data: Videos, running: Array) -> EvalResult:
        """The cross-entropy of the videos held out, one at a time, by all of their instances."""
        unpacked = self.unpack(variables)

        def judged(i: Array, logits: Array) -> Array:
            video = run.held_video[i]
            count, most = self._instances(data, data.lengths[video])
            clips, real = self._cut(data, video, jnp.arange(most))
            x = motion.inputs(clips, self.config.inputs, self.config.distance)
            info = None if data.info is None else data.info[video][None]
            logit, _ = self.module.apply(unpacked, x[None], info, real[None], (jnp.arange(most) < count)[None])
            return logits.at[i].set(logit[0])

        most = len(run.held_video)
        logits = lax.fori_loop(0, jnp.where(running, run.held, 0), judged, jnp.zeros(most))
        labels, held = data.labels[run.held_video], jnp.arange(most) < run.held
        loss = jnp.where(held, optax.sigmoid_binary_cross_entropy(logits, labels), 0).sum() / run.held
        return EvalResult(loss, -loss, logits, {"auc": metrics.auc(logits, labels, held.astype(jnp.float32))})


def triplet(
    z: Float[Array, "clip width"], labels: Int[Array, " clip"], margin: float = 0.4, mining: Mining = "all"
) -> Float[Array, ""]:
    """Mean of `max(0, d(a, p) - d(a, n) + margin)` with Euclidean distances of embeddings scaled to unit length.

    Args:
        z: embeddings.
        labels: classes; a clip a, another p of its class and one n of the other make a triplet.
        margin: 0.4 as published.
        mining: `all` triplets (chosen), or for each a the farthest p and the nearest n.

    Returns:
        0 where there is no triplet.
    """
    unit = z * lax.rsqrt(jnp.maximum(jnp.sum(z**2, axis=-1, keepdims=True), 1e-12))
    squared = jnp.sum((unit[:, None] - unit[None]) ** 2, axis=-1)
    # The root has no slope at zero.
    apart = jnp.where(squared > 1e-12, jnp.sqrt(jnp.where(squared > 1e-12, squared, 1)), 0)
    same = labels[:, None] == labels[None]
    positive, negative = same & ~jnp.eye(len(z), dtype=bool), ~same
    if mining == "hardest":
        farthest = jnp.where(positive, apart, -jnp.inf).max(axis=1)
        nearest = jnp.where(negative, apart, jnp.inf).min(axis=1)
        valid = positive.any(axis=1) & negative.any(axis=1)
        excess = jnp.where(valid, farthest, 0) - jnp.where(valid, nearest, 0) + margin
    else:
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
    z: Float[Array, "*n width"],
    p: Float[Array, "*n"],
    centers: Float[Array, "2 width"],
    hard: bool = False,
    squares: Squares = "sum",
) -> Float[Array, ""]:
    """Mean of `p |z - c_F|^2 + (1 - p) |z - c_N|^2`; published is its purpose, the formula is chosen.

    Embeddings are normalized, so their entries are about 1: the mean of squares is about as large as the other losses,
    their sum the width times as large.

    Args:
        z: embeddings of instances.
        p: how far each counts as fidgety; without gradient.
        centers: c_N and c_F, of embeddings without and with fidgety movements; without gradient.
        hard: the nearest center in place of the mean by p.
        squares: `|.|^2` is the sum over entries, or the mean.
    """
    p, centers = lax.stop_gradient(p), lax.stop_gradient(centers)
    over = jnp.mean if squares == "mean" else jnp.sum
    without, fidgety = (over((z - center) ** 2, axis=-1) for center in centers)
    return (jnp.minimum(without, fidgety) if hard else p * fidgety + (1 - p) * without).mean()


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


@lru_cache(maxsize=8)
def _encoder(module: MAM, names: tuple[Input, ...], distance: Distance) -> Callable[..., Any]:
    def encode(variables: Any, clips: Array, real: Array) -> Any:
        return module.apply(variables, motion.inputs(clips, names, distance), real, method="encode")

    return jax.jit(encode)


@lru_cache(maxsize=8)
def _fuser(module: MAM) -> Callable[..., Array]:
    def fuse(variables: Any, z: Array, clips: Array, info: Array | None, present: Array) -> Array:
        fused: Any = module.apply(variables, z, clips, info, present, method="fuse")
        return fused[0]

    return jax.jit(fuse)


def _encoded(
    module: MAM,
    variables: Any,
    positions: Float[np.ndarray, "time joint axis"],
    starts: Int[np.ndarray, " clip"],
    config: MamConfig,
    batch: int,
) -> tuple[Float[np.ndarray, "clip width"], Float[np.ndarray, "clip 2"]]:
    """Embeddings and logits of clips, a fixed number of them at once."""
    encode, found = _encoder(module, config.inputs, config.distance), []
    for first in range(0, len(starts), batch):
        clips, real = motion.cut(positions, np.resize(starts[first : first + batch], batch), module.frames)
        encoded = encode(variables, np.asarray(clips, np.float32), real)
        found.append(tuple(np.asarray(part)[: len(starts) - first] for part in encoded))
    z, logits = (np.concatenate(parts) for parts in zip(*found))
    return z, logits


def video_logit(
    module: MAM,
    variables: Any,
    positions: Float[np.ndarray, "time joint axis"],
    info: Float[np.ndarray, "4"] | None = None,
    config: MamConfig | None = None,
    *,
    batch: int = 32,
) -> float:
    """The log-odds of risk of a whole video, from all of its instances.

    Args:
        module: the network.
        variables: of one run.
        positions: of the video (`motion.mam.prepare`).
        info: entries of `models.mam.INFO`, for a network that reads them.
        config: gives the inputs and how far instances are apart.
        batch: instances that are computed at once; memory, not method.
    """
    config = config or MamConfig()
    starts = motion.clip_starts(len(positions), module.frames, config.step)
    parts = _encoded(module, variables, positions, starts, config, batch)
    # Filled up, so that videos of like length share a program.
    z, clips = (np.pad(part, ((0, -len(starts) % batch), (0, 0)))[None] for part in parts)
    present = (np.arange(z.shape[1]) < len(starts))[None]
    known = None if info is None else np.asarray(info, np.float32)[None]
    return float(_fuser(module)(variables, z, clips, known, present)[0])


def localize(
    module: MAM,
    variables: Any,
    positions: Float[np.ndarray, "time joint axis"],
    config: MamConfig | None = None,
    *,
    step: int = motion.LOCALIZATION_STEP,
    batch: int = 32,
) -> Float[np.ndarray, " clip"]:
    """The probability of fidgety movements in every clip of a video that starts at `motion.mam.localization_starts`.

    Args:
        module: the network.
        variables: of one run.
        positions: of the video (`motion.mam.prepare`).
        config: gives the inputs.
        step: frames between two starts.
        batch: clips that are computed at once; memory, not method.
    """
    config = config or MamConfig()
    starts = motion.localization_starts(len(positions), module.frames, step)
    _, logits = _encoded(module, variables, positions, starts, config, batch)
    return np.asarray(jax.nn.softmax(logits)[:, 1])
