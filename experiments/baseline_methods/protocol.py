"""What every comparator is: it prepares each recording once, and is fitted on the training infants of each fold.

All folds are fitted in one call, because the folds of a network are one compiled stack of runs.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.errors import InputError
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.training.splits import Split
from infantjax.video import Frames

CLIP_RATE = 10.0
"""Frames per second of a clip (our choice)."""


class Clip(NamedTuple):
    """The gray frames of a video at `CLIP_RATE`.

    Attributes:
        frames: `[time, height, width]`, 0..255.
        fps: hertz.
    """

    frames: UInt8[np.ndarray, "time height width"]
    fps: float


class Sample(NamedTuple):
    """A recording, with the clip that it was made from if there is one."""

    recording: Recording
    clip: Clip | None

    def film(self) -> Clip:
        """The clip.

        Raises:
            InputError: there is none.
        """
        if self.clip is None:
            raise InputError(self.recording.name, "has no video", "name the folder of the videos by --videos")
        return self.clip

    def sized(self) -> Recording:
        """The keypoints in two dimensions, in trunk lengths."""
        recording = self.recording
        upper, lower = recording.skeleton.trunk_indices
        points = recording.keypoints[..., :2]
        length = float(np.nanmedian(np.linalg.norm(points[:, upper] - points[:, lower], axis=-1)))
        return dataclasses.replace(recording, keypoints=points / length)


@dataclass(frozen=True, eq=False)
class Problem:
    """The infants, their folds, and what all comparators share.

    Attributes:
        cohort: recordings with outcomes 0 or 1.
        splits: each recording is held out once.
        seed: of all random numbers.
        small: smaller networks and fewer epochs, for simulated infants on a CPU.
        epochs: of the networks; None for the defaults.
    """

    cohort: Cohort
    splits: tuple[Split, ...]
    seed: int = 1
    small: bool = False
    epochs: int | None = None


class CrossFit(NamedTuple):
    """What a comparator says of held-out recordings.

    Attributes:
        risks: `[recording]` by the model that was fitted on the other folds.
        parameters: fitted numbers of one model; None where they are not counted.
    """

    risks: Float[np.ndarray, " recording"]
    parameters: int | None


class Comparator(Protocol):
    """A method in the table. No fit, and no choice of an epoch or a penalty, sees a held-out recording's outcome."""

    @property
    def reads(self) -> Literal["keypoints", "video"]:
        """What it is made from."""

    @property
    def published(self) -> str:
        """AUC, or sensitivity / specificity, of its paper; `-` where there is none."""

    def prepare(self, sample: Sample) -> Any:
        """What is computed once for each recording; `InputError` if it cannot be used."""

    def cross_fit(self, prepared: Sequence[Any], problem: Problem) -> CrossFit:
        """Fit on the training recordings of each fold, and predict the held-out ones."""


def clip_of(frames: Frames, side: int, seconds: float) -> Clip:
    """The first seconds of a video as gray squares, resized without regard to the ratio of its sides.

    Args:
        frames: of the video.
        side: pixels.
        seconds: longest part that is read.

    Raises:
        InputError: fewer than `CLIP_RATE` frames per second, or less than a second.
    """
    if frames.fps < CLIP_RATE - 0.1:
        raise InputError(frames.path, f"has {frames.fps:g} frames per second", f"clips need {CLIP_RATE:g}")
    kept = [gray(frame.pixels(side, side)) for frame in _at_rate(frames, seconds)]
    if len(kept) < CLIP_RATE:
        raise InputError(frames.path, f"gives {len(kept)} frames", "clips need a second")
    return Clip(np.stack(kept), CLIP_RATE)


def _at_rate(frames: Frames, seconds: float) -> Iterator[Any]:
    """The frame nearest behind each tick."""
    due = 0
    for frame in frames:
        if due >= seconds * CLIP_RATE:
            return
        if frame.time * CLIP_RATE >= due - 1e-3:
            due += 1
            yield frame


def gray(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width"]:
    """The mean of red, green and blue."""
    return image.mean(axis=-1).round().astype(np.uint8)
