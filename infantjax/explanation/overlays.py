"""Values of joints drawn on the body, by Pillow.

The page of an assessment draws the published contributions itself (`report.body`).
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from infantjax.skeletons import Skeleton

if TYPE_CHECKING:
    from PIL import Image

MARGIN = 0.2
"""Space around the body on a blank canvas, as a fraction of its sides."""

BONE, INK = (190, 195, 200), (30, 40, 46)


def overlay(
    values: ArrayLike,
    keypoints: Float[np.ndarray, "time joint axis"],
    skeleton: Skeleton,
    *,
    background: "Image.Image | None" = None,
    size: int = 480,
    upwards: bool = False,
    named: int = 5,
) -> "Image.Image":
    """Draw the median pose with each joint in the color and size of its value.

    Positive values are red, negative ones blue; the largest magnitude has full color and size.

    Args:
        values: `[joint]`, for example `saliency.by_joint`; NaN is not drawn.
        keypoints: two or three coordinates, of which the first two are drawn; NaN is missing.
        skeleton: of the keypoints and of the values.
        background: an image in whose pixels the keypoints are given; None draws on a blank canvas that fits the pose.
        size: sides of the blank canvas, pixels.
        upwards: y points upwards, as in standardized positions; not with a background.
        named: how many joints of the largest magnitude are labeled.

    Raises:
        ValueError: keypoints or values that do not fit the skeleton.
    """
    from PIL import Image, ImageDraw

    values, joints = np.asarray(values, np.float64), len(skeleton.joints)
    if keypoints.ndim != 3 or keypoints.shape[1] != joints or keypoints.shape[2] not in (2, 3):
        raise ValueError(f"keypoints must be [time, {joints}, 2 or 3], got {keypoints.shape}")
    if values.shape != (joints,):
        raise ValueError(f"values of {skeleton.name} must be [{joints}], got {values.shape}")
    pose = np.ma.median(np.ma.masked_invalid(keypoints[..., :2]), axis=0).filled(np.nan)
    if background is None:
        pose = _fitted(pose * (1, -1 if upwards else 1), size)
    image = Image.new("RGB", (size, size), "white") if background is None else background.convert("RGB")
    canvas, unit = ImageDraw.Draw(image), max(image.size) / 100
    for a, b in skeleton.edges:
        if np.isfinite(pose[[a, b]]).all():
            canvas.line([tuple(pose[a]), tuple(pose[b])], fill=BONE, width=max(1, round(unit)))
    seen = np.isfinite(pose).all(axis=1) & np.isfinite(values)
    largest = float(np.abs(values[seen]).max(initial=0)) or 1.0
    # The largest are drawn last: joints of the face lie close together.
    order = np.flatnonzero(seen)[np.argsort(np.abs(values[seen]), kind="stable")]
    for joint in order:
        x, y = pose[joint]
        share = values[joint] / largest
        radius = unit * (1 + 2 * abs(share))
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color(share), outline=INK)
    middle = float(np.median(pose[seen, 0])) if seen.any() else 0.0
    for joint in order[::-1][:named]:
        if values[joint]:
            x, y = pose[joint]
            text = f"{skeleton.joints[joint].replace('_', ' ')} {values[joint]:.2g}"
            left = x < middle
            canvas.text((x + (-4 if left else 4) * unit, y), text, fill=INK, anchor="rm" if left else "lm")
    return image


def color(share: float) -> tuple[int, int, int]:
    """Red for 1, blue for -1, white for 0."""
    rest = round(255 * (1 - min(abs(share), 1)))
    return (255, rest, rest) if share >= 0 else (rest, rest, 255)


def _fitted(pose: Float[np.ndarray, "joint 2"], size: int) -> Float[np.ndarray, "joint 2"]:
    """A pose in the middle of a canvas, in pixels."""
    seen = pose[np.isfinite(pose).all(axis=1)]
    if not len(seen):
        return pose
    low, high = seen.min(axis=0), seen.max(axis=0)
    scale = size * (1 - 2 * MARGIN) / max(float((high - low).max()), 1e-9)
    return (pose - (low + high) / 2) * scale + size / 2
