"""Assess many recordings into a folder: a JSON file and a page for each, a summary and an index over all.

A recording that fails, for whatever reason, is a row of the summary, and the others are assessed. Each file is written
whole or not at all, the summary every few seconds and at the end, also after an interruption.
"""

import glob
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from infantjax import formats
from infantjax.assessment.assessment import Assessment
from infantjax.assessment.assessor import Assessor, attempt
from infantjax.assessment.gate import DEFAULT_OPTIONS, QualityOptions
from infantjax.assessment.summary import Summary, write
from infantjax.engine import CrashError, Engine, results
from infantjax.errors import InputError
from infantjax.files import (
    canonical_json,
    locked,
    refuse_inputs,
    require_local,
    safe_stem,
    sha256,
    unique_names,
)
from infantjax.formats.outcomes import find_metadata
from infantjax.recording.recording import Recording
from infantjax.report import page
from infantjax.report.film import DEFAULT_OPTIONS as LINKED
from infantjax.report.film import FilmOptions, film_of
from infantjax.report.glance import Glance
from infantjax.report.table import Row
from infantjax.video import Frames, is_frames, is_video, open_frames
from infantjax.video.reading import OVERLAY, is_video_name

_BESIDE = ("outcomes.csv", "truth.csv", "simulation.json", "summary.csv", "quality.csv")
"""Names of tables that lie beside recordings and are no recordings."""

KEYPOINTS = ".keypoints"
"""Ending of the name, before its suffix, of the keypoint file of a video beside its report."""
VISITS = ".visits"
"""The same of the visits of the infant, as a table and as JSON."""
DescribeVisits = Callable[[Mapping[str, Any], Sequence[Glance], Glance], tuple[list[str], dict[str, str]]]
"""Sentences on the record of a visit, the earlier visits and this one; and files to put beside its page, by ending."""
_BLOCK = 64
"""Recordings that are read before they are assessed, at most."""


@dataclass(frozen=True)
class ReadOptions:
    """How files become recordings; see `infantjax.formats.read`.

    Attributes:
        fps: frames per second, where the files do not say.
        format: of the files; None finds it from their content.
        skeleton: keypoint set of the files; None finds it from the names of the joints.
        individual: which individual, in files that hold several.
        tracker: finds the keypoints of a video, and keeps what belongs to it beside its results, given the path of
            these without ending (`pose.estimation.writing.beside_report`); None refuses videos.
        source: the frames of the only recording, in place of those of its file, such as a camera's.
        metadata: what a table says of each recording, see `infantjax.formats.outcomes.read_metadata`.
    """

    fps: float | None = None
    format: str | None = None
    skeleton: str | None = None
    individual: str | None = None
    tracker: Callable[[Frames, Path], Recording] | None = None
    source: Frames | None = None
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def find_recordings(inputs: Iterable[str | Path]) -> list[Path]:
    """The recordings that files, glob patterns and folders name, in their order, each once.

    A folder stands for the keypoint files, the videos and the OpenPose exports (which are folders) in it, not deeper,
    sorted by name. Hidden and temporary files, tables beside recordings, and what earlier reports wrote are left out;
    so is a video beside its keypoint file of the same name. A folder with one OpenPose export is itself a recording.
    Tables that a pattern of the shell names among recordings are left out.

    Args:
        inputs: files, patterns, folders.

    Raises:
        InputError: nothing is named, or a pattern or folder holds no recording.
    """
    inputs = list(inputs)
    found: dict[str, Path] = {}
    for given in inputs:
        require_local(given)
        path = Path(given)
        if os.path.isdir(path) and formats.format_of(path) is None:
            paths = _recordings_of(path.iterdir())
        elif not os.path.exists(path) and glob.has_magic(str(given)):
            paths = _recordings_of(map(Path, glob.glob(str(given))))
        elif path.name in _BESIDE and len(inputs) > 1:
            continue
        else:
            paths = [path]
        if not paths:
            raise InputError(given, "contains no keypoint file or video", "give files, folders of files, or a pattern")
        for p in paths:
            found.setdefault(os.path.realpath(p), p)
    if not found:
        raise InputError("input", "names no recording", "give at least one keypoint file or video")
    return list(found.values())


