"""The video on the page: stills of the windows with the highest and the lowest value, and the video itself."""

import base64
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton
from infantjax.video.drawing import draw_skeleton
from infantjax.video.random_access import read_frames

SIDE = 640
"""Longest side of a still, pixels."""

MAX_EMBEDDED = 64 << 20
"""Largest video that a page may hold, bytes: browsers read a page as a whole."""

HEAD = ("head", "nose", "eye", "ear", "chin", "mouth", "face")
"""Parts of the names of points of the head."""


@dataclass(frozen=True)
class FilmOptions:
    """What a page shows of the video that it was made from.

    Attributes:
        hide_heads: Blur the head in the stills of a video, and leave the video itself out of the page.
        embed_video: Put the video into the page. Without it the page plays the file where it lies.

    Raises:
        ValueError: both, since the head is not blurred in the video.
    """

    hide_heads: bool = False
    embed_video: bool = False

    def __post_init__(self) -> None:
        if self.hide_heads and self.embed_video:
            raise ValueError("heads are not hidden in a video, so that it cannot be embedded too")


DEFAULT_OPTIONS = FilmOptions()
"""The options where none are given."""


class Still(NamedTuple):
    """A frame in the middle of a window, with the skeleton on it.

    Attributes:
        which: `Highest` or `Lowest`.
        start: of the window, seconds.
        value: of the window.
        image: JPEG as a `data:` address.
    """

    which: str
    start: float
    value: float
    image: str


class Film(NamedTuple):
    """What the page shows of a video.

    Attributes:
        source: address of the video: relative, or with its content; empty where it is not shown.
        stills: none where no window has a value or no frame can be read.
    """

    source: str
    stills: tuple[Still, ...]


def film_of(
    path: Path, recording: Recording, record: Mapping[str, Any], folder: Path, options: FilmOptions = DEFAULT_OPTIONS
) -> Film:
    """The video and its stills, for the page of a record.

    Args:
        path: the video.
        recording: its keypoints, in pixels of its frames.
        record: of its assessment, see `infantjax.report.record`.
        folder: of the page, to which the link is relative.
        options: see `FilmOptions`.

    Raises:
        InputError: the video is to be embedded and is too large.
    """
    source = ""
    if options.embed_video:
        if path.stat().st_size > MAX_EMBEDDED:
            what = f"has more than {MAX_EMBEDDED >> 20} MiB, too many for a page"
            raise InputError(path, what, "leave out --embed-video")
        kind = "webm" if path.suffix.lower() == ".webm" else "mp4"
        source = f"data:video/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    elif not options.hide_heads:
        source = quote(os.fsencode(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()))
    try:
        return Film(source, _stills(path, recording, record, options.hide_heads))
    except InputError:  # a video that was read once and cannot be read at random keeps its assessment
        return Film(source, ())


def _stills(path: Path, recording: Recording, record: Mapping[str, Any], hide_heads: bool) -> tuple[Still, ...]:
    series = record["time_series"] or {"windows": []}
    known = [window for window in series["windows"] if window["median"] is not None]
    if not known:
        return ()
    ends = {"Highest": max(known, key=lambda w: w["median"]), "Lowest": min(known, key=lambda w: w["median"])}
    indices = [
        min(round((window["start"] + series["length"] / 2) * recording.fps), recording.frames - 1)
        for window in ends.values()
    ]
    stills = []
    frames = read_frames(path, indices).frames
    for (which, window), frame, index in zip(ends.items(), frames, indices, strict=True):
        points = recording.keypoints[index, :, :2].astype(np.float64)
        image = frame.pixels()
        if hide_heads:
            image = hide_head(image, points, recording.skeleton)
        drawn = _jpeg(draw_skeleton(image, points, recording.skeleton))
        stills.append(Still(which, window["start"], window["median"], drawn))
    return tuple(stills)


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
    of_head = [j for j, name in enumerate(skeleton.joints) if any(part in name for part in HEAD)]
    known = points[of_head][np.isfinite(points[of_head]).all(axis=1)]
    mask = Image.new("L", picture.size, 0 if len(known) else 255)
    if len(known):
        x, y = known.mean(axis=0)
        body = points[np.isfinite(points).all(axis=1)]
        # A head is about a quarter of the length of an infant; its points may lie anywhere in it.
        spread = float(np.linalg.norm(known - (x, y), axis=1).max())
        radius = max(1.6 * spread, 0.2 * float(np.ptp(body, axis=0).max()), side / 20)
        ImageDraw.Draw(mask).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        blur = radius / 2
    else:
        blur = side / 15
    return np.asarray(Image.composite(picture.filter(ImageFilter.GaussianBlur(blur)), picture, mask))


def _jpeg(image: UInt8[np.ndarray, "height width 3"]) -> str:
    from PIL import Image

    picture, stream = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(stream, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
