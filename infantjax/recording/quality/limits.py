"""Thresholds of the measures of tracking quality."""

from dataclasses import dataclass


@dataclass(frozen=True)
class QualityLimits:
    """Thresholds; all are our choice unless a source is named.

    Attributes:
        min_fps: lowest frame rate, hertz.
        missing: share of missing body points of a second.
        frozen: share of a second's frames whose points all equal those of the frame before.
        min_seconds: least usable seconds of a recording.
        min_share: least usable share of a recording.
    """

    min_fps: float = 10.0
    missing: float = 0.3
    frozen: float = 0.5
    min_seconds: float = 4.0
    min_share: float = 0.5


DEFAULT_LIMITS = QualityLimits()
"""The limits that are used where none are given."""
