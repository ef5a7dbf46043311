"""Clips for raters who must not know where they come from: cut at windows of high, of low and of any value.

Sources: a study in which observers rate clips of high and of low risk is proposed in the discussion of Groos et al.;
Gao et al. 2023 (MAM) measured what beginners gain from help. How windows are chosen and named is our choice.

A clip is decoded and encoded again, without sound and without metadata, under a number. What is burned into the picture
stays in it, such as a clock, and so do faces without `hide_heads`.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from infantjax import formats
from infantjax.assessment.batch import KEYPOINTS, digest_of
from infantjax.errors import InputError
from infantjax.files import csv_text, natural_order, sha256
from infantjax.formats import json_file
from infantjax.formats.checks import check_readable
from infantjax.recording import cleaning
from infantjax.recording.recording import Recording
from infantjax.settings import Range, check_fields
from infantjax.video import draw_skeleton, open_frames, write_video
from infantjax.video.drawing import hide_head

KEY = ("clip", "recording", "start", "seconds", "kind", "value", "label", "input_sha256", "clip_sha256")
"""Columns of the key: where each clip comes from."""
ANSWERS = ("clip", "answer", "comment")
"""Columns of the answer sheet."""
WITH_HELP = ("clip", "system", "answer", "comment")
"""Columns of the answer sheet that shows the value of the system."""
SIDE = 512
"""Of the images of drawn skeletons, pixels."""
_SAME_TIME = 315_532_800  # of all clips, 1980: their order of writing would show which belong together


@dataclass(frozen=True)
class ClipOptions:
    """Which clips are cut of each recording, and how.

    Attributes:
        highest: Clips of each recording with the highest values.
        lowest: Clips of each recording with the lowest values.
        random: Clips of each recording at random.
        seconds: Length of a clip; that of a window if not given.
        hide_heads: Blur heads by the keypoints.
        seed: Of windows and order.

    Raises:
        ValueError: a number out of range, or no clips.
    """

    highest: Annotated[int, Range(0, 1000)] = 2
    lowest: Annotated[int, Range(0, 1000)] = 2
    random: Annotated[int, Range(0, 1000)] = 2
    seconds: Annotated[float, Range(0.1, 3600)] | None = None
    hide_heads: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.highest + self.lowest + self.random:
            raise ValueError("clips of one kind at least must be asked for, got none")


Images = Iterator[tuple[float, UInt8[np.ndarray, "height width 3"]]]
"""The time of each frame in seconds, and its image."""

DEFAULT_OPTIONS = ClipOptions()
"""The options where none are given."""


class ClipSource(NamedTuple):
    """An assessed recording that clips are cut of.

    Attributes:
        name: of the recording.
        record: of its assessment.
        video: None draws the skeleton instead.
        recording: its keypoints; None where there are none.
    """

    name: str
    record: Mapping[str, Any]
    video: Path | None
    recording: Recording | None


class Clip(NamedTuple):
    """A clip.

    Attributes:
        source: what it is cut of.
        start: seconds.
        seconds: its length.
        kind: `highest`, `lowest` or `random`.
        value: of the window in its middle.
    """

    source: ClipSource
    start: float
    seconds: float
    kind: str
    value: float


def find_sources(
    records: Iterable[str | Path], videos: Iterable[Path] = (), keypoints: Iterable[Path] = ()
) -> list[ClipSource]:
    """The assessed recordings, each with its video and keypoints.

    Args:
        records: JSON files of assessments, or folders of them.
        videos: files whose names without ending are those of recordings; of all of them, or none.
        keypoints: the same; those that an assessment left beside its record are found by themselves.

    Raises:
        InputError: no record, one without a value over time, without video and keypoints, or of other files than these.
    """
    by_name = {path.stem: path for path in videos}
    tracked = {formats.stem_of(path): path for path in keypoints}
    found: dict[str, ClipSource] = {}
    for path in _records_of(records):
        record = json_file.load(path)
        if not _has_windows(record):
            raise InputError(path, "holds no value over time", "give a record of infantjax assess")
        beside = (path.with_name(f"{path.stem}{KEYPOINTS}.{suffix}") for suffix in ("npz", "csv"))
        video = by_name.get(path.stem)
        given = [file for file in (video, tracked.get(path.stem)) if file is not None]
        points = tracked.get(path.stem) or next(filter(Path.is_file, beside), None)
        if by_name and video is None:
            raise InputError(path, "has no video of its name", "name the videos of all records, or none")
        if video is None and points is None:
            raise InputError(path, "has neither a video nor keypoints", "name them by --videos or --keypoints")
        if given and record["provenance"]["input"]["sha256"] not in map(digest_of, given):
            listed = " and ".join(file.name for file in given)
            raise InputError(path, f"is of another file than {listed}", "give the file that was assessed too")
        recording = formats.read(points, fps=record["fps"]) if points is not None else None
        if path.stem in found:
            raise InputError(path, "has the name of another record", "give each record once")
        found[path.stem] = ClipSource(path.stem, record, video, recording)
    return list(found.values())


def _has_windows(record: Any) -> bool:
    """Whether a record has all that clips are chosen by: anybody may have changed the file."""
    try:
        series, _ = record["time_series"], record["provenance"]["input"]["sha256"]
        numbers = [record["fps"], record["duration"], series["length"]]
        for window in series["windows"]:
            numbers += [window["start"], 0.0 if window["median"] is None else window["median"]]
    except (KeyError, TypeError):
        return False
    return all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)


def _records_of(given: Iterable[str | Path]) -> list[Path]:
    paths: list[Path] = []
    for path in map(check_readable, given):
        inside = [p for p in path.glob("*.json") if p.with_suffix(".html").exists()] if path.is_dir() else [path]
        if not inside:
            raise InputError(path, "holds no record", "give a folder that infantjax assess wrote")
        paths += sorted(inside, key=natural_order)
    if not paths:
        raise InputError("records", "are missing", "give the JSON files of infantjax assess")
    return paths


def choose_clips(source: ClipSource, options: ClipOptions, rng: np.random.Generator) -> list[Clip]:
    """Clips of a recording that do not overlap; fewer than asked for where it is too short.

    Args:
        source: the recording.
        options: how many of each kind.
        rng: draws the random ones.

    Raises:
        InputError: no window has a value, or the recording is shorter than a clip.
    """
    series, duration = source.record["time_series"], source.record["duration"]
    known = [(w["start"], w["median"]) for w in series["windows"] if w["median"] is not None]
    seconds = options.seconds or series["length"]
    if not known or seconds > duration + 1e-6:
        what = "has no window with a value" if not known else f"lasts {duration:g} s, a clip {seconds:g} s"
        raise InputError(source.name, what, "leave it out, or give shorter --seconds")
    rising = sorted(known, key=lambda window: window[1])
    orders = {
        "highest": (options.highest, rising[::-1]),
        "lowest": (options.lowest, rising),
        "random": (options.random, [known[i] for i in rng.permutation(len(known))]),
    }
    chosen: list[Clip] = []
    for kind, (count, order) in orders.items():
        taken = 0
        for start, value in order:
            if taken == count:
                break
            begin = min(max(start + (series["length"] - seconds) / 2, 0.0), max(duration - seconds, 0.0))
            if all(abs(begin - other.start) >= seconds - 1e-6 for other in chosen):
                chosen.append(Clip(source, begin, seconds, kind, value))
                taken += 1
    return chosen


def write_clips(
    sources: Sequence[ClipSource],
    folder: Path,
    options: ClipOptions = DEFAULT_OPTIONS,
    report: Callable[[int], None] = lambda done: None,
) -> dict[str, str]:
    """Write numbered clips in random order into a folder.

    Args:
        sources: recordings.
        folder: for the clips, which exists.
        options: see `ClipOptions`; equal ones give equal clips.
        report: called with the number of clips that are written.

    Returns:
        Tables as CSV, by name: `answers`, the sheet of a rater; `with_help`, the same in another order with the value
        of the system; `key`.

    Raises:
        InputError: a recording that is too short, a video that cannot be decoded, or heads without keypoints to blur.
    """
    rng = np.random.default_rng(options.seed)
    clips = [clip for source in sources for clip in choose_clips(source, options, rng)]
    digits = max(3, len(str(len(clips))))
    named = {f"clip_{number + 1:0{digits}d}": clip for number, clip in zip(rng.permutation(len(clips)), clips)}
    done = 0
    for source in sources:
        own = [(name, clip) for name, clip in named.items() if clip.source is source]
        fps, frames = _frames_of(source, options.hide_heads)
        for name, clip in sorted(own, key=lambda pair: pair[1].start):
            path = folder / f"{name}.mp4"
            write_video(_between(frames, clip.start, clip.start + clip.seconds, fps), fps, path)
            os.utime(path, (_SAME_TIME, _SAME_TIME))
            report(done := done + 1)
    names = sorted(named)
    keys = []
    for name in names:
        source, start, *rest = named[name]
        digests = source.record["provenance"]["input"]["sha256"], sha256(folder / f"{name}.mp4")
        keys.append((name, source.name, round(start, 3), *rest, source.record["time_series"]["label"], *digests))
    helped = [(names[i], f"{named[names[i]].value:.2f}", "", "") for i in rng.permutation(len(names))]
    return {
        "answers": csv_text(ANSWERS, [(name, "", "") for name in names]),
        "with_help": csv_text(WITH_HELP, helped),
        "key": csv_text(KEY, keys),
    }


def _frames_of(source: ClipSource, hide_heads: bool) -> tuple[float, Images]:
    """Frames per second, and the time in seconds and image of each frame, decoded once from the first to the last."""
    if source.video is None:
        assert source.recording is not None
        return source.recording.fps, _drawn(source.recording)
    if hide_heads and source.recording is None:
        raise InputError(source.name, "has no keypoints by which the head could be found", "give --keypoints")
    video = open_frames(source.video)
    return video.fps, _filmed(iter(video), source.recording if hide_heads else None)


def _filmed(frames: Iterator[Any], recording: Recording | None) -> Images:
    size: tuple[int, int] | None = None
    points = None if recording is None else cleaning.fill_gaps(recording.keypoints[..., :2])
    for frame in frames:
        size = size or (frame.height, frame.width)
        image = frame.pixels(*size)
        if recording is not None and points is not None:
            row = min(round(frame.time * recording.fps), len(points) - 1)
            image = hide_head(image, points[row] * (size[1] / frame.width, size[0] / frame.height), recording.skeleton)
        yield frame.time, image


def _drawn(recording: Recording) -> Images:
    points = recording.keypoints[..., :2]
    low, high = np.nanquantile(points, (0.01, 0.99), axis=(0, 1))
    scale = 0.8 * SIDE / max(float((high - low).max()), 1e-9)
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    for row, place in enumerate((points - (low + high) / 2) * scale + SIDE / 2):
        yield row / recording.fps, draw_skeleton(white, place, recording.skeleton)


def _between(frames: Images, start: float, end: float, fps: float) -> Iterator[np.ndarray]:
    """The images between two times, in seconds; it takes no frame behind them."""
    for time, image in frames:
        if time >= start - 0.5 / fps:
            yield image
        if time >= end - 1.5 / fps:
            return
