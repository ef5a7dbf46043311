"""A simulated infant before a depth camera: distances to round parts above a flat surface, with the camera's noise.

All numbers are our choice; none was fitted to a depth camera.
"""

import math

import numpy as np
from jaxtyping import Float, UInt16

from infantjax.simulation.config import InfantConfig
from infantjax.simulation.rendering.figure import Figure
from infantjax.simulation.rendering.painting import box_around, pixels_from

NOISE = 0.2
"""Standard deviation of a distance, centimeters."""
MILLIMETERS = 10.0
"""In a centimeter."""


def depth_image(
    figure: Figure, index: int, infant: InfantConfig, shape: tuple[int, int], rng: np.random.Generator
) -> UInt16[np.ndarray, "height width"]:
    """Distances from the camera to what it sees first, along its view axis, millimeters.

    Args:
        figure: the infant before the camera.
        index: of the frame.
        infant: with the camera.
        shape: height and width, pixels.
        rng: for the noise.
    """
    height, focal = infant.camera_height, infant.focal_length
    rows = np.arange(shape[0], dtype=np.float32)[:, None] + 0.5
    up = (shape[0] / 2 - rows) * (height / focal)
    surface = np.broadcast_to(-math.tan(math.radians(infant.camera_tilt)) * up, shape).astype(np.float32)
    for ends, radii, heights in zip(figure.ends[index], figure.radii[index], figure.heights[index]):
        _raise(surface, ends, radii, heights, focal / (height - heights.mean()))
    head, radius = figure.head[index], figure.head_radii[index].mean()
    center = figure.nearness[index, -1]
    _raise(surface, np.stack([head] * 2), np.full(2, radius), np.full(2, center), focal / (height - center))
    distance = height - surface + NOISE * rng.standard_normal(shape, np.float32)
    return np.clip(np.rint(MILLIMETERS * distance), 1, 65_535).astype(np.uint16)


def _raise(
    surface: Float[np.ndarray, "height width"],
    ends: Float[np.ndarray, "2 2"],
    radii: Float[np.ndarray, "2"],
    heights: Float[np.ndarray, "2"],
    scale: float,
) -> None:
    """Raise a surface, centimeters, to a round limb between two points; radii in pixels, `scale` per centimeter."""
    place = box_around(surface.shape, ends, float(radii.max()))
    if place is None:
        return
    x, y = pixels_from(place, ends[0])
    along = (ends[1] - ends[0]).astype(np.float32)
    share = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-6), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * share
    squared = np.square(x - share * along[0]) + np.square(y - share * along[1])
    top = heights[0] + (heights[1] - heights[0]) * share + np.sqrt(np.maximum(radius**2 - squared, 0)) / scale
    surface[place] = np.where(squared <= radius**2, np.maximum(surface[place], top), surface[place])
