"""How the SMA CNN assesses a recording."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import jax
import numpy as np

from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.evaluation.agreement import RELIABLE_CHANGE
from infantjax.methods.sma_cnn.evaluation import AGGREGATOR, Aggregation, LinearAggregator, aggregate
from infantjax.methods.sma_cnn.preprocessing import RATE, require_limbs, track, window_starts
from infantjax.recording.recording import Recording


@dataclass(frozen=True, eq=False)
class SmaAssessor(NetworkAssessor["SmaCnn"]):
    """Assesses recordings with an ensemble of SMA CNNs. Its four keypoints are never approximated."""

    @cached_property
    def _apply(self) -> Any:
        return jax.jit(lambda variables, windows: self.network.apply(variables, windows)[0])

    def convert(self, recording: Recording) -> Recording:
        """The recording as it is: the limbs are read from any skeleton that has them."""
        require_limbs(recording)
        return recording

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """The score by every aggregation over windows, and over time."""
        method = self.method
        windows = method.prepare(converted)
        starts, length = window_starts(converted, method.preprocessing), method.preprocessing.window / converted.fps
        keep = kept_windows(usable, starts, length)
        scores = self._window_scores(windows[keep], converted.name)
        low, middle, high = np.percentile(scores, [25, 50, 75], axis=0)
        by_network = {how: [aggregate(row, how) for row in scores] for how in get_args(Aggregation)}
        if method.aggregation == "linear":
            by_network["linear"] = [self._aggregator(row) for row in scores]
        q1, q3 = np.percentile(middle, [25, 75])
        least, most = method.scale
        limits = (min(least, float(low.min())), max(most, float(high.max())))
        prediction = Prediction(
            headline=Quantity(
                "score",
                f"motor score of the {method.score_name}, {least:g} to {most:g}, {method.aggregation} over windows",
                float(np.median(by_network[method.aggregation])),
                float(q1),
                float(q3),
                "middle half of the windows",
                "points",
                limits,
            ),
            quantities=tuple(
                Quantity(f"score_{how}", f"{how} over windows", float(np.median(values)), unit="points", limits=limits)
                for how, values in by_network.items()
            )
            + self._reliable_change,
            time_series=TimeSeries.of_kept(keep, "score of a window", starts, middle, low, high, length, limits=limits),
            members=self.members(by_network[method.aggregation]),
        )
        return prediction, replace(converted, notes=(*converted.notes, *self._notes(converted)))

    @cached_property
    def _aggregator(self) -> LinearAggregator:
        """The second layer over windows.

        Raises:
            InputError: the ensemble has none.
        """
        try:
            return LinearAggregator.from_json(self.ensemble.info.extra.get(AGGREGATOR))
        except ValueError as error:
            what = f"cannot be used with the aggregation linear ({error})"
            raise InputError("ensemble", what, "train it by crossval on several infants") from None

    @cached_property
    def _reliable_change(self) -> tuple[Quantity, ...]:
        """Change between two visits by error alone; empty where the ensemble has none.

        Raises:
            InputError: it is no number.
        """
        value = self.ensemble.info.extra.get(RELIABLE_CHANGE)
        if value is None:
            return ()
        if not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise InputError("ensemble", f"has a {RELIABLE_CHANGE} that is no number", "use one that infantjax wrote")
        low, high = self.method.scale
        label = "change between two visits that error alone exceeds in 5 % of held-out cases; not validated on infants"
        return (Quantity(RELIABLE_CHANGE, label, float(value), unit="points", limits=(0.0, high - low)),)

    def _window_scores(self, windows: np.ndarray, name: str) -> np.ndarray:
        """`[network, window]` scores in points."""
        size = self.method.training.evaluation_batch
        filled = np.concatenate([windows, np.zeros((-len(windows) % size, *windows.shape[1:]), np.float32)])[..., None]
        batches = [filled[i : i + size] for i in range(0, len(filled), size)]
        scores = [np.concatenate([self._apply(v, batch) for batch in batches]) for v in self.variables]
        found = np.array(scores, np.float64)[:, : len(windows)]
        if not np.isfinite(found).all():
            raise InputError(name, "gives a score that is not a number", "check its coordinates")
        return found

    def _notes(self, recording: Recording) -> list[str]:
        """How the recording differs from the published ones."""
        notes = []
        if abs(recording.fps / RATE - 1) > 0.1:
            seconds = self.method.preprocessing.window / recording.fps
            notes.append(f"at {recording.fps:g} frames per second a window lasts {seconds:.3g} s; published are 30 s")
        if (track(recording)[..., 2] == 0).all():
            notes.append("two coordinates: the published tracks have depth as well")
        return notes
