"""How the SMA CNN assesses a recording."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from infantjax.assessment.result import Course, Finding, Quantity
from infantjax.errors import InputError
from infantjax.evaluation.regression import aggregate
from infantjax.methods.network import NetworkFinder
from infantjax.methods.sma_cnn import preprocessing as limbs
from infantjax.methods.sma_cnn.method import RATE, Sma
from infantjax.recording.recording import Recording


@dataclass(frozen=True, eq=False)
class SmaFinder(NetworkFinder[Sma]):
    """Assesses recordings with an ensemble of SMA CNNs; nothing is approximated, `strict` or not."""

    @cached_property
    def _apply(self) -> Any:
        return jax.jit(lambda variables, windows: self.system.network.apply(variables, windows)[0])

    def assess(self, recording: Recording, source_digest: str = "") -> Finding:
        """See `Finder`."""
        system, size = self.system, self.system.training.evaluation_batch
        windows = system.prepared(recording)
        filled = np.concatenate([windows, np.zeros((-len(windows) % size, *windows.shape[1:]), np.float32)])[..., None]
        found = np.array(
            [
                np.concatenate([self._apply(v, filled[i : i + size]) for i in range(0, len(filled), size)])
                for v in self._instances
            ],
            np.float64,
        )[:, : len(windows)]
        if not np.isfinite(found).all():
            raise InputError(recording.name, "gives a score that is not a number", "check its coordinates")
        low, middle, high = np.percentile(found, [25, 50, 75], axis=0)
        instances = [aggregate(of_run, system.aggregation) for of_run in found]
        over_runs = {how: [aggregate(of_run, how) for of_run in found] for how in ("mean", "median", "fence")}
        q1, q3 = np.percentile(middle, [25, 75])
        track, notes = limbs.track(recording), []
        if abs(recording.fps / RATE - 1) > 0.1:
            seconds = system.window / recording.fps
            notes.append(f"at {recording.fps:g} frames per second a window lasts {seconds:.3g} s; published are 30 s")
        if (track[..., 2] == 0).all():
            notes.append("two coordinates: the published tracks have depth as well")
        starts = window_starts(recording, system)
        assert system.score_range is not None
        limits = (min(system.score_range[0], float(low.min())), max(system.score_range[1], float(high.max())))
        others = [
            Quantity(f"score_{how}", f"{how} over windows", float(np.median(values)), unit="points")
            for how, values in over_runs.items()
        ]
        return self._finding(
            recording,
            source_digest,
            quantities=(
                Quantity(
                    "score",
                    f"motor score of the extremity items of CHOP INTEND, 0 to 72, {system.aggregation} over windows",
                    float(np.median(instances)),
                    float(q1),
                    float(q3),
                    "middle half of the windows",
                    "points",
                ),
                *others,
            ),
            course=Course(
                "score of a window, median and quartiles over the runs",
                starts,
                middle,
                low,
                high,
                system.window / recording.fps,
                limits,
            ),
            instances=instances,
            notes=notes,
        )


def window_starts(recording: Recording, system: Sma) -> np.ndarray:
    """Seconds at which the windows of a recording start."""
    track = limbs.track(recording)
    frames = np.broadcast_to(np.arange(recording.frames, dtype=np.float64)[:, None, None], track.shape).copy()
    frames[np.isnan(track)] = np.nan
    parts = limbs.stretches(frames, np.arange(recording.frames) / recording.fps, system.longest_step, system.join_gaps)
    firsts = [part[s, 0, 0] for part in parts for s in range(0, len(part) - system.window + 1, system.step)]
    return np.array(firsts) / recording.fps
