"""Tracks of colored markers, from where they are clicked on in the first frame, and the recording that they make.

Source: the workshop paper of the SMA CNN, whose infants wore colored tape under a depth camera. It gives the rule
(near the last place, of a like hue) and no values: those of `MarkerSettings` are our choice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from infantjax.errors import InputError
from infantjax.pose.estimation.track import at_constant_rate, plausible_rate
from infantjax.recording.recording import Recording
from infantjax.settings import Count, NonNegative, Positive, Range, Share, check_fields
from infantjax.skeletons import LIMBS_4
from infantjax.video.depth import DepthImages
from infantjax.video.frames import Frames

Head = Literal["left", "right", "up", "down"]
_BODY_AXES = {"left": ((1, 0), (0, -1)), "right": ((-1, 0), (0, 1)), "up": ((0, 1), (1, 0)), "down": ((0, -1), (-1, 0))}
"""Where the head is in the image -> the image's x and y in the first two axes of the body."""


@dataclass(frozen=True)
class MarkerSettings:
    """Which pixels are those of a marker, and where it is looked for.

    Attributes:
        hue: degrees that a pixel's hue may lie from the clicked one, round the circle.
        saturation: least, 0..1.
        value: least, 0..1.
        radius: pixels from the last place.
        growth: pixels more for every frame that the marker was lost.
        farthest: pixels, at most.
        least: pixels of a blob.

    Raises:
        ValueError: a value out of range.
    """

    hue: Annotated[float, Range(0, 180)] = 10
    saturation: Share = 0.25
    value: Share = 0.2
    radius: Positive = 40
    growth: NonNegative = 10
    farthest: Positive = 120
    least: Count = 12

    def __post_init__(self) -> None:
        check_fields(self)


class Intrinsics(NamedTuple):
    """Of a pinhole camera, pixels: focal lengths and the middle of the image."""

    fx: float
    fy: float
    cx: float
    cy: float


def record_markers(
    frames: Frames,
    clicks: Sequence[tuple[float, float]],
    *,
    depth: DepthImages | None = None,
    intrinsics: Intrinsics | None = None,
    head: Head | None = None,
    settings: MarkerSettings | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> tuple[Recording, Float[np.ndarray, "frame marker 2"]]:
    """Track the markers of hands and feet through a video.

    Args:
        frames: the video.
        clicks: on the markers of right and left hand, right and left foot, see `track_markers`.
        depth: one depth image for each frame, registered to it; without it the recording has two dimensions.
        intrinsics: places in space, in the unit of the depth; None keeps pixels.
        head: where the infant's head is in the image: axes as published, from head to toe, across the body, and up
            towards the camera. None keeps those of the camera: right, down, away.
        settings: what counts as a marker.
        report: called with the number of frames that are done.

    Returns:
        Keypoints of `limbs-4` (in pixels, pixels and depth, or in space), and the pixels of every frame, to draw them.

    Raises:
        InputError: the video or its depth cannot be read, or another number of depth images than frames.
        ValueError: as `track_markers`, and intrinsics without depth.
    """
    if intrinsics is not None and depth is None:
        raise ValueError("places in space need a depth beside the intrinsics")
    times: list[float] = []

    def images() -> Iterator[np.ndarray]:
        for frame in frames:
            times.append(frame.time)
            report(len(times))
            yield frame.pixels()

    tracks = track_markers(images(), clicks, depths=depth.depths() if depth else None, settings=settings)
    if depth is not None and depth.expected != len(tracks):
        what = f"has {depth.expected} images, the video {len(tracks)} frames"
        raise InputError(depth.path, what, "give one depth image for each frame")
    points = tracks if intrinsics is None else to_space(tracks, intrinsics)
    unit = "in space, in the unit of the depth" if intrinsics else "pixels and depth" if depth else "pixels"
    points = points if depth is not None else points[..., :2]
    if head is not None:
        points = to_body_axes(points, head)
        unit += ", from head to toe, across, and up"
    fps, notes = frames.fps, list(frames.notes)
    lost = np.isnan(points).any(axis=-1).mean(axis=0)
    notes += [
        f"{name} is lost in {100 * share:.1f} % of the frames" for name, share in zip(LIMBS_4.joints, lost) if share
    ]
    at = np.array(times)
    if np.abs(at - np.arange(len(at)) / fps).max() > 0.5 / fps:
        fps = plausible_rate(fps, at)
        points, _ = at_constant_rate(at, points, np.ones(points.shape[:2]), fps)
        notes.append(f"has no constant frame rate; its tracks were interpolated at {fps:g} frames per second")
    history = (f"colored markers followed, {unit}; frames by {frames.provenance}",)
    recording = Recording(points, fps, LIMBS_4, frames.path.stem, history=history, notes=tuple(notes))
    return recording, tracks[..., :2]


def to_space(tracks: Float[np.ndarray, "*time 3"], camera: Intrinsics) -> Float[np.ndarray, "*time 3"]:
    """Pixels and depth as places in space: x right, y down, z away from the camera, in the unit of the depth."""
    x, y, depth = np.moveaxis(tracks, -1, 0)
    return np.stack([(x - camera.cx) * depth / camera.fx, (y - camera.cy) * depth / camera.fy, depth], -1)


def to_body_axes(points: Float[np.ndarray, "*time axis"], head: Head) -> Float[np.ndarray, "*time axis"]:
    """Axes of the camera as those of the paper: from head to toe, across the body, up towards the camera.

    Args:
        points: right, down and, with three axes, away from the camera.
        head: side of the image where the head is.
    """
    flat = np.einsum("ij,...j->...i", np.array(_BODY_AXES[head], np.float64), points[..., :2])
    return np.concatenate([flat, -points[..., 2:]], axis=-1)


def track_markers(
    frames: Iterable[Shaped[np.ndarray, "height width 3"]],
    clicks: Sequence[tuple[float, float]],
    *,
    depths: Iterable[Float[np.ndarray, "height width"]] | None = None,
    settings: MarkerSettings | None = None,
) -> Float[np.ndarray, "time marker 3"]:
    """Where each marker is in every frame.

    A marker is the largest connected blob of pixels of its hue near its last place; its place is their mean.

    Args:
        frames: RGB, 0..255, one after the other; none is kept.
        clicks: x and y of each marker in the first frame, pixels; the pixel there gives its hue.
        depths: beside the frames; a marker's depth is the median over its pixels that have one (0 has none).
        settings: what counts as a marker.

    Returns:
        `[time, marker, 3]`: x, y in pixels and the depth, 0 without depths. NaN where a marker is lost, or has no
        depth.

    Raises:
        ValueError: no frames, fewer depths than frames or of another size, a click outside of the first frame or on a
            pixel without color.
    """
    settings = settings or MarkerSettings()
    tracks: list[np.ndarray] = []
    places, hues, lost = np.array(clicks, np.float64).reshape(-1, 2), np.zeros(len(clicks)), np.zeros(len(clicks), int)
    measured = iter(depths) if depths is not None else None
    for frame in frames:
        depth = next(measured, None) if measured is not None else None
        if measured is not None and depth is None:
            raise ValueError(f"there are {len(tracks)} depths and more frames")
        if depth is not None and depth.shape != frame.shape[:2]:
            raise ValueError(f"a depth image of {depth.shape[::-1]} pixels lies beside a frame of {frame.shape[1::-1]}")
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
        tracks.append(row)
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
