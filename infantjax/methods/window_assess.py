"""How graph networks over windows assess a recording: the risk of cerebral palsy, over time and by joint."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float

from infantjax.assessment import aggregation
from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import Assessor, Usable, attempt
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import RiskOptions
from infantjax.explanation.saliency import LABELS, Explain
from infantjax.methods.window_networks import EnsembleProgram, Scores, WindowNetwork
from infantjax.methods.window_preprocessing import standardized
from infantjax.recording import windows
from infantjax.recording.preprocessing import Preprocessing
from infantjax.recording.recording import Recording


class WindowAssessor(Assessor):
    """Assesses recordings by the windows of one ensemble; its programs are compiled once and reused.

    Attributes:
        threshold: of decisions.
        explain: method of the contributions.
        preprocessing: that the networks were trained with.
        stride: frames from one window to the next; None is half a window.
    """

    upwards = True

    threshold: float | None
    explain: Explain
    preprocessing: Preprocessing
    stride: int | None = None

    # --- what a method fills in ------------------------------------------------------------------------------------

    @cached_property
    @abstractmethod
    def _program(self) -> EnsembleProgram:
        """The networks."""

    @abstractmethod
    def judged(self, risk: float, by_network: np.ndarray, risks: Float[np.ndarray, "network kept"]) -> dict[str, Any]:
        """Decision, its certainty and the interval of the risk, as fields of a `Prediction` and as `interval`.

        Args:
            risk: of the recording.
            by_network: risk of the recording by each network.
            risks: of every window by each network.
        """

    def levels(self, median: Float[np.ndarray, " kept"], risks: Float[np.ndarray, "network kept"]) -> Any:
        """Certainty of each window; None without."""
        return None

    def explaining(self, scores: list[Scores]) -> list[Scores]:
        """The scores whose contributions count."""
        return scores

    # --- what is the same for all ----------------------------------------------------------------------------------

    @property
    def networks(self) -> list[WindowNetwork]:
        """Of the members in order."""
        return [self._program.network_of(member) for member in self.ensemble.members]

    def with_risk_options(self, options: RiskOptions) -> Self:
        """As of `Assessor`; both use the same compiled programs."""
        assert self._program
        return super().with_risk_options(options)

    def compile(self) -> None:
        """Compile now instead of with the first recording."""
        self._program.compile()

    @property
    def seconds_together(self) -> float:
        """Seconds of recordings whose windows fill all devices."""
        return self._program.fill * (self.stride or self.preprocessing.window / 2) / self.preprocessing.fps

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

    def window_risks(self, recording: Recording) -> Float[np.ndarray, "network window"]:
        """Risk of every window by every network, from which `aggregation` computes all others.

        Args and Raises: as `assess`.
        """
        ready = self._select(self.convert(recording), None)
        return _risks(self._program.scores(ready.positions)[0])

    def _select(self, converted: Recording, usable: Usable | None) -> "_Ready":
        """The standardized recording and its windows that are assessed."""
        self._program.start()  # in the background, while the recording is prepared
        cut = self.preprocessing
        prepared = standardized(converted, cut)
        starts = windows.window_starts(prepared.frames, cut.window, self.stride) / prepared.fps
        return _Ready(converted, prepared, kept_windows(usable, starts, cut.window / prepared.fps))

    def _conclude(self, ready: "_Ready", scores: list[Scores], starts: np.ndarray) -> tuple[Prediction, Recording]:
        """The prediction from the scores of the kept windows."""
        converted, prepared, keep = ready
        risks = _risks(scores)
        if not np.isfinite(risks).all():
            raise InputError(converted.name, "gives a risk that is not a number", "check its coordinates")
        risk, by_network = aggregation.infant_risk(risks), aggregation.network_risks(risks)
        median, (q1, q3) = aggregation.window_risk(risks), np.percentile(risks, [25, 75], axis=0)
        contributions = np.concatenate([s.contributions for s in self.explaining(scores)]).astype(np.float64)
        judged = self.judged(risk, by_network, risks)
        low, high, interval = judged.pop("interval")
        prediction = Prediction(
            headline=Quantity("risk", "risk of cerebral palsy", risk, float(low), float(high), interval),
            threshold=self.threshold,
            classes=("no CP", "CP"),
            **judged,
            time_series=TimeSeries.of_kept(
                keep,
                "risk in a window",
                starts / prepared.fps,
                median,
                q1,
                q3,
                self.preprocessing.window / prepared.fps,
                threshold=self.threshold,
                certainty=self.levels(median, risks),
            ),
            members=self.members(by_network),
            **aggregation.named_contributions(contributions, keep, converted.skeleton.joints),
            contributions_label=LABELS[self.explain],
        )
        return prediction, prepared


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
