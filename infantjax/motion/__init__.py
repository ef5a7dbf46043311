"""Keypoint recordings: reading, cleaning, normalising, cutting into windows, features."""

from infantjax.motion.recording import Recording

__all__ = ["Recording"]
