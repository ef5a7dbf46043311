"""The random look of a simulated infant and of the place where it lies: skin, clothes, light, floor and blanket.

All ranges are our choice; none was fitted to videos of infants.
"""

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from infantjax.simulation.rendering.painting import Head, Light, Material

# Skin from light to dark, RGB.
_SKIN = np.array([(250, 224, 205), (238, 196, 168), (215, 165, 130), (176, 122, 88), (128, 84, 58), (86, 56, 42)]) / 255
_HAIR = np.array([(40, 28, 22), (90, 60, 38), (165, 125, 75), (20, 18, 18)]) / 255


@dataclass(frozen=True, eq=False)
class Look:
    """How one infant looks.

    Attributes:
        head: its look.
        light: on infant and floor.
        materials: of every part, see `figure.PARTS`; `skin` for what is not dressed.
        stoutness: factor of all radii.
    """

    head: Head
    light: Light
    materials: dict[str, Material]
    stoutness: float


def draw_look(rng: np.random.Generator) -> Look:
    """A random infant in random clothes under a random light."""
    tone = rng.uniform(0, len(_SKIN) - 1)
    lower = min(int(tone), len(_SKIN) - 2)
    skin = _SKIN[lower] + (tone - lower) * (_SKIN[lower + 1] - _SKIN[lower])
    skin = np.clip(skin * rng.uniform(0.93, 1.07, 3), 0, 1)
    hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.7, 1.2)
    head = Head(skin, hair, float(rng.uniform(0.2, 1.0)), hair * 0.5, skin * (0.75, 0.45, 0.45))
    side, height = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(20, 85))
    direction = np.array([math.cos(side) * math.cos(height), math.sin(side) * math.cos(height), math.sin(height)])
    warmth = rng.uniform(-0.12, 0.12)
    color = np.array([1 + warmth, 1.0, 1 - warmth]) * rng.uniform(0.65, 1.15)
    light = Light(direction.astype(np.float32), float(rng.uniform(0.25, 0.75)), color.astype(np.float32))
    return Look(head, light, _clothes(rng, Material(skin)), float(rng.uniform(0.88, 1.2)))


def _clothes(rng: np.random.Generator, skin: Material) -> dict[str, Material]:
    """Materials by part. A suit has one material for all; else top, trousers and socks are drawn apart."""
    top, bottom, socks, nappy = (_cloth(rng) for _ in range(4))
    nappy = Material(np.clip(0.9 + rng.uniform(-0.12, 0.1, 3), 0, 1))
    if rng.random() < 0.3:
        bottom = socks = top
    dressed, sleeves, legs = rng.random() < 0.75, rng.integers(3), rng.integers(3)
    covered = rng.random() < 0.6
    return {
        "skin": skin,
        "trunk": top if dressed else skin,
        "upper_arm": top if dressed and sleeves else skin,
        "forearm": top if dressed and sleeves == 2 else skin,
        "hips": bottom if covered else nappy,
        "thigh": bottom if covered and legs else skin,
        "shank": bottom if covered and legs == 2 else skin,
        "foot": socks if rng.random() < 0.35 else skin,
    }


def _cloth(rng: np.random.Generator) -> Material:
    striped = rng.random() < 0.3
    return Material(_color(rng), float(rng.uniform(0.1, 0.5)) if striped else 0.0, float(rng.uniform(2, 6)))


def _color(rng: np.random.Generator) -> np.ndarray:
    """A random color, RGB 0..1: often pale, as clothes and blankets are."""
    return np.array(colorsys.hsv_to_rgb(rng.random(), rng.beta(1.2, 2.2), rng.uniform(0.15, 1.0) ** 0.6))


