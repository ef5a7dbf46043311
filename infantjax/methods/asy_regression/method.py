"""Asy-regression (Migliorelli et al.): keypoints of infants from clips of depth images.

It learns from annotated images in place of a cohort, and its ensemble finds keypoints in place of a risk. Two networks
are trained: detection, whose logs and checkpoints lie in a folder of its own, and then regression on its maps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from infantjax import skeletons
from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.methods.asy_regression.images import DepthFrames, read_frames
from infantjax.methods.asy_regression.model import (
    FRAMES,
    HEIGHT,
    WIDTH,
    DetectionNetwork,
    RegressionNetwork,
    build,
    map_count,
)
from infantjax.methods.asy_regression.network import DETECTION as DETECTOR
from infantjax.methods.asy_regression.network import TASK, DepthNetwork
from infantjax.methods.asy_regression.training import (
    DETECTION,
    REGRESSION,
    ClipData,
    ClipTrainingConfig,
    overlap_of_maps,
    setup,
    split_by_infant,
    split_in_time,
)
from infantjax.methods.base import Method
from infantjax.methods.registry import register
from infantjax.pose.annotations import Annotations, split_by_group
from infantjax.pose.metrics import limb_errors
from infantjax.settings import Range, check_fields
from infantjax.skeletons import Skeleton
from infantjax.training.cohorts.crossval import TrainingSetup, TrainInputs, TrainOutputs, train_inputs
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import Split
from infantjax.training.state import StackResult
from infantjax.weights.ensemble import Ensemble, Member

if TYPE_CHECKING:
    from infantjax.methods.asy_regression.objective import DepthObjective
    from infantjax.methods.asy_regression.tracker import DepthTracker

UNIT = f"pixels of {WIDTH} x {HEIGHT}"
"""Of errors, whatever size of frames was trained."""
STATEMENT = (
    "Trained on {count} depth images of {infants} infants with infantjax; its errors are those on {tested}. It was "
    "never validated elsewhere. Research use only."
)
_ERRORS = {"median": f"RMSD of {{limb}}, {UNIT}", "iqr": f"IQR of {{limb}}, {UNIT}", "found": "found of {limb}"}
_TESTED = {"infant": "other infants", "time": "later frames of the same infants"}


@register("asy-regression")
@dataclass(frozen=True, kw_only=True)
class AsyRegression(Method):
    """A detection network of joints and limbs, and a regression network that reads its maps.

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

    Source: Moccia et al. 2020; Migliorelli et al. 2021, "Asy-regression".
    """

    title = "Asy-regression"
    source = "Migliorelli et al., Asy-regression: limbs of preterm infants from depth clips; Moccia et al. 2020"
    fidelity = "published"
    skeleton = "babypose-12"
    shard_batches = True
    searched = ("detection.learning_rate", "regression.learning_rate", "regression.batch_size")

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

    @property
    def training(self) -> ClipTrainingConfig:
        """That of the regression network."""
        return self.regression

    @property
    def width(self) -> int:
        """Of the frames, pixels."""
        return self.height * 4 // 3

    @property
    def input_shape(self) -> tuple[int, ...]:
        """A clip with the maps of the detection network."""
        return FRAMES, self.height, self.width, 1 + map_count(skeletons.get(self.skeleton))

    @classmethod
    def program(cls, ensemble: Ensemble, samples: int) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
        """From depth clips `[clip, time, row, column]`, each minus its mean, to maps of joints and connections."""
        network = DepthNetwork.of(ensemble)
        variables = jax.tree.map(jnp.asarray, network.variables)
        return partial(network.maps, variables), (samples, FRAMES, network.height, network.width)

    def build(self, skeleton: str | Skeleton = "babypose-12") -> DetectionNetwork | RegressionNetwork:
        """The regression network of a keypoint set."""
        return build(self.model, skeleton, remat=self.remat, narrow=self.narrow)

    def prepare(self, recording: Annotations, strict: bool = False) -> DepthFrames:  # type: ignore[override]
        """The frames of annotated depth images."""
        return read_frames(recording, self.height, self.width)

    def splits(self, cohort: DepthFrames, stratify: Sequence[str] = ()) -> tuple[Split, ...]:  # type: ignore[override]
        """The first frames of the clips of each part: one split, as published.

        Raises:
            InputError: too few infants or frames, or infants that are not known.
            ValueError: columns to balance.
        """
        if stratify:
            raise ValueError("annotated images have no columns to balance")
        counts = list(cohort.infants.values())
        if self.split == "time":
            tested = round(self.test * min(counts))
            if tested < FRAMES or min(counts) - tested < 12 + FRAMES:
                what = f"have an infant with {min(counts)} images"
                raise InputError("annotations", what, "annotate at least 20 of each, or use --split infant")
            return (split_in_time(counts, min(counts) - tested, tested, self.validation),)
        shares = {"train": 1 - self.validation - self.test, "validation": self.validation, "test": self.test}
        if cohort.annotations.groups is None:
            raise InputError("annotations", "do not say which images are of one infant", "use --split time")
        of_rows, _ = split_by_group(cohort.annotations, shares, self.detection.seed)
        if min(counts) < FRAMES:
            what = f"have an infant with {min(counts)} images"
            raise InputError("annotations", what, f"give at least {FRAMES} of each that follow each other")
        rows = np.repeat(np.arange(len(counts)), counts)
        parts = (of_rows.train, of_rows.validation, of_rows.test)
        of_infants = Split(*(tuple(np.unique(rows[list(part)]).tolist()) for part in parts))
        return tuple(split_by_infant(counts, [of_infants]))

    def crossval(  # type: ignore[override]
        self, cohort: Annotations, directory: str | Path, options: TrainOptions | None = None
    ) -> Ensemble:
        """Train both networks on the published split, and save them with their errors on the clips that test.

        Args:
            cohort: depth images with their keypoints, of several infants.
            directory: of the networks; created if missing, continued if it holds the same training, interrupted.
            options: of the execution.

        Raises:
            InputError: images that cannot be read (all named), too few infants or frames, a directory that cannot be
                written or holds another training, or a training that diverged in its first epoch.
            ValueError: too few clips for a batch.
        """
        frames = read_frames(cohort, self.height, self.width, quiet=(options or TrainOptions()).quiet)
        inputs = TrainInputs(frames, [], self.splits(frames))
        return train_inputs(self, inputs, directory, options).ensemble  # type: ignore[arg-type]  # no recordings

    train = crossval  # type: ignore[assignment]  # one split is all there is

    def objective(  # type: ignore[override]
        self, cohort: Annotations, stratify: Sequence[str] = (), strict: bool = False
    ) -> "DepthObjective":
        """Minus the mean error of the limbs; a candidate trains both networks. Errors as of `crossval`."""
        from infantjax.methods.asy_regression.objective import DepthObjective

        frames = read_frames(cohort, self.height, self.width)
        return DepthObjective(self, TrainInputs(frames, [], self.splits(frames, stratify)))

    def pretrain(self, inputs: TrainInputs, directory: Path, options: TrainOptions | None) -> TrainInputs:
        """Train the detection network; `prepared` are the data with it, and how its training ended, in words."""
        frames: DepthFrames = inputs.cohort
        skeleton = frames.annotations.skeleton
        data = ClipData(frames.frames, frames.points, None, skeleton)  # type: ignore[arg-type]  # on the host until now
        detector = build(DETECTOR, skeleton, narrow=self.narrow)
        arguments = setup(detector, data, inputs.splits, self._scaled(self.detection))
        directory = directory / "detection"
        found = fit(*arguments, directory=directory, shard_batches=True, options=options)
        return inputs._replace(prepared=[replace(data, detector=_best(found)), _ending(found, self.detection)])

    def setup(self, inputs: TrainInputs) -> TrainingSetup:
        """The regression network on the maps of the detection network."""
        data = inputs.prepared[0]
        return setup(self.build(data.skeleton), data, inputs.splits, self._scaled(self.regression))

    def outputs(self, inputs: TrainInputs, setup: TrainingSetup, result: StackResult) -> TrainOutputs:
        """Errors of the limbs and overlap of the detected maps, on the clips that test."""
        data, ended = inputs.prepared
        frames, clips = inputs.cohort, inputs.splits[0].test
        detector: Any = build(DETECTOR, data.skeleton, narrow=self.narrow)
        radius = self._scaled(self.regression).radius
        network = DepthNetwork(
            self.model,
            detector,
            setup.task.module,  # type: ignore[arg-type]
            (data.detector, _best(result)),
            data.skeleton,
            self.height,
            self.width,
            radius,
        )
        found = [network.find(frames.frames[None, first : first + FRAMES]).positions[0] for first in clips]
        true = np.stack([frames.points[first : first + FRAMES] for first in clips]).astype(np.float64)
        metrics: dict[str, float] = {}
        for limb, error in limb_errors(np.stack(found), true, data.skeleton).items():
            values = error.scaled(HEIGHT / self.height)._asdict().items()
            metrics |= {_ERRORS[name].format(limb=limb.replace("_", " ")): value for name, value in values}
        metrics |= overlap_of_maps(detector, data.detector, data, clips, self._scaled(self.detection).radius)
        tested = _TESTED[self.split]
        notes = ("the same infants train and test, as published: the error of other infants is larger",)
        info = {
            "task": TASK,
            "skeleton": data.skeleton.name,
            "height": self.height,
            "width": self.width,
            "radius": radius,
            "statement": STATEMENT.format(count=len(frames), infants=len(frames.infants), tested=tested),
            "tested": f"RMSD on {tested}: median, interquartile range (IQR), share of joints found",
            "endings": [ended, _ending(result, self.regression)],
            "notes": list(notes if self.split == "time" else ()),
        }
        member = Member(DETECTOR, jax.tree.map(lambda leaf: leaf[None], data.detector), {"narrow": self.narrow})
        return TrainOutputs([], [{}], metrics, info, members=(member,))

    def members(self, result: StackResult) -> tuple[Member, ...]:
        """The regression network."""
        return tuple(replace(member, overrides={"narrow": self.narrow}) for member in super().members(result))

    @classmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> Assessor:
        """No such ensemble assesses recordings.

        Raises:
            InputError: always.
        """
        raise InputError("ensemble", "finds keypoints in depth images and assesses none", "use `infantjax pose depth`")

    @classmethod
    def tracker(cls, ensemble: Ensemble, min_confidence: float = 0.3, batch_size: int | None = None) -> "DepthTracker":
        """An object that finds keypoints in depth images."""
        from infantjax.methods.asy_regression.tracker import DepthTracker

        return DepthTracker(DepthNetwork.of(ensemble), min_confidence, batch_size)

    def _scaled(self, config: ClipTrainingConfig) -> ClipTrainingConfig:
        """A training whose radius is that of the frames."""
        return replace(config, radius=config.radius * self.height / HEIGHT)


def _best(result: StackResult) -> Mapping[str, Any]:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], dict(result.variables))


def _ending(result: StackResult, config: ClipTrainingConfig) -> str:
    ended = f"{result.status[0].name.lower()} after {result.last_epoch[0]} of {config.epochs} epochs"
    return f"best epoch {result.best_epoch[0]}, {ended}"
