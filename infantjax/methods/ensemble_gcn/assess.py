"""How Ensemble-NAS-GCN assesses a recording: the risk of cerebral palsy with its certainty."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from infantjax import models, skeletons
from infantjax.assessment import aggregation, certainty
from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import OTHER_WEIGHTS, Assessor, Usable, attempt
from infantjax.assessment.certainty import Certainty, Rule
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.explanation.saliency import LABELS, Explain
from infantjax.methods import registry, window_networks
from infantjax.methods.window_networks import EnsembleProgram, Scores, WindowNetwork
from infantjax.recording import features, windows
from infantjax.recording.conversion import convert
from infantjax.recording.preprocessing import Preprocessing, standardize
from infantjax.recording.recording import Recording, require_movement
from infantjax.settings import Share, check_fields, to_settings
from infantjax.skeletons import Skeleton
from infantjax.training.cohorts.trainable import Trainable
from infantjax.weights.ensemble import Ensemble, Member, Predict

ContributionsOf = Literal["all", "first_model"]


@dataclass
class EnsembleGcnAssessor(Assessor):
    """Assesses recordings with one ensemble of graph networks; its programs are compiled once and reused.

    Attributes:
        ensemble: architectures with weights, and the preprocessing that they were trained with.
        threshold: decision threshold; None takes the ensemble's.
        rule: certainty rule.
        strict: refuse recordings whose points had to be approximated.
        exact: contributions go through the spatial pooling layer, which the reference implementation ignores.
        contributions_of: `all` networks, as in the paper, or only those of the `first_model`, as the reference
            implementation does for several architectures.
        explain: method of the contributions: the published class activation, Grad-CAM++ or saliency.
        devices: JAX devices that compute; None is all of this process. The result does not depend on them.

    Raises:
        InputError: the ensemble names an unknown model, skeleton or preprocessing.
        ValueError: threshold not within 0..1, an unknown name, or `exact` with another method than class activation.
    """

    upwards = True

    ensemble: Ensemble
    threshold: Share | None = None
    rule: Rule = "fraction"
    strict: bool = False
    exact: bool = False
    contributions_of: ContributionsOf = "all"
    explain: Explain = "class-activation"
    devices: Sequence[Any] | None = field(default=None, repr=False)
    _program: EnsembleProgram = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.exact and self.explain != "class-activation":
            raise ValueError(f"exact contributions are those of class-activation, got {self.explain}")
        info = self.ensemble.info
        try:
            self._skeleton = skeletons.get(info.skeleton)
            if self._skeleton.trunk is None:
                raise ValueError(f"its skeleton {self._skeleton.name} has no trunk")
            if info.preprocessing is None:
                raise ValueError("it has no preprocessing")
            self._preprocessing = info.preprocessing
            for member in self.ensemble.members:
                models.require_known(member.model)
            if self.threshold is None:
                if info.threshold is None:
                    raise ValueError("it has no threshold")
                self.threshold = info.threshold
        except ValueError as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None
        cut, joints = self._preprocessing, len(self._skeleton.joints)
        network_of = partial(
            window_network, skeleton=self._skeleton, preprocessing=cut, exact=self.exact, explain=self.explain
        )
        key = [asdict(self._skeleton), cut.rotation, self.exact, self.explain]
        members = self.ensemble.members
        self._program = EnsembleProgram(members, network_of, key, cut.window, joints, devices=self.devices)

    @property
    def networks(self) -> list[WindowNetwork]:
        """Of the members in order."""
        return [self._program.network_of(member) for member in self.ensemble.members]

    def compile(self) -> None:
        """Compile now instead of with the first recording."""
        self._program.compile()

    @property
    def description(self) -> type[Trainable]:
        """The class of the method."""
        return registry.get("ensemble-gcn")

    @property
    def settings(self) -> dict[str, Any]:
        """Preprocessing, threshold and rules of the answer, JSON-compatible."""
        return {
            "preprocessing": to_settings(self._preprocessing),
            "threshold": self.threshold,
            "certainty_rule": self.rule,
            "contributions": self._explained_how,
            "contributions_of": self.contributions_of,
        }

    @property
    def _explained_how(self) -> str:
        if self.explain != "class-activation":
            return self.explain
        return "through the spatial pooling" if self.exact else "as in the reference implementation"

    def convert(self, recording: Recording) -> Recording:
        """The recording in the joints of the networks; `InputError` if it is too short or lacks joints."""
        if recording.keypoints.shape[-1] != 2:
            raise InputError(
                recording.name, "has three coordinates, the networks read two", "give two-dimensional keypoints"
            )
        require_movement(recording)
        converted = convert(recording, self._skeleton, strict=self.strict)
        # Exact once it is resampled; nothing is compiled for a recording that is certainly too short.
        self._check_length(converted, converted.duration * self._preprocessing.fps + 1)
        self._check_joints(converted)
        return converted

    @property
    def seconds_together(self) -> float:
        """Seconds of recordings whose windows fill all devices; windows start every half window."""
        return self._program.fill * self._preprocessing.window / 2 / self._preprocessing.fps

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """Prediction from the windows that are usable, and the standardized recording."""
        ready = self._select(converted, usable)
        return self._conclude(ready, *self._program.scores(ready.positions, ready.keep))

    def predict_many(
        self, requests: Sequence[tuple[Recording, Usable | None]]
    ) -> list[tuple[Prediction, Recording] | Exception]:
        """Predictions of several recordings, whose windows fill the same calls, or their errors."""
        ready = [attempt(self._select, *request) for request in requests]
        found = [each for each in ready if isinstance(each, _Ready)]
        if len(found) < 2:
            return super().predict_many(requests)
        try:
            scores = iter(self._program.scores_of_many([one.positions for one in found], [one.keep for one in found]))
        except Exception:  # too much at once, or what each of them meets by itself
            return super().predict_many(requests)
        return [each if isinstance(each, Exception) else attempt(self._conclude, each, *next(scores)) for each in ready]

    def _select(self, converted: Recording, usable: Usable | None) -> "_Ready":
        """The standardized recording and its windows that are assessed."""
        prepared = self._prepare(converted)
        length = self._preprocessing.window / prepared.fps
        starts = windows.window_starts(prepared.frames, self._preprocessing.window) / prepared.fps
        return _Ready(converted, prepared, kept_windows(usable, starts, length))

    def _conclude(self, ready: "_Ready", scores: list[Scores], starts: np.ndarray) -> tuple[Prediction, Recording]:
        """The prediction from the scores of the kept windows."""
        converted, prepared, keep = ready
        length = self._preprocessing.window / prepared.fps
        risks = _risks(scores)
        if not np.isfinite(risks).all():
            raise InputError(converted.name, "gives a risk that is not a number", "check its coordinates")
        assert self.threshold is not None
        risk, by_network = aggregation.infant_risk(risks), aggregation.network_risks(risks)
        positive = certainty.predicts_cp(risk, self.threshold, self.rule)
        low, high = np.percentile(by_network, [25, 75])
        prediction = Prediction(
            headline=Quantity(
                "risk", "risk of cerebral palsy", risk, float(low), float(high), "middle half of the networks"
            ),
            threshold=self.threshold,
            classes=("no CP", "CP"),
            positive=bool(positive),
            agreement=float(np.mean(certainty.predicts_cp(by_network, self.threshold, self.rule) == positive)),
            certainty=Certainty(certainty.level(risk, by_network, self.threshold, self.rule), self.rule),
            time_series=self._time_series(risks, starts / prepared.fps, length, keep),
            members=self.members(by_network),
            **self._contributions(scores, keep),
            contributions_label=LABELS[self.explain],
        )
        return prediction, prepared

    def window_risks(self, recording: Recording) -> Float[np.ndarray, "network window"]:
        """Risk of every window by every network, from which `aggregation` computes all others.

        Args and Raises: as `assess`.
        """
        prepared = self._prepare(self.convert(recording))
        return _risks(self._program.scores(prepared.keypoints.astype(np.float32))[0])

    def _prepare(self, converted: Recording) -> Recording:
        """The standardized recording."""
        self._program.start()  # in the background, while the recording is prepared
        prepared = standardize(converted, self._preprocessing)
        self._check_length(prepared, prepared.frames)
        return prepared

    def _check_length(self, recording: Recording, frames: float) -> None:
        if frames < self._preprocessing.window:
            seconds = self._preprocessing.window / self._preprocessing.fps
            raise InputError(
                recording.name,
                f"lasts {recording.duration:.1f} s, shorter than a window of {seconds:g} s",
                "give a longer recording",
            )

    def _check_joints(self, converted: Recording) -> None:
        """All others are interpolated."""
        if absent := [self._skeleton.joints[j] for j in np.flatnonzero(converted.missing.all(axis=0))]:
            raise InputError(
                converted.name,
                f"missing {', '.join(absent)}, which the networks need",
                f"track these points, or use weights for skeleton {converted.skeleton.name} without them",
            )

    def _time_series(
        self,
        risks: Float[np.ndarray, "network kept"],
        start: Float[np.ndarray, " window"],
        length: float,
        keep: Bool[np.ndarray, " window"],
    ) -> TimeSeries:
        assert self.threshold is not None
        median = aggregation.window_risk(risks)
        q1, q3 = np.percentile(risks, [25, 75], axis=0)
        levels = tuple(certainty.level(w, column, self.threshold, self.rule) for w, column in zip(median, risks.T))
        label = "risk in a window"
        return TimeSeries.of_kept(
            keep, label, start, median, q1, q3, length, threshold=self.threshold, certainty=levels
        )

    def _contributions(self, scores: list[Scores], keep: Bool[np.ndarray, " window"]) -> dict[str, Any]:
        """Contributions of the joints, to the risk of the infant and of every window."""
        explaining = scores if self.contributions_of == "all" else scores[:1]
        contributions = np.concatenate([s.contributions for s in explaining]).astype(np.float64)
        return aggregation.named_contributions(contributions, keep, self._skeleton.joints)


class _Ready(NamedTuple):
    """A recording that the networks can read.

    Attributes:
        converted: in the keypoints of the method.
        prepared: standardized.
        keep: which windows are assessed.
    """

    converted: Recording
    prepared: Recording
    keep: Bool[np.ndarray, " window"]

    @property
    def positions(self) -> Float[np.ndarray, "time joint 2"]:
        """Positions that the networks read."""
        return self.prepared.keypoints.astype(np.float32)


def _risks(scores: list[Scores]) -> Float[np.ndarray, "network window"]:
    return np.concatenate([each.risk for each in scores]).astype(np.float64)


def window_network(
    member: Member,
    skeleton: Skeleton,
    preprocessing: Preprocessing,
    exact: bool = False,
    explain: Explain = "class-activation",
) -> WindowNetwork:
    """The network of a member.

    Args:
        member: of an ensemble.
        skeleton: the joints that it reads.
        preprocessing: of the recordings; windows are turned as it says.
        exact: contributions go through the spatial pooling layer.
        explain: method of the contributions.

    Raises:
        InputError: the member names settings that the network does not take.
    """
    from infantjax.methods.ensemble_gcn.folding import fold  # the networks, which need Flax

    entry = models.get(member.model)
    try:
        module = entry.build(skeleton=skeleton, **member.overrides)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        where = f"weights of {member.model}"
        raise InputError(where, f"name settings that the network does not take ({reason})", OTHER_WEIGHTS) from error

    def inputs(positions: Float[Array, "window time joint 2"]) -> Float[Array, "window time joint channel"]:
        turned = windows.align_windows(positions, skeleton, preprocessing.rotation)
        return features.build_features(turned, skeleton, entry.features)

    shape = (preprocessing.window, len(skeleton.joints), entry.input_shape[-1])
    return WindowNetwork(module, inputs, partial(fold, module), shape, exact, explain)


def predict_fn(ensemble: Ensemble, platform: str | None) -> Predict:
    """The risks of windows as a pure function; see `Ensemble.predict_fn`."""
    known = EnsembleGcnAssessor(ensemble)
    return window_networks.predict_fn(ensemble.members, known.networks, platform)
