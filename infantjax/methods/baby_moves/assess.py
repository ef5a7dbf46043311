"""How Baby Moves assesses a recording."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt
from infantjax.methods import common
from infantjax.methods.baby_moves import preprocessing as motion
from infantjax.methods.baby_moves.method import BabyMoves, read_metadata
from infantjax.recording.recording import Recording

_CALIBRATIONS = {
    "reference": "calibrated at even prevalence as in the reference implementation, so no probability in a population",
    "population": "calibrated at the prevalence of the validation videos",
}


@dataclass(frozen=True, eq=False)
class BabyMovesAssessor(NetworkAssessor[BabyMoves]):
    """Assesses videos with an ensemble of Baby Moves.

    Raises:
        InputError: the ensemble has no calibration for every network, or no calibrated network.
    """

    def __post_init__(self) -> None:
        curves = self.ensemble.info.get("calibrations")
        if not isinstance(curves, list) or len(curves) != sum(m.runs for m in self.ensemble.members):
            raise InputError("ensemble", "has no calibration for every network", "use one that infantjax wrote")
        if all(curve is None for curve in curves):
            raise InputError("ensemble", "has no calibrated network", "train it again")

    @cached_property
    def _apply(self) -> Any:
        def apply(variables: Any, series: Any, metadata: Any, present: Any) -> Any:
            logits, aux = self.network.apply(variables, series, metadata, present=present)
            return logits[0], aux["attention"][0]

        return jax.jit(apply)

    def convert(self, recording: Recording) -> Recording:
        """See `Assessor`."""
        return self.method.convert(recording, self.strict)

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """See `Assessor`."""
        method = self.method
        metadata = read_metadata(converted)[None] if method.network.metadata else None
        processed = method.standardize(converted)
        series = method.series(processed)[None]
        starts, length = motion.clip_starts() / processed.fps, motion.CLIP / processed.fps
        keep = kept_windows(usable, starts, length)
        present = None if keep.all() else keep[None]
        outputs = [self._apply(variables, series, metadata, present) for variables in self.variables]
        risks = self._calibrated(np.array([logit for logit, _ in outputs], np.float64), converted.name)
        calibrated = risks[np.isfinite(risks)]
        risk, (q1, q3) = float(np.median(calibrated)), np.percentile(calibrated, [25, 75])
        low, middle, high = np.percentile(
            [np.asarray(attention)[keep] for _, attention in outputs], [25, 50, 75], axis=0
        )
        positive = bool(risk >= method.threshold)
        notes = processed.notes
        if left_out := len(risks) - len(calibrated):
            notes += (f"{left_out} of {len(risks)} networks could not be calibrated and do not count",)
        prediction = Prediction(
            headline=Quantity(
                "risk",
                f"risk of abnormal or absent fidgety movements, {_CALIBRATIONS[method.calibration]}",
                risk,
                float(q1),
                float(q3),
                "middle half of the networks",
            ),
            threshold=method.threshold,
            classes=("normal", "abnormal or absent"),
            positive=positive,
            agreement=float(((calibrated >= method.threshold) == positive).mean()),
            time_series=TimeSeries.of_kept(
                keep, "attention of the network to a clip", starts, middle, low, high, length
            ),
            members=self.members(risks),
        )
        return prediction, replace(converted, notes=notes, history=processed.history)

    def _calibrated(self, logits: np.ndarray, name: str) -> np.ndarray:
        """Risk by each network; NaN for one that could not be calibrated."""
        if not np.isfinite(logits).all():
            raise InputError(name, "gives a risk that is not a number", "check its coordinates")
        curves = self.ensemble.info["calibrations"]
        risks = common.sigmoid(logits)[:, None]
        calibrated = [[math.nan] if curve is None else Platt(*curve)(risk) for curve, risk in zip(curves, risks)]
        return np.concatenate(calibrated)
