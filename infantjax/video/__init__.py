"""Frames out of videos and pictures, and frames into a video."""

from infantjax.video.reading import Frame, Frames, open_frames
from infantjax.video.writing import write_overlay

__all__ = ["Frame", "Frames", "open_frames", "write_overlay"]
