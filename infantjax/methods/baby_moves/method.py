"""Baby Moves (Passmore et al.) as a system: a calibrated risk of abnormal or absent fidgety movements."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self, Unpack

import jax
import numpy as np

from infantjax.assessment.result import Course, Finding, Quantity
from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt, platt, platt_released
from infantjax.evaluation.discrimination import counts
from infantjax.methods import network as common
from infantjax.methods.baby_moves import preprocessing as motion
from infantjax.methods.baby_moves.model import BabyMoves as Network
from infantjax.methods.baby_moves.training import BabyMovesConfig, Videos, train, video_logit
from infantjax.methods.network import Fitted, Given, NetworkFinder, NetworkSystem
from infantjax.recording.cohort import Cohort
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import BABY_MOVES_18
from infantjax.training.loop import Execution
from infantjax.training.splits import Partition, random_partitions
from infantjax.weights.ensemble import Ensemble

COHORTS = {"term": 0.0, "preterm": 1.0}
"""Groups of birth that the network knows."""

UNCALIBRATED = "run {run} could not be calibrated: {why}"


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

    def splits(self, cohort: Cohort, stratify: Sequence[str] = ()) -> tuple[Partition, ...]:
        """Random ones, stratified on the outcome and the columns, infants whole."""
        common.require_several(cohort)
        strata = [(outcome, *values) for outcome, values in zip(cohort.outcomes, cohort.columns(stratify))]
        return random_partitions(
            cohort.outcomes,
            self.repeats,
            shares=self.shares,
            groups=cohort.groups,
            strata=strata if stratify else None,
            seed=self.seed,
        )

    def split(self, cohort: Cohort, validation: Sequence[str] | float) -> Partition:
        """One whose validation also chooses the epoch and the calibration: its figures are optimistic."""
        common.require_several(cohort)
        train, held = common.single_split(cohort, validation, self.seed)
        partition = Partition(tuple(train), tuple(held), ())
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
                figures |= counts(risks, labels[rows], self.threshold).metrics()
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
            return platt_released(scores, labels)
        except ValueError:
            return platt(scores, labels, balanced=True)

    @classmethod
    def assessor(cls, ensemble: Ensemble, *, threshold: float | None = None, strict: bool = False) -> "BabyMovesFinder":
        """See `System`."""
        return BabyMovesFinder(cls.of(ensemble, threshold), ensemble, strict)


@dataclass(frozen=True, eq=False)
class BabyMovesFinder(NetworkFinder[BabyMoves]):
    """Assesses videos with an ensemble of Baby Moves."""

    def __post_init__(self) -> None:
        curves = self.ensemble.info.get("calibrations")
        if not isinstance(curves, list) or len(curves) != sum(m.instances for m in self.ensemble.members):
            raise InputError("ensemble", "has no calibration for every run", "use one that infantjax wrote")
        if all(curve is None for curve in curves):
            raise InputError("ensemble", "has no calibrated run", "train it again")

    @cached_property
    def _apply(self) -> Any:
        def one(variables: Any, series: Any, metadata: Any) -> Any:
            logits, aux = self.system.network.apply(variables, series, metadata)
            return logits[0], aux["attention"][0]

        return jax.jit(one)

    def assess(self, recording: Recording, source_digest: str = "") -> Finding:
        """See `Finder`."""
        system, recording = self.system, self.system.read(recording, self.strict)
        known = metadata_of(recording)[None] if system.metadata else None
        settled = system.standardized(recording)
        series = motion.features(settled.keypoints, system.preparation.smooth)[None]
        found = [self._apply(variables, series, known) for variables in self._instances]
        logits = np.array([logit for logit, _ in found], np.float64)
        if not np.isfinite(logits).all():
            raise InputError(recording.name, "gives a risk that is not a number", "check its coordinates")
        curves = self.ensemble.info["calibrations"]
        risks = np.array([math.nan if c is None else Platt(*c)(common.sigmoid(z)) for c, z in zip(curves, logits)])
        calibrated = risks[np.isfinite(risks)]
        risk, (q1, q3) = float(np.median(calibrated)), np.percentile(calibrated, [25, 75])
        low, middle, high = np.percentile([attention for _, attention in found], [25, 50, 75], axis=0)
        kind = {
            "released": "calibrated at even prevalence as released, so no probability in a population",
            "population": "calibrated at the prevalence of the validation videos",
        }[system.calibration]
        left = len(risks) - len(calibrated)
        return self._finding(
            recording,
            source_digest,
            quantities=(
                Quantity(
                    "risk",
                    f"risk of abnormal or absent fidgety movements, {kind}",
                    risk,
                    float(q1),
                    float(q3),
                    "middle half of the runs",
                ),
                Quantity(
                    "agreeing",
                    "share of the runs that call them abnormal or absent",
                    float((calibrated >= system.threshold).mean()),
                ),
            ),
            decision="abnormal or absent" if risk >= system.threshold else "normal",
            course=Course(
                "attention that the network pays to a clip, median and quartiles over the runs",
                motion.clip_starts() / settled.fps,
                middle,
                low,
                high,
                motion.CLIP / settled.fps,
            ),
            instances=risks.tolist(),
            notes=(
                *settled.notes[len(recording.notes) :],
                *([f"{left} of {len(risks)} runs could not be calibrated and do not count"] if left else []),
            ),
            history=settled.history[len(recording.history) :],
        )


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
