"""From annotated images to a pose network: the images as squares, the split, the start from other weights.

The folder that comes out holds the network (`pose.load_pose_network` reads it), `training.json` (what was trained, and the
errors on the images that chose the epoch), `history.csv`, `tensorboard/` and `checkpoints/`. Called again on the
folder of an interrupted training it continues.

Source: Groos et al., Paper II (Sections 2.2 to 2.4); the training framework.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from infantjax import models
from infantjax.errors import InputError
from infantjax.files import canonical_json, write_atomically
from infantjax.models.entry import variable_shapes
from infantjax.pose import training as pose
from infantjax.pose.annotations import Annotations, split_as_given, split_by_group
from infantjax.pose.crop import crop_annotated
from infantjax.pose.estimator import PoseEstimator, registry_name, save_pose_network
from infantjax.pose.images import Resizing
from infantjax.pose.importers.imagenet import imagenet
from infantjax.pose.training import ImageData, PoseResult, PoseTrainingConfig
from infantjax.progress import Progress
from infantjax.training import distributed as processes
from infantjax.training.loop import take_runs
from infantjax.training.splits import Split
from infantjax.video import open_frames

RECORD = "training.json"
SQUARES = ".squares.npy"
STATEMENT = (
    "Trained on {count} images with infantjax. Its figures come from images that also chose the epoch, so they are "
    "optimistic; it was never validated on other infants. Research use only."
)


_OF_USE, _OF_SKELETON = ("upscale", "early_heads"), ("keypoints", "segments", "head_width")
"""Fields of networks that training sets itself, and those that another skeleton changes."""


@dataclass(frozen=True)
class Squares:
    """How annotated images become the squares that networks are trained on.

    Attributes:
        side: height and width, pixels; None is that of the network.
        crop: take the surroundings of the keypoints, as in the framework, or the whole image, as the network will see
            it.
        resizing: as in `crop.crop_image`.
    """

    side: int | None = None
    crop: bool = True
    resizing: Resizing = "reference"


@dataclass(frozen=True, eq=False)
class TrainedPose:
    """What training on annotated images gives.

    Attributes:
        network: of the best epoch, as it was saved.
        result: of the training, one run.
        notes: what a reader of its figures should know.
    """

    network: PoseEstimator
    result: PoseResult
    notes: tuple[str, ...]


def train_pose(
    annotations: Annotations,
    *,
    model: str | None,
    directory: str | Path,
    config: PoseTrainingConfig | None = None,
    start: PoseEstimator | None = None,
    backbones: Mapping[str, Path] | None = None,
    squares: Squares = Squares(),
    validation: float = 0.1,
    overrides: Mapping[str, Any] | None = None,
    devices: Sequence[jax.Device] | None = None,
    stream: int | None = None,
    save_every: int = 1,
    quiet: bool = True,
) -> TrainedPose:
    """Train a pose network on annotated images and save its best epoch.

    Args:
        annotations: images with their keypoints. Where they name parts, `train` trains and `val` chooses the epoch;
            else they are split by infant or video, as far as that is known.
        model: registry name; None is that of `start`.
        directory: of the network; made if missing, continued if it holds the same training, interrupted.
        config: how it is trained; None is fine-tuning as on infants.
        start: a network of the same kind to start from, with its early heads. Of another skeleton, the layers that
            depend on the keypoints begin anew, as in the framework.
        backbones: start the backbones from weights trained on ImageNet, see `weights.imagenet`: a file for each version
            that no package ships; empty takes the packages alone, None the initializer. Not beside `start`.
        squares: how images are cut and resized.
        validation: share of the images that choose the epoch, where the annotations do not name any.
        overrides: arguments for the network's `build`, JSON-compatible.
        devices: over which every batch is spread; None is all local ones.
        stream: keep the squares in a file in the folder while training, and bring those of so many steps to the devices
            at a time; None has all of them there.
        save_every: epochs between checkpoints.
        quiet: no progress on stderr.

    Raises:
        InputError: images that cannot be read (all named), a directory that cannot be written or holds another
            training, weights of another network, or a training that diverged in its first epoch.
        ValueError: unknown model or value.
    """
    if not 0 < validation <= 0.5:
        raise ValueError(f"validation must be a share above 0 and at most 0.5, got {validation}")
    annotations, config, overrides = annotations.with_images(), config or PoseTrainingConfig(), dict(overrides or {})
    same = start is not None and start.skeleton == annotations.skeleton
    if model is None:
        if start is None:
            raise ValueError("a training needs a model, or weights to start from")
        model, own = registry_name(start.module, start.skeleton)
        overrides = {k: v for k, v in own.items() if k not in _OF_USE and (same or k not in _OF_SKELETON)} | overrides
    entry = models.get(model)
    if entry.task != "pose" or entry.normalization is None:
        raise ValueError(f"{model} is a network for {entry.task}; give one for pose")
    module = entry.build(skeleton=annotations.skeleton, **{"upscale": False, **overrides})
    side = squares.side or (start.side if start else entry.input_shape[0])
    replaced: dict[str, Any] = {}
    if backbones is not None:
        if start is not None:
            raise ValueError("a training starts from weights or from ImageNet's, not from both")
        replaced = imagenet(module, backbones)
    if start is not None:
        replaced = _kept(module, side, start, same)
    fold, notes = _split(annotations, validation, config.seed)
    file = None if stream is None else Path(directory) / SQUARES
    images, points = read_squares(annotations, replace(squares, side=side), quiet, file)
    data = ImageData(images, points, replaced, annotations.skeleton, entry.normalization)
    description = {
        "name": model,
        "overrides": {name: value for name, value in overrides.items() if name != "upscale"},
        "skeleton": annotations.skeleton.name,
        "start": start.digest if start else "imagenet" if backbones is not None else None,
        "squares": asdict(replace(squares, side=side)),
    }
    result = pose.train(
        module,
        data,
        [fold],
        config,
        directory=directory,
        description=description,
        devices=devices,
        stream=stream,
        save_every=save_every,
        quiet=quiet,
    )
    if file is not None and processes.is_main_process():
        # Images of infants do not stay beside the network.
        file.unlink()
    if not result.ended[0]:
        raise InputError(directory, "the first epoch diverged", "lower the learning rate or check the annotations")
    record = _record(annotations, fold, result, config, description, data.digest, notes)
    variables = take_runs(result.variables, [0])
    trained = jax.tree.map(lambda leaf: leaf[0], variables)
    network = PoseEstimator(module, trained, annotations.skeleton, side, entry.normalization, model, "")
    info = {
        "validated": False,
        "statement": STATEMENT.format(count=len(annotations)),
        # Names of images may be names of infants: they stay beside the network and do not travel with it.
        "training": {name: value for name, value in record.items() if name not in ("held_out", "problems")},
    }
    if not processes.is_main_process():
        return TrainedPose(network, result, notes)
    try:
        digest = save_pose_network(network, directory, info)
        write_atomically(Path(directory) / RECORD, canonical_json(record))
    except OSError as error:
        raise InputError(directory, f"cannot be written ({error.strerror})", "make room and run it again") from error
    return TrainedPose(replace(network, digest=digest), result, notes)


def read_squares(
    annotations: Annotations, squares: Squares, quiet: bool = True, file: Path | None = None
) -> tuple[Any, Any]:
    """All annotated images as squares.

    Args:
        annotations: with images that are there.
        squares: how; with a side.
        quiet: no progress on stderr.
        file: where they are kept, to be read from there; None keeps them in memory.

    Returns:
        `[image, side, side, 3]`, 8 bit, and points `[image, keypoint, 2]` float32, fractions of the square.

    Raises:
        InputError: images that cannot be read, one line that names all of them; a file that cannot be written.
    """
    count, side = len(annotations), squares.side or 0
    images = _room((count, side, side, 3), file)
    points = np.full((count, len(annotations.skeleton.joints), 2), np.nan, np.float32)
    paths, problems = annotations.paths or (), []

    def read(row: int) -> str:
        try:
            frame = next(iter(open_frames(paths[row])))
            images[row], points[row] = crop_annotated(
                frame, annotations.points[row], side, squares.crop, squares.resizing
            )
        except InputError as error:
            return f"{error.where} {error.what}"
        return ""

    with Progress(count, "reading images", quiet=quiet) as progress, ThreadPoolExecutor() as pool:
        for row, problem in enumerate(pool.map(read, range(count)), 1):
            progress.update(row)
            if problem:
                problems.append(problem)
    if problems:
        listed = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise InputError("images", f"{len(problems)} of {count} cannot be used: {listed}", "mend or leave them out")
    return images, points


def _room(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    if file is None:
        return np.zeros(shape, np.uint8)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        room = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        # A file with holes would end the process where the disk is full.
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        return room
    except OSError as error:
        raise InputError(file, f"cannot be written ({error.strerror})", "make room or give another folder") from error


def _split(annotations: Annotations, validation: float, seed: int) -> tuple[Split, tuple[str, ...]]:
    if annotations.splits and {"train", "val"} <= set(annotations.splits):
        return split_as_given(annotations)
    return split_by_group(annotations, {"train": 1 - validation, "validation": validation}, seed)


def _kept(module: nn.Module, side: int, start: PoseEstimator, same: bool) -> dict[str, Any]:
    """The variables of another network that this one takes over.

    Raises:
        InputError: it is of another kind.
    """
    wanted = variable_shapes(module, (side, side, 3))

    def common(mine: Any, other: Any, names: tuple[str, ...]) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name in mine.keys() & other.keys():
            if isinstance(mine[name], Mapping):
                if below := common(mine[name], other[name], (*names, name)):
                    kept[name] = below
            elif np.shape(other[name]) == mine[name].shape and (same or not _of_keypoints(names)):
                kept[name] = np.asarray(other[name], np.float32)
        return kept

    kept = common(wanted, start.variables, ())
    if len(jax.tree.leaves(kept)) < len(jax.tree.leaves(start.variables)) / 2:
        raise InputError("weights", f"of {start.name} are not of this network", "give those of the same model")
    return kept


def _of_keypoints(path: tuple[str, ...]) -> bool:
    """Whether a layer makes maps of keypoints or limbs."""
    return any(part.endswith(("pafs", "confs", "_maps")) or "_hidden" in part for part in path)


def _record(
    annotations: Annotations,
    fold: Split,
    result: PoseResult,
    config: PoseTrainingConfig,
    description: Mapping[str, Any],
    digest: str,
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was trained and how it ended; no times, paths or device counts: the same training, the same bytes."""
    errors = zip(annotations.skeleton.joints, result.keypoint_errors[0].tolist())
    return {
        "model": dict(description),
        "config": asdict(config),
        "images": {"count": len(annotations), "trained_on": len(fold.train), "sha256": digest},
        "best_epoch": int(result.best_epoch[0]),
        "epochs": int(result.ended[0]),
        "status": result.status[0].name.lower(),
        "mean_error": float(result.mean_error[0]),
        "keypoint_errors": {joint: error if np.isfinite(error) else None for joint, error in errors},
        "unit": "shares of the square's side",
        "held_out": [annotations.names[row] for row in fold.validation],
        "notes": list(notes),
        "problems": list(annotations.problems),
        "versions": {name: version(name) for name in ("infantjax", "jax", "flax", "optax", "numpy")},
    }
