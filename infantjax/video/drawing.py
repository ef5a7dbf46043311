"""Skeletons drawn into images, by Pillow."""

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.skeletons import Skeleton, segments

RIGHT, LEFT, MIDDLE = (230, 120, 30), (40, 110, 220), (60, 170, 90)
"""Colors of the infant's right side, its left side, and the joints between them."""


def draw_skeleton(
    image: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "joint 2"], skeleton: Skeleton
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw limbs and joints on a copy of an image.

    Args:
        image: RGB.
        points: x and y in pixels; NaN is not drawn, and points outside of the image are cut off.
        skeleton: names and limbs.
    """
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    width = max(2.0, max(image.shape[:2]) / 200)
    # Far outside of the image a line has no visible part that Pillow could draw exactly.
    seen = np.isfinite(points).all(axis=1) & (np.abs(points) < 100 * max(image.shape[:2])).all(axis=1)
    for a, b in segments(skeleton):
        if seen[a] and seen[b]:
            draw.line([*points[a], *points[b]], fill=_color(skeleton.joints[b]), width=round(width))
    for joint, (x, y) in zip(np.array(skeleton.joints)[seen], points[seen]):
        draw.ellipse([x - width, y - width, x + width, y + width], fill=_color(joint))
    return np.asarray(canvas)


def _color(joint: str) -> tuple[int, int, int]:
    return RIGHT if joint.startswith("right") else LEFT if joint.startswith("left") else MIDDLE
