"""How MAM assesses a recording."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from infantjax.assessment.assessment import Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import NetworkAssessor, Usable
from infantjax.assessment.gate import kept_windows
from infantjax.errors import InputError
from infantjax.methods import common
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam.inference import frequency, intervals, localize, video_logit
from infantjax.pose.lifting import Lifter
from infantjax.recording.conversion import convert
from infantjax.recording.quality import Moments
from infantjax.recording.recording import Recording, require_movement
from infantjax.skeletons import HUMAN36M_17


@dataclass(frozen=True, eq=False)
class MamAssessor(NetworkAssessor["Mam"]):
    """Assesses videos with an ensemble of MAM.

    Attributes:
        lifter: lifts recordings in 2D; None where the ensemble reads 2D.
    """

    lifter: Lifter | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the method and of the lifter."""
        return super().settings | ({} if self.lifter is None else {"lifting": self.lifter.settings})

    @cached_property
    def moments(self) -> Moments | None:
        """Moments of the training recordings; None with a lifter, as those are in 3D and quality is measured in 2D."""
        return super().moments if self.lifter is None else None

    def convert(self, recording: Recording) -> Recording:
        """The 17 points of a recording, lifted where it is in 2D and the ensemble reads 3D."""
        require_movement(recording)
        if self.lifter is not None and recording.keypoints.shape[2] == 2:
            recording = self.lifter(recording)
        return convert(recording, HUMAN36M_17, strict=self.strict)

    def predict(self, converted: Recording, usable: Usable | None = None) -> tuple[Prediction, Recording]:
        """The risk, the frequency of fidgety movements, and their probability over time."""
        method, config, network = self.method, self.method.training, self.network
        positions, info = method.prepare(converted)
        seconds = network.frames / motion.RATE
        instances = motion.clip_starts(len(positions), network.frames, config.step)
        instances = instances[kept_windows(usable, instances / motion.RATE, seconds)]
        starts = motion.localization_starts(len(positions), network.frames, method.localization_step)
        keep = kept_windows(usable, starts / motion.RATE, seconds)
        logits = [video_logit(network, v, positions, info, config, starts=instances) for v in self.variables]
        found = [localize(network, v, positions, config, starts=starts[keep]) for v in self.variables]
        clips = np.array(found, np.float64)
        if not (np.isfinite(logits).all() and np.isfinite(clips).all()):
            raise InputError(converted.name, "gives a risk that is not a number", "check its coordinates")
        risks = common.sigmoid(np.array(logits))
        low, middle, high = np.percentile(clips, [25, 50, 75], axis=0)
        share = frequency(middle, starts[keep], network.frames)
        prediction = Prediction(
            **common.risk_of_networks(
                risks, method.threshold, "risk: fidgety movements sporadic or absent", ("normal", "risk")
            ),
            quantities=(
                Quantity(
                    "fms_frequency",
                    "FMs frequency: fraction of the clips with fidgety movements",
                    *share,
                    "95 % interval, from as many independent clips as fit side by side (our choice)",
                ),
            ),
            time_series=TimeSeries.of_kept(
                keep,
                "probability of fidgety movements in a clip",
                starts / motion.RATE,
                middle,
                low,
                high,
                seconds,
                threshold=0.5,
            ),
            members=self.members(risks),
            intervals=np.minimum(intervals(middle, starts[keep], network.frames, motion.RATE), converted.duration),
            intervals_label="fidgety movements",
        )
        return prediction, self._reported(converted, len(positions))

    def _reported(self, converted: Recording, frames: int) -> Recording:
        """The recording with what was done to it."""
        clip, notes = self.method.network.frames, converted.notes
        if frames < clip:
            seconds = clip / motion.RATE
            notes += (f"shorter than a clip of {seconds:g} s: filled up with its last frame, which does not count",)
        step = f"prepared for MAM, {frames} frames at {motion.RATE:g} Hz"
        return replace(converted, notes=notes, history=(*converted.history, step))
