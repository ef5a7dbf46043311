"""Baby Moves (Passmore et al.) as a system: a calibrated risk of abnormal or absent fidgety movements."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt, platt, platt_reference
from infantjax.evaluation.discrimination import confusion_counts
from infantjax.methods import network as common
from infantjax.methods.baby_moves import preprocessing as motion
from infantjax.methods.baby_moves.model import BabyMoves as Network
from infantjax.methods.baby_moves.training import BabyMovesConfig, Videos, train, video_logit
from infantjax.methods.network import Fitted, Given, NetworkSystem
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import BABY_MOVES_18
from infantjax.training.loop import Execution
from infantjax.training.splits import Split, random_splits
from infantjax.weights.ensemble import Ensemble

COHORTS = {"term": 0.0, "preterm": 1.0}
"""Groups of birth that the network knows."""

UNCALIBRATED = "run {run} could not be calibrated: {why}"

if TYPE_CHECKING:
    from infantjax.methods.baby_moves.assess import BabyMovesAssessor


@dataclass(frozen=True, kw_only=True)
class BabyMoves(NetworkSystem):
    """Convolutions over clips of a phone video, and attention over its clips; 25 random splits.

    Attributes:
        image: sides of the videos, pixels; columns `width` and `height` of a recording's table overrule it.
        metadata: read age and cohort of birth.
        repeats: random splits of a cross-validation; 25 as published.
        shares: of the infants, for validation and for test; 0.15 each in the paper, 0.102 and 0.15 as released.
        threshold: of decisions on the calibrated risk.
        calibration: `released`, a score at even prevalence, or `population`, a probability at that of the validation.
        network: the network; `metadata` sets its own.
        preparation: of recordings.
        training: of every run.

    Raises:
        ValueError: a value out of range.
    """

    name = "baby-moves"
    title = "Baby Moves"
    source = "Passmore et al., Automated identification of abnormal infant movements from smart phone videos"
    fidelity = "exact"
    skeleton_name = "baby-moves-18"
    model = "baby-moves"
    derived = frozenset({"metadata", "series"})

    image: tuple[float, float] = (640.0, 480.0)
    metadata: bool = False
    repeats: int = 25
    shares: tuple[float, float] = (0.15, 0.15)
    threshold: float = 0.5
    calibration: Literal["released", "population"] = "released"
    network: Network = field(default_factory=Network)
    preparation: motion.Settings = field(default_factory=motion.Settings)
    training: BabyMovesConfig = field(default_factory=BabyMovesConfig)

    def __post_init__(self) -> None:
        if len(self.image) != 2 or not min(self.image) > 0:
            raise ValueError(f"image must be two sides above 0 pixels, got {self.image}")
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be within 0..1, got {self.threshold}")
        if self.calibration not in ("released", "population"):
            raise ValueError(f'calibration is "released" or "population", got "{self.calibration}"')
        object.__setattr__(self, "network", self.network.clone(metadata=self.metadata))

    @classmethod
    def configured(cls, settings: Mapping[str, Any]) -> Self:
        """As of every system; the variant of the paper has an ellipse of its own, as in `motion.baby_moves.PAPER`."""
        if settings.get("variant") == "paper":
            settings = {"point": motion.PAPER.point, **settings}
        return super().configured(settings)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one clip, see `NetworkSystem`."""
        return 1, motion.CLIP, motion.FEATURES

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Split, ...]:
        """Random ones, stratified on the outcome and the columns, infants whole."""
        common.require_several(cohort)
        strata = [(outcome, *values) for outcome, values in zip(cohort.outcomes, cohort.columns(stratify))]
        return random_splits(
            cohort.outcomes,
            self.repeats,
            shares=self.shares,
            groups=cohort.groups,
            strata=strata if stratify else None,
            seed=self.seed,
        )

    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Split:
        """One whose validation also chooses the epoch and the calibration: its figures are optimistic."""
        common.require_several(cohort)
        train, held = common.single_split(cohort, validation, self.seed)
        partition = Split(tuple(train), tuple(held), ())
        common.require_members(cohort.outcomes, [partition])
        return partition

    def prepared(self, recording: Recording, strict: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """The 46 series, and age and cohort where they are read."""
        recording, known = self.read(recording, strict), None
        if self.metadata:
            known = metadata_of(recording)
        settled = self.standardized(recording)
        return motion.features(settled.keypoints, self.preparation.smooth), known

    def read(self, recording: Recording, strict: bool) -> Recording:
        """The 18 points of a recording that moves."""
        require_movement(recording)
        if recording.keypoints.shape[-1] != 2:
            raise InputError(recording.name, "has three coordinates, Baby Moves reads two", "project it first")
        return convert(recording, BABY_MOVES_18, strict=strict)

    def standardized(self, recording: Recording) -> Recording:
        """Of 4500 frames, see `motion.baby_moves.prepare`."""
        image = self.image
        if {"width", "height"} & set(recording.metadata):
            width, height = (common.number_of(recording, side, "pixels") for side in ("width", "height"))
            image = width, height
        try:
            return motion.prepare(recording, image, self.preparation)
        except ValueError as error:
            raise InputError(recording.name, str(error), "check the tracking and the sides of the image") from None

    def fit(self, given: Given, **how: Unpack[Execution]) -> Fitted:
        """Train, calibrate each run on its validation, judge its test."""
        cohort, prepared, partitions, _ = given
        common.require_members(cohort.outcomes, partitions)
        labels = np.asarray(cohort.outcomes, np.int32)
        known: Any = np.stack([metadata for _, metadata in prepared]) if self.metadata else None
        data = Videos.of([series for series, _ in prepared], labels.tolist(), known, self.training)
        outcome = train(
            self.network,
            data,
            partitions,
            self.training,
            description=self.description,
            **how,
        )
        logit = jax.jit(lambda variables, series, metadata: video_logit(self.network, variables, series, metadata))
        calibrations, held, runs, reasons = [], [], [], []
        for run, partition in enumerate(partitions):
            variables = jax.tree.map(lambda leaf, run=run: leaf[run], outcome.variables)
            try:
                curve = self._curve(outcome.validation_logits[run], labels[list(partition.validation)])
            except ValueError as error:
                curve = None
                reasons.append(UNCALIBRATED.format(run=run, why=error))
            calibrations.append(None if curve is None else [curve.slope, curve.intercept])
            rows = list(partition.test or partition.validation)
            logits = np.array([logit(variables, data.series[v], None if known is None else known[v]) for v in rows])
            risks = np.full(len(rows), np.nan) if curve is None else curve(common.sigmoid(logits))
            held += [(row, run, float(risk)) for row, risk in zip(rows, risks)]
            figures = {"AUC": common.area(logits, labels[rows])}
            if curve is not None and len(set(labels[rows])) == 2:
                figures |= confusion_counts(risks, labels[rows], self.threshold).metrics()
            if known is not None:
                figures["AUC of cohort alone"] = common.area(known[rows, 1], labels[rows])
            runs.append({"figures": {k: float(v) if math.isfinite(v) else None for k, v in figures.items()}})
        trained = np.flatnonzero(outcome.ended > 0)
        if len(trained) and all(calibrations[run] is None for run in trained):
            raise InputError(
                str(how["directory"]), reasons[0], "train longer, or validate on more infants; its checkpoints are kept"
            )
        names = dict.fromkeys(name for run in runs for name in run["figures"])
        return Fitted(
            outcome=outcome,
            members=common.members(self.model, self.network, outcome),
            held=held,
            runs=runs,
            figures={name: _mean([run["figures"].get(name) for run in runs]) for name in names},
            info={
                "threshold": self.threshold,
                "calibrations": [calibrations[run] for run in trained],
                "notes": reasons,
            },
        )

    def _curve(self, logits: np.ndarray, labels: np.ndarray) -> Platt:
        """From the sigmoid of a logit to a risk; where scores separate the outcomes, by smooth labels (chosen)."""
        scores, separate = common.sigmoid(logits), self.calibration == "population"
        if separate:
            return platt(scores, labels)
        try:
            return platt_reference(scores, labels)
        except ValueError:
            return platt(scores, labels, balanced=True)

    @classmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> "BabyMovesAssessor":
        """See `System`."""
        from infantjax.methods.baby_moves.assess import BabyMovesAssessor

        return BabyMovesAssessor(cls.of(ensemble, threshold), ensemble, strict)


def metadata_of(recording: Recording) -> np.ndarray:
    """Age in weeks, and 1 for preterm or 0 for term, float32.

    Raises:
        InputError: one is missing, or the cohort is another one.
    """
    age = common.number_of(recording, "age", "weeks")
    return np.array([age, common.class_of(recording, "cohort", COHORTS)], np.float32)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan
