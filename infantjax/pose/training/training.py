"""Training of pose networks on annotated images, from the reading of the images to the folder of the best epoch.

The folder holds the network (`pose.load_pose_network` reads it), `training.json` (what was trained, and the errors on
the validation images), `history.csv`, `tensorboard/` and `checkpoints/`. Called again on the folder of an interrupted
training it continues.

Source: Groos et al., Paper II (Sections 2.2 to 2.4); the training framework.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Float

from infantjax import models
from infantjax.errors import InputError
from infantjax.files import finite_or_none
from infantjax.models.entry import ModelEntry, variable_shapes
from infantjax.pose.annotations import Annotations
from infantjax.pose.estimation.estimator import PoseEstimator, as_ensemble, registry_name
from infantjax.pose.importers.imagenet import imagenet
from infantjax.pose.training.dataset import CropConfig, read_crops, split_images
from infantjax.pose.training.task import ImageData, PoseTask, PoseTrainingConfig, pose_runs
from infantjax.progress import LOGGER
from infantjax.training.execution import distributed
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions, digest_of
from infantjax.training.records.record import versions, write_training
from infantjax.training.splits import Split
from infantjax.training.state import StackResult, Status

__all__ = ["CropConfig", "ImageData", "PoseTrainingConfig", "TrainedPose", "train", "train_pose"]

CROPS = ".crops.npy"
STATEMENT = (
    "Trained on {count} images with infantjax. Its metrics come from images that also selected the epoch, so they are "
    "optimistic; it was never validated on other infants. Research use only."
)

_SET_BY_TRAINING, _OF_SKELETON = ("upscale", "early_heads"), ("keypoints", "segments", "head_width")
"""Fields of networks that training sets itself, and those that depend on the skeleton."""


def train(
    module: nn.Module,
    data: ImageData,
    splits: Sequence[Split],
    config: PoseTrainingConfig,
    *,
    directory: str | Path | None = None,
    description: Mapping[str, Any] | None = None,
    prefetch: int | None = None,
    options: TrainOptions | None = None,
) -> StackResult:
    """Train a pose network for each split and keep each run's epoch of the smallest error.

    Args:
        module: gives maps and a mapping with the maps of every pass, whose names end on `pafs` and `confs`; without
            upscaling.
        data: the images.
        splits: images that each run trains on and is validated on; the papers have one.
        config: the same for all runs.
        directory: see `training.fit`.
        description: see `training.fit`.
        prefetch: keep the images on the host, where they may be a memory map, and load those of so many steps at a
            time: for one run whose images do not fit on the devices. The result is the same, up to rounding.
        options: of the execution. Every batch is sharded over the devices.

    Returns:
        `best_score` is minus the mean error over the validation images, a fraction of the crop's side; `outputs` are
        the errors `[run, keypoint]`, NaN where none was annotated.

    Raises:
        ValueError: no splits, images that do not exist, or several splits with `prefetch`.
        MissingExtraError: `prefetch` needs the extra `pose-train`.
        InputError: see `training.fit`.
    """
    task, on_device = PoseTask.create(module, data, splits, config), data
    if prefetch is not None:
        from infantjax.pose.training.streaming import StreamedPoseTask

        task = StreamedPoseTask.streaming(task, data, splits, prefetch)
        on_device = replace(data, images=data.images[:1], points=data.points[:1])
    return fit(
        task,
        on_device,
        pose_runs(splits, config.seed),
        directory=directory,
        description=description,
        data_digest=digest_of(data),
        shard_batches=True,
        options=options,
    )


@dataclass(frozen=True, eq=False)
class TrainedPose:
    """Result of training on annotated images.

    Attributes:
        network: of the best epoch, as it was saved.
        mean_error: over the validation images at that epoch, a fraction of the crop's side.
        keypoint_errors: the same of each keypoint; NaN where none was annotated.
        best_epoch: counted from 1.
        last_epoch: last epoch that counts.
        status: how the training ended.
        history: losses and metrics by epoch.
        notes: for a reader of the metrics.
    """

    network: PoseEstimator
    mean_error: float
    keypoint_errors: Float[np.ndarray, " keypoint"]
    best_epoch: int
    last_epoch: int
    status: Status
    history: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def train_pose(
    annotations: Annotations,
    *,
    directory: str | Path,
    model: str | None = None,
    config: PoseTrainingConfig | None = None,
    crop: CropConfig | None = None,
    start: PoseEstimator | None = None,
    imagenet_files: Mapping[str, Path] | None = None,
    validation: float = 0.1,
    overrides: Mapping[str, Any] | None = None,
    prefetch: int | None = None,
    options: TrainOptions | None = None,
) -> TrainedPose:
    """Train a pose network on annotated images and save its best epoch.

    Args:
        annotations: images with their keypoints. Where they name parts, `train` trains and `val` selects the epoch;
            else they are split by infant or video, as far as these are known.
        directory: of the network; created if missing, continued if it holds the same training, interrupted.
        model: registry name; None is that of `start`.
        config: how it is trained; None is fine-tuning as on infants.
        crop: how images are cropped and resized; None is as in the framework.
        start: a network of the same kind to start from, with its early heads. Of another skeleton, the layers that
            depend on the keypoints start from the initializer, as in the framework.
        imagenet_files: start the backbones from weights trained on ImageNet: a file for each version that no package
            ships, see `weights.imagenet`; empty takes the packages alone, None the initializer. Not beside `start`.
        validation: share of the images that select the epoch, where the annotations do not name any.
        overrides: arguments for the network's `build`, JSON-compatible.
        prefetch: see `train`; the crops are kept in a file in the folder while training.
        options: of the execution.

    Raises:
        InputError: images that cannot be read (all named), a directory that cannot be written or holds another
            training, weights of another network, or a training that diverged in its first epoch.
        ValueError: unknown model or value.
    """
    if not 0 < validation <= 0.5:
        raise ValueError(f"validation must be a share above 0 and at most 0.5, got {validation}")
    if imagenet_files is not None and start is not None:
        raise ValueError("a training starts from weights or from ImageNet's, not from both")
    config, crop, options = config or PoseTrainingConfig(), crop or CropConfig(), options or TrainOptions()
    annotations = annotations.with_images()
    entry, built = _network(model, start, annotations, overrides or {})
    module = entry.build(skeleton=annotations.skeleton, **{"upscale": False, **built})
    side = crop.side or (start.side if start else entry.input_shape[0])
    initial: dict[str, Any] = {}
    if imagenet_files is not None:
        initial = imagenet(module, imagenet_files)
        LOGGER.info("%d tensors of backbones trained on ImageNet were taken", len(jax.tree.leaves(initial)))
    if start is not None:
        initial = transferable(module, side, start, start.skeleton == annotations.skeleton)
    split, notes = split_images(annotations, validation, config.seed)
    file = None if prefetch is None else Path(directory) / CROPS
    images, points = read_crops(annotations, side, crop, options.quiet, file)
    data = ImageData(
        images,  # type: ignore[arg-type]
        points,  # type: ignore[arg-type]
        initial,
        annotations.skeleton,
        entry.normalization or "imagenet",
    )
    description = {
        "name": entry.name,
        "overrides": {name: value for name, value in built.items() if name != "upscale"},
        "skeleton": annotations.skeleton.name,
        "start": start.digest if start else "imagenet" if imagenet_files is not None else None,
        "crop": asdict(replace(crop, side=side)),
    }
    result = train(
        module, data, [split], config, directory=directory, description=description, prefetch=prefetch, options=options
    )
    if file is not None and distributed.is_main_process():
        # Images of infants do not stay beside the network.
        file.unlink()
    variables = jax.tree.map(lambda leaf: np.asarray(leaf)[0], result.variables)
    network = PoseEstimator(
        module, variables, annotations.skeleton, side, data.normalization, entry.name, "", decoder=config.decoder
    )
    ended = {"best_epoch": int(result.best_epoch[0]), "mean_error": float(-result.best_score[0])}
    epochs, errors = int(result.last_epoch[0]), result.outputs[0]
    record = finite_or_none(
        ended
        | {
            "model": description,
            "config": asdict(config),
            "images": {"count": len(annotations), "trained_on": len(split.train), "sha256": digest_of(data)},
            "epochs": epochs,
            "status": result.status[0].name.lower(),
            "keypoint_errors": dict(zip(annotations.skeleton.joints, errors.tolist())),
            "unit": "shares of the crop's side",
            "notes": notes,
            "versions": versions(),
        }
    )
    info = {"validated": False, "statement": STATEMENT.format(count=len(annotations)), "training": record}
    # Names of images may be names of infants: they stay in the record beside the network and do not travel with it.
    beside = {"validation_images": [annotations.names[row] for row in split.validation]}
    beside |= {"problems": list(annotations.problems)}
    saved = write_training(directory, as_ensemble(network, info), record | beside)
    return TrainedPose(
        replace(network, digest=saved.digest),
        keypoint_errors=errors,
        last_epoch=epochs,
        status=result.status[0],
        history={name: values[0] for name, values in result.history.items()},
        notes=notes,
        **ended,  # type: ignore[arg-type]
    )


def transferable(module: nn.Module, side: int, start: PoseEstimator, same_skeleton: bool) -> dict[str, Any]:
    """The variables of another network that a network can start from.

    Args:
        module: the network.
        side: of its input, pixels.
        start: the other one.
        same_skeleton: take over the layers that depend on the keypoints as well.

    Raises:
        InputError: the other one is of another kind.
    """

    def common(mine: Any, other: Any, path: tuple[str, ...]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name in mine.keys() & other.keys():
            if isinstance(mine[name], Mapping):
                if below := common(mine[name], other[name], (*path, name)):
                    kept[name] = below
            elif np.shape(other[name]) == mine[name].shape and (same_skeleton or not _depends_on_keypoints(path)):
                kept[name] = np.asarray(other[name], np.float32)
        return kept

    kept = common(variable_shapes(module, (side, side, 3)), start.variables, ())
    if len(jax.tree.leaves(kept)) < len(jax.tree.leaves(start.variables)) / 2:
        raise InputError("weights", f"of {start.name} are not of this network", "give those of the same model")
    return kept


def _depends_on_keypoints(path: tuple[str, ...]) -> bool:
    """Whether a layer makes maps of keypoints or limbs."""
    return any(part.endswith(("pafs", "confs", "_maps")) or "_hidden" in part for part in path)


def _network(
    model: str | None, start: PoseEstimator | None, annotations: Annotations, overrides: Mapping[str, Any]
) -> tuple[ModelEntry, dict[str, Any]]:
    """Entry of the network to train, and the arguments of its `build`."""
    built = dict(overrides)
    if model is None:
        if start is None:
            raise ValueError("a training needs a model, or weights to start from")
        model, own = registry_name(start.module, start.skeleton)
        dropped = _SET_BY_TRAINING + (() if start.skeleton == annotations.skeleton else _OF_SKELETON)
        built = {name: value for name, value in own.items() if name not in dropped} | built
    entry = models.get(model)
    if entry.task != "pose" or entry.normalization is None:
        raise ValueError(f"{model} is a network for {entry.task}; give one for pose")
    return entry, built
