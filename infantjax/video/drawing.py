"""Skeletons drawn into images, and heads hidden in them, by Pillow."""

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.skeletons import Skeleton, segments

RIGHT, LEFT, MIDDLE = (230, 120, 30), (40, 110, 220), (60, 170, 90)
"""Colors of the infant's right side, its left side, and the joints between them."""

HEAD = ("head", "nose", "eye", "ear", "chin", "mouth", "face")
"""Parts of the names of points of the head."""


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


def hide_head(
    image: UInt8[np.ndarray, "height width 3"], points: Float[np.ndarray, "joint 2"], skeleton: Skeleton
) -> UInt8[np.ndarray, "height width 3"]:
    """Blur the head: a circle about its points, or the whole image where none of them is known.

    Args:
        image: RGB.
        points: in pixels; NaN is missing.
        skeleton: of the points.
    """
    from PIL import Image, ImageDraw, ImageFilter

    picture, side = Image.fromarray(image), max(image.shape[:2])
    seen = np.isfinite(points).all(axis=1)
    of_head = np.array([any(part in name for part in HEAD) for name in skeleton.joints])
    if (of_head & seen).any():  # the neck says where the head ends, not where it is
        of_head |= np.array([name == "upper_neck" for name in skeleton.joints])
    known = points[of_head & seen]
    mask = Image.new("L", picture.size, 0 if len(known) else 255)
    if len(known):
        x, y = known.mean(axis=0)
        body = points[seen]
        # A head is about a quarter of the length of an infant; its points may lie anywhere in it.
        spread = float(np.linalg.norm(known - (x, y), axis=1).max())
        radius = max(1.6 * spread, 0.2 * float(np.ptp(body, axis=0).max()), side / 20)
        ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        blur = radius / 2
    else:
        blur = side / 15
    return np.asarray(Image.composite(picture.filter(ImageFilter.GaussianBlur(blur)), picture, mask))


def _color(joint: str) -> tuple[int, int, int]:
    return RIGHT if joint.startswith("right") else LEFT if joint.startswith("left") else MIDDLE
