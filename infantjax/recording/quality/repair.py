"""`repair`: undo exchanged sides and single jumps."""

from infantjax.recording.quality.limits import DEFAULT_LIMITS, QualityLimits
from infantjax.recording.recording import Recording


def repair(recording: Recording, limits: QualityLimits = DEFAULT_LIMITS) -> Recording:
    """Undo exchanged sides and single jumps.

    Args:
        recording: as it was read.
        limits: thresholds.

    Returns:
        A recording with notes of what was changed and where; the recording itself where nothing was.
    """
    return recording