def draw_floor(
    rng: np.random.Generator, width: int, height: int, clutter: float, light: Light
) -> UInt8[np.ndarray, "height width 3"]:
    """A floor, a blanket on it, things that lie around, and uneven light.

    Args:
        rng: random numbers.
        width: pixels.
        height: pixels.
        clutter: mean number of things that lie around.
        light: on the floor.
    """
    side = max(width, height)
    image = Image.new("RGB", (2 * width, 2 * height), _rgb(_color(rng)))
    pencil = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        _pattern(pencil, rng, (2 * width, 2 * height), side)
    if rng.random() < 0.85:
        blanket = Image.new("RGB", image.size, _rgb(_color(rng)))
        if rng.random() < 0.5:
            _pattern(ImageDraw.Draw(blanket), rng, image.size, side)
        mask = Image.new("L", image.size)
        middle = rng.uniform(0.4, 0.6, 2) * image.size
        ImageDraw.Draw(mask).polygon(_rectangle(middle, rng.uniform(0.35, 1.3, 2) * side, rng.normal(0, 0.25)), 255)
        image.paste(blanket, mask=mask)
        pencil = ImageDraw.Draw(image)
    for _ in range(rng.poisson(clutter)):
        _thing(pencil, rng, image.size, side)
    pixels = np.asarray(image.reduce(2), np.float32)
    uneven = _smooth(rng, width, height, 3) * rng.uniform(0, 0.2) + _smooth(rng, width, height, 24) * 0.04
    slope = np.linspace(-1, 1, height)[:, None] * light.direction[1] + np.linspace(-1, 1, width) * light.direction[0]
    lit = np.clip(1 + uneven + 0.15 * slope, 0.2, 1.6)[..., None] * light.color
    return np.clip(pixels * lit, 0, 255).astype(np.uint8)


def _pattern(pencil: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], side: int) -> None:
    """Stripes, checks or dots in another color."""
    color, pitch = _rgb(_color(rng)), int(side * rng.uniform(0.06, 0.3)) + 4
    kind, thick = rng.integers(3), max(1, int(pitch * rng.uniform(0.1, 0.5)))
    if kind == 2:
        for x in range(0, size[0], pitch):
            for y in range(0, size[1], pitch):
                pencil.ellipse((x, y, x + thick, y + thick), color)
        return
    for x in range(0, size[0], pitch):
        pencil.rectangle((x, 0, x + thick, size[1]), color)
    for y in range(0, size[1] if kind else 0, pitch):
        pencil.rectangle((0, y, size[0], y + thick), color)


def _thing(pencil: ImageDraw.ImageDraw, rng: np.random.Generator, size: tuple[int, int], side: int) -> None:
    """A box, a ball, a cord, or a roll, the last in a color of skin."""
    at, extent = rng.uniform(0, 1, 2) * size, rng.uniform(0.02, 0.22, 2) * side
    color, kind, turn = _rgb(_color(rng)), rng.integers(4), rng.uniform(0, math.pi)
    if kind == 0:
        pencil.polygon(_rectangle(at, extent, turn), color)
    elif kind == 1:
        pencil.ellipse((*(at - extent), *(at + extent)), color)
    else:
        reach = np.array([math.cos(turn), math.sin(turn)]) * side * rng.uniform(0.1, 0.5)
        thick = int(side * (rng.uniform(0.005, 0.02) if kind == 2 else rng.uniform(0.04, 0.12))) + 1
        color = color if kind == 2 else _rgb(_SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.8, 1.1))
        pencil.line((*(at - reach), *(at + reach)), color, thick)


def _rectangle(middle: np.ndarray, half: np.ndarray, turn: float) -> list[tuple[float, float]]:
    cos, sin = math.cos(turn), math.sin(turn)
    corners = [(-half[0], -half[1]), (half[0], -half[1]), (half[0], half[1]), (-half[0], half[1])]
    return [(middle[0] + cos * x - sin * y, middle[1] + sin * x + cos * y) for x, y in corners]


def _smooth(rng: np.random.Generator, width: int, height: int, cells: int) -> Float[np.ndarray, "height width"]:
    """Smooth noise about 0: random values on a coarse grid, interpolated."""
    grid = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))


def _rgb(color: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(v) for v in np.clip(255 * color, 0, 255))
    return red, green, blue
