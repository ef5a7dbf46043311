"""From a recording to an `Assessment`: what is the same for every method."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, ParamSpec, Self, TypeVar

import numpy as np
from jaxtyping import Bool

from infantjax.assessment import gate
from infantjax.assessment.assessment import NO_PREDICTION, Assessment, MemberValue, Prediction
from infantjax.assessment.gate import DEFAULT_OPTIONS, NotAssessable, QualityOptions
from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import (
    UNCALIBRATED,
    CalibratedRisk,
    CohortRisks,
    RiskCalibration,
    RiskOptions,
)
from infantjax.recording.movement import limb_movements
from infantjax.recording.quality import Moments, Quality, measure_quality, repair
from infantjax.recording.recording import Recording, find_fps_notes
from infantjax.training.cohorts.trainable import Trainable
from infantjax.version import __version__
from infantjax.weights import bundled
from infantjax.weights.ensemble import Ensemble, Member

MOVEMENT_FPS = 10.0
"""Frame rate of the movement that a report shows, hertz."""

Usable = Bool[np.ndarray, " second"]
"""For each second of a recording, whether its keypoints can be trusted."""

OTHER_WEIGHTS = "use the weights with the model and skeleton they were trained for"
"""Remedy where weights and network do not fit together."""


T = TypeVar("T")
Args = ParamSpec("Args")


@dataclass
class _Begun:
    """A recording on its way to an assessment.

    Attributes:
        recording: as given.
        repaired: the same, where repairs were asked for.
        converted: in the keypoints of the method.
        quality: None where it is not measured.
        found: what `predict` gave or raised; None where the networks do not read it.
    """

    recording: Recording
    repaired: Recording
    converted: Recording
    quality: Quality | None
    found: tuple[Prediction, Recording] | Exception | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not assessable."""
        return () if self.quality is None else self.quality.reasons

    @property
    def usable(self) -> Usable | None:
        """Seconds that `predict` gets."""
        return None if self.quality is None or self.reasons else self.quality.usable


