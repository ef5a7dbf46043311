"""Tracks of colored markers, from where they are clicked on in the first frame.

Source: the workshop paper of the SMA CNN, whose infants wore colored tape under a depth camera. It gives the rule
(near the last place, of a like hue) and no values: those of `MarkerSettings` are our choice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class MarkerSettings:
    """What counts as a marker's pixel, and where it is looked for.

    Attributes:
        hue: degrees that a pixel's hue may lie from the clicked one, round the circle.
        saturation: least, 0..1.
        value: least, 0..1.
        radius: pixels from the last place.
        growth: pixels more for every frame that the marker was lost.
        farthest: pixels, at most.
        least: pixels of a blob.
    """

    hue: float = 10
    saturation: float = 0.25
    value: float = 0.2
    radius: float = 40
    growth: float = 10
    farthest: float = 120
    least: int = 12


class Intrinsics(NamedTuple):
    """Of a pinhole camera, pixels: focal lengths and the middle of the image."""

    fx: float
    fy: float
    cx: float
    cy: float


def track_markers(
    frames: Iterable[Shaped[np.ndarray, "height width 3"]],
    clicks: Sequence[tuple[float, float]],
    *,
    depths: Iterable[Float[np.ndarray, "height width"]] | None = None,
    intrinsics: Intrinsics | None = None,
    settings: MarkerSettings | None = None,
) -> Float[np.ndarray, "time marker 3"]:
    """Where each marker is in every frame.

    A marker is the largest connected blob of pixels of its hue near its last place; its place is their mean.

    Args:
        frames: RGB, 0..255, one after the other; none is kept.
        clicks: x and y of each marker in the first frame, pixels; the pixel there gives its hue.
        depths: beside the frames; a marker's depth is the median over its pixels that have one (0 has none).
        intrinsics: turn x, y and depth into places in space, in the unit of the depth.
        settings: what counts as a marker.

    Returns:
        `[time, marker, 3]`: x, y in pixels and the depth (0 without depths), or places in space. NaN where a marker is
        lost, or has no depth.

    Raises:
        ValueError: no frames, fewer depths than frames, intrinsics without depths, a click outside of the first frame
            or on a pixel without color.
    """
    settings = settings or MarkerSettings()
    if intrinsics is not None and depths is None:
        raise ValueError("places in space need depths beside the intrinsics")
    tracks: list[np.ndarray] = []
    places, hues, lost = np.array(clicks, np.float64).reshape(-1, 2), np.zeros(len(clicks)), np.zeros(len(clicks), int)
    measured = iter(depths) if depths is not None else None
    for frame in frames:
        depth = next(measured, None) if measured is not None else None
        if measured is not None and depth is None:
            raise ValueError(f"there are {len(tracks)} depths and more frames")
        if not tracks:
            hues = np.array([_clicked(frame, place, settings) for place in places])
        row = np.full((len(clicks), 3), np.nan)
        for marker, (place, hue) in enumerate(zip(places, hues)):
            reach = min(settings.radius + settings.growth * lost[marker], settings.farthest)
            blob = _blob(frame, place, hue, reach, settings)
            if blob is None:
                lost[marker] += 1
                continue
            lost[marker], places[marker] = 0, blob.mean(axis=0)
            row[marker, :2], row[marker, 2] = places[marker], 0 if depth is None else _depth(depth, blob)
        tracks.append(_in_space(row, intrinsics) if intrinsics else row)
    if not tracks:
        raise ValueError("there are no frames")
    return np.array(tracks)


def _clicked(frame: np.ndarray, place: np.ndarray, settings: MarkerSettings) -> float:
    column, line = np.rint(place).astype(int)
    if not (0 <= line < frame.shape[0] and 0 <= column < frame.shape[1]):
        raise ValueError(f"click ({place[0]:g}, {place[1]:g}) lies outside of the frame of {frame.shape[1::-1]}")
    hue, saturation, value = hsv(frame[line, column])
    if saturation < settings.saturation or value < settings.value:
        raise ValueError(f"the pixel at click ({place[0]:g}, {place[1]:g}) is too gray or dark to be a marker")
    return float(hue)


def _blob(
    frame: np.ndarray, place: np.ndarray, hue: float, reach: float, settings: MarkerSettings
) -> Float[np.ndarray, "pixel 2"] | None:
    """X and y of the pixels of a marker, or None where it is lost."""
    from scipy.ndimage import label

    height, width = frame.shape[:2]
    left, top = (max(int(np.floor(p - reach)), 0) for p in place)
    right, bottom = (min(int(np.ceil(p + reach)) + 1, side) for p, side in zip(place, (width, height)))
    if left >= right or top >= bottom:
        return None
    y, x = np.mgrid[top:bottom, left:right]
    found, saturation, value = np.moveaxis(hsv(frame[top:bottom, left:right]), -1, 0)
    away = np.abs((found - hue + 180) % 360 - 180)
    like = (away <= settings.hue) & (saturation >= settings.saturation) & (value >= settings.value)
    like &= np.hypot(x - place[0], y - place[1]) <= reach
    names, count = label(like)
    if not count:
        return None
    sizes = np.bincount(names.ravel())[1:]
    if sizes.max() < settings.least:
        return None
    chosen = names == np.argmax(sizes) + 1
    return np.stack([x[chosen], y[chosen]], -1).astype(np.float64)


def _depth(depth: np.ndarray, blob: np.ndarray) -> float:
    x, y = blob.astype(int).T
    values = depth[y, x]
    return float(np.median(values[values > 0])) if (values > 0).any() else np.nan


def _in_space(row: np.ndarray, camera: Intrinsics) -> np.ndarray:
    x, y, depth = row.T
    return np.stack([(x - camera.cx) * depth / camera.fx, (y - camera.cy) * depth / camera.fy, depth], -1)


def hsv(rgb: Shaped[np.ndarray, "*pixel 3"]) -> Float[np.ndarray, "*pixel 3"]:
    """Hue in degrees, 0 for gray, saturation and value in 0..1, of colors in 0..255."""
    rgb = np.asarray(rgb, np.float64) / 255
    most, least = rgb.max(axis=-1), rgb.min(axis=-1)
    span = most - least
    red, green, blue = np.moveaxis(rgb, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sector = np.select(
            [span == 0, most == red, most == green],
            [0, ((green - blue) / span) % 6, (blue - red) / span + 2],
            (red - green) / span + 4,
        )
        saturation = np.where(most > 0, span / most, 0)
    return np.stack([60 * sector, saturation, most], -1)
