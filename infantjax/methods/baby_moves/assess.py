"""How Baby Moves assesses a recording."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from einops import reduce
from jaxtyping import Array, Float

from infantjax.assessment import aggregation
from infantjax.assessment.assessment import Prediction, TimeSeries
from infantjax.assessment.assessor import NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.evaluation.calibration import Platt
from infantjax.explanation.saliency import LABELS, relative
from infantjax.methods import common
from infantjax.methods.baby_moves import preprocessing as motion
from infantjax.methods.baby_moves.model import FRAMES, STEP
from infantjax.methods.baby_moves.model import BabyMoves as BabyMovesNet
from infantjax.recording.recording import Recording
from infantjax.settings import require_one_of
from infantjax.skeletons import BABY_MOVES_18

_CALIBRATIONS = {
    "reference": "calibrated at even prevalence as in the reference implementation, so no probability in a population",
    "population": "calibrated at the prevalence of the validation videos",
}


@dataclass(frozen=True, eq=False)
class BabyMovesAssessor(NetworkAssessor["BabyMoves"]):
    """Assesses videos with an ensemble of Baby Moves.

    Attributes:
        explain: "saliency" gives contributions of the points, which takes many times as long; None gives none.

    Raises:
        InputError: the ensemble has no calibration for every network, or no calibrated network.
        ValueError: another method of explanation.
    """

    explain: Literal["saliency"] | None = None

    def __post_init__(self) -> None:
        if self.explain is not None:
            require_one_of("explain", self.explain, ("saliency",))
        curves = self.ensemble.info.extra.get("calibrations")
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

    @cached_property
    def _saliency(self) -> Any:
        def of_clips(variables: Any, series: Any, metadata: Any) -> Any:
            return relative(of_points(clip_saliency(self.network, variables, series, metadata)))

        return jax.jit(of_clips)

    def convert(self, recording: Recording) -> Recording:
        """The 18 points of a recording that moves."""
        return self.method.convert(recording, self.strict)

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """The calibrated risk, and the attention of the networks over time."""
        method, network = self.method, self.method.network
        metadata = motion.read_metadata(converted, network.entries)[None] if network.metadata else None
        processed = method.standardize(converted)
        series = method.series(processed)[None]
        starts, length = motion.clip_starts() / processed.fps, motion.CLIP / processed.fps
        keep = kept_windows(usable, starts, length)
        present = None if keep.all() else keep[None]
        outputs = [self._apply(variables, series, metadata, present) for variables in self.variables]
        risks = self._calibrated(np.array([logit for logit, _ in outputs], np.float64), converted.name)
        calibrated = risks[np.isfinite(risks)]
        low, middle, high = np.percentile(
            [np.asarray(attention)[keep] for _, attention in outputs], [25, 50, 75], axis=0
        )
        notes = processed.notes
        if left_out := len(risks) - len(calibrated):
            notes += (f"{left_out} of {len(risks)} networks could not be calibrated and do not count",)
        contributions = {}
        if self.explain is not None:
            known = None if metadata is None else metadata[0]
            maps = np.stack([self._saliency(variables, series[0], known)[keep] for variables in self.variables])
            contributions = aggregation.named_contributions(maps.astype(np.float64), keep, converted.skeleton.joints)
            contributions["contributions_label"] = LABELS[self.explain]
        prediction = Prediction(
            **common.risk_of_networks(
                calibrated,
                method.threshold,
                f"risk of abnormal or absent fidgety movements, {_CALIBRATIONS[method.calibration]}",
                ("normal", "abnormal or absent"),
            ),
            time_series=TimeSeries.of_kept(
                keep, "attention of the network to a clip", starts, middle, low, high, length
            ),
            members=self.members(risks),
            **contributions,
        )
        return prediction, replace(converted, notes=notes, history=processed.history)

    def _calibrated(self, logits: np.ndarray, name: str) -> np.ndarray:
        """Risk by each network; NaN for one that could not be calibrated."""
        if not np.isfinite(logits).all():
            raise InputError(name, "gives a risk that is not a number", "check its coordinates")
        curves = self.ensemble.info.extra["calibrations"]
        risks = common.sigmoid(logits)[:, None]
        calibrated = [[math.nan] if curve is None else Platt(*curve)(risk) for curve, risk in zip(curves, risks)]
        return np.concatenate(calibrated)


def clip_saliency(
    module: BabyMovesNet,
    variables: Any,
    series: Float[Array, "time 46"],
    metadata: Float[Array, " entry"] | None = None,
) -> Float[Array, "clip 46"]:
    """Gradient of the logit of a video by each series of each clip.

    Args:
        module: the network.
        variables: its weights.
        series: of the video.
        metadata: age and cohort, for a network that reads them.

    Returns:
        Magnitude of the gradient by the clip's input, summed over its frames. Clips overlap; each is an input of its
        own.
    """
    starts = np.arange(0, len(series) - FRAMES + 1, STEP)
    clips = jnp.asarray(series)[starts[:, None] + np.arange(FRAMES)]
    known = None if metadata is None else jnp.asarray(metadata)[None]
    gradient = jax.grad(lambda clips: module.apply(variables, clips[None], known)[0][0])(clips)
    return jnp.abs(gradient).sum(axis=1)


def of_points(saliency: Float[Array, "*batch 46"]) -> Float[Array, "*batch 18"]:
    """The saliency of each body point: of its x and its y; angles are left out."""
    points = saliency[..., : 2 * len(BABY_MOVES_18.joints)]
    return reduce(points, "... (joint coordinate) -> ... joint", "sum", coordinate=2)