class Assessor(ABC):
    """Assesses recordings with one ensemble of a method.

    A method implements `convert` and `predict`; `assess` puts name, notes, provenance and movement around its
    prediction.

    Attributes:
        ensemble: networks with weights, and the settings that they were trained with.
        upwards: y of the recording that the report shows points upwards, not downwards as in images.
    """

    ensemble: Ensemble
    upwards: ClassVar[bool] = False
    _risk_options: RiskOptions = RiskOptions()

    def with_risk_options(self, options: RiskOptions) -> Self:
        """The same assessor that turns risks into probabilities and sets of outcomes by these options.

        Raises:
            InputError: a prevalence where the ensemble has no calibration map, or a calibration that cannot be read.
        """
        known = self.calibration
        if options.prevalence is not None and (known is None or known.map is None):
            reason = "it holds no out-of-fold risks" if known is None else known.reason
            what = f"needs an ensemble with a calibration map; this one has none: {reason}"
            raise InputError("--prevalence", what, "leave it out")
        other = copy.copy(self)
        object.__setattr__(other, "_risk_options", options)
        return other

    @cached_property
    def calibration(self) -> RiskCalibration | None:
        """Out-of-fold risks of the ensemble and their map; None where it holds none.

        Raises:
            InputError: it cannot be read.
        """
        content = self.ensemble.info.calibration
        return None if content is None else _read_info(RiskCalibration.from_dict, content)

    @cached_property
    def moments(self) -> Moments | None:
        """Of the recordings that the ensemble was trained on; None where it holds none.

        Raises:
            InputError: they cannot be read.
        """
        content = self.ensemble.info.moments
        return None if content is None else _read_info(Moments.from_dict, content)

    @property
    @abstractmethod
    def description(self) -> Trainable | type[Trainable]:
        """The method."""

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings that the result depends on, JSON-compatible, for the provenance."""

    @abstractmethod
    def convert(self, recording: Recording) -> Recording:
        """The recording in the keypoints of the method.

        Raises:
            InputError: the recording cannot be used.
        """

    @abstractmethod
    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """Prediction of the ensemble for a recording in the keypoints of the method.

        Args:
            converted: the recording.
            usable: for each of its seconds, whether its keypoints can be trusted; windows with too many that cannot
                are left out (`gate.kept_windows`). None takes every window.

        Returns:
            The prediction, and the recording that the report shows: its keypoints are animated, its notes and history
            are listed.

        Raises:
            InputError: the recording cannot be used, or the weights do not fit their network.
            NotAssessable: no window is left; the networks were not run.
        """

    def assess(
        self, recording: Recording, source_digest: str = "", options: QualityOptions = DEFAULT_OPTIONS
    ) -> Assessment:
        """The ensemble's assessment of one recording.

        Args:
            recording: keypoints of any skeleton that converts to the method's.
            source_digest: SHA-256 of the file it came from, for the provenance.
            options: what the quality of the keypoints decides.

        Returns:
            The assessment. Where too little of the recording is usable it is not `assessable`: the networks are not
            run, and it has reasons in place of a value.

        Raises:
            InputError: as `convert` and `predict`.
        """
        (found,) = self.assess_many([recording], [source_digest], options)
        if isinstance(found, Exception):
            raise found
        return found

    def compile(self) -> None:  # noqa: B027
        """Compile now instead of with the first recording, where the method can."""

    @property
    def seconds_together(self) -> float:
        """How long recordings should last together to use the devices well; 0 where each is computed by itself."""
        return 0.0

    def assess_many(
        self,
        recordings: Sequence[Recording],
        source_digests: Sequence[str],
        options: QualityOptions = DEFAULT_OPTIONS,
    ) -> list[Assessment | Exception]:
        """The assessments of several recordings, whose windows are computed together; each the same as alone.

        Args:
            recordings: as of `assess`.
            source_digests: of each.
            options: what the quality of the keypoints decides.

        Returns:
            For each recording its assessment, or what kept it from being assessed.
        """
        begun = [attempt(self._begin, recording, options) for recording in recordings]
        runs = [each for each in begun if isinstance(each, _Begun) and (options.force or not each.reasons)]
        for each, found in zip(runs, self.predict_many([(one.converted, one.usable) for one in runs]), strict=True):
            each.found = found
        return [
            each if isinstance(each, Exception) else attempt(self._finish, each, digest, options)
            for each, digest in zip(begun, source_digests, strict=True)
        ]

    def predict_many(
        self, requests: Sequence[tuple[Recording, Usable | None]]
    ) -> list[tuple[Prediction, Recording] | Exception]:
        """Result or exception of `predict` for each pair of its arguments."""
        return [attempt(self.predict, *request) for request in requests]

    def _begin(self, recording: Recording, options: QualityOptions) -> "_Begun":
        """A recording in the keypoints of the method, and whether it is assessable."""
        repaired = repair(recording) if options.repair else recording
        converted = self.convert(repaired)
        quality = measure_quality(repaired, reference=self.moments) if options.quality else None
        return _Begun(recording, repaired, converted, quality)

    def _finish(self, begun: "_Begun", source_digest: str, options: QualityOptions) -> Assessment:
        """The assessment, from what the networks gave."""
        recording, repaired, converted, quality = begun.recording, begun.repaired, begun.converted, begun.quality
        reasons, found = begun.reasons, begun.found
        if isinstance(found, NotAssessable):
            reasons, found = (str(found),), self.predict(converted) if options.force else None
        if isinstance(found, Exception):
            raise found
        prediction, shown = found or (NO_PREDICTION, converted)
        calibrated = self._risk_calibrated(prediction)
        if reasons or (quality is not None and quality.doubts):
            prediction = gate.without_certainty(prediction)
            calibrated = calibrated and calibrated.doubted()
        method, info = self.description, self.ensemble.info
        step = max(1, round(shown.fps / MOVEMENT_FPS))
        assessment = Assessment(
            **vars(prediction),
            name=recording.name,
            method=method.name,
            title=method.title,
            source=method.source,
            fidelity=method.fidelity,
            fidelity_note=method.fidelity_note,
            fps=recording.fps,
            duration=recording.duration,
            skeleton=converted.skeleton.name,
            movement=_movement(shown.keypoints[::step], self.upwards and found is not None),
            movement_fps=shown.fps / step,
            missing=dict(zip(converted.skeleton.joints, converted.missing.mean(0).tolist(), strict=True)),
            approximated=dict(converted.approximated),
            notes=shown.notes,
            metadata=dict(recording.metadata),
            provenance=self._provenance
            | {"input": {"sha256": source_digest}, "history": list(shown.history), "quality": vars(options)}
            | {"calibration": vars(self._risk_options)},
            validated=info.validated,
            statement=bundled.statement_of(self.ensemble),
            assessable=not reasons,
            reasons=reasons,
            forced=bool(reasons) and found is not None,
            quality=quality,
            repairs=repaired.notes[len(recording.notes) :],
            calibration=calibrated,
            cohort=self._cohort_risks(prediction),
            limbs=limb_movements(converted, usable=begun.usable),
        )
        return replace(assessment, warnings=(*find_fps_notes(repaired), *gate.warnings(assessment)))

    def _risk_calibrated(self, prediction: Prediction) -> CalibratedRisk | None:
        """A risk read by the out-of-fold risks of the ensemble; None for a headline that is no risk."""
        if prediction.headline.name != "risk":
            return None
        if self.calibration is None:
            return UNCALIBRATED
        folds: dict[int, list[float]] = {}
        for member in prediction.members:
            folds.setdefault(member.index, []).append(member.value)
        by_fold = {fold: float(np.median(values)) for fold, values in folds.items()}
        found = self.calibration.apply(prediction.value, by_fold, self._risk_options)
        return found._replace(statement=bundled.attributed(found.statement, self.ensemble))

    def _cohort_risks(self, prediction: Prediction) -> CohortRisks | None:
        """Where the risk lies among the out-of-fold risks; None without either."""
        if prediction.headline.name != "risk" or self.calibration is None or not np.isfinite(prediction.value):
            return None
        return self.calibration.cohort_risks(prediction.value)

    def members(self, values: Iterable[float]) -> tuple[MemberValue, ...]:
        """Values by the networks of the ensemble, in its order, each with its network."""
        networks = [(member.model, i) for member in self.ensemble.members for i in range(member.runs)]
        return tuple(MemberValue(model, i, float(value)) for (model, i), value in zip(networks, values, strict=True))

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        """Everything beside the input that the result depends on, without times, paths and number of devices."""
        import jax  # half a second, which `--help` need not wait for

        return {
            "infantjax": __version__,
            "jax": jax.__version__,
            "backend": jax.default_backend(),
            "method": self.description.name,
            "ensemble": self.ensemble.digest,
            "models": [{"model": m.model, "networks": m.runs} for m in self.ensemble.members],
            "settings": self.settings,
        }


MethodT = TypeVar("MethodT", bound=Trainable)


@dataclass(frozen=True, eq=False)
class NetworkAssessor(Assessor, Generic[MethodT]):
    """Assesses recordings with an ensemble of runs of one network.

    Attributes:
        method: with the settings of the ensemble.
        ensemble: networks with weights.
        strict: refuse recordings whose points had to be approximated.
    """

    method: MethodT
    ensemble: Ensemble
    strict: bool = False

    @property
    def description(self) -> MethodT:
        """The method with its settings."""
        return self.method

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the method, JSON-compatible."""
        return self.method.settings

    @cached_property
    def network(self) -> Any:
        """The network, a Flax module."""
        return self.method.build()

    @property
    def seconds_together(self) -> float:
        """Any number of recordings where several devices compute one each, none otherwise."""
        import jax

        return math.inf if jax.local_device_count() > 1 else 0.0

    def predict_many(
        self, requests: Sequence[tuple[Recording, Usable | None]]
    ) -> list[tuple[Prediction, Recording] | Exception]:
        """Predictions of several recordings, or their errors; every device computes one recording at a time."""
        from infantjax.devices import map_over_devices

        return map_over_devices(lambda request: attempt(self.predict, *request), requests)

    @property
    def variables(self) -> list[Any]:
        """The variables of every network, on the default device.

        Raises:
            InputError: they do not fit the network.
        """
        return self._variables.get()

    @cached_property
    def _variables(self) -> Any:
        import jax

        from infantjax.devices import PerDevice
        from infantjax.models.entry import variable_shapes

        found: list[Any] = []
        for member in self.ensemble.members:
            require_fit(member, variable_shapes(self.network, self.method.input_shape))
            found += [jax.tree.map(lambda leaf, i=i: leaf[i], member.variables) for i in range(member.runs)]
        return PerDevice(found)


