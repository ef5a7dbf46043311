"""How Baby Moves assesses a recording."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from infantjax.assessment.result import Course, Finding, Quantity
from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt
from infantjax.methods import network as common
from infantjax.methods.baby_moves import preprocessing as motion
from infantjax.methods.baby_moves.method import BabyMoves, metadata_of
from infantjax.methods.network import NetworkFinder
from infantjax.recording.recording import Recording


@dataclass(frozen=True, eq=False)
class BabyMovesFinder(NetworkFinder[BabyMoves]):
    """Assesses videos with an ensemble of Baby Moves."""

    def __post_init__(self) -> None:
        curves = self.ensemble.info.get("calibrations")
        if not isinstance(curves, list) or len(curves) != sum(m.runs for m in self.ensemble.members):
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
