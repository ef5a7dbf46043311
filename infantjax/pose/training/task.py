"""Training task of pose networks: annotated images, random views of them, maps, and errors.

The images lie on the device as 8-bit crops. Views, targets, the optimizer and the evaluation of an epoch are one
compiled program, see `training.loop`. Over several devices every batch is sharded, with the statistics of the whole.

Source: Groos et al., Paper I (Section 3.5) and Paper II (Section 2.4); the training framework.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, UInt8

from infantjax.pose.codec.heatmap import SIGMAS, HeatmapCodec, scheduled, weighted
from infantjax.pose.codec.limb import AFFINITY_WIDTHS, affinity_fields
from infantjax.pose.images import Normalization, normalize
from infantjax.pose.importers.imagenet import filled
from infantjax.pose.training.augmentation import (
    ImageAugmentation,
    blur_image,
    cover_image,
    sample_view,
    shift_colors,
    view_image,
    view_points,
)
from infantjax.settings import Count, Momentum, Positive, Seed, check_fields
from infantjax.skeletons import Skeleton, segments
from infantjax.training import optimizers
from infantjax.training.execution.layout import shard_batch
from infantjax.training.splits import Split
from infantjax.training.state import IndexSets, Run, stack_runs
from infantjax.training.task import EpochPlan, EvalResult, SupervisedTask, mask


@dataclass(frozen=True)
class PoseTrainingConfig:
    """How a pose network is trained; the defaults are those of fine-tuning on infants.

    Attributes:
        epochs: passes over the images. Published values of these options are in docs/train/pose.md.
        batch_size: images of a step; the last batch of an epoch is filled up with its first images.
        optimizer: `amsgrad` for fine-tuning and EfficientHourglass, `cyclical` (SGD with a decaying cyclical rate) for
            EfficientPose on MPII; `adam` (rate on half a cosine, our choice) for few steps from scratch.
        learning_rate: of `amsgrad` and the highest of `adam`, 0.001 if not given; for `cyclical` the highest one, which
            must be given: the largest that does not diverge.
        momentum: of `cyclical`.
        cycle: epochs of a cycle of `cyclical`.
        sigma_schedule: how the peaks of the target maps narrow over the epochs.
        exact_peaks: peaks of the target maps lie at the points (our choice, for decoders finer than a pixel of the
            maps), not at whole pixels as published.
        augmentation: views of the training images; None trains on them unchanged.
        dtype: of the activations; bfloat16 is for accelerators.
        evaluation_batch: validation images of a call; changes memory, not results.
        seed: of all random numbers.

    Raises:
        ValueError: a value out of its range, or `cyclical` without a rate.
    """

    epochs: Count = 100
    batch_size: Count = 16
    optimizer: Literal["amsgrad", "cyclical", "adam"] = "amsgrad"
    learning_rate: Positive | None = None
    momentum: Momentum = 0.9
    cycle: Count = 3
    sigma_schedule: Literal["efficientpose", "hourglass", "hourglass_fine_tuning", "cropped"] = "efficientpose"
    exact_peaks: bool = False
    augmentation: ImageAugmentation | None = field(default_factory=ImageAugmentation)
    dtype: Literal["float32", "bfloat16"] = "float32"
    evaluation_batch: Count = 16
    seed: Seed = 1

    def __post_init__(self) -> None:
        check_fields(self)
        if self.optimizer == "cyclical" and self.learning_rate is None:
            raise ValueError("learning_rate must be given for cyclical: the largest that does not diverge")

    @property
    def decoder(self) -> str:
        """The rule for the maps of a network that was trained so."""
        return "dark" if self.exact_peaks else "smoothed"


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class ImageData:
    """Annotated images, as they lie on the device.

    Attributes:
        images: `[image, side, side, 3]`, 8 bit.
        points: `[image, keypoint, 2]` float32, x and y as fractions of the crop; NaN where missing.
        start: variables that replace those of the initializer, nested as the network's; may be a part of them.
        skeleton: of the points.
        normalization: of the network's input, a name of `images.NORMALIZATIONS`.

    Raises:
        ValueError: images and points do not fit together.
    """

    images: UInt8[Array, "image side side 3"]
    points: Float[Array, "image keypoint 2"]
    start: Any
    skeleton: Skeleton = field(metadata={"static": True})
    normalization: Normalization = field(metadata={"static": True})

    def __post_init__(self) -> None:
        # The leaves of a traced tree are no arrays.
        if isinstance(self.images, np.ndarray):
            count, side = self.images.shape[:2]
            expected = (count, side, side, 3), (count, len(self.skeleton.joints), 2)
            if (self.images.shape, np.shape(self.points)) != expected:
                raise ValueError(f"images and points have shapes {self.images.shape}, {np.shape(self.points)}")


class Batch(NamedTuple):
    """Inputs and targets of a step.

    Attributes:
        x: `[batch, side, side, 3]` normalized views.
        points: `[batch, keypoint, 2]` fractions of the view; a missing one is trained towards an empty map.
        sigma: `[]` of the heatmaps, 1/32 of the map's side.
        width: `[]` of the affinity fields, likewise.
    """

    x: Float[Array, "batch side side 3"]
    points: Float[Array, "batch keypoint 2"]
    sigma: Array
    width: Array


@dataclass(frozen=True, eq=False)
class PoseTask(SupervisedTask):
    """Maps of images; the best epoch has the smallest mean error on the validation images.

    Attributes:
        skeleton: of the points.
        steps: of an epoch of the largest run.
    """

    config: PoseTrainingConfig
    skeleton: Skeleton
    steps: int

    @classmethod
    def create(
        cls, module: nn.Module, data: ImageData, splits: Sequence[Split], config: PoseTrainingConfig
    ) -> "PoseTask":
        """The task for some images.

        Raises:
            ValueError: no splits, or images that do not exist.
        """
        if not splits:
            raise ValueError("training needs at least one split")
        for split in splits:
            split.check(len(data.images), "images")
        steps = -(-max(len(split.train) for split in splits) // config.batch_size)
        return cls(module, config, (1, *data.images.shape[1:]), data.skeleton, steps)

    def init_variables(self, variables: dict[str, Any], run: Run, data: ImageData) -> dict[str, Any]:
        """Replace the variables that `data.start` holds."""
        return filled(variables, data.start) if jax.tree.leaves(data.start) else variables

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """The configured one."""
        if self.config.optimizer == "amsgrad":
            return optimizers.amsgrad(self.config.learning_rate or 1e-3)
        if self.config.optimizer == "adam":
            return optimizers.adam(self.schedule)
        return optimizers.momentum(self.schedule, self.config.momentum)

    @cached_property
    def schedule(self) -> optimizers.Schedule:
        """Learning rate of each step."""
        config = self.config
        if config.optimizer == "amsgrad":
            return optax.constant_schedule(config.learning_rate or 1e-3)
        if config.optimizer == "adam":
            return optimizers.half_cosine(config.learning_rate or 1e-3, config.epochs * self.steps)
        narrowing = float(self.sigmas[0] - self.sigmas[-1])
        cycles = -(-config.epochs // config.cycle)
        return optimizers.triangular(config.learning_rate or 0.0, config.cycle * self.steps, cycles, narrowing)

    def learning_rate(self, epoch: int) -> float:
        """Of the last step of an epoch (from 0)."""
        return float(self.schedule(self.steps * (epoch + 1) - 1))

    @cached_property
    def sigmas(self) -> np.ndarray:
        """`[epoch]`, in 1/32 of the map's side."""
        return scheduled(SIGMAS[self.config.sigma_schedule], self.config.epochs)

    @cached_property
    def widths(self) -> np.ndarray:
        """`[epoch]` of the affinity fields, in 1/32 of the map's side."""
        return scheduled(AFFINITY_WIDTHS, self.config.epochs)

    def draw_order(self, key: Array, run: Run, data: Any) -> Int[Array, " sample"]:
        """The order of an epoch, its last batch filled up with the first samples."""
        order = super().draw_order(key, run, data)
        return order[jnp.arange(self.steps * self.config.batch_size) % run.train_count]

    def stages(self, epoch: Array, run: Run, data: Any) -> Sequence[tuple[Array, Any]]:
        """All batches, the incomplete one included."""
        return [(self.count_steps(run), self.batch)]

    def count_steps(self, run: Run) -> Array:
        """Steps of an epoch of a run."""
        return -(-run.train_count // self.config.batch_size)

    def batch(self, plan: EpochPlan, step: Array, run: Run, data: ImageData) -> Batch:
        """Views of the next training images."""
        samples = self.samples_of(plan, step)
        rows = run.train[samples]
        return self.view(plan, samples, data.images[rows], data.points[rows], data.normalization)

    def samples_of(self, plan: EpochPlan, step: Array) -> Int[Array, " batch"]:
        """Numbers of the training samples of a step."""
        return lax.dynamic_slice_in_dim(plan.order, step * self.config.batch_size, self.config.batch_size)

    def view(
        self, plan: EpochPlan, samples: Int[Array, " batch"], images: Array, points: Array, normalization: Normalization
    ) -> Batch:
        """Random views of images; the draws of a sample depend on its number only."""
        epoch = jnp.minimum(plan.epoch, self.config.epochs - 1)
        widths = jnp.asarray(self.sigmas)[epoch], jnp.asarray(self.widths)[epoch]
        images, points = shard_batch(images), shard_batch(points)
        given = self.config.augmentation
        if given is None:
            return Batch(normalize(images, normalization), points, *widths)
        mirror, side = np.array(self.skeleton.mirror), images.shape[1]

        def view(sample: Array, image: Array, points: Array) -> tuple[Array, Array]:
            drawn = sample_view(jax.random.fold_in(plan.key, sample), given)
            if given.blur:
                image = blur_image(image.astype(jnp.float32), drawn, given.blur)
            if given.color or given.brightness or given.contrast:
                image = 255 * shift_colors(image / 255, drawn)
            shown = view_image(normalize(image, normalization), drawn)
            if given.occlusion:
                shown = cover_image(shown, drawn)
            return shown, view_points(points, drawn, mirror, side)

        return Batch(*jax.vmap(view)(samples, images, points), *widths)

    def loss(self, variables: dict[str, Any], batch: Batch, rngs: dict[str, Array]) -> tuple[Array, Mapping[str, Any]]:
        """Mean squared error of the maps of every pass, added up.

        The passes are the network's further outputs whose names end on `pafs` and `confs`.
        """
        params = jax.tree.map(lambda leaf: leaf.astype(self.config.dtype), variables["params"])
        given, x = {**variables, "params": params}, batch.x.astype(self.config.dtype)
        (_, aux), updates = self.module.apply(given, x, train=True, mutable=["batch_stats"], rngs=rngs)
        total = jnp.float32(0)
        for name, maps in aux.items():
            if name.endswith("pafs"):
                side, limbs = maps.shape[1], segments(self.skeleton)
                wanted = affinity_fields(batch.points, limbs, side, batch.width * side / 32)
            elif name.endswith("confs"):
                wanted = self.wanted(batch.points, maps.shape[1], batch.sigma)
            else:
                continue
            total += jnp.square(maps.astype(jnp.float32) - wanted).mean()
        return total, updates

    def wanted(self, points: Array, side: int, sigma: Array) -> Array:
        """Target maps of confidence."""
        return HeatmapCodec().encode(points, side, sigma, self.config.exact_peaks)

    def predict(
        self, variables: dict[str, Any], rows: Int[Array, " image"], data: ImageData
    ) -> tuple[Float[Array, "image keypoint"], Float[Array, " image"]]:
        """Distance of each keypoint (NaN where not annotated), and the loss for the narrowest maps."""
        points = data.points[rows]
        x = shard_batch(normalize(data.images[rows], data.normalization))
        maps, _ = self.module.apply(variables, x)
        found = weighted(maps, x.shape[1], upscale=False).positions
        distance = jnp.sqrt(jnp.square(found - points).sum(-1))
        # The same maps in every epoch, so that epochs can be compared.
        wanted = self.wanted(points, maps.shape[1], jnp.asarray(self.sigmas[-1]))
        return distance, jnp.square(maps - wanted).mean((1, 2, 3))

    def evaluate(self, predictions: Any, variables: dict[str, Any], run: Run, data: ImageData) -> EvalResult:
        """Mean error over the images of each keypoint, then over the keypoints, as fractions of the crop."""
        distance, loss = predictions
        real = mask(run.validation_count, len(loss))
        annotated = jnp.isfinite(distance) & real[:, None]
        count = annotated.sum(0)
        errors = jnp.where(annotated, distance, 0).sum(0)
        by_keypoint = jnp.where(count > 0, errors / jnp.maximum(count, 1), jnp.nan)
        mean_error = jnp.nanmean(by_keypoint)
        total = jnp.where(real, loss, 0).sum()
        return EvalResult(total / run.validation_count, -mean_error, by_keypoint, {"mean_error": mean_error})

    def format_summary(self, best_scores: np.ndarray) -> str:
        """The smallest mean error of the runs, in words."""
        return f"smallest mean error {100 * -best_scores.max():.2f} % of the side"


def pose_runs(splits: Sequence[Split], seed: int) -> Run:
    """Index sets of a stack of runs, one for each split."""
    sets = [IndexSets(np.asarray(split.train), np.asarray(split.validation)) for split in splits]
    return stack_runs(seed, range(len(splits)), sets)