def _recordings_of(paths: Iterable[Path]) -> list[Path]:
    """The recordings among some files, sorted; no video whose keypoints lie beside it."""
    found = sorted(path for path in paths if _may_be_recording(path))
    tracked = {formats.stem_of(path) for path in found if not is_video_name(path)}
    return [path for path in found if not is_video_name(path) or path.stem not in tracked]


def _may_be_recording(path: Path) -> bool:
    if path.name.startswith((".", "~")) or path.name in _BESIDE:
        return False
    if path.is_dir():
        try:
            return formats.format_of(path) is not None
        except InputError:
            return False
    if is_video_name(path):
        return True
    # The record, the keypoints and the visits that an earlier report left.
    stem = path.stem.removesuffix(KEYPOINTS).removesuffix(VISITS)
    left = stem != path.stem or path.suffix == ".json"
    reported = left and path.with_name(f"{stem}.html").exists()
    return path.is_file() and path.suffix.lower() in _suffixes() and not reported


def _suffixes() -> set[str]:
    """Suffixes of keypoint files."""
    return {suffix for format in formats.FORMATS.values() for suffix in format.suffixes}


def needs_tracker(path: Path) -> bool:
    """Whether a file is a video or an image by its first bytes, and no keypoint file by its name."""
    return path.suffix.lower() not in _suffixes() and is_frames(path)


def assess_files(
    paths: Sequence[Path],
    output: Path,
    assessor: Assessor,
    options: ReadOptions = ReadOptions(),
    *,
    quality: QualityOptions = DEFAULT_OPTIONS,
    overwrite: bool = False,
    read_only: Sequence[Path] = (),
    cluster: tuple[Engine, Callable[[], tuple[Assessor, ReadOptions]]] | None = None,
    film: FilmOptions = LINKED,
    describe_visits: DescribeVisits | None = None,
    report: Callable[[int, Row], None] = lambda done, row: None,
) -> list[Row]:
    """Assess recordings and write `NAME.json`, `NAME.html`, `summary.csv` and `index.html`.

    Rows of an earlier summary stay, unless their recording is assessed again or their page is gone. Recordings of equal
    names get numbers, which their rows and pages say.

    Args:
        paths: keypoint files or videos.
        output: folder for the results; made if missing.
        assessor: the ensemble of a method with its options.
        options: how the files are read.
        quality: what the quality of the keypoints decides.
        overwrite: replace results of other settings or inputs; otherwise they are an error of that recording.
        read_only: further files and folders that are read, such as tables and the ensemble.
        cluster: assess each recording in a task of this engine, whose machines share all folders, with what this
            function returns there in place of `assessor` and `options`. A page then shows the earlier visits that were
            finished when its task began.
        film: what the pages show of videos.
        describe_visits: what the pages say of earlier visits, and files beside them.
        report: called with the number of finished recordings and the newest row.

    Returns:
        A row for every path, in order.

    Raises:
        InputError: the folder cannot be written, is in use by another process or holds another `summary.csv`, or a
            result would be written over an input.
    """
    names = [formats.stem_of(path) for path in paths]
    ids = unique_names(names)
    targets = [output / stem for stem in unique_names(map(safe_stem, ids), ["index"])]
    summary, index = output / "summary.csv", output / "index.html"
    items = [_Item(*item) for item in zip(paths, names, ids, targets, strict=True)]
    refuse_inputs([output, summary, index, *(p for item in items for p in item.results)], [*paths, *read_only])
    rows: list[Row] = []
    how = _How(quality, overwrite, film, describe_visits)
    with locked(output), Summary(output, overwrite) as whole:
        if cluster is None:
            found = _assess(items, assessor, options, how, whole.glances, {})
        else:
            found = _assess_there(items, *cluster, how, whole.glances)
        for row in found:
            rows.append(row)
            whole.add(row)
            report(len(rows), row)
    return rows


class _How(NamedTuple):
    """Arguments of `assess_files`."""

    quality: QualityOptions
    overwrite: bool
    film: FilmOptions
    describe_visits: DescribeVisits | None


