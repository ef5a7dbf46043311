"""Values of the windows of a recording that is still growing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from infantjax.assessment.assessor import Assessor
from infantjax.assessment.certainty import Level
from infantjax.assessment.gate import DEFAULT_OPTIONS, NotAssessable, QualityOptions
from infantjax.errors import InputError
from infantjax.recording.quality import Quality, measure_quality, repair
from infantjax.recording.recording import Recording

LAG = 1.0
"""Seconds between the end of a window and its value: filters need what follows (our choice)."""
CONTEXT = 60.0
"""Seconds before a window that decide how it is standardized and which keypoints are trusted (our choice)."""


class LiveWindow(NamedTuple):
    """The value of a window, as soon as it is known.

    Attributes:
        start: seconds of the recording.
        end: seconds of the recording.
        median: over the networks; NaN where the window is left out.
        q1: 25th percentile over the networks.
        q3: 75th percentile over the networks.
        certainty: None where the method has none, or the window is left out.
        usable: False where it is left out because of tracking faults.
    """

    start: float
    end: float
    median: float
    q1: float
    q3: float
    certainty: Level | None
    usable: bool


class LiveUpdate(NamedTuple):
    """Values that became known since the last update.

    Attributes:
        seconds: length of the recording so far.
        recent: keypoints of the last one to two minutes.
        quality: of `recent`; None where it is not measured.
        windows: that were finished since the last update.
        label: what their values are, in words; empty without windows.
        problem: why there are no values at present; else empty.
    """

    seconds: float
    recent: Recording
    quality: Quality | None
    windows: tuple[LiveWindow, ...] = ()
    label: str = ""
    problem: str = ""


@dataclass
class LiveAssessor:
    """Gives the values of the windows of a recording while its keypoints come.

    A window gets its value `LAG` seconds after its end, from the last one to two minutes: the same value as in the
    assessment of these minutes alone. The assessment of the whole recording at its end gives the same values, except
    for what the standardization takes from the whole recording:

    - lengths are divided by the median trunk length, here of the last minutes;
    - a gap that reaches beyond the end of a window by more than `LAG` is filled with the last point seen;
    - certainty, and windows left out, follow the quality of the last minutes;
    - after the first two minutes, frame rates that do not divide a minute shift the resampled frames by less than one;
    - the last window of all ends with the recording, so it is known at the end only.

    Windows longer than `CONTEXT`, as of methods that read a whole video, have no value before the end.

    Attributes:
        assessor: of any method.
        options: what the quality of the keypoints decides.
    """

    assessor: Assessor
    options: QualityOptions = DEFAULT_OPTIONS
    _newest: float = field(default=-math.inf, init=False, repr=False)

    def update(self, recent: Recording, start: float = 0.0) -> LiveUpdate:
        """The values of the windows that became known.

        Args:
            recent: the keypoints from `context_start` on.
            start: of them, seconds of the whole recording.
        """
        repaired = repair(recent) if self.options.repair else recent
        reference = self.assessor.moments
        quality = measure_quality(repaired, reference=reference) if self.options.quality else None
        update = LiveUpdate(start + recent.duration, recent, quality)
        if quality is not None and quality.reasons and not self.options.force:
            return update._replace(problem=", ".join(quality.reasons))
        usable = np.ones(int(repaired.duration), bool)
        if quality is not None and not quality.reasons:
            usable = quality.usable.copy()
        if self._newest > start:
            # Windows before the newest one are not computed again.
            usable[: int(self._newest - start)] = False
        try:
            series = self.assessor.predict(self.assessor.convert(repaired), usable)[0].time_series
        except (InputError, NotAssessable) as error:
            return update._replace(problem=getattr(error, "what", str(error)))
        kept = np.ones(len(series.start), bool) if series.usable is None else series.usable
        levels: Sequence[Level | None] = series.certainty or [None] * len(kept)
        found = []
        for number, begin in enumerate((series.start + start).tolist()):
            end = begin + series.length
            if begin > self._newest + 0.5 / repaired.fps and end <= update.seconds - LAG:
                median, q1, q3 = (float(values[number]) for values in (series.median, series.q1, series.q3))
                found.append(LiveWindow(begin, end, median, q1, q3, levels[number], bool(kept[number])))
        if found:
            self._newest = found[-1].start
        return update._replace(windows=tuple(found), label=series.label if found else "")


def context_start(seconds: float) -> float:
    """Where the keypoints that an update needs begin: at a whole minute, at least `CONTEXT` before the newest one.

    Args:
        seconds: length of the recording so far.
    """
    return CONTEXT * max(0.0, seconds // CONTEXT - 1)
