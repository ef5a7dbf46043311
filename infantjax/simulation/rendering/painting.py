"""Shaded capsules and heads painted into an image, each inside its own box, with smooth edges.

Coordinates are pixels: x to the right, y downwards, the center of the first pixel lies at 0.5. Directions are those of
the camera: x to the right, y downwards, z towards the camera.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Light:
    """One distant light and light from everywhere.

    Attributes:
        direction: `[3]` unit vector towards the light.
        ambient: share of the light that comes from everywhere, 0..1.
        color: `[3]` factor of each color.
    """

    direction: Float[np.ndarray, "3"]
    ambient: float
    color: Float[np.ndarray, "3"]


@dataclass(frozen=True, eq=False)
class Material:
    """The surface of a part.

    Attributes:
        color: `[3]` RGB, 0..1.
        stripes: depth of stripes across the part, 0 (none) to 1.
        pitch: stripes along the part.
    """

    color: Float[np.ndarray, "3"]
    stripes: float = 0.0
    pitch: float = 4.0


class Layer:
    """Painted parts over nothing: colors times coverage, and the coverage.

    Attributes:
        color: `[height, width, 3]` float32.
        cover: `[height, width]` float32, 0..1.
    """

    def __init__(self, width: int, height: int):
        self.color = np.zeros((height, width, 3), np.float32)
        self.cover = np.zeros((height, width), np.float32)

    def put(self, place: tuple[slice, slice], color: np.ndarray, cover: np.ndarray) -> None:
        """Put colors over what is there; `color` is `[row, column, 3]`, `cover` `[row, column]`."""
        below = 1 - cover
        self.color[place] *= below[..., None]
        self.color[place] += cover[..., None] * color
        self.cover[place] *= below
        self.cover[place] += cover


def box_around(
    shape: tuple[int, ...], points: Float[np.ndarray, "point 2"], radius: float
) -> tuple[slice, slice] | None:
    """Rows and columns of the pixels of an image within a distance of some points; None outside of the image."""
    left, top = np.floor(points.min(0) - radius - 1).astype(int)
    right, bottom = np.ceil(points.max(0) + radius + 1).astype(int)
    rows, columns = slice(max(top, 0), min(bottom, shape[0])), slice(max(left, 0), min(right, shape[1]))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def paint_capsule(
    layer: Layer, ends: Float[np.ndarray, "2 2"], radii: Float[np.ndarray, "2"], material: Material, light: Light
) -> None:
    """Paint a round limb between two points, of a radius at each end, shaded as a cylinder with round ends."""
    place = box_around(layer.cover.shape, ends, float(radii.max()))
    if place is None:
        return
    x, y = pixels_from(place, ends[0])
    along = (ends[1] - ends[0]).astype(np.float32)
    share = np.clip((x * along[0] + y * along[1]) / max(float(along @ along), 1e-6), 0, 1)
    radius = radii[0] + (radii[1] - radii[0]) * share
    x, y = x - share * along[0], y - share * along[1]
    distance = np.sqrt(x * x + y * y)
    cover = np.clip(radius - distance + 0.5, 0, 1)
    depth = np.sqrt(np.maximum(1 - np.square(distance / radius), 0))
    towards = (x * light.direction[0] + y * light.direction[1]) / radius + depth * light.direction[2]
    shade = light.ambient + (1 - light.ambient) * np.maximum(towards, 0)
    if material.stripes:
        shade *= 1 - material.stripes * (np.sin(2 * np.pi * material.pitch * share) > 0)
    layer.put(place, shade[..., None] * (material.color * light.color).astype(np.float32), cover.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Head:
    """Look of a head.

    Attributes:
        skin: `[3]` RGB.
        hair: `[3]` RGB.
        hairline: how far the hair reaches over the head, -1 (everywhere) to 1 (bald).
        eyes: `[3]` RGB.
        mouth: `[3]` RGB.
    """

    skin: Float[np.ndarray, "3"]
    hair: Float[np.ndarray, "3"]
    hairline: float
    eyes: Float[np.ndarray, "3"]
    mouth: Float[np.ndarray, "3"]


_EYES, _MOUTH = np.array([(-0.36, 0.02, 0.93), (0.36, 0.02, 0.93)]), np.array([0.0, -0.62, 0.78])
"""Directions on the head: left, up, front."""


def paint_head(
    layer: Layer,
    center: Float[np.ndarray, "2"],
    axes: Float[np.ndarray, "3 3"],
    radii: Float[np.ndarray, "3"],
    head: Head,
    light: Light,
) -> None:
    """Paint a head as an ellipsoid with hair, eyes and mouth on the sides where they are.

    Args:
        layer: to paint into.
        center: of the head, pixels.
        axes: the head's left, up and front as columns, in the directions of the camera.
        radii: along these, pixels.
        head: its look.
        light: on it.
    """
    place = box_around(layer.cover.shape, center[None], float(radii.max()))
    if place is None:
        return
    x, y = pixels_from(place, center)
    # In the head's own axes, divided by its radii, the head is a sphere and the line of sight still a line.
    own = (axes / radii).astype(np.float32)
    start = x[..., None] * own[0] + y[..., None] * own[1]
    sight = own[2] / np.linalg.norm(own[2])
    middle = start @ sight
    inside = 1 - np.square(start).sum(-1) + middle * middle
    cover = np.clip((1 - np.sqrt(np.maximum(1 - inside, 0))) * float(radii.mean()) + 0.5, 0, 1)
    surface = start + (np.sqrt(np.maximum(inside, 0)) - middle)[..., None] * sight
    normal = (surface / radii) @ axes.T
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    shade = light.ambient + (1 - light.ambient) * np.maximum(normal @ light.direction, 0)
    color = np.broadcast_to(head.skin, surface.shape).astype(np.float32)
    color[surface @ np.array([0.0, 0.75, -0.66]) > head.hairline] = head.hair
    for eye in _EYES:
        color[surface @ (eye / np.linalg.norm(eye)) > 0.985] = head.eyes
    across = surface - _MOUTH
    color[np.square(across @ np.diag([1.0, 2.6, 1.0])).sum(-1) < 0.06] = head.mouth
    layer.put(place, shade[..., None] * color * light.color, cover.astype(np.float32))


def pixels_from(place: tuple[slice, slice], origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and y of the pixels of a place relative to an origin, float32."""
    rows, columns = place
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + np.float32(0.5 - origin[1])
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None] + np.float32(0.5 - origin[0])
    return x, y
