"""The body on the page: the movement to be played, and the contributions on the median pose, as inline SVG."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infantjax.assessment.result import Assessed, Assessment
from infantjax.report.markup import number, place, text
from infantjax.skeletons import SKELETONS

WIDTH = 400.0
"""Width of the drawing of the movement, in drawing units."""
MARGIN = 40.0
"""Space between the body and the edges of its drawing."""
NAMES = 128.0
"""Space for names on both sides of the median pose."""
MAX_FRAMES = 9_000
"""Most frames that the page carries (five minutes at 30 Hz); longer movements are thinned, and drawn in between."""
MISSING = -32768
"""Marks a missing coordinate among the quantized ones."""

Box = tuple[tuple[float, float], tuple[float, float]]
"""(left, upper) and (right, lower) corner of a drawing."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A movement in drawing units, y downwards, ready to be drawn and to be carried by the page.

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
    def of(cls, assessment: Assessed) -> "Pose":
        """From an assessment's movement, thinned to `MAX_FRAMES`; a skeleton that is not published has no bones."""
        step = max(1, -(-len(assessment.movement) // MAX_FRAMES))
        points = np.asarray(assessment.movement[::step], dtype=np.float64) * (1, -1)
        points[~np.isfinite(points).all(-1)] = np.nan
        skeleton = SKELETONS.get(assessment.skeleton)
        joints: tuple[str, ...] = tuple(
            assessment.contributions if isinstance(assessment, Assessment) else assessment.missing
        )
        edges: tuple[tuple[int, int], ...] = ()
        pairs: tuple[tuple[int, int], ...] = ()
        if skeleton is not None:
            joints, edges = skeleton.joints, skeleton.edges
            pairs = tuple((skeleton.index(right), skeleton.index(left)) for right, left in skeleton.mirror_pairs)
        if len(joints) != points.shape[1]:
            raise ValueError(f"the movement has {points.shape[1]} joints, skeleton {assessment.skeleton} {len(joints)}")
        placed, still, height = _fitted(points)
        return cls(joints, edges, pairs, placed, still, height, assessment.movement_fps / step)

    @property
    def sides(self) -> list[str]:
        """For each joint `right`, `left` or `middle`: the infant's sides."""
        rights, lefts = {pair[0] for pair in self.mirror_pairs}, {pair[1] for pair in self.mirror_pairs}
        return ["right" if j in rights else "left" if j in lefts else "middle" for j in range(len(self.joints))]

    @property
    def right_is_left(self) -> bool | None:
        """Whether the infant's right lies on the left of the picture, as in a view from above; None if unknown."""
        gaps = np.array([self.still[left, 0] - self.still[right, 0] for right, left in self.mirror_pairs])
        gaps = gaps[np.isfinite(gaps)]
        return bool(np.median(gaps) > 0) if gaps.size and np.median(gaps) != 0 else None

    def packed(self) -> dict[str, Any]:
        """For the page's script: int16 in sixteenths of a drawing unit, base64, `MISSING` where missing."""
        whole = np.where(np.isnan(self.positions), MISSING, np.clip(np.rint(self.positions * 16), -32767, 32767))
        frames, joints = whole.shape[:2]
        packed = base64.b64encode(np.ascontiguousarray(whole, dtype="<i2").tobytes()).decode("ascii")
        return {"frames": frames, "joints": joints, "fps": self.fps, "missing": MISSING, "positions": packed}


def heat(contribution: float) -> str:
    """The published color of a contribution c: red c^(1/4), green 1 - c^(1/4), blue 0."""
    red = min(max(contribution, 0.0), 1.0) ** 0.25
    return f"rgb({round(255 * red)} {round(255 * (1 - red))} 0)"


def bar(contribution: float) -> str:
    """A contribution as a bar in its published color."""
    return f'<span style="width:{place(contribution)};background:{heat(contribution)}"></span>'


def legend() -> str:
    """What color and size mean."""
    dots = "".join(
        f'<span><svg viewBox="-12 -12 24 24" aria-hidden="true"><circle r="{4 + 8 * c:g}" fill="{heat(c)}"/></svg>'
        f"{c:g}</span>"
        for c in (0.0, 0.05, 0.25, 0.5, 1.0)
    )
    return f'<div class="legend">{dots}</div>'


def moving(pose: Pose) -> str:
    """The body that the page's script moves, drawn in its first frame, with trails behind the ends of the limbs."""
    first = pose.positions[0] if len(pose.positions) else pose.still
    parents = {parent for _, parent in pose.edges}
    trails, dots = [], []
    for joint, side in enumerate(pose.sides):
        if side != "middle" and joint not in parents:
            trails.append(f'<polyline class="trail {side}" data-joint="{joint}" points=""/>')
        dots.append(f'<circle class="joint {side}" data-joint="{joint}" r="4" {_at(first[joint], "cx", "cy")}/>')
    sides = _side_labels(pose, ((0, 0), (WIDTH, pose.height)))
    return (
        f'<svg id="pose" viewBox="0 0 {WIDTH:g} {pose.height:g}" role="img" aria-label="Stick figure of the movement">'
        f"{''.join(trails)}{_bones(pose, first)}{''.join(dots)}{sides}{_nothing(pose)}</svg>"
    )


def contributions(pose: Pose, values: Mapping[str, float | None], named: int = 8) -> str:
    """The median pose with each joint in color and size of its contribution; the largest ones are named."""
    known = {j: c for j, name in enumerate(pose.joints) if (c := values.get(name)) is not None}
    order = sorted(known, key=lambda j: (known[j], j))
    dots = "".join(
        f'<circle class="heat" r="{4 + 8 * known[j]:.1f}" fill="{heat(known[j])}" {_at(pose.still[j], "cx", "cy")}>'
        f"<title>{text(_spaced(pose.joints[j]))}: {number(known[j])}</title></circle>"
        for j in order
    )
    largest = [j for j in reversed(order) if known[j] > 0 and np.isfinite(pose.still[j]).all()][:named]
    spoken = ", ".join(f"{_spaced(pose.joints[j])} {number(known[j])}" for j in largest) or "none above 0"
    box = _box(pose)
    (west, north), (east, south) = box
    beside = _side_labels(pose, box) + _nothing(pose)
    return (
        f'<svg class="still" viewBox="{west:.1f} {north:.1f} {east - west:.1f} {south - north:.1f}" role="img" '
        f'aria-label="{text(f"Largest contributions on the median pose: {spoken}")}">'
        f"{_bones(pose, pose.still)}{_names(pose, known, largest, box)}{dots}{beside}</svg>"
    )


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


def _spaced(joint: str) -> str:
    return joint.replace("_", " ")


def _at(point: np.ndarray, x: str, y: str) -> str:
    if not np.isfinite(point).all():
        return 'style="visibility:hidden"'
    return f'{x}="{point[0]:.1f}" {y}="{point[1]:.1f}"'


def _bones(pose: Pose, points: np.ndarray) -> str:
    sides = pose.sides
    parts = []
    for a, b in pose.edges:
        ends = f"{_at(points[a], 'x1', 'y1')} {_at(points[b], 'x2', 'y2')}"
        if not np.isfinite(points[[a, b]]).all():
            ends = 'style="visibility:hidden"'
        parts.append(f'<line class="bone {sides[a]}" data-from="{a}" data-to="{b}" {ends}/>')
    return "".join(parts)


def _box(pose: Pose) -> Box:
    """What the drawing of the median pose shows: the pose with room for names beside it."""
    seen = pose.still[np.isfinite(pose.still).all(-1)]
    if not len(seen):
        return (0, 0), (WIDTH, pose.height)
    (west, north), (east, south) = seen.min(0).tolist(), seen.max(0).tolist()
    return (west - NAMES, north - MARGIN), (east + NAMES, south + 1.4 * MARGIN)


def _side_labels(pose: Pose, box: Box) -> str:
    if pose.right_is_left is None:
        return ""
    (west, _), (east, south) = box
    first, second = ("right", "left") if pose.right_is_left else ("left", "right")
    y = f"{south - 10:.1f}"
    return (
        f'<text class="side {first}" x="{west + 8:.1f}" y="{y}">infant’s {first}</text>'
        f'<text class="side {second}" x="{east - 8:.1f}" y="{y}" text-anchor="end">infant’s {second}</text>'
    )


def _nothing(pose: Pose) -> str:
    if np.isfinite(pose.still).all(-1).any():
        return ""
    return (
        f'<text class="side" x="{WIDTH / 2:g}" y="{pose.height / 2:g}" text-anchor="middle">no position is known</text>'
    )


def _names(pose: Pose, known: Mapping[int, float], joints: Sequence[int], box: Box) -> str:
    """Names beside the body, each on the side of its joint, apart from one another, with a line to it."""
    (west, north), (east, south) = box
    columns: dict[str, list[int]] = {"start": [], "end": []}
    sides = pose.sides
    for j in joints:
        offset = pose.still[j, 0] - (west + east) / 2
        fewer = "start" if len(columns["start"]) <= len(columns["end"]) else "end"
        columns[fewer if sides[j] == "middle" else "start" if offset < 0 else "end"].append(j)
    parts = []
    for anchor, members in columns.items():
        members.sort(key=lambda j: (pose.still[j, 1], j))
        inwards, edge = (1, west + 8) if anchor == "start" else (-1, east - 8)
        wanted = [float(pose.still[j, 1]) for j in members]
        for j, y in zip(members, _apart(wanted, 30.0, north + 24, south - MARGIN)):
            name = _spaced(pose.joints[j])
            x, bend = float(pose.still[j, 0]), edge + inwards * 96
            parts.append(
                f'<path class="lead-line" d="M{edge:.1f} {y + 5:.1f}H{bend:.1f}L{x:.1f} {pose.still[j, 1]:.1f}"/>'
                f'<text class="tag" x="{edge:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(name)} '
                f'<tspan class="value">{number(known[j])}</tspan></text>'
            )
    return "".join(parts)


def _apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions in the same order, `gap` apart, near the wanted ones and within the limits where they fit."""
    placed: list[float] = []
    for value in wanted:
        placed.append(max(value, placed[-1] + gap) if placed else max(value, low))
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], high if i + 1 == len(placed) else placed[i + 1] - gap)
    return placed
