"""The body on the page: positions for the animation, and for the contributions on the median pose."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from infantjax.skeletons import SKELETONS, segments

WIDTH = 400.0
"""Width of the drawing of the movement, in drawing units."""
MARGIN = 40.0
"""Space between the body and the edges of its drawing."""
NAMES = 165.0
"""Space for names on both sides of the median pose."""
MAX_FRAMES = 9_000
"""Most frames that the page carries (five minutes at 30 Hz); longer movements are thinned and interpolated."""
MISSING = -32768
"""Marks a missing coordinate among the quantized ones."""
LABELED = 8
"""Most joints whose contribution is labeled."""


class Label(NamedTuple):
    """The name of a joint beside the median pose, with a line to the joint.

    Attributes:
        joint: its index.
        anchor: `start` for a label at the left edge, `end` for one at the right edge.
        x: edge at which the text stands.
        y: baseline of the text.
        bend: where the line to the joint turns.
    """

    joint: int
    anchor: str
    x: float
    y: float
    bend: float


@dataclass(frozen=True, eq=False)
class Pose:
    """A movement in drawing units, y downwards.

    Attributes:
        joints: names, in the order of the arrays.
        edges: (joint, parent) indices of the bones.
        mirror_pairs: (right, left) indices.
        positions: `[time, joint, 2]` float64; NaN is missing.
        still: `[joint, 2]` median pose; NaN where a joint is never seen.
        height: of the drawing; its width is `WIDTH`.
        fps: frames per second of `positions`.
    """

    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    mirror_pairs: tuple[tuple[int, int], ...]
    positions: np.ndarray
    still: np.ndarray
    height: float
    fps: float

    @classmethod
    def of(cls, record: Mapping[str, Any], movement: np.ndarray, fps: float) -> "Pose":
        """From a movement, thinned to `MAX_FRAMES`; a skeleton that is not registered, or has no limbs, has no bones.

        Args:
            record: see `infantjax.report.record`.
            movement: `[time, joint, 2]`, y upwards.
            fps: frames per second of the movement.

        Raises:
            ValueError: the movement has another number of joints than the skeleton.
        """
        step = max(1, -(-len(movement) // MAX_FRAMES))
        points = np.asarray(movement[::step], dtype=np.float64) * (1, -1)
        points[~np.isfinite(points).all(-1)] = np.nan
        skeleton = SKELETONS.get(record["skeleton"])
        joints: tuple[str, ...] = tuple(record["missing"])
        edges: tuple[tuple[int, int], ...] = ()
        pairs: tuple[tuple[int, int], ...] = ()
        if skeleton is not None:
            joints, edges = skeleton.joints, skeleton.edges if segments(skeleton) else ()
            pairs = tuple((skeleton.index(right), skeleton.index(left)) for right, left in skeleton.mirror_pairs)
        if len(joints) != points.shape[1]:
            raise ValueError(f"the movement has {points.shape[1]} joints, skeleton {record['skeleton']} {len(joints)}")
        placed, still, height = _fitted(points)
        return cls(joints, edges, pairs, placed, still, height, fps / step)

    @property
    def first(self) -> np.ndarray:
        """`[joint, 2]`: the pose that is drawn before the animation starts."""
        return self.positions[0] if len(self.positions) else self.still

    @property
    def is_known(self) -> bool:
        """Whether any joint is ever seen."""
        return bool(np.isfinite(self.still).all(-1).any())

    @property
    def sides(self) -> list[str]:
        """For each joint `right`, `left` or `middle`: the infant's sides."""
        rights, lefts = {pair[0] for pair in self.mirror_pairs}, {pair[1] for pair in self.mirror_pairs}
        return ["right" if j in rights else "left" if j in lefts else "middle" for j in range(len(self.joints))]

    @property
    def limb_ends(self) -> list[int]:
        """Joints that draw a trail: the ends of the limbs."""
        parents = {parent for _, parent in self.edges}
        return [j for j, side in enumerate(self.sides) if side != "middle" and j not in parents]

    @property
    def right_is_left(self) -> bool | None:
        """Whether the infant's right lies on the left of the drawing, as seen from above; None if unknown."""
        gaps = np.array([self.still[left, 0] - self.still[right, 0] for right, left in self.mirror_pairs])
        gaps = gaps[np.isfinite(gaps)]
        return bool(np.median(gaps) > 0) if gaps.size and np.median(gaps) != 0 else None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of the drawing of the median pose, with room for names beside it."""
        seen = self.still[np.isfinite(self.still).all(-1)]
        if not len(seen):
            return 0.0, 0.0, WIDTH, self.height
        (left, top), (right, bottom) = seen.min(0).tolist(), seen.max(0).tolist()
        return left - NAMES, top - MARGIN, right + NAMES, bottom + 1.4 * MARGIN

    def packed(self) -> dict[str, Any]:
        """For the page's script: int16 in sixteenths of a drawing unit, base64, `MISSING` where missing."""
        whole = np.where(np.isnan(self.positions), MISSING, np.clip(np.rint(self.positions * 16), -32767, 32767))
        frames, joints = whole.shape[:2]
        packed = base64.b64encode(np.ascontiguousarray(whole, dtype="<i2").tobytes()).decode("ascii")
        return {"frames": frames, "joints": joints, "fps": self.fps, "missing": MISSING, "positions": packed}

    def contributing(self, values: Mapping[str, float | None]) -> list[tuple[int, float]]:
        """(joint, contribution) of the joints that have one, the largest last, so that it is drawn on top."""
        known = [(j, value) for j, name in enumerate(self.joints) if (value := values.get(name)) is not None]
        return sorted(known, key=lambda pair: (pair[1], pair[0]))

    def labels(self, values: Mapping[str, float | None]) -> list[Label]:
        """Labels of the largest contributions, apart from one another; no two lines to their joints cross.

        The left half of the joints is labeled on the left. Within a side, the places are given so that the lines are
        as short as they can be together: lines that cross would be longer.
        """
        from scipy.optimize import linear_sum_assignment

        left, top, right, bottom = self.box
        seen = np.isfinite(self.still).all(-1)
        largest = [j for j, value in reversed(self.contributing(values)) if value > 0 and seen[j]][:LABELED]
        largest.sort(key=lambda j: (self.still[j, 0], j))
        half = (len(largest) + 1) // 2
        labels = []
        for anchor, joints, edge, inward in (("start", largest[:half], left, 1), ("end", largest[half:], right, -1)):
            x, y = self.still[joints].T
            bend, places = edge + 138 * inward, np.array(_apart(np.sort(y).tolist(), 30.0, top + 24, bottom - MARGIN))
            lengths = np.hypot(x - bend, y - places[:, None] - 5)
            for place, row in zip(*linear_sum_assignment(lengths)):
                labels.append(Label(joints[row], anchor, edge + 8 * inward, float(places[place]), bend))
        return labels


def _fitted(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions in drawing units, their median over time, and the height that they need."""
    seen = ~np.isnan(points[..., 0]).all(0) if len(points) else np.zeros(points.shape[1], bool)
    still = np.full(points.shape[1:], np.nan)
    if not seen.any():
        return points, still, WIDTH
    # Joint by joint without their rare extremes: one lost track must not shrink the infant to a dot.
    low = np.nanpercentile(points[:, seen], 0.5, axis=0).min(0)
    high = np.nanpercentile(points[:, seen], 99.5, axis=0).max(0)
    extent = np.maximum(high - low, 1e-9)
    unit = min((WIDTH - 2 * MARGIN) / extent[0], 420 / extent[1])
    height = float(np.ceil(np.clip(unit * extent[1] + 2 * MARGIN, 300, 500)))
    placed = (points - (low + high) / 2) * unit + (WIDTH / 2, height / 2 - 5)
    still[seen] = np.nanmedian(placed[:, seen], axis=0)
    return placed, still, height


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in the same order, `gap` apart, near the wanted ones and within the limits where they fit."""
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, placed[-1] + gap) if placed else max(value, low))
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], high if i + 1 == len(placed) else placed[i + 1] - gap)
    return placed
