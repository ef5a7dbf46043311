"""One frame, and the iterator over the frames of a source."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from infantjax.errors import InputError

if TYPE_CHECKING:
    import av

MIN_SIDE, MAX_SIDE = 32, 16_384
"""Shortest and longest side of a frame that is read, pixels."""
GAP_SECONDS = 0.5
"""Longest time between two frames that is no gap."""

WHOLE_FILE = "give a whole file"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    Attributes:
        index: 0, 1, 2, ... in the order of time.
        time: seconds since the first frame.
        height: of the upright frame, pixels.
        width: of the upright frame, pixels.
        name: file name, if each frame is a file.
    """

    index: int
    time: float
    height: int
    width: int
    name: str
    _native: "av.VideoFrame" = field(repr=False)
    _turns: int = field(repr=False, default=0)

    @property
    def interlaced(self) -> bool:
        """Whether the frame was recorded as two fields at different times."""
        return bool(self._native.interlaced_frame)

    @classmethod
    def from_array(cls, index: int, time: float, name: str, image: UInt8[np.ndarray, "height width 3"]) -> "Frame":
        """A frame of an upright RGB image."""
        import av

        native = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        height, width = image.shape[:2]
        return cls(index, time, height, width, name, native)

    def pixels(self, height: int | None = None, width: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """The upright frame in RGB, 8 bit; resized by area means if sides are given."""
        height, width = height or self.height, width or self.width
        sides = (width, height) if self._turns % 2 == 0 else (height, width)
        if sides == (self._native.width, self._native.height):
            image = self._native.to_ndarray(format="rgb24")
        else:
            scaled = self._native.reformat(width=sides[0], height=sides[1], format="rgb24", interpolation="AREA")
            image = scaled.to_ndarray()
        return np.ascontiguousarray(np.rot90(image, self._turns)) if self._turns else image

    def cropped(self, top: int, left: int, height: int, width: int) -> "Frame":
        """A part of the upright frame as a frame.

        Raises:
            ValueError: the part is empty or reaches outside of the frame.
        """
        if min(top, left) < 0 or min(height, width) < 1 or top + height > self.height or left + width > self.width:
            raise ValueError(f"{width}x{height} pixels at {left}, {top} do not lie in {self.width}x{self.height}")
        part = self.pixels()[top : top + height, left : left + width]
        return Frame.from_array(self.index, self.time, self.name, part)


class Frames(ABC):
    """An iterator over the frames of one source.

    Attributes:
        path: the file or folder.
        fps: frames per second as stated or as the time stamps give; NaN for one image.
        expected: number of frames that the source declares; 0 if it declares none.
        notes: remarks for readers of the results; complete after the last frame.
        provenance: name and version of the decoder.

    Raises:
        InputError: while iterating, if the source has no usable frame, or its frames are too small or too large.
    """

    path: Path
    fps: float
    expected: int
    notes: list[str]
    provenance: str

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first."""


def check_sides(path: Path, height: int, width: int) -> None:
    """Refuse frames that are too small or too large.

    Raises:
        InputError: a side is not within `MIN_SIDE` and `MAX_SIDE`.
    """
    if min(height, width) < MIN_SIDE:
        raise InputError(path, f"has frames of {width}x{height} pixels, too small", f"give at least {MIN_SIDE}")
    if max(height, width) > MAX_SIDE:
        raise InputError(path, f"has frames of {width}x{height} pixels, too large", f"give at most {MAX_SIDE}")


def describe_error(error: Exception) -> str:
    """The message of a decoder's or system's error as the end of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())[:100].rstrip(".").lower()