def require_fit(member: Member, shapes: Any) -> None:
    """Refuse weights that are not those of a network.

    Args:
        member: the weights.
        shapes: of the network's variables.

    Raises:
        InputError: a parameter that is missing, unexpected or of another shape.
    """
    where = f"weights of {member.model}"
    needed = {path: (member.runs, *leaf.shape) for path, leaf in _flat(shapes)}
    found = {path: leaf.shape for path, leaf in _flat(member.variables)}
    for path in sorted({*needed, *found}):
        if path not in found:
            raise InputError(where, f"missing parameter {path}", OTHER_WEIGHTS)
        if path not in needed:
            raise InputError(where, f"unexpected parameter {path}", OTHER_WEIGHTS)
        if found[path] != needed[path]:
            what = f"{path} has shape {found[path]}, the network needs {needed[path]}"
            raise InputError(where, what, OTHER_WEIGHTS)


def _flat(tree: Any) -> list[tuple[str, Any]]:
    """(path, leaf) of nested containers."""
    import jax

    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def attempt(function: Callable[Args, T], *args: Args.args, **options: Args.kwargs) -> T | Exception:
    """The value that a function returns, or the exception that it raises."""
    try:
        return function(*args, **options)
    except Exception as error:
        return error


def _read_info(read: Callable[[Any], T], content: Any) -> T:
    """Content of the ensemble's `info`, by the reader of its type."""
    try:
        return read(content)
    except ValueError as error:
        raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None


def _movement(keypoints: np.ndarray, upwards: bool) -> np.ndarray:
    """`[time, joint, 2]` float32 about the middle, in units of the extent, y upwards."""
    points = keypoints[..., :2] * (1, 1 if upwards else -1)
    if np.isnan(points).all():
        return points.astype(np.float32)
    points = points - np.nanmedian(points, axis=(0, 1))
    return (points / (np.nanmax(np.abs(points)) or 1.0)).astype(np.float32)
