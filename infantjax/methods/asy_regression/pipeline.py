"""Training of the depth networks from annotated images to a folder: detection, then regression, then the error.

The folder holds both networks (`load_depth_network` reads it), `training.json`, and one folder of logs and checkpoints
for each of them. Called again on the folder of an interrupted training it continues.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.files import canonical_json, finite_or_none, write_atomically
from infantjax.methods.asy_regression.evaluation import Overlap, overlap_of_maps, rmsd_of_limbs
from infantjax.methods.asy_regression.images import DepthFrames, read_frames
from infantjax.methods.asy_regression.model import FRAMES, HEIGHT, WIDTH, DetectionNetwork, RegressionNetwork, build
from infantjax.methods.asy_regression.network import DETECTION as DETECTOR
from infantjax.methods.asy_regression.network import DepthNetwork
from infantjax.methods.asy_regression.training import (
    DETECTION,
    REGRESSION,
    ClipData,
    ClipTrainingConfig,
    split_by_infant,
    split_in_time,
    train,
)
from infantjax.pose.annotations import Annotations, split_by_group
from infantjax.pose.metrics import LimbError
from infantjax.settings import Range, check_fields
from infantjax.training import distributed
from infantjax.training.loop import TrainOptions, digest_of
from infantjax.training.splits import Split
from infantjax.training.state import TrainResult

RECORD = "training.json"
UNIT = f"pixels of {WIDTH} x {HEIGHT}"
"""Of errors, whatever size of frames was trained."""
STATEMENT = (
    "Trained on {count} depth images of {infants} infants with infantjax; its errors are those on {tested}. It was "
    "never validated elsewhere. Research use only."
)
_TESTED = {"infant": "other infants", "time": "later frames of the same infants"}


@dataclass(frozen=True)
class DepthTrainingConfig:
    """How the depth networks are trained.

    Attributes:
        model: regression network; the detection network has one form.
        split: who tests: other infants, or later frames of the same infants, as published.
        validation: share of infants, or of training clips, that select the epochs.
        test: share of infants, or of frames, that test.
        height: of the frames, pixels; the width is 4/3 of it, and the radius of discs grows with it.
        narrow: divides the channels of all layers, for trials on a small machine.
        remat: compute activations again in the backward pass: a batch of 16 needs 15 GB else.
        detection: training of the detection network.
        regression: training of the regression network.

    Raises:
        ValueError: a value out of its range.
    """

    model: Literal["asy-regression", "babypose-regression"] = "asy-regression"
    split: Literal["infant", "time"] = "infant"
    validation: Annotated[float, Range(above=0, at_most=0.5)] = 0.1
    test: Annotated[float, Range(above=0, at_most=0.8)] = 0.249
    height: Annotated[int, Range(48, 480)] = 96
    narrow: Annotated[int, Range(1, 32)] = 1
    remat: bool = False
    detection: ClipTrainingConfig = field(default_factory=lambda: DETECTION)
    regression: ClipTrainingConfig = field(default_factory=lambda: REGRESSION)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.height % 48:
            raise ValueError(f"height must be a multiple of 48, got {self.height}")


@dataclass(frozen=True, eq=False)
class TrainedDepth:
    """Result of a training.

    Attributes:
        network: of the best epochs, as saved.
        errors: of each limb, `UNIT`.
        overlaps: of the detected maps of joints and of connections.
        tested_on: whose clips gave the errors, in words.
        endings: how the training of each network ended, in words.
        notes: for a reader of the errors.
    """

    network: DepthNetwork
    errors: dict[str, LimbError]
    overlaps: dict[str, Overlap]
    tested_on: str
    endings: tuple[str, str]
    notes: tuple[str, ...]


def train_depth(
    annotations: Annotations,
    *,
    directory: str | Path,
    config: DepthTrainingConfig | None = None,
    options: TrainOptions | None = None,
) -> TrainedDepth:
    """Train the detection network, then the regression network on its maps, and save both.

    Args:
        annotations: depth images with their keypoints, of several infants.
        directory: of the networks; created if missing, continued if it holds the same training, interrupted.
        config: how; None is as published, but for the infants who test.
        options: of the execution.

    Raises:
        InputError: images that cannot be read (all named), too few infants or frames, a directory that cannot be
            written or holds another training, or a training that diverged in its first epoch.
        ValueError: too few clips for a batch.
    """
    config, options = config or DepthTrainingConfig(), options or TrainOptions()
    directory, shape = Path(directory), (config.height, config.height * 4 // 3)
    read = read_frames(annotations, *shape, quiet=options.quiet)
    split, notes = split_clips(read, config)
    skeleton = read.annotations.skeleton
    data = ClipData(read.frames, read.points, None, skeleton)  # type: ignore[arg-type]  # on the host until it trains
    detector: Any = build(DETECTOR, skeleton, narrow=config.narrow)
    regressor: Any = build(config.model, skeleton, remat=config.remat, narrow=config.narrow)

    scale = config.height / HEIGHT
    detection, regression = (replace(c, radius=c.radius * scale) for c in (config.detection, config.regression))
    detected = _train(detector, data, split, detection, directory / "detection", options)
    data = replace(data, detector=_best(detected))
    regressed = _train(regressor, data, split, regression, directory / "regression", options)

    variables = (data.detector, _best(regressed))
    network = DepthNetwork(config.model, detector, regressor, variables, skeleton, *shape, regression.radius)
    tested_on = _TESTED[config.split]
    statement = STATEMENT.format(count=len(read.frames), infants=len(read.infants), tested=tested_on)
    errors = {limb: e.scaled(1 / scale) for limb, e in rmsd_of_limbs(network, data, split.test).items()}
    overlaps = overlap_of_maps(network, data, split.test, detection.radius)
    endings = tuple(_ending(result, c) for result, c in ((detected, config.detection), (regressed, config.regression)))
    network = replace(network, statement=statement)
    trained = TrainedDepth(network, errors, overlaps, tested_on, endings, notes)  # type: ignore[arg-type]
    if not distributed.is_main_process():
        return trained
    record = {
        "config": asdict(config),
        "images": {
            "count": len(read.frames),
            "infants": len(read.infants),
            "sha256": digest_of(replace(data, detector=None)),
        },
        "clips": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "errors": {"clips": tested_on, "unit": UNIT} | finite_or_none(errors),
        "overlaps": finite_or_none(overlaps),
        "endings": list(endings),
        "notes": list(notes),
        "versions": {name: version(name) for name in ("infantjax", "jax", "flax", "optax", "numpy")},
    }
    try:
        digest = network.save(directory, {"validated": False, "statement": statement, "training": record})
        write_atomically(directory / RECORD, canonical_json(record | {"problems": list(read.annotations.problems)}))
    except OSError as error:
        raise InputError(directory, f"cannot be written ({error.strerror})", "make room and run it again") from error
    return replace(trained, network=replace(trained.network, digest=digest))


def split_clips(read: DepthFrames, config: DepthTrainingConfig) -> tuple[Split, tuple[str, ...]]:
    """First frames of the clips of each part, and notes for a reader of the errors.

    Raises:
        InputError: too few infants or frames, or infants that are not known.
    """
    counts = list(read.infants.values())
    if config.split == "time":
        tested = round(config.test * min(counts))
        if tested < FRAMES or min(counts) - tested < 12 + FRAMES:
            what = f"have an infant with {min(counts)} images"
            raise InputError("annotations", what, "annotate at least 20 of each, or use --split infant")
        split = split_in_time(counts, min(counts) - tested, tested, config.validation)
        return split, ("the same infants train and test, as published: the error of other infants is larger",)
    shares = {"train": 1 - config.validation - config.test, "validation": config.validation, "test": config.test}
    annotations = read.annotations
    if annotations.groups is None:
        raise InputError("annotations", "do not say which images are of one infant", "use --split time")
    of_rows, notes = split_by_group(annotations, shares, config.detection.seed)
    if min(counts) < FRAMES:
        what = f"have an infant with {min(counts)} images"
        raise InputError("annotations", what, f"give at least {FRAMES} of each that follow each other")
    rows = np.repeat(np.arange(len(counts)), counts)
    parts = (of_rows.train, of_rows.validation, of_rows.test)
    of_infants = Split(*(tuple(np.unique(rows[list(part)]).tolist()) for part in parts))
    return split_by_infant(counts, [of_infants])[0], notes


def _train(
    module: DetectionNetwork | RegressionNetwork,
    data: ClipData,
    split: Split,
    config: ClipTrainingConfig,
    directory: Path,
    options: TrainOptions,
) -> TrainResult:
    """One network of one split.

    Raises:
        InputError: see `train_depth`.
    """
    result = train(module, data, [split], config, directory=directory, options=options)
    if not result.last_epoch[0]:
        raise InputError(directory, "the first epoch diverged", "lower the learning rate or check the annotations")
    return result


def _best(result: TrainResult) -> Mapping[str, Any]:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], dict(result.variables))


def _ending(result: TrainResult, config: ClipTrainingConfig) -> str:
    ended = f"{result.status[0].name.lower()} after {result.last_epoch[0]} of {config.epochs} epochs"
    return f"best epoch {result.best_epoch[0]}, {ended}"