def _assess(
    items: Sequence["_Item"],
    assessor: Assessor,
    options: ReadOptions,
    how: _How,
    glances: Callable[[], list[Glance]],
    seen: dict[str, Path],
) -> Iterator[Row]:
    """Assess recordings in this process in their order, several together; `seen` are digests of those before."""
    for block in _blocks(items, options, assessor.seconds_together):
        readable = [(each.recording, each.digest) for each in block if isinstance(each.recording, Recording)]
        recordings, digests = [one for one, _ in readable], [digest for _, digest in readable]
        assessed = iter(assessor.assess_many(recordings, digests, how.quality))
        for source in block:
            assessment = source.recording if isinstance(source.recording, Exception) else next(assessed)
            same = _same(seen, source.digest, source.item.path)
            try:
                row = _write_result(source, assessment, same, glances, how)
            except Exception as error:  # one recording never ends a batch
                if len(items) == 1 and not isinstance(error, (InputError, MemoryError, OSError)):
                    raise
                row = _failed(source.item, error)
            yield row


def _assess_there(
    items: Sequence["_Item"],
    engine: Engine,
    setup: Callable[[], tuple[Assessor, ReadOptions]],
    how: _How,
    glances: Callable[[], list[Glance]],
) -> Iterator[Row]:
    """Assess on an engine, a recording a task."""
    seen: dict[str, Path] = {}

    def tasks() -> Iterator[tuple[Any, ...]]:
        for item in items:
            digest = attempt(digest_of, item.path)
            before = {} if isinstance(digest, Exception) else {digest: seen.setdefault(digest, item.path)}
            yield item, setup, how, glances(), before

    for (item, *_), future in results(engine, _assess_item, tasks(), ordered=True):
        error = future.exception()
        yield _failed(item, error) if isinstance(error, Exception) else future.result()


def _assess_item(
    item: "_Item",
    setup: Callable[[], tuple[Assessor, ReadOptions]],
    how: _How,
    glances: list[Glance],
    seen: dict[str, Path],
    *,
    device: int,
) -> Row:
    """A task of `_assess_there`: one recording in a process that sees one device."""
    assessor, options = setup()
    (row,) = _assess([item], assessor, options, how, lambda: glances, seen)
    return row


def _same(seen: dict[str, Path], digest: str, path: Path) -> str:
    """Note on a recording whose content came before; else empty."""
    return "" if not digest or (first := seen.setdefault(digest, path)) == path else f"same content as {first.name}"


def _failed(item: "_Item", error: Exception) -> Row:
    return Row(file=item.path.name, id=item.id, message=str(_as_input_error(item.path, error)))


