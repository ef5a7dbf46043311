"""Read a folder of keypoint files with the table of their outcomes (see `formats.outcomes`)."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import sha256
from infantjax.formats.checks import check_readable, damage
from infantjax.formats.outcomes import ids_of_file, read_outcome_table, read_seconds
from infantjax.formats.registry import format_of, read
from infantjax.recording.cohort import Cohort, ScoreRange
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording, find_fps_notes
from infantjax.skeletons import Skeleton

TABLE = "outcomes.csv"
"""Name of the table of outcomes in the folder of a cohort."""
TRUTH = "truth.csv"
"""Name of the table of annotated seconds."""


def read_cohort(
    folder: str | Path,
    outcomes: str | Path | None = None,
    *,
    fps: float | None = None,
    format: str | None = None,
    skeleton: Skeleton | str | None = None,
    strict: bool = False,
    score_range: ScoreRange | None = None,
) -> Cohort:
    """Read a folder of recordings and the table of their outcomes.

    Hidden and temporary files and files without keypoints are ignored. A file that cannot be read, a file without
    outcome, an outcome without file, equal rows and equal recordings are `problems` of a usable cohort. Contradicting
    rows, invalid outcomes, two different files of one infant, and no usable recording at all are errors.

    Args:
        folder: with keypoint files (or folders of OpenPose).
        outcomes: the table; None is the folder's `outcomes.csv`.
        fps: as in `formats.read`, for all files.
        format: as in `formats.read`, for all files.
        skeleton: convert every recording to this keypoint set; None leaves each in its own.
        strict: refuse joints that can only be approximated in that set.
        score_range: of outcomes that are scores; None for 0 or 1.

    Returns:
        The recordings that have an outcome, in the order of the table, with the other columns as metadata.

    Raises:
        InputError: the cohort cannot be used; one line lists all problems.
        ValueError: unknown `format` or `skeleton`.
    """
    folder = _check_folder(folder, "give the folder with the keypoint files")
    path = Path(outcomes) if outcomes is not None else folder / TABLE
    if outcomes is None and not path.exists():
        raise InputError(folder, f"has no table {TABLE}", "add one with columns id;outcome, or name it with --outcomes")
    problems = Problems()
    table = read_outcome_table(path, problems, score_range)
    files = _find_files(folder, path, table, problems)
    found = {name: _read_recording(name, files.get(name, []), fps, format, problems) for name in table}
    recordings = {name: recording for name, recording in found.items() if recording is not None}
    _note_equal_recordings(recordings, problems)
    if skeleton is not None:
        recordings = _convert_all(recordings, skeleton, strict, problems)
    if problems.errors:
        raise problems.to_error(path, "correct these and try again")
    if not recordings:
        raise problems.to_error(folder, "no usable recording is left")
    rows = [table[name] for name in recordings]
    return Cohort(
        recordings=tuple(
            replace(recording, name=name, metadata=recording.metadata.with_columns(row.metadata))
            for (name, recording), row in zip(recordings.items(), rows)
        ),
        outcomes=tuple(row.outcome for row in rows),
        groups=tuple(row.group for row in rows) if any(row.group != name for name, row in table.items()) else None,
        problems=tuple(f"{subject}: {what}" for subject, what in problems.warnings),
        score_range=score_range,
    )


def read_annotated(folder: str | Path, *, fps: float | None = None, format: str | None = None) -> tuple[Recording, ...]:
    """Read recordings with annotated seconds.

    Args:
        folder: with keypoint files and `truth.csv`: columns id, second (from 0) and fidgety (1 where that second holds
            fidgety movements, else 0).
        fps: as in `read_cohort`.
        format: as in `read_cohort`.

    Returns:
        The recordings of the table. Their metadata `fidgety` has 0 or 1 for every second, 0 where the table has none.

    Raises:
        InputError: the table or a recording of it cannot be read; one line lists all problems.
    """
    folder = _check_folder(folder, f"give the folder with the keypoint files and {TRUTH}")
    seconds, problems = read_seconds(folder / TRUTH), Problems()
    files = _find_files(folder, folder / TRUTH, seconds, Problems())  # other files of the folder do not matter
    found = {name: _read_recording(name, files.get(name, []), fps, format, problems) for name in seconds}
    if problems.errors or problems.warnings:
        raise problems.to_error(folder / TRUTH, "correct these and try again")
    recordings = []
    for name, recording in found.items():
        assert recording is not None
        fidgety = [seconds[name].get(second, 0) for second in range(math.ceil(recording.duration))]
        recordings.append(replace(recording, name=name, metadata=recording.metadata.with_columns({"fidgety": fidgety})))
    return tuple(recordings)


def _check_folder(folder: str | Path, remedy: str) -> Path:
    folder = check_readable(folder)
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", remedy)
    return folder


def _find_files(folder: Path, table: Path, ids: Iterable[str], problems: Problems) -> dict[str, list[Path]]:
    """The files of each id; keypoint files without a row become warnings."""
    known, files = set(ids), dict[str, list[Path]]()
    with damage(folder, "a folder"):
        names = sorted(os.listdir(folder))
    for name in names:
        path = folder / name
        if name.startswith((".", "~", "#")) or name.endswith(("~", ".tmp", ".part", ".bak", ".swp")):
            continue
        if path.exists() and table.exists() and path.samefile(table):
            continue
        infant = next((i for i in ids_of_file(path) if i in known), None)
        if infant is not None:
            files.setdefault(infant, []).append(path)
            continue
        try:
            if format_of(path) is not None:
                problems.warnings.append((name, "has no outcome in the table"))
        except InputError as error:
            if path.is_symlink() and not path.exists():
                problems.warnings.append((name, error.what))
    return files


def _read_recording(
    name: str, paths: list[Path], fps: float | None, format: str | None, problems: Problems
) -> Recording | None:
    """Read the files of one infant, which must agree."""
    recordings = []
    for path in paths:
        try:
            recordings.append((path, read(path, fps=fps, format=format)))
            problems.warnings += [(path.name, note) for note in find_fps_notes(recordings[-1][1])]
        except InputError as error:
            problems.warnings.append((path.name, f"{error.what}; {error.remedy}" if error.remedy else error.what))
    if not paths:
        problems.warnings.append((name[:60], "has an outcome but no file"))
    if not recordings:
        return None
    first, recording = recordings[0]
    for path, other in recordings[1:]:
        same = recording.keypoints.shape == other.keypoints.shape and np.allclose(
            recording.keypoints, other.keypoints, equal_nan=True
        )
        if same:
            problems.warnings.append((f"{first.name} and {path.name}", "hold the same recording; the first is used"))
        else:
            problems.errors.append((f"{first.name} and {path.name}", "are files of one infant and differ"))
    return recording


def _note_equal_recordings(recordings: Mapping[str, Recording], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for name, recording in recordings.items():
        first = seen.setdefault(sha256(recording.keypoints), name)
        if first != name:
            problems.warnings.append((f"{first[:60]} and {name[:60]}", "are the same recording"))


def _convert_all(
    recordings: Mapping[str, Recording], skeleton: Skeleton | str, strict: bool, problems: Problems
) -> dict[str, Recording]:
    converted = {}
    for name, recording in recordings.items():
        try:
            converted[name] = convert(recording, skeleton, strict)
        except InputError as error:
            (problems.errors if strict else problems.warnings).append((name[:60], f"cannot be used: {error.what}"))
    return converted
