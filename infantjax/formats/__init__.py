"""Keypoint files: one module a format, recognized by content; folders of recordings with their outcomes."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "FORMATS": "infantjax.formats.registry",
        "Format": "infantjax.formats.registry",
        "check_fps": "infantjax.formats.timing",
        "format_of": "infantjax.formats.registry",
        "read": "infantjax.formats.registry",
        "read_annotated": "infantjax.formats.cohort",
        "read_cohort": "infantjax.formats.cohort",
        "stem_of": "infantjax.formats.tracks",
        "write": "infantjax.formats.registry",
    },
)
