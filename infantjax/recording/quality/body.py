"""A recording in units of the body: pairs of joints, bones, trunk length, seconds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infantjax.recording.recording import Recording

PARENTS = {
    "shoulder": "",
    "hip": "",
    "elbow": "shoulder",
    "wrist": "elbow",
    "hand": "elbow",
    "knee": "hip",
    "ankle": "knee",
    "heel": "knee",
    "foot": "knee",
}
"""Part of the body -> the part that a bone joins it to; shoulders and hips have none."""

ENDS = ("wrist", "hand", "ankle", "heel", "foot")
"""Parts at the ends of the limbs."""


@dataclass(frozen=True, eq=False)
class Body:
    """A recording in units of its trunk.

    Attributes:
        recording: as it was read.
    """

    recording: Recording

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints."""
        return self.recording.skeleton.joints

    @cached_property
    def parts(self) -> dict[str, tuple[int, int]]:
        """Part -> indices of its right and its left joint."""
        pairs = self.recording.skeleton.mirror_pairs
        return {
            right.removeprefix("right_"): (self.joints.index(right), self.joints.index(left)) for right, left in pairs
        }

    @cached_property
    def limbs(self) -> dict[str, tuple[int, int]]:
        """The parts of arms and legs with shoulders and hips, from the trunk outwards."""
        return {part: self.parts[part] for part in PARENTS if part in self.parts}

    @cached_property
    def tracked(self) -> np.ndarray:
        """`[joint]` bool: seen at least once. Joints that a tracker does not give are no faults."""
        return np.asarray(~self.recording.missing.all(axis=0))

    def seen(self, parts: Iterable[str]) -> list[int]:
        """The joints of both sides of some parts that are seen at least once."""
        return [j for part in parts for j in self.parts.get(part, ()) if self.tracked[j]]

    @cached_property
    def lengths(self) -> dict[tuple[str, str], np.ndarray]:
        """(part, parent) -> `[time, side]` lengths of the bone in units of the trunk; side 0 is right."""
        return {
            (part, parent): np.linalg.norm(self.pair(part) - self.pair(parent), axis=-1)
            for part, parent in PARENTS.items()
            if part in self.limbs and parent in self.limbs
        }

    def pair(self, part: str) -> np.ndarray:
        """`[time, side, coordinate]` points of a part, right and left."""
        return self.points[:, list(self.parts[part])]

    @cached_property
    def center(self) -> np.ndarray:
        """`[time, coordinate]` middle of shoulders and hips; of all points where these are not in the set."""
        chosen = [j for part in ("shoulder", "hip") if part in self.limbs for j in self.limbs[part]]
        return self.recording.keypoints[:, chosen or slice(None)].mean(axis=1)

    @cached_property
    def trunk(self) -> np.ndarray:
        """`[time, coordinate]` from the middle of the hips to that of the shoulders; NaN where one is missing."""
        points = self.recording.keypoints
        if not {"shoulder", "hip"} <= set(self.limbs):
            return np.full((len(points), points.shape[2]), np.nan)
        return points[:, list(self.limbs["shoulder"])].mean(axis=1) - points[:, list(self.limbs["hip"])].mean(axis=1)

    @cached_property
    def unit(self) -> float:
        """Median length of the trunk; where there is none, twice the spread of the points; 1 if nothing has a size."""
        length = np.linalg.norm(self.trunk, axis=1)
        if not np.isfinite(length).any() or not (unit := float(np.nanmedian(length))) > 0:
            points = self.recording.keypoints
            seen = np.isfinite(points).all(axis=2)
            unit = 2 * float(np.sqrt(points[seen].var(axis=0).sum())) if seen.any() else 1.0
        return unit if unit > 0 else 1.0

    @cached_property
    def points(self) -> np.ndarray:
        """`[time, joint, coordinate]` in units of the trunk, about the recording's middle."""
        points = self.recording.keypoints
        middle = [
            float(np.median(x[np.isfinite(x)])) if np.isfinite(x).any() else 0.0
            for x in points.T.reshape(points.shape[2], -1)
        ]
        return (points - middle) / self.unit

    @cached_property
    def step(self) -> float:
        """Grid that the coordinates are rounded to, in units of the trunk; 0 if there is none."""
        values = self.recording.keypoints.ravel()[:: max(1, self.recording.keypoints.size // 5_000)]
        values = np.unique(values[np.isfinite(values)])
        if len(values) < 8:
            return 0.0
        differences = np.diff(values)
        step = differences[differences > 1e-9 * np.abs(values).max()].min(initial=np.inf)
        if not math.isfinite(step):
            return 0.0
        remainder = np.abs(differences / step - np.rint(differences / step))
        return float(step / self.unit) if (remainder < 0.01).mean() > 0.98 else 0.0

    @cached_property
    def seconds(self) -> int:
        """Number of seconds; the last may be partial."""
        return math.ceil(self.recording.duration - 1e-6)

    @cached_property
    def second(self) -> np.ndarray:
        """`[time]` second of each frame."""
        frames = np.arange(self.recording.frames)
        return np.minimum((frames / self.recording.fps + 1e-9).astype(np.int64), max(self.seconds - 1, 0))

    def share(self, values: np.ndarray) -> np.ndarray:
        """`[second]` mean of a value per frame; NaN in seconds without frames. NaN frames are left out."""
        values = np.asarray(values, dtype=np.float64)
        known = np.isfinite(values)
        counts = np.bincount(self.second[known], minlength=self.seconds)
        with np.errstate(invalid="ignore"):
            return np.bincount(self.second[known], values[known], minlength=self.seconds) / np.where(
                counts, counts, np.nan
            )

    def peak(self, values: np.ndarray) -> np.ndarray:
        """`[second]` largest of a value per frame; NaN in seconds without values."""
        peaks = np.full(self.seconds, -np.inf)
        known = np.isfinite(values)
        np.maximum.at(peaks, self.second[known], np.asarray(values, dtype=np.float64)[known])
        return np.where(np.isinf(peaks), np.nan, peaks)


def hold(points: np.ndarray, limit: int) -> np.ndarray:
    """Points `[time, ...]` whose gaps repeat the last seen one, for at most `limit` frames."""
    frames = np.arange(len(points)).reshape(-1, *[1] * (points.ndim - 1))
    seen = np.isfinite(points)
    last = np.maximum.accumulate(np.where(seen, frames, -1), axis=0)
    held = np.take_along_axis(points, np.maximum(last, 0), axis=0)
    return np.where((last >= 0) & (frames - last <= limit), held, np.nan)
