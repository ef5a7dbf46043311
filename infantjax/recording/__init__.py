"""Keypoint recordings: types, conversion between keypoint sets, cleaning, preprocessing, windows, features."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Cohort": "infantjax.recording.cohort",
        "Metadata": "infantjax.recording.metadata",
        "Recording": "infantjax.recording.recording",
        "convert": "infantjax.recording.conversion",
    }
    | {
        module: f"infantjax.recording.{module}"
        for module in (
            "augmentation",
            "cleaning",
            "cohort",
            "conversion",
            "features",
            "metadata",
            "preprocessing",
            "recording",
            "windows",
        )
    },
)
