"""The gate before the networks: what is left out of an assessment because its keypoints are not to be trusted."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from infantjax.report.record import Level

if TYPE_CHECKING:
    from infantjax.assessment.assessment import Assessment, Prediction

MAX_UNUSABLE = 0.05
"""Largest fraction of a window that may be unusable; a window with more is left out (our choice). Of a window of five
seconds it allows nothing, of one of thirty seconds a single second."""
APPROXIMATED = "points are approximated from others"
"""Words of the warning that says so; all recordings of one tracker have the same."""
_UNCERTAIN: dict[Level, Level] = {"green": "yellow", "red": "orange"}


@dataclass(frozen=True)
class QualityOptions:
    """How the quality of the keypoints decides what is assessed.

    Attributes:
        quality: Whether to measure the quality of the keypoints first, leave out what is unusable, and give no value
            where too little is left. Without it the pipeline is exactly the published one.
        force: Assess recordings that are not assessable all the same; every report says so.
        repair: Undo exchanged sides and single jumps of points first; every report says what and where.

    Raises:
        ValueError: `force` without `quality`.
    """

    quality: bool = True
    force: bool = False
    repair: bool = False

    def __post_init__(self) -> None:
        if self.force and not self.quality:
            raise ValueError("without quality nothing is refused, so there is nothing to force")


DEFAULT_OPTIONS = QualityOptions()
"""The options where none are given."""
UNGATED = QualityOptions(quality=False)
"""Exactly the published pipeline: every window of every recording counts."""


class NotAssessable(Exception):
    """A recording whose keypoints leave a method nothing to assess; the message is the reason."""


def kept_windows(
    usable: Bool[np.ndarray, " second"] | None, start: Float[np.ndarray, " window"], length: float
) -> Bool[np.ndarray, " window"]:
    """The windows that are assessed: those of which at most `MAX_UNUSABLE` is unusable.

    Args:
        usable: for each second of the recording; None keeps every window.
        start: of each window, seconds.
        length: of every window, seconds.

    Raises:
        NotAssessable: no window is left.
    """
    if usable is None:
        return np.ones(len(start), bool)
    # Unusable seconds up to any time, of which a window takes the difference between its ends.
    total = np.concatenate([[0.0], np.cumsum(~usable)])
    at_ends = np.interp([start, start + length], np.arange(len(total)), total)
    keep = at_ends[1] - at_ends[0] <= MAX_UNUSABLE * length
    if not keep.any():
        raise NotAssessable(f"no window of {length:.3g} s is free of tracking faults")
    return keep


def warnings(assessment: "Assessment") -> tuple[str, ...]:
    """Warnings that belong beside the value wherever it is shown, in a few words each."""
    found: list[str] = []
    if assessment.forced:
        found.append(f"forced although not assessable: {', '.join(assessment.reasons)}")
    elif share := left_out(assessment):
        found.append(f"tracking faults: {share:.0%} of the windows are left out")
    if assessment.quality is not None and assessment.assessable:
        found += [f"not certain: {doubt}" for doubt in assessment.quality.doubts]
    found += assessment.repairs
    if assessment.approximated:
        joints = ", ".join(assessment.approximated)
        found.append(f"{len(assessment.approximated)} {APPROXIMATED}: {joints}")
    return tuple(found)


def left_out(assessment: "Assessment") -> float:
    """The fraction of the windows that an assessment leaves out."""
    usable = assessment.time_series.usable
    return 0.0 if usable is None else float(1 - np.mean(usable))


def without_certainty(prediction: "Prediction") -> "Prediction":
    """A prediction that is uncertain at most: the decision keeps its side, green becomes yellow and red orange."""
    levels = prediction.time_series.certainty
    series = replace(prediction.time_series, certainty=None if levels is None else tuple(map(_uncertain, levels)))
    certainty = prediction.certainty
    if certainty is not None:
        certainty = replace(certainty, level=_UNCERTAIN.get(certainty.level, certainty.level), doubted=True)
    return replace(prediction, certainty=certainty, time_series=series)


def _uncertain(level: Level | None) -> Level | None:
    return None if level is None else _UNCERTAIN.get(level, level)
