"""Tracking quality of a recording, from its keypoints alone: measures, limits, repair, distance from training inputs.

Example::
    quality = measure_quality(recording)
    quality.assessable, quality.reasons, quality.usable
    repaired = repair(recording)
"""

from infantjax.recording.quality.limits import QualityLimits
from infantjax.recording.quality.measure import measure_quality
from infantjax.recording.quality.moments import Moments, distance, moments
from infantjax.recording.quality.repair import repair
from infantjax.recording.quality.result import Fault, Measure, Quality

__all__ = [
    "Fault",
    "Measure",
    "Moments",
    "Quality",
    "QualityLimits",
    "distance",
    "measure_quality",
    "moments",
    "repair",
]
