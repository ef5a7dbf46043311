"""Assessment of a recording that is still growing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from infantjax.assessment.assessment import Assessment
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
    """What became known since the last update.

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
    """Assesses a recording while its keypoints come, and all of it at the end.

    A window gets its value `LAG` seconds after its end, from the last one to two minutes: the same value as in the
    assessment of these minutes alone. `finish` is the ordinary assessment of all keypoints, the same as of a file. Its
    windows have the values that were given before, except for what the standardization takes from the whole recording:

    - lengths are divided by the median trunk length, here of the last minutes;
    - a gap that reaches beyond the end of a window by more than `LAG` is filled with the last point seen;
    - certainty, and windows left out, follow the quality of the last minutes;
    - after the first two minutes, frame rates that do not divide a minute shift the resampled frames by less than one;
    - the last window of all ends with the recording, so it is known at the end only.

    Windows longer than `CONTEXT`, as of methods that read a whole video, have no value before the end.

    Attributes:
        assessor: of any method.
        options: what the quality of the keypoints decides.

    Example::
        live = LiveAssessor(assessor)
        for chunk in chunks:  # recordings of a second or so, of equal frame rate and keypoints
            for window in live.add(chunk).windows:
                print(window.start, window.median)
        assessment = live.finish()
    """

    assessor: Assessor
    options: QualityOptions = DEFAULT_OPTIONS
    _chunks: list[Recording] = field(default_factory=list, init=False, repr=False)
    _told: float = field(default=-math.inf, init=False, repr=False)

    @property
    def recording(self) -> Recording:
        """All chunks as one recording.

        Raises:
            ValueError: there is none.
        """
        if not self._chunks:
            raise ValueError("no chunk was added")
        return _joined(self._chunks)

    def add(self, chunk: Recording) -> LiveUpdate:
        """Append keypoints.

        Args:
            chunk: what follows the last one.

        Raises:
            ValueError: frame rate, keypoint set, dimensions or presence of confidences differ from the first chunk.
        """
        if self._chunks and _layout(chunk) != _layout(self._chunks[0]):
            raise ValueError(f"a chunk of {_layout(chunk)} follows one of {_layout(self._chunks[0])}")
        self._chunks.append(chunk)
        ends = np.cumsum([each.frames for each in self._chunks])
        start = context_start(float(ends[-1] / chunk.fps))
        first = round(start * chunk.fps)
        # Chunks that are older than the context are not copied again for every new one.
        oldest = min(int(np.searchsorted(ends, first, side="right")), len(ends) - 1)
        recent = _joined(self._chunks[oldest:])
        left_out = first - int(ends[oldest] - self._chunks[oldest].frames)
        confidence = None if recent.confidence is None else recent.confidence[left_out:]
        return self.update(replace(recent, keypoints=recent.keypoints[left_out:], confidence=confidence), start)

    def update(self, recent: Recording, start: float = 0.0) -> LiveUpdate:
        """What the newest keypoints say, for a caller that keeps all of them.

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
        try:
            return self._with_windows(update, repaired, start)
        except (InputError, NotAssessable) as error:
            return update._replace(problem=getattr(error, "what", str(error)))

    def _with_windows(self, update: LiveUpdate, repaired: Recording, start: float) -> LiveUpdate:
        """The update with the values of the windows that are new."""
        quality = update.quality
        if quality is None or quality.reasons:
            usable = np.ones(int(repaired.duration), bool)
        else:
            usable = quality.usable.copy()
        if self._told > start:
            # Windows before the last one told are not computed again.
            usable[: int(self._told - start)] = False
        series = self.assessor.predict(self.assessor.convert(repaired), usable)[0].time_series
        kept = np.ones(len(series.start), bool) if series.usable is None else series.usable
        levels: Sequence[Level | None] = series.certainty or [None] * len(kept)
        found = []
        for number, begin in enumerate((series.start + start).tolist()):
            end = begin + series.length
            if begin > self._told + 0.5 / repaired.fps and end <= update.seconds - LAG:
                median, q1, q3 = (float(values[number]) for values in (series.median, series.q1, series.q3))
                found.append(LiveWindow(begin, end, median, q1, q3, levels[number], bool(kept[number])))
        if found:
            self._told = found[-1].start
        return update._replace(windows=tuple(found), label=series.label if found else "")

    def finish(self, source_digest: str = "") -> Assessment:
        """The assessment of all chunks.

        Args:
            source_digest: see `Assessor.assess`.

        Raises:
            ValueError: no chunk was added.
            InputError: see `Assessor.assess`.
        """
        return self.assessor.assess(self.recording, source_digest, self.options)


def context_start(seconds: float) -> float:
    """Where the keypoints that an update needs begin: at a whole minute, at least `CONTEXT` before the newest one.

    Args:
        seconds: length of the recording so far.
    """
    return CONTEXT * max(0.0, seconds // CONTEXT - 1)


def _joined(chunks: Sequence[Recording]) -> Recording:
    """One recording of chunks that follow each other."""
    first = chunks[0]
    confidence = None if first.confidence is None else np.concatenate([c.confidence for c in chunks])
    return replace(first, keypoints=np.concatenate([c.keypoints for c in chunks]), confidence=confidence)


def _layout(chunk: Recording) -> tuple[float, str, int, bool]:
    """What all chunks have in common."""
    return chunk.fps, chunk.skeleton.name, chunk.keypoints.shape[-1], chunk.confidence is not None