def _as_input_error(path: Path, error: Exception) -> InputError:
    """The reason why a recording could not be assessed, as one line."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return InputError(path, "needs more memory than there is", "split the recording")
    if isinstance(error, CrashError):
        return InputError(path, str(error))
    if isinstance(error, OSError):
        return InputError(error.filename or path, f"cannot be read or written ({error.strerror or error})")
    return InputError(path, f"unexpected {type(error).__name__} ({error})", "assess it alone to see where")


class _Item(NamedTuple):
    """A recording of a batch.

    Attributes:
        path: its file.
        name: by its file.
        id: its name, with a number where another recording has it.
        target: its results, without ending.
    """

    path: Path
    name: str
    id: str
    target: Path

    @property
    def json(self) -> Path:
        return self.beside(".json")

    @property
    def page(self) -> Path:
        return self.beside(".html")

    @property
    def results(self) -> list[Path]:
        """All files that may be written for it."""
        kept = [f"{KEYPOINTS}.csv", f"{KEYPOINTS}.npz", f"{OVERLAY}.mp4", f"{VISITS}.csv", f"{VISITS}.json"]
        return [self.json, self.page, *map(self.beside, kept)]

    def beside(self, ending: str) -> Path:
        """One of its results."""
        return self.target.with_name(self.target.name + ending)

    @property
    def renamed(self) -> str:
        """A note where the id is not the name; else empty."""
        return "" if self.id == self.name else f'named {self.id}: another recording is named "{self.name}"'


class _Source(NamedTuple):
    """A recording of a batch with its content, or what kept it from being read."""

    item: _Item
    recording: Recording | Exception
    digest: str


def _blocks(items: Iterable[_Item], options: ReadOptions, seconds: float) -> Iterator[list[_Source]]:
    """Recordings that are assessed together: as many as last so long, and at least one."""
    block: list[_Source] = []
    lasts = 0.0
    for item in items:
        read = attempt(_read_item, item, options)
        recording, digest = (read, "") if isinstance(read, Exception) else read
        block.append(_Source(item, recording, digest))
        lasts += 0 if isinstance(recording, Exception) else recording.duration
        if lasts >= seconds or len(block) == _BLOCK:
            yield block
            block, lasts = [], 0.0
    if block:
        yield block


def _write_result(
    source: _Source,
    assessment: Assessment | Exception,
    same: str,
    glances: Callable[[], list[Glance]],
    how: _How,
) -> Row:
    """Write the record and the page of a recording, with earlier visits of the infant, and give its row."""
    if isinstance(assessment, Exception):
        raise assessment
    item = source.item
    record = assessment.to_dict()
    if not how.overwrite:
        _refuse_foreign(item.json, record)
    message = "; ".join(filter(None, [item.renamed, same]))
    row = Row.of(item.path.name, record, message, id=item.id, page=item.page.name)
    glance = Glance.of(row, record)
    earlier = glance.earlier(glances()) if glance.infant else []
    film = None
    if isinstance(source.recording, Recording) and needs_tracker(item.path):
        film = film_of(item.path, source.recording, record, item.page, how.film)
    notes, files = how.describe_visits(record, earlier, glance) if how.describe_visits else ([], {})
    html = page.to_html(record, assessment.movement, assessment.movement_fps, earlier, film, notes)
    beside = {item.beside(ending): text for ending, text in files.items()}
    write({item.json: canonical_json(record), item.page: html, **beside})
    for stale in {item.beside(f"{VISITS}.csv"), item.beside(f"{VISITS}.json")} - set(beside):
        stale.unlink(missing_ok=True)
    return row


def _read_item(item: _Item, options: ReadOptions) -> tuple[Recording, str]:
    """The recording of a file under its id, and the digest of the file; without a file, that of the keypoints."""
    recording = _read(item.path, item.target, options)
    regular = options.source is None or item.path.is_file()
    digest = digest_of(item.path) if regular else sha256(recording.keypoints)
    if item.renamed:
        recording = replace(recording, name=item.id, notes=(*recording.notes, item.renamed))
    return recording, digest


def _read(path: Path, target: Path, options: ReadOptions) -> Recording:
    """The recording of a keypoint file or video, with what the table of metadata says of it."""
    if options.source is not None or needs_tracker(path):
        recording = _tracked(path, target, options)
    else:
        recording = formats.read(
            path, fps=options.fps, format=options.format, skeleton=options.skeleton, individual=options.individual
        )
    return replace(recording, metadata=recording.metadata.with_columns(find_metadata(path, options.metadata)))


def _tracked(path: Path, target: Path, options: ReadOptions) -> Recording:
    """The keypoints of a video."""
    if options.tracker is None:
        raise InputError(path, "is a video or image", "give its keypoints")
    frames = options.source or open_frames(path, options.fps)
    if options.source is None and not is_video(frames):
        raise InputError(path, "is an image, which shows no movement", "give a video")
    return options.tracker(frames, target)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of the frames in a folder."""
    if path.is_file():
        return sha256(path)
    frames = sorted(p for p in path.iterdir() if p.suffix.lower() == ".json" and not p.name.startswith((".", "~")))
    return sha256("".join(f"{sha256(p)} {p.name}\n" for p in frames if p.is_file()).encode("utf-8", "surrogateescape"))


def _refuse_foreign(path: Path, record: Mapping[str, Any]) -> None:
    """Refuse to overwrite results of another input or of other settings."""
    if not path.exists():
        return
    try:
        there: Any = json.loads(path.read_text("utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        there = None
    if there != record["provenance"]:
        raise InputError(path, "holds results of another input or other settings", "use --overwrite or another folder")
