"""Assessing many recordings into a folder: one JSON and one HTML page a recording, one summary over all.

A recording that fails is a row of the summary and the rest go on. Each file is written whole or not at all, the
summary after every recording, so an interruption loses nothing that was finished; run again, finished recordings are
kept.
"""

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infantjax import formats as readers
from infantjax.assessment.result import Assessed
from infantjax.errors import InputError
from infantjax.files import locked, safe_stem, sha256, write_atomically
from infantjax.recording.recording import Recording
from infantjax.recording.tables import find_metadata
from infantjax.report import page, record, table
from infantjax.video.reading import MIN_FPS, is_frames, is_video, open_frames

if TYPE_CHECKING:
    # Its networks take a quarter of a second to import, and only videos need them.
    from infantjax.methods.base import Finder
    from infantjax.pose.tracker import Tracker

_BESIDE = ("outcomes.csv", "truth.csv", "simulation.json", "summary.csv")
"""Names of tables that lie beside recordings and are none."""

_VIDEOS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".3gp")
"""Endings of the files of a folder that are taken for videos."""


@dataclass(frozen=True)
class Reading:
    """How recordings are read; see `motion.readers.read`."""

    fps: float | None = None
    format: str | None = None
    skeleton: str | None = None
    individual: str | None = None
    tracker: "Tracker | None" = None
    """What finds the keypoints of videos."""
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What a table says of each recording, see `recording.tables.read_metadata`."""


def find_recordings(inputs: Iterable[str | Path], videos: bool = False) -> list[Path]:
    """The recordings that files, glob patterns and folders name, in their order, each once.

    A folder stands for the keypoint files and the OpenPose exports (folders themselves) in it, not deeper, in the order
    of their names, without hidden and temporary files, the tables that lie beside recordings, and the records of
    earlier reports; a folder of one OpenPose export is itself a recording. Tables beside recordings that a shell's
    pattern names with them are passed over.

    Args:
        inputs: files, patterns, folders.
        videos: folders and patterns stand for the videos in them too.

    Raises:
        InputError: nothing is named, or a pattern or folder holds no recording.
    """
    inputs = list(inputs)
    found: dict[str, Path] = {}
    for given in inputs:
        path = Path(given)
        if os.path.isdir(path) and readers.format_of(path) is None:
            paths = [p for p in sorted(path.iterdir()) if _may_be_recording(p, videos)]
        elif not os.path.exists(path) and glob.has_magic(str(given)):
            paths = [p for p in map(Path, sorted(glob.glob(str(given)))) if _may_be_recording(p, videos)]
        elif path.name in _BESIDE and len(inputs) > 1:
            continue
        else:
            paths = [path]
        if not paths:
            raise InputError(given, "holds no keypoint file", "give files, folders of files, or a pattern")
        for p in paths:
            found.setdefault(os.path.realpath(p), p)
    if not found:
        raise InputError("input", "names no recording", "give at least one keypoint file")
    return list(found.values())


def _may_be_recording(path: Path, videos: bool) -> bool:
    if path.name.startswith((".", "~")) or path.name in _BESIDE:
        return False
    if path.is_dir():
        try:
            return readers.format_of(path) is not None
        except InputError:
            return False
    if videos and path.suffix.lower() in _VIDEOS:
        return path.is_file()
    suffixes = {s for f in readers.FORMATS.values() for s in f.suffixes}
    reported = path.suffix == ".json" and path.with_suffix(".html").exists()
    return path.is_file() and path.suffix.lower() in suffixes and not reported


def assess_files(
    paths: Sequence[Path],
    output: Path,
    assessor: "Finder",
    reading: Reading = Reading(),
    *,
    overwrite: bool = False,
    report: Callable[[int, table.Row], None] = lambda done, row: None,
) -> list[table.Row]:
    """Assess recordings and write `NAME.json`, `NAME.html` and `summary.csv`.

    Args:
        paths: keypoint files.
        output: folder for the results; made if missing.
        assessor: the ensemble of a system with its options.
        reading: how the files are read.
        overwrite: replace results of other settings or inputs; otherwise they are an error of that recording.
        report: called with the number of finished recordings and the newest row.

    Returns:
        A row for every path, in order.

    Raises:
        InputError: the folder cannot be written or is in use by another process.
    """
    rows: list[table.Row] = []
    stems: dict[Path, str] = {}
    for path in paths:
        stems[path] = safe_stem(readers.stem_of(path), list(stems.values()))
    seen: dict[str, Path] = {}
    with locked(output):
        for path in paths:
            try:
                row = _assess_one(path, output / stems[path], assessor, reading, overwrite, seen)
            except InputError as error:
                row = table.Row(path.name, message=str(error))
            rows.append(row)
            _write(output / "summary.csv", table.summary_csv(rows))
            report(len(rows), row)
    return rows


def _assess_one(
    path: Path, target: Path, assessor: "Finder", reading: Reading, overwrite: bool, seen: dict[str, Path]
) -> table.Row:
    if (reading.tracker or path.suffix.lower() in _VIDEOS) and is_frames(path):
        recording = _tracked(path, target.with_name(f".{target.name}.parts"), reading)
    else:
        recording = readers.read(
            path, fps=reading.fps, format=reading.format, skeleton=reading.skeleton, individual=reading.individual
        )
    recording = replace(recording, metadata={**recording.metadata, **find_metadata(path, reading.metadata)})
    digest = _digest(path)
    assessment = assessor.assess(recording, digest)
    text = record.to_json(assessment)
    json_path, page_path = target.with_name(target.name + ".json"), target.with_name(target.name + ".html")
    if not overwrite:
        _refuse_foreign(json_path, assessment)
    _write(json_path, text)
    _write(page_path, page.to_html(assessment))
    message = f"same content as {seen[digest].name}" if digest in seen else ""
    seen.setdefault(digest, path)
    return table.Row(path.name, assessment, message)


def _tracked(path: Path, chunks: Path, reading: Reading) -> Recording:
    """The keypoints of a video. They stay in the folder until another video or setting replaces them."""
    if reading.tracker is None:
        raise InputError(path, "is a video or picture", "give --pose-weights, or its keypoints")
    frames = open_frames(path, reading.fps)
    if not is_video(frames):
        raise InputError(path, "is a picture, which shows no movement", "give a video")
    recording = reading.tracker.recording(frames, reading.tracker.track(frames, chunks))
    if recording.fps < MIN_FPS:
        raise InputError(path, f"has {recording.fps:.2g} frames per second", f"give at least {MIN_FPS:g}")
    return recording


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the frames in a folder."""
    if path.is_file():
        return sha256(path)
    frames = sorted(p for p in path.iterdir() if p.suffix.lower() == ".json" and not p.name.startswith((".", "~")))
    return sha256("".join(f"{sha256(p)} {p.name}\n" for p in frames if p.is_file()).encode("utf-8", "surrogateescape"))


def _refuse_foreign(path: Path, assessment: Assessed) -> None:
    """Refuse to write over results that another input or other settings gave."""
    if not path.exists():
        return
    try:
        there: Any = json.loads(path.read_text("utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        there = None
    if there != record.to_record(assessment)["provenance"]:
        raise InputError(path, "holds results of another input or other settings", "use --overwrite or another folder")


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror})", "make room or give another folder") from None
