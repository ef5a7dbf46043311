"""Measures of the movement over time: jumps, cuts, speed, frozen and interpolated points, noise.

The speed of a point and its change are what markerless tracking is commonly checked by where no truth is known; the
root mean square of the jerk and the spread of limb lengths have been used so to compare pose networks on infants
without labels (KordingLab, predict-scores-from-video). A jump is judged against the frames around
it, so that a fast kick, whose neighboring steps are large too, is none.
"""

from functools import cached_property

import numpy as np

from infantjax.recording.cleaning import fill_gaps
from infantjax.recording.quality.body import ENDS, PARENTS, Body
from infantjax.recording.quality.limits import DEFAULT_LIMITS as LIMITS

ISOLATION = 2.0
"""A jump is larger than this times the steps before and after it."""


class Motion:
    """Movement of the points about the middle of the trunk, in trunk lengths.

    Args:
        body: the recording.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.fps = body.recording.fps
        self.missing = body.recording.missing
        self.limb = body.seen(PARENTS) or np.flatnonzero(body.tracked).tolist()
        self.ends = body.seen(ENDS) or self.limb

    @cached_property
    def points(self) -> np.ndarray:
        """`[time, joint, coordinate]` about the trunk's middle, gaps interpolated; 0 where never seen."""
        center = fill_gaps(self.body.center[:, None])
        points = fill_gaps(self.body.recording.keypoints) - np.nan_to_num(center)
        return np.nan_to_num(points / self.body.unit)

    @cached_property
    def steps(self) -> np.ndarray:
        """`[time - 1, joint]` distance from frame to frame, about the trunk's middle."""
        return np.linalg.norm(np.diff(self.points, axis=0), axis=-1)

    @cached_property
    def jumps(self) -> np.ndarray:
        """`[time, joint]` size of isolated excursions of one to three frames; 0 where there is none."""
        points, steps = self.points, self.steps
        found = np.zeros(points.shape[:2])
        for width in (1, 2, 3):
            count = len(points) - width - 3
            if count < 1:
                break
            before, out, back, after = (steps[i : i + count] for i in (0, 1, width + 1, width + 2))
            rest = np.linalg.norm(points[width + 2 : width + 2 + count] - points[1 : 1 + count], axis=-1)
            size = np.minimum(out, back)
            isolated = (size > ISOLATION * np.maximum(before, after) + 0.02) & (rest < 0.5 * size)
            for offset in range(2, width + 2):
                view = found[offset : offset + count]
                np.maximum(view, np.where(isolated, size, 0), out=view)
        return np.where(self.missing, 0, found)

    @cached_property
    def cuts(self) -> np.ndarray:
        """`[time]` mean step of all points where it is isolated: the body is suddenly in another posture or place."""
        together = np.zeros(len(self.points))
        if len(self.points) < 4:
            return together
        raw = np.linalg.norm(np.diff(fill_gaps(self.body.points), axis=0), axis=-1)
        mean = np.nan_to_num(np.nanmean(np.where(self.missing[1:] | self.missing[:-1], np.nan, raw), axis=1))
        padded = np.pad(mean, 2, mode="edge")
        around = np.maximum.reduce([padded[:-4], padded[1:-3], padded[3:-1], padded[4:]])
        together[1:] = np.where(mean > 3 * around + 0.02, mean, 0)
        return together

    @cached_property
    def speed(self) -> np.ndarray:
        """`[time]` largest speed of a point of the limbs, trunk lengths per second."""
        speed = np.zeros(len(self.points))
        if len(speed) > 1:
            speed[1:] = self.steps[:, self.limb].max(axis=1) * self.fps
        return speed

    @cached_property
    def repeated(self) -> np.ndarray:
        """`[time]` 1 where all points that are seen are exactly those of the frame before."""
        points = self.body.recording.keypoints
        repeated = np.zeros(len(points))
        if len(points) > 1:
            same = (points[1:] == points[:-1]) | (np.isnan(points[1:]) & np.isnan(points[:-1]))
            repeated[1:] = same.all(axis=(1, 2)) & ~self.missing[1:].all(axis=1)
        return repeated

    @cached_property
    def stuck(self) -> np.ndarray:
        """`[time, end]` the end of a limb stays exactly in place for long."""
        seconds = LIMITS.stuck_seconds * (2 if self.body.step > 0.001 else 1)
        points = self.body.recording.keypoints[:, self.ends]
        same = np.zeros(points.shape[:2], dtype=bool)
        same[1:] = (points[1:] == points[:-1]).all(axis=2)
        return _long_runs(same, max(3, round(seconds * self.fps)))

    @cached_property
    def gaps(self) -> np.ndarray:
        """`[time, joint of the limbs]` the point is missing for longer than may be interpolated."""
        return _long_runs(self.missing[:, self.limb], round(LIMITS.max_gap * self.fps) + 1)

    @cached_property
    def straight(self) -> np.ndarray:
        """`[time, joint]` the point was not tracked: it moves along a straight line at a constant speed.

        Coordinates rounded to whole pixels do so by chance, in up to 0.16 of a second's points.
        """
        points = self.body.points[:, self.limb]
        straight = np.zeros(points.shape[:2], dtype=bool)
        if len(points) > 2:
            bend = np.abs(points[2:] - 2 * points[1:-1] + points[:-2]).max(axis=2)
            moved = np.abs(points[2:] - points[:-2]).max(axis=2)
            fine = self.body.step < 0.001  # as tables are written; the middle of two points is then off by one step
            tolerance = 1e-7 + 1.01 * self.body.step * fine
            straight[1:-1] = (bend < tolerance) & (moved > 1e-6)
        return straight

    def noise(self, block: int) -> np.ndarray:
        """`[block]` noise of the points, trunk lengths: the median joint's, from third differences over time.

        Differences of an odd order let smooth movement through least; 0.6745 and the root of 20 turn the median of
        their sizes into the standard deviation of independent errors.
        """
        third = np.abs(np.diff(self.points[:, self.limb], n=3, axis=0))
        block = min(block, len(third))
        blocks = third[: len(third) // block * block].reshape(-1, block, len(self.limb) * third.shape[2])
        return np.median(np.median(blocks, axis=1), axis=1) / 0.6745 / np.sqrt(20)

    @cached_property
    def bandwidth(self) -> float:
        """Frequency, hertz, below which 95 % of the power of the ends' velocity lies; NaN without movement."""
        if len(self.points) < 8:
            return float("nan")
        velocity = np.diff(self.points[:, self.ends], axis=0).reshape(len(self.points) - 1, -1)
        power = (np.abs(np.fft.rfft(velocity - velocity.mean(axis=0), axis=0)) ** 2).sum(axis=1)
        if not power.sum() > 0:
            return float("nan")
        share = np.cumsum(power) / power.sum()
        return float(np.fft.rfftfreq(len(velocity), 1 / self.fps)[np.searchsorted(share, 0.95)])


def _long_runs(mask: np.ndarray, least: int) -> np.ndarray:
    """`[time, series]` True only in runs of at least so many frames."""
    if least <= 1 or not mask.any():
        return mask
    frames = np.arange(1, len(mask) + 1)[:, None]
    last_gap = np.maximum.accumulate(np.where(mask, 0, frames), axis=0)
    next_gap = np.minimum.accumulate(np.where(mask, len(mask) + 1, frames)[::-1], axis=0)[::-1]
    return mask & (next_gap - last_gap - 1 >= least)
