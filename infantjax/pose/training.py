"""Pose networks, trained on annotated images.

The images lie on the device as 8-bit squares; views, targets, the optimizer and the validation of an epoch are one
compiled call, see `training.loop`. Over several devices every batch is spread, with the statistics of the whole batch.

Source: Groos et al., Paper I (Section 3.5) and Paper II (Section 2.4); the training framework.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt8

from infantjax.errors import InputError
from infantjax.files import canonical_json, write_atomically
from infantjax.pose import augmentation
from infantjax.pose.augmentation import ImageAugmentation
from infantjax.pose.codec import heatmap
from infantjax.pose.codec.heatmap import SIGMAS, HeatmapCodec, scheduled
from infantjax.pose.codec.limb import AFFINITY_WIDTHS, AffinityFieldCodec
from infantjax.pose.images import Normalization, normalize
from infantjax.pose.importers.imagenet import filled
from infantjax.skeletons import Skeleton
from infantjax.training import loop
from infantjax.training import optimizers as optimizers
from infantjax.training.layout import shard_batch
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import TrainResult, TrainState, run_keys
from infantjax.training.task import EpochResult, EvalResult, SupervisedTask, permutation

Optimizer = Literal["amsgrad", "cyclical"]

RANGE_TEST = "range_test.json"
"""Rates and losses of the test that found the learning rate."""


@dataclass(frozen=True)
class PoseTrainingConfig:
    """How a pose network is trained; the defaults are those of fine-tuning on infants.

    Attributes:
        epochs: passes over the images; 100 for infants, 200 on MPII.
        batch_size: images of a step; 20 on MPII (10 for III, 5 for IV), 4 on infants for IV, not published for the
            others: 16 is the framework's. The last batch of an epoch is filled up with its first images.
        optimizer: `amsgrad` for fine-tuning and for EfficientHourglass; `cyclical` is SGD with momentum under the
            decaying triangular cyclical rate, for EfficientPose on MPII.
        learning_rate: constant for `amsgrad`, 1e-3 if None; for `cyclical` the highest rate of the first cycle, what
            `range_test` finds if None.
        momentum: of `cyclical`.
        cycle: epochs of a cycle.
        sigmas: schedule of the heatmaps' width, a name of `codec.SIGMAS`.
        augmentation: views of the training images; None trains on them as they are.
        dtype: of the activations; `bfloat16` is for accelerators. Weights and statistics stay float32.
        evaluation_batch: validation images that are computed at once; memory, not method.
        seed: root of every random number.

    Raises:
        ValueError: a value out of its range.
    """

    epochs: int = 100
    batch_size: int = 16
    optimizer: Optimizer = "amsgrad"
    learning_rate: float | None = None
    momentum: float = 0.9
    cycle: int = 3
    sigmas: str = "efficientpose"
    augmentation: ImageAugmentation | None = field(default_factory=ImageAugmentation)
    dtype: Literal["float32", "bfloat16"] = "float32"
    evaluation_batch: int = 16
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "cycle", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.learning_rate is not None and not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {self.momentum}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")
        for name, known in (
            ("optimizer", ("amsgrad", "cyclical")),
            ("sigmas", tuple(SIGMAS)),
            ("dtype", ("float32", "bfloat16")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ImageData:
    """Annotated images: what lies on the device once.

    Attributes:
        images: `[image, side, side, 3]`, 8 bit.
        points: `[image, keypoint, 2]` float32, x and y as fractions of the square; NaN where missing.
        start: variables that replace those of the initializer, nested as the network's; a part of them will do.
        skeleton: of the points.
        normalization: of the network's input, a name of `images.NORMALIZATIONS`.
    """

    images: UInt8[Array, "image side side 3"]
    points: Float[Array, "image keypoint 2"]
    start: Any
    skeleton: Skeleton = field(metadata={"static": True})
    normalization: Normalization = field(metadata={"static": True})

    def __post_init__(self) -> None:
        # A traced tree has leaves that are no arrays.
        if isinstance(self.images, np.ndarray):
            count, side = self.images.shape[:2]
            expected = (count, side, side, 3), (count, len(self.skeleton.joints), 2)
            if (self.images.shape, np.shape(self.points)) != expected:
                raise ValueError(f"images and points have shapes {self.images.shape}, {np.shape(self.points)}")

    @property
    def digest(self) -> str:
        """SHA-256 over all that training sees."""
        text = f"{self.images.shape} {self.skeleton} {self.normalization}".encode()
        digest = hashlib.sha256(text)
        for array in (self.images, self.points, *jax.tree.leaves(self.start)):
            # Piece by piece: images on disk may be larger than the memory.
            for part in np.atleast_1d(array):
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


class PoseRun(NamedTuple):
    """The index sets of one run; padded.

    Attributes:
        key: `[]` JAX key of the run.
        samples: `[]` number of training images.
        rows: `[sample]` training images.
        held: `[]` number of validation images.
        held_rows: `[held]` validation images.
    """

    key: Array
    samples: Array
    rows: Array
    held: Array
    held_rows: Array


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseResult(TrainResult):
    """What the training of pose networks came to; arrays are NumPy with a leading run axis.

    Attributes:
        mean_error: `[run]` over the validation images at that epoch, fractions of the square.
        keypoint_errors: `[run, keypoint]`; NaN where none was annotated.
    """

    mean_error: np.ndarray
    keypoint_errors: np.ndarray


def train(
    module: nn.Module,
    data: ImageData,
    folds: Sequence[Split],
    config: PoseTrainingConfig,
    *,
    run_ids: Sequence[int] | None = None,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    devices: Sequence[jax.Device] | None = None,
    stream: int | None = None,
    save_every: int = 1,
    quiet: bool = True,
) -> PoseResult:
    """Train a pose network for each fold and keep each run's epoch of the smallest error.

    Args:
        module: gives maps and a mapping with the maps of every pass, whose names end on `pafs` and `confs`; without
            upscaling.
        data: the images.
        folds: images that each run trains and is validated on; the papers have one.
        config: the same for all runs.
        run_ids: number of each run; None counts from 0.
        directory: where checkpoints and logs go, and from where an interrupted training continues; None keeps nothing.
        description: of the model, JSON-compatible; a checkpoint of another one is refused.
        devices: over which every batch is spread; None is all local ones.
        stream: keep the images on the host, where they may be a memory map, and bring those of so many steps to the
            devices at a time: for one run whose images do not fit. The result is the same, to rounding.
        save_every: epochs between checkpoints.
        quiet: no progress on stderr.

    Raises:
        ValueError: no folds, images that do not exist, or several folds to stream.
        MissingExtraError: streaming needs the extra `pose-train`.
        InputError: the directory holds another training, is in use, or cannot be written.
    """
    run_ids = list(range(len(folds))) if run_ids is None else list(run_ids)
    if config.optimizer == "cyclical" and config.learning_rate is None and folds:
        config = replace(config, learning_rate=_highest_rate(module, data, folds[0].train, config, directory))
    task = PoseTask.of(module, data, folds, config)
    on_device = data
    if stream is not None:
        from infantjax.pose.streaming import StreamedPoseTask

        task = StreamedPoseTask.streaming(task, data, folds, stream)
        on_device = replace(data, images=data.images[:1], points=data.points[:1])
    result = loop.train(
        task,
        runs_of(folds, config.seed, run_ids),
        on_device,
        run_ids=run_ids,
        directory=directory,
        description=description,
        data_digest=data.digest,
        shard_batches=True,
        options=TrainOptions(devices=devices, save_every=save_every, quiet=quiet),
    )
    return PoseResult(**vars(result), mean_error=-result.best_score, keypoint_errors=result.outputs)


def _highest_rate(
    module: nn.Module, data: ImageData, rows: Sequence[int], config: PoseTrainingConfig, directory: str | Path | None
) -> float:
    """What the range test finds; kept in the folder, so that a training which continues has the same."""
    path = None if directory is None else Path(directory) / RANGE_TEST
    if path is not None and path.exists():
        try:
            return float(json.loads(path.read_text("utf-8"))["highest"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(path, "is damaged", "remove the folder and train again") from None
    rates, losses, highest = range_test(module, data, rows, config)
    if path is not None:
        finite = [loss if math.isfinite(loss) else None for loss in losses.tolist()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, canonical_json({"highest": highest, "rates": rates.tolist(), "losses": finite}))
        except OSError as error:
            raise InputError(path, f"cannot be written ({error.strerror})", "give another folder") from error
    return highest


def runs_of(folds: Sequence[Split], seed: int, run_ids: Sequence[int]) -> PoseRun:
    """The index sets of the folds, stacked."""

    def stacked(sets: Sequence[Sequence[int]]) -> np.ndarray:
        return np.stack([np.pad(np.asarray(s, np.int32), (0, max(map(len, sets)) - len(s))) for s in sets])

    rows, held = [fold.train for fold in folds], [fold.validation for fold in folds]
    counts = (np.array([len(s) for s in sets], np.int32) for sets in (rows, held))
    samples, validated = counts
    return PoseRun(run_keys(seed, run_ids), samples, stacked(rows), validated, stacked(held))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class PoseTask(SupervisedTask):
    """Maps from images; the best epoch has the smallest mean error on the validation images.

    Attributes:
        steps: of an epoch of the largest run.
        rate: of plain momentum in place of the configured optimizer.
    """

    config: PoseTrainingConfig
    steps: int
    rate: optimizers.Schedule | None = None

    @classmethod
    def of(cls, module: nn.Module, data: ImageData, folds: Sequence[Split], config: PoseTrainingConfig) -> "PoseTask":
        """For these images.

        Raises:
            ValueError: no folds, or images that do not exist.
        """
        count = len(data.images)
        for fold in folds:
            for side in (fold.train, fold.validation):
                if not side or min(side) < 0 or max(side) >= count:
                    raise ValueError(f"a fold must name images 0..{count - 1} to train and to validate on")
        if not folds:
            raise ValueError("training needs a fold")
        steps = -(-max(len(fold.train) for fold in folds) // config.batch_size)
        return cls(module, config, (1, *data.images.shape[1:]), steps)

    def init_variables(self, variables: dict[str, Any], run: PoseRun, data: Any) -> dict[str, Any]:
        """Replace what `data.start` holds."""
        return filled(variables, data.start) if jax.tree.leaves(data.start) else variables

    def format_summary(self, best_scores: np.ndarray) -> str:
        """The smallest mean error."""
        return f"smallest mean error {100 * -best_scores.max():.2f} % of the side"

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The configured one."""
        config, rate = self.config, self.rate
        if rate is None and config.optimizer == "amsgrad":
            return optimizers.amsgrad(config.learning_rate or 1e-3)
        if rate is None:
            narrowing = float(self.sigmas[0] - self.sigmas[-1])
            cycles = -(-config.epochs // config.cycle)
            highest = config.learning_rate or 1.0  # `train` has filled it in
            rate = optimizers.triangular(highest, config.cycle * self.steps, cycles, narrowing)
        return optimizers.momentum(rate, config.momentum)

    @cached_property
    def sigmas(self) -> np.ndarray:
        """`[epoch]`, in 1/32 of the map's side."""
        return scheduled(SIGMAS[self.config.sigmas], self.config.epochs)

    @cached_property
    def widths(self) -> np.ndarray:
        """`[epoch]` of the affinity fields, in 1/32 of the map's side."""
        return scheduled(AFFINITY_WIDTHS, self.config.epochs)

    def train_epoch(self, state: TrainState, run: PoseRun, data: ImageData, key: Array, running: Array) -> EpochResult:
        """All steps of an epoch."""
        variables, optimizer, losses = self.take_steps(state, run, data, key, running)
        return self.trained(variables, optimizer, losses, run)

    def trained(self, variables: dict[str, Array], optimizer: Any, losses: Array, run: PoseRun) -> EpochResult:
        """What the steps of an epoch gave."""
        return EpochResult(variables, optimizer, losses.sum() / -(-run.samples // self.config.batch_size))

    def take_steps(
        self, state: TrainState, run: PoseRun, data: ImageData, key: Array, running: Array
    ) -> tuple[dict[str, Array], Any, Float[Array, " step"]]:
        """All steps of an epoch, with the loss of each; 0 behind the last one of a smaller run."""
        plan = self.plan(run, key)
        steps = jnp.where(running, -(-run.samples // self.config.batch_size), 0)
        carry = (state.variables, state.opt_state, jnp.zeros(self.steps))
        return self.steps_of_part(carry, plan, run.rows[plan.samples], data, state.epoch, jnp.int32(0), steps)

    def plan(self, run: PoseRun, key: Array) -> "Plan":
        """The order of an epoch, its last batch filled up with the first samples."""
        sample_key, step_key = jax.random.split(key)
        order = permutation(sample_key, run.samples, run.rows.shape[0])
        return Plan(order[jnp.arange(self.steps * self.config.batch_size) % run.samples], sample_key, step_key)

    def steps_of_part(
        self,
        carry: tuple[dict[str, Array], Any, Float[Array, " step"]],
        plan: "Plan",
        rows: Int[Array, " sample"],
        data: ImageData,
        epoch: Array,
        first: Array,
        count: Array,
    ) -> tuple[dict[str, Array], Any, Float[Array, " step"]]:
        """Some steps of an epoch, one after the other.

        Args:
            carry: variables, the optimizer's memory, and the losses of the epoch's steps.
            plan: of the epoch.
            rows: images of `data` in the order of these steps.
            data: with these images.
            epoch: from 0.
            first: number of the first step.
            count: of the steps.
        """
        size = self.config.batch_size
        epoch = jnp.minimum(epoch, self.config.epochs - 1)
        sigma, width = jnp.asarray(self.sigmas)[epoch], jnp.asarray(self.widths)[epoch]

        def step(i: Array, carry: tuple) -> tuple:
            variables, optimizer, losses = carry
            number = first + i
            samples = lax.dynamic_slice_in_dim(plan.samples, number * size, size)
            at = lax.dynamic_slice_in_dim(rows, i * size, size)
            x, points = self.training_batch(plan.sample_key, samples, at, data)
            loss = partial(
                self.loss,
                x=x,
                points=points,
                sigma=sigma,
                width=width,
                skeleton=data.skeleton,
                key=jax.random.fold_in(plan.step_key, number),
            )
            variables, optimizer, value = self.step(variables, optimizer, loss)
            return variables, optimizer, losses.at[number].set(value)

        return lax.fori_loop(0, count, step, carry)

    def training_batch(
        self, key: Array, samples: Int[Array, " batch"], rows: Int[Array, " batch"], data: ImageData
    ) -> tuple[Float[Array, "batch side side 3"], Float[Array, "batch keypoint 2"]]:
        """Views of some training images; a sample's draws depend on its own number only."""
        chosen, points = shard_batch(data.images[rows]), shard_batch(data.points[rows])
        given = self.config.augmentation
        if given is None:
            return normalize(chosen, data.normalization), points
        mirror, side = np.array(data.skeleton.mirror), chosen.shape[1]

        def view(sample: Array, image: Array, points: Array) -> tuple[Array, Array]:
            drawn = augmentation.draw(jax.random.fold_in(key, sample), given)
            if given.color:
                image = 255 * augmentation.shift_colors(image / 255, drawn)
            shown = augmentation.view_image(normalize(image, data.normalization), drawn)
            return shown, augmentation.view_points(points, drawn, mirror, side, given.quantize)

        return jax.vmap(view)(samples, chosen, points)

    def loss(
        self,
        variables: dict[str, Any],
        x: Float[Array, "batch side side 3"],
        points: Float[Array, "batch keypoint 2"],
        sigma: Array,
        width: Array,
        skeleton: Skeleton,
        key: Array,
    ) -> tuple[Array, Any]:
        """Mean squared error of the maps of every pass, added up; and the collections that the pass has changed.

        Args:
            variables: of the network.
            x: normalized images.
            points: fractions of the square; a missing one is trained towards an empty map.
            sigma: of the heatmaps, 1/32 of the map's side.
            width: of the affinity fields, likewise.
            skeleton: of the points.
            key: for what the network drops.
        """
        params = jax.tree.map(lambda leaf: leaf.astype(self.config.dtype), variables["params"])
        given = {**variables, "params": params}
        x = x.astype(self.config.dtype)
        (_, aux), updates = self.module.apply(given, x, train=True, mutable=["batch_stats"], rngs={"dropout": key})
        total = jnp.float32(0)
        for name, maps in aux.items():
            if name.endswith(("pafs", "confs")):
                side = maps.shape[1]
                if name.endswith("pafs"):
                    wanted = AffinityFieldCodec(skeleton).encode(points, side, width)
                else:
                    wanted = HeatmapCodec().encode(points, side, sigma)
                total += jnp.square(maps.astype(jnp.float32) - wanted).mean()
        return total, updates

    def evaluate_run(self, variables: dict[str, Array], run: PoseRun, data: ImageData, running: Array) -> EvalResult:
        """Mean error over the keypoints, and the loss for the narrowest maps, so that epochs can be compared."""
        size, most = self.config.evaluation_batch, run.held_rows.shape[0]
        rows = jnp.pad(run.held_rows, (0, -most % size))
        real = jnp.arange(len(rows)) < run.held
        chunks = jnp.where(running, -(-run.held // size), 0)
        return self.judged(self.tally(self.nothing(data), variables, rows, real, data, chunks), run)

    def nothing(self, data: ImageData) -> "Tally":
        """Before the first image."""
        zero = jnp.zeros(len(data.skeleton.joints))
        return Tally(zero, zero, jnp.float32(0))

    def tally(
        self,
        before: "Tally",
        variables: dict[str, Array],
        rows: Int[Array, " image"],
        real: Array,
        data: ImageData,
        chunks: Array,
    ) -> "Tally":
        """Errors of some validation images, added to those of others.

        Args:
            before: of the others.
            variables: each collection as one vector.
            rows: images of `data`, a multiple of the evaluation batch.
            real: `[image]`, false for padding.
            data: with these images.
            chunks: evaluation batches to look at.
        """
        size, unpacked, sigma = self.config.evaluation_batch, self.unpack(variables), jnp.asarray(self.sigmas[-1])

        def chunk(i: Array, before: Tally) -> Tally:
            at, counted = (lax.dynamic_slice_in_dim(a, i * size, size) for a in (rows, real))
            # Padding has no points: it counts for no error, and its empty maps are taken out of the loss below.
            points = jnp.where(counted[:, None, None], data.points[at], jnp.nan)
            x = shard_batch(normalize(data.images[at], data.normalization))
            maps, _ = self.module.apply(unpacked, x)
            found = heatmap.weighted(maps, x.shape[1], upscale=False).positions
            distance = jnp.sqrt(jnp.square(found - points).sum(-1))
            annotated = jnp.isfinite(distance)
            wanted = HeatmapCodec().encode(points, maps.shape[1], sigma)
            off = jnp.square(maps - wanted).mean((1, 2, 3))
            return Tally(
                before.errors + jnp.where(annotated, distance, 0).sum(0),
                before.counts + annotated.sum(0),
                before.loss + jnp.where(counted, off, 0).sum(),
            )

        return lax.fori_loop(0, chunks, chunk, before)

    def judged(self, tally: "Tally", run: PoseRun) -> EvalResult:
        """What all validation images came to."""
        by_keypoint = jnp.where(tally.counts > 0, tally.errors / jnp.maximum(tally.counts, 1), jnp.nan)
        mean_error = jnp.nanmean(by_keypoint)
        return EvalResult(tally.loss / run.held, -mean_error, by_keypoint, {"mean_error": mean_error})


class Plan(NamedTuple):
    """The order of an epoch.

    Attributes:
        samples: `[sample]` numbers of the run's training images, batch after batch.
        sample_key: of the views.
        step_key: of what the network drops.
    """

    samples: Int[Array, " sample"]
    sample_key: Array
    step_key: Array


class Tally(NamedTuple):
    """Sums over validation images.

    Attributes:
        errors: `[keypoint]` distances.
        counts: `[keypoint]` annotated points.
        loss: `[]`.
    """

    errors: Float[Array, " keypoint"]
    counts: Float[Array, " keypoint"]
    loss: Float[Array, ""]


def range_test(
    module: nn.Module,
    data: ImageData,
    rows: Sequence[int],
    config: PoseTrainingConfig,
    lowest: float = 1e-4,
    highest: float = 1e3,
) -> tuple[np.ndarray, np.ndarray, float]:
    """The highest learning rate that does not diverge: the rate rises exponentially over one cycle.

    Args:
        module: as in `train`.
        data: the images.
        rows: training images.
        config: of the training; its optimizer is taken as `cyclical`.
        lowest: rate of the first step.
        highest: rate of the last one.

    Returns:
        Rates and losses `[step]`, and the last rate before the loss exceeds its smallest value so far fourfold or is
        no longer finite.

    Source: Groos et al., Paper I (Section 3.5) names the test; the criterion is chosen.
    """
    fold = Split(tuple(rows), tuple(rows[:1]))
    task = PoseTask.of(module, data, [fold], config)
    steps = config.cycle * task.steps
    rate = optimizers.rising(lowest, highest, steps)
    task = replace(task, rate=rate)
    runs = runs_of([fold], config.seed, [0])
    run, drawn = jax.tree.map(lambda leaf: leaf[0], (runs, task.draw_variables(runs.key)))

    @jax.jit
    def losses(run: PoseRun, data: ImageData) -> Array:
        state = task.init_state(drawn, jnp.bool_(True), run, data)

        def epoch(carry: tuple, key: Array) -> tuple:
            now = state._replace(variables=carry[0], opt_state=carry[1])
            variables, optimizer, found = task.take_steps(now, run, data, key, jnp.bool_(True))
            return (variables, optimizer), found

        return lax.scan(epoch, (state.variables, state.opt_state), jax.random.split(run.key, config.cycle))[1]

    found = np.asarray(losses(run, data)).ravel()
    rates = np.asarray(rate(jnp.arange(steps)))
    least = np.minimum.accumulate(np.where(np.isfinite(found), found, np.inf))
    diverged = np.flatnonzero(~(found <= 4 * least))
    return rates, found, float(rates[max(diverged[0] - 1, 0)] if len(diverged) else rates[-1])
