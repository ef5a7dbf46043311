"""How MAM assesses a recording."""

from dataclasses import dataclass

import numpy as np

from infantjax.assessment.result import Course, Finding, Quantity
from infantjax.errors import InputError
from infantjax.methods import network as common
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam.localization import frequency, intervals
from infantjax.methods.mam.method import Mam
from infantjax.methods.mam.training import localize, video_logit
from infantjax.methods.network import NetworkFinder
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.skeletons import HUMAN36M_17


@dataclass(frozen=True, eq=False)
class MamFinder(NetworkFinder[Mam]):
    """Assesses videos with an ensemble of a reading of MAM."""

    def assess(self, recording: Recording, source_digest: str = "") -> Finding:
        """See `Finder`."""
        system, config = self.system, self.system.training
        network, step = system.network, system.localization_step
        positions, info = system.prepared(recording, self.strict)
        logits = [video_logit(network, v, positions, info, config) for v in self._instances]
        clips = np.array([localize(network, v, positions, config, step=step) for v in self._instances], np.float64)
        if not (np.isfinite(logits).all() and np.isfinite(clips).all()):
            raise InputError(recording.name, "gives a risk that is not a number", "check its coordinates")
        risks = common.sigmoid(np.array(logits))
        risk, (q1, q3) = float(np.median(risks)), np.percentile(risks, [25, 75])
        low, middle, high = np.percentile(clips, [25, 50, 75], axis=0)
        starts = motion.localization_starts(len(positions), network.frames, step)
        share = frequency(middle, starts, network.frames)
        notes = []
        if len(positions) < network.frames:
            seconds = network.frames / motion.RATE
            notes.append(f"shorter than a clip of {seconds:g} s: filled up with its last frame, which does not count")
        return self._finding(
            convert(recording, HUMAN36M_17),
            source_digest,
            quantities=(
                Quantity(
                    "risk",
                    "risk: fidgety movements sporadic or absent",
                    risk,
                    float(q1),
                    float(q3),
                    "middle half of the instances",
                ),
                Quantity(
                    "fms_frequency",
                    "FMs frequency: share of the clips with fidgety movements",
                    share.value,
                    share.low,
                    share.high,
                    "95 % interval, of as many independent clips as lie side by side (chosen)",
                ),
            ),
            decision="risk" if risk >= system.threshold else "normal",
            course=Course(
                "probability of fidgety movements in a clip, median and quartiles over the instances",
                starts / motion.RATE,
                middle,
                low,
                high,
                network.frames / motion.RATE,
                threshold=0.5,
            ),
            intervals=np.minimum(intervals(middle, starts, network.frames, motion.RATE), recording.duration),
            instances=risks.tolist(),
            notes=notes,
            history=(f"prepared for a reading of MAM, {len(positions)} frames at {motion.RATE:g} Hz",),
        )
