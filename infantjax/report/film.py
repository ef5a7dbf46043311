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
from jaxtyping import UInt8

from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.video.drawing import draw_skeleton, hide_head
from infantjax.video.random_access import read_frames
from infantjax.video.reading import HIDDEN
from infantjax.video.writing import write_hidden

SIDE = 640
"""Longest side of a still, pixels."""

MAX_EMBEDDED = 64 << 20
"""Largest video that a page may hold, bytes: browsers read a page as a whole."""


@dataclass(frozen=True)
class FilmOptions:
    """How a page shows the video that it was made from.

    Attributes:
        hide_heads: Blur the head in stills and overlays; the page plays a blurred copy of the video, never the video.
        embed_video: Put the video into the page. Without it the page plays the file where it lies.
    """

    hide_heads: bool = False
    embed_video: bool = False


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
    """A video as the page shows it.

    Attributes:
        source: address of the video: relative, or with its content; empty where it is not shown.
        stills: none where no window has a value or no frame can be read.
    """

    source: str
    stills: tuple[Still, ...]


def film_of(
    path: Path, recording: Recording, record: Mapping[str, Any], page: Path, options: FilmOptions = DEFAULT_OPTIONS
) -> Film:
    """The video and its stills, for the page of a record; a copy with blurred heads is written beside the page.

    Args:
        path: the video.
        recording: its keypoints, in pixels of its frames.
        record: of its assessment, see `infantjax.report.record`.
        page: to whose folder the link is relative, and whose name a blurred copy has.
        options: see `FilmOptions`.

    Raises:
        InputError: the video is to be embedded and is too large, or a blurred copy cannot be written.
    """
    shown = path
    if options.hide_heads:
        shown = page.with_name(f"{page.stem}{HIDDEN}.mp4")
        write_hidden(path, recording, shown)
    if options.embed_video:
        if shown.stat().st_size > MAX_EMBEDDED:
            what = f"has more than {MAX_EMBEDDED >> 20} MiB, too many for a page"
            raise InputError(shown, what, "leave out --embed-video")
        kind = "webm" if shown.suffix.lower() == ".webm" else "mp4"
        source = f"data:video/{kind};base64,{base64.b64encode(shown.read_bytes()).decode('ascii')}"
    else:
        source = quote(os.fsencode(Path(os.path.relpath(shown.resolve(), page.parent.resolve())).as_posix()))
    try:
        return Film(source, _stills(path, recording, record, options.hide_heads))
    except InputError:  # a video that was read once and cannot be read at random keeps its assessment
        return Film(source, ())


def _stills(path: Path, recording: Recording, record: Mapping[str, Any], hide_heads: bool) -> tuple[Still, ...]:
    series = record["time_series"] or {"windows": []}
    known = sorted((w for w in series["windows"] if w["median"] is not None), key=lambda w: w["median"])
    if not known:
        return ()
    ends, last = {"Highest": known[-1], "Lowest": known[0]}, recording.frames - 1
    indices = [min(round((w["start"] + series["length"] / 2) * recording.fps), last) for w in ends.values()]
    stills, frames = [], read_frames(path, indices).frames
    for (which, window), frame, index in zip(ends.items(), frames, indices, strict=True):
        points = recording.keypoints[index, :, :2].astype(np.float64)
        image = frame.pixels()
        if hide_heads:
            image = hide_head(image, points, recording.skeleton)
        drawn = _jpeg(draw_skeleton(image, points, recording.skeleton))
        stills.append(Still(which, window["start"], window["median"], drawn))
    return tuple(stills)


def _jpeg(image: UInt8[np.ndarray, "height width 3"]) -> str:
    from PIL import Image

    picture, stream = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((SIDE, SIDE))
    picture.save(stream, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
