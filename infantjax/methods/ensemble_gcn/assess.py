"""From a recording to an `Assessment`."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import jax
import numpy as np
from jaxtyping import Float

from infantjax import __version__, models, skeletons
from infantjax.assessment import aggregation, certainty
from infantjax.assessment.certainty import Rule
from infantjax.assessment.result import Assessment, InstanceRisk, WindowRisks
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.inference import EnsembleProgram, Scores
from infantjax.recording.conversion import convert
from infantjax.recording.preprocessing import Preprocessing, standardize
from infantjax.recording.recording import Recording, require_movement
from infantjax.weights.ensemble import Ensemble

ContributionsOf = Literal["all", "first_model"]

MOVEMENT_FPS = 10.0
"""Frame rate of the movement that a report shows, hertz."""


@dataclass
class Assessor:
    """Assesses recordings with one ensemble; its programs are compiled once and reused.

    Attributes:
        ensemble: architectures with weights, and the preprocessing they were trained with.
        threshold: decision threshold; None takes the ensemble's.
        rule: certainty rule.
        strict: refuse recordings whose points had to be approximated.
        exact: contributions go through the spatial pooling layer instead of as released.
        contributions_of: `all` members, as in the paper, or only the `first_model`, as the released program for several
            architectures does.

    Raises:
        InputError: the ensemble names an unknown model, skeleton or preprocessing.
        ValueError: threshold not within 0..1, unknown rule, or unknown `contributions_of`.
    """

    ensemble: Ensemble
    threshold: float | None = None
    rule: Rule = "fraction"
    strict: bool = False
    exact: bool = False
    contributions_of: ContributionsOf = "all"
    _program: EnsembleProgram = field(init=False, repr=False)

    def __post_init__(self) -> None:
        info = self.ensemble.info
        try:
            self._skeleton = skeletons.get(info["skeleton"])
            if self._skeleton.trunk is None:
                raise ValueError(f"its skeleton {self._skeleton.name} has no trunk")
            self._preprocessing = Preprocessing.from_dict(info["preprocessing"])
            for member in self.ensemble.members:
                models.require_known(member.model)
            if self.threshold is None:
                self.threshold = float(info["threshold"])
                if not 0 <= self.threshold <= 1:
                    raise ValueError(f"its threshold is {self.threshold}")
        except (KeyError, ValueError, TypeError) as error:
            raise InputError("ensemble", f"cannot be used ({error})", "use one that infantjax wrote") from None
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be within 0..1, got {self.threshold}")
        if self.rule not in certainty.RULES:
            raise ValueError(f"unknown certainty rule {self.rule!r}; known: {', '.join(certainty.RULES)}")
        if self.contributions_of not in get_args(ContributionsOf):
            known = ", ".join(get_args(ContributionsOf))
            raise ValueError(f"unknown contributions_of {self.contributions_of!r}; known: {known}")
        cut = self._preprocessing
        self._program = EnsembleProgram(
            self.ensemble.members, self._skeleton, cut.rotation, self.exact, window=cut.window
        )

    def compile(self) -> None:
        """Compile now instead of with the first recording."""
        self._program.compile()

    def assess(self, recording: Recording, source_digest: str = "") -> Assessment:
        """The ensemble's assessment of one recording.

        Args:
            recording: keypoints of any skeleton that converts to the ensemble's.
            source_digest: SHA-256 of the file it came from, for the provenance.

        Raises:
            InputError: shorter than a window, nothing moves, a joint that the networks need is never seen, `strict` and
                points had to be approximated, or the weights do not fit their architecture.
        """
        converted, prepared = self._prepared(recording)
        scores, starts = self._program.scores(prepared.keypoints.astype(np.float32))
        return self._assessment(converted, prepared, scores, starts, source_digest)

    def window_risks(self, recording: Recording) -> Float[np.ndarray, "instance window"]:
        """Risk of every window by every instance, from which `aggregation` makes all others.

        Args and Raises: as `assess`.
        """
        _, prepared = self._prepared(recording)
        scores, _ = self._program.scores(prepared.keypoints.astype(np.float32))
        return _risks(scores)

    def _prepared(self, recording: Recording) -> tuple[Recording, Recording]:
        """A recording in the ensemble's skeleton, as it is and standardized."""
        converted = self._converted(recording)
        # Exact once it is resampled; nothing is compiled for a recording that is certainly too short.
        self._check_length(converted, converted.duration * self._preprocessing.fps + 1)
        require_movement(recording)
        self._program.start()  # in the background, while the recording is prepared
        prepared = standardize(converted, self._preprocessing)
        self._check_length(prepared, prepared.frames)
        self._check_joints(prepared)
        return converted, prepared

    def _converted(self, recording: Recording) -> Recording:
        if recording.keypoints.shape[-1] != 2:
            raise InputError(recording.name, "has three coordinates, the networks read two", "project it first")
        return convert(recording, self._skeleton, strict=self.strict)

    def _check_length(self, recording: Recording, frames: float) -> None:
        if frames < self._preprocessing.window:
            seconds = self._preprocessing.window / self._preprocessing.fps
            raise InputError(
                recording.name,
                f"lasts {recording.duration:.1f} s, shorter than a window of {seconds:g} s",
                "give a longer recording",
            )

    def _check_joints(self, prepared: Recording) -> None:
        if absent := [self._skeleton.joints[j] for j in np.flatnonzero(prepared.missing.any(axis=0))]:
            raise InputError(
                prepared.name,
                f"lacks {', '.join(absent)}, which the networks need",
                f"track these points, or use weights for skeleton {prepared.skeleton.name} without them",
            )

    def _assessment(
        self, recording: Recording, prepared: Recording, scores: list[Scores], starts: np.ndarray, source_digest: str
    ) -> Assessment:
        assert self.threshold is not None
        risks = _risks(scores)
        explaining = scores if self.contributions_of == "all" else scores[:1]
        contributions = np.concatenate([s.contributions for s in explaining]).astype(np.float64)
        if not np.isfinite(risks).all():
            raise InputError(recording.name, "gives a risk that is not a number", "check its coordinates")
        risk, instances = aggregation.infant_risk(risks), aggregation.instance_risks(risks)
        windows = aggregation.window_risk(risks)
        q1, q3 = np.percentile(risks, [25, 75], axis=0)
        names = [(m.model, i) for m in self.ensemble.members for i in range(m.runs)]
        step = max(1, round(prepared.fps / MOVEMENT_FPS))
        info = self.ensemble.info
        return Assessment(
            name=recording.name,
            risk=risk,
            threshold=self.threshold,
            positive=bool(certainty.predicts_cp(risk, self.threshold, self.rule)),
            color=certainty.color(risk, instances, self.threshold, self.rule),
            certainty_rule=self.rule,
            fraction_positive=certainty.fraction_positive(instances, self.threshold, self.rule),
            quartiles=(float(np.percentile(instances, 25)), float(np.percentile(instances, 75))),
            instances=tuple(InstanceRisk(m, i, float(r)) for (m, i), r in zip(names, instances)),
            windows=WindowRisks(
                start=starts / prepared.fps,
                median=windows,
                q1=q1,
                q3=q3,
                color=tuple(
                    certainty.color(w, column, self.threshold, self.rule) for w, column in zip(windows, risks.T)
                ),
                length=self._preprocessing.window / prepared.fps,
            ),
            contributions=dict(
                zip(self._skeleton.joints, aggregation.infant_contributions(contributions).tolist(), strict=True)
            ),
            skeleton=self._skeleton.name,
            movement=prepared.keypoints[::step].astype(np.float32),
            movement_fps=prepared.fps / step,
            fps=recording.fps,
            duration=recording.duration,
            missing=dict(zip(self._skeleton.joints, recording.missing.mean(0).tolist(), strict=True)),
            approximated=dict(recording.approximated),
            notes=prepared.notes,
            metadata=dict(recording.metadata),
            provenance=self._provenance | {"input": {"sha256": source_digest}, "history": list(prepared.history)},
            validated=info.get("validated") is True,
            statement=str(info.get("statement", "")),
        )

    @cached_property
    def _provenance(self) -> dict[str, Any]:
        """What the result depends on beside the input. No time, path or number of devices: same input, same bytes."""
        return {
            "infantjax": __version__,
            "jax": jax.__version__,
            "backend": jax.default_backend(),
            "ensemble": self.ensemble.digest,
            "models": [{"model": m.model, "instances": m.runs} for m in self.ensemble.members],
            "preprocessing": self._preprocessing.to_dict(),
            "threshold": self.threshold,
            "certainty_rule": self.rule,
            "contributions": "through the spatial pooling" if self.exact else "as released",
            "contributions_of": self.contributions_of,
        }


def _risks(scores: list[Scores]) -> Float[np.ndarray, "instance window"]:
    return np.concatenate([each.risk for each in scores]).astype(np.float64)
