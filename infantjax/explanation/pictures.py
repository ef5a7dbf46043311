"""Pictures of what a score rests on: values of joints over the body, by Matplotlib.

A picture is a figure; `evaluation.plots.save` writes figures as SVG or PNG, the same bytes for the same figure. For the
page of an assessment `report.body` draws the published contributions itself.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.errors import MissingExtraError
from infantjax.skeletons import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = 6
"""Most maps of one picture."""


def over_body(
    maps: Mapping[str, ArrayLike],
    keypoints: Float[np.ndarray, "time joint axis"],
    skeleton: Skeleton,
    *,
    upwards: bool = False,
    named: int = 5,
) -> "Figure":
    """The median pose with each joint in color and size of its value, one panel for each map.

    Where a map has values below 0 they are blue and those above are red, else all are red. The colors of each panel
    reach to its largest magnitude.

    Args:
        maps: `[joint]` values by name, for example `attribution.by_joint`; NaN is not drawn.
        keypoints: two or three coordinates, of which the first two are drawn; NaN is missing.
        skeleton: of the keypoints and of the maps.
        upwards: y points upwards, as in standardized positions, not downwards as in pictures.
        named: how many joints of the largest magnitude are named.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ValueError: no maps or more than `PANELS`, or keypoints or maps that are not of the skeleton.
    """
    joints = len(skeleton.joints)
    if not 1 <= len(maps) <= PANELS:
        raise ValueError(f"a picture has 1 to {PANELS} maps, got {len(maps)}")
    if keypoints.ndim != 3 or keypoints.shape[1] != joints or keypoints.shape[2] not in (2, 3):
        raise ValueError(f"keypoints must be [time, {joints}, 2 or 3], got {keypoints.shape}")
    given = {name: np.asarray(values, np.float64) for name, values in maps.items()}
    if wrong := [f"{name} {values.shape}" for name, values in given.items() if values.shape != (joints,)]:
        raise ValueError(f"maps of {skeleton.name} are [{joints}], got {', '.join(wrong)}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "analysis") from None
    pose = np.ma.median(np.ma.masked_invalid(keypoints[..., :2]), axis=0).filled(np.nan)
    figure = Figure(figsize=(4.5 * len(given), 5), layout="constrained")
    for axes, (name, values) in zip(figure.subplots(1, len(given), squeeze=False)[0], given.items()):
        _draw(axes, values, pose, skeleton, named)
        axes.set_title(name)
        if not upwards:
            axes.invert_yaxis()
    return figure


def on_joints(
    values: Mapping[str, float], parts: Mapping[str, Sequence[int]], skeleton: Skeleton
) -> Float[np.ndarray, " joint"]:
    """Values of parts of the body as values of their joints; NaN for joints of no part.

    Args:
        values: by part, for example what `attribution.occlusion` gives for one sample.
        parts: joints of each part by index.
        skeleton: of the joints.
    """
    found = np.full(len(skeleton.joints), np.nan)
    for part, value in values.items():
        found[list(parts[part])] = value
    return found


def _draw(axes: "Axes", values: np.ndarray, pose: np.ndarray, skeleton: Skeleton, named: int) -> None:
    seen = np.isfinite(pose).all(axis=1) & np.isfinite(values)
    largest = float(np.abs(values[seen]).max(initial=0)) or 1.0
    signed = bool((values[seen] < 0).any())
    for a, b in skeleton.edges:
        axes.plot(*pose[[a, b]].T, color="0.75", linewidth=3, solid_capstyle="round", zorder=1)
    # The largest on top: joints of the face lie close together.
    order = np.flatnonzero(seen)[np.argsort(np.abs(values[seen]), kind="stable")]
    dots = axes.scatter(
        pose[order, 0],
        pose[order, 1],
        s=30 + 270 * np.abs(values[order]) / largest,
        c=values[order],
        cmap="coolwarm" if signed else "Reds",
        vmin=-largest if signed else 0,
        vmax=largest,
        edgecolors="0.3",
        linewidths=0.5,
        zorder=2,
    )
    middle = float(np.median(pose[seen, 0])) if seen.any() else 0.0
    for joint in order[::-1][:named]:
        if values[joint]:
            label = f"{skeleton.joints[joint].replace('_', ' ')} {values[joint]:.2g}"
            outwards = 1 if pose[joint, 0] >= middle else -1
            axes.annotate(
                label,
                pose[joint],
                xytext=(9 * outwards, 4),
                textcoords="offset points",
                ha="left" if outwards > 0 else "right",
                fontsize=8,
            )
    axes.figure.colorbar(dots, ax=axes, orientation="horizontal", shrink=0.8)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.15)
    axes.set_axis_off()
    pairs = np.array([(skeleton.index(right), skeleton.index(left)) for right, left in skeleton.mirror_pairs])
    gaps = pose[pairs[:, 1], 0] - pose[pairs[:, 0], 0] if len(pairs) else np.empty(0)
    if (gaps := gaps[np.isfinite(gaps)]).size:
        sides = ("right", "left") if np.median(gaps) > 0 else ("left", "right")
        for x, align, side in zip((0.0, 1.0), ("left", "right"), sides):
            axes.text(x, 0, f"infant's {side}", transform=axes.transAxes, ha=align, fontsize=8, color="0.4")
