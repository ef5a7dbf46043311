"""Recordings with their outcomes: a folder of keypoint files and a table.

The table is text, separated by `;` or `,`, with a header row: an id, an outcome (1: cerebral palsy or the abnormal
class, 0: not; or a score on a scale), and optionally `group` (recordings of one group are never in training and test at
once) and anything else, which goes into each recording's metadata. The id is text (`007` stays `007`) and names a file:
its name without ending and without `orgcoords_`.
"""

import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from infantjax import formats as readers
from infantjax.errors import InputError, Problems
from infantjax.files import MAX_FRAMES, sha256
from infantjax.formats import edge, text
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.skeletons import Skeleton

TABLE = "outcomes.csv"
"""Name of the outcomes table in a cohort's folder."""
TRUTH = "truth.csv"
"""Name of the table of annotated seconds."""

_IDS = ("id", "individual", "infant", "recording", "subject", "name")
_OUTCOMES = ("outcome", "score", "label", "cp")

Scale = tuple[float, float]
"""Lowest and highest value of a score."""
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cohort:
    """Recordings with outcomes.

    Attributes:
        recordings: each named by its id, in the order of the table.
        outcomes: 0 or 1 for each; with a scale, a score.
        groups: a name for each, or None; recordings of one group belong together when data are split.
        problems: what was left out or looks odd, one line each; empty if nothing.
        scale: of the outcomes where they are scores; None where they are classes.

    Raises:
        ValueError: lengths differ, an outcome is neither 0 nor 1 or not on the scale, or two recordings have one name.
    """

    recordings: tuple[Recording, ...]
    outcomes: tuple[float, ...]
    groups: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()
    scale: Scale | None = None

    def __post_init__(self) -> None:
        if len(self.outcomes) != len(self.recordings) or len(self.groups or self.outcomes) != len(self.recordings):
            raise ValueError(f"{len(self.recordings)} recordings need as many outcomes and groups")
        if not all(_is_outcome(outcome, self.scale) for outcome in self.outcomes):
            raise ValueError(f"outcomes must be {_outcomes_in_words(self.scale)}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("two recordings of a cohort have one name")

    def __len__(self) -> int:
        return len(self.recordings)

    @property
    def names(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(r.name for r in self.recordings)

    def columns(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """What each recording has in some columns of the outcomes table, as text.

        Raises:
            ValueError: a column that no recording has.
        """
        for name in names:
            if all(name not in recording.metadata for recording in self.recordings):
                raise ValueError(f'no recording has a column "{name}"')
        return [tuple(str(recording.metadata.get(name)) for name in names) for recording in self.recordings]

    def only(self, rows: Iterable[int]) -> "Cohort":
        """Some of the recordings, by index and in this order; problems are of the whole and stay there."""
        rows = list(rows)
        groups = None if self.groups is None else tuple(self.groups[row] for row in rows)
        recordings, outcomes = tuple(self.recordings[row] for row in rows), tuple(self.outcomes[row] for row in rows)
        return replace(self, recordings=recordings, outcomes=outcomes, groups=groups, problems=())

    def each(self, prepare: Callable[[Recording], T], leave_out: bool = False) -> tuple["Cohort", list[T]]:
        """What every recording gives, and the cohort of those that give something.

        Args:
            prepare: raises an `InputError` for a recording that cannot be used.
            leave_out: leave such recordings out and name them in the cohort's problems.

        Raises:
            InputError: recordings that cannot be used, one line that names all; or none is left.
        """
        prepared, kept, problems = [], [], []
        for row, recording in enumerate(self.recordings):
            try:
                prepared.append(prepare(recording))
                kept.append(row)
            except InputError as error:
                problems.append(f"{error.where} {error.what}")
        if problems and not (leave_out and kept):
            listed = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
            what = f"{len(problems)} of {len(self)} recordings cannot be used: {listed}"
            raise InputError("cohort", what, "mend or leave them out")
        left = tuple(f"left out: {problem}" for problem in problems)
        return replace(self.only(kept), problems=(*self.problems, *left)), prepared


def _is_outcome(value: float, scale: Scale | None) -> bool:
    return value in (0, 1) if scale is None else scale[0] <= value <= scale[1]


def _outcomes_in_words(scale: Scale | None) -> str:
    return "0 or 1" if scale is None else f"a number from {scale[0]:g} to {scale[1]:g}"


@dataclass
class _Infant:
    """One row of the table."""

    outcome: float
    group: str
    metadata: dict[str, str]


def read_cohort(
    folder: str | Path,
    outcomes: str | Path | None = None,
    *,
    fps: float | None = None,
    format: str | None = None,
    skeleton: Skeleton | str | None = None,
    strict: bool = False,
    scale: Scale | None = None,
) -> Cohort:
    """Read a folder of recordings and the table of their outcomes.

    Files that are hidden, temporary or no keypoint files are passed over. A file that cannot be read, a file without
    outcome, an outcome without file, equal rows and equal recordings are `problems` of a usable cohort. Contradicting
    rows, outcomes that are neither 0 nor 1 or not on their scale, two different files of one infant, and no usable
    recording at all are errors.

    Args:
        folder: with keypoint files (or folders of OpenPose).
        outcomes: the table; None is the folder's `outcomes.csv`.
        fps: as in `readers.read`, for all files.
        format: as in `readers.read`, for all files.
        skeleton: convert every recording to this keypoint set; None leaves each in its own.
        strict: refuse joints that can only be approximated in that set.
        scale: of outcomes that are scores; None for 0 or 1.

    Returns:
        The recordings that have an outcome, in the order of the table, `skeleton` and metadata of the table filled in.

    Raises:
        InputError: the cohort cannot be used; one line that lists everything that is wrong.
        ValueError: `format` or `skeleton` is not a known name.
    """
    folder = edge.check_readable(folder)
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "give the folder with the keypoint files")
    table = Path(outcomes) if outcomes is not None else folder / TABLE
    if outcomes is None and not table.exists():
        raise InputError(folder, f"has no table {TABLE}", "add one with columns id;outcome, or name it with --outcomes")
    problems = Problems()
    infants, grouped = _read_table(table, problems, scale)
    if not infants and not problems.errors:
        raise InputError(table, "names no infant", "add one row an infant: id;outcome")
    files = _files(folder, table, infants, problems)
    found = {
        name: recording
        for name in infants
        if (recording := _read_infant(name, files.get(name, []), fps, format, problems)) is not None
    }
    _name_equal_recordings(found, problems)
    converted = _convert(found, skeleton, strict, problems)
    if problems.errors or not converted:
        remedy = "correct these and try again" if problems.errors else "no usable recording is left"
        raise problems.to_error(table if problems.errors else folder, remedy)
    return Cohort(
        recordings=tuple(
            replace(recording, name=name, metadata={**recording.metadata, **infants[name].metadata})
            for name, recording in converted.items()
        ),
        outcomes=tuple(infants[name].outcome for name in converted),
        groups=tuple(infants[name].group for name in converted) if grouped else None,
        problems=tuple(f"{subject}: {what}" for subject, what in problems.warnings),
        scale=scale,
    )


def read_annotated(folder: str | Path, *, fps: float | None = None, format: str | None = None) -> tuple[Recording, ...]:
    """Read recordings whose seconds are annotated.

    Args:
        folder: with keypoint files and `truth.csv`: id, second (from 0) and fidgety, 1 where that second of the
            recording holds fidgety movements.
        fps: as in `read_cohort`.
        format: as in `read_cohort`.

    Returns:
        The recordings of the table; `fidgety` of their metadata has 0 or 1 for every second, 0 where none is annotated.

    Raises:
        InputError: the table cannot be read, or a recording of it; one line that lists everything that is wrong.
    """
    folder = edge.check_readable(folder)
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", f"give the folder with the keypoint files and {TRUTH}")
    seconds = read_seconds(folder / TRUTH)
    problems = Problems()
    annotated = {name: _Infant(0, name, {}) for name in seconds}
    files = _files(folder, folder / TRUTH, annotated, problems)
    problems.warnings.clear()  # other files of the folder are no concern
    found = {name: _read_infant(name, files.get(name, []), fps, format, problems) for name in annotated}
    if problems.errors or problems.warnings:
        raise problems.to_error(folder / TRUTH, "correct these and try again")
    recordings = []
    for name, recording in found.items():
        assert recording is not None
        fidgety = [seconds[name].get(second, 0) for second in range(math.ceil(recording.duration))]
        recordings.append(replace(recording, name=name, metadata={**recording.metadata, "fidgety": fidgety}))
    return tuple(recordings)


def read_seconds(path: str | Path) -> dict[str, dict[int, int]]:
    """The annotated seconds of each recording of a table `id;second;fidgety`: 1 for fidgety movements, 0 for none.

    Raises:
        InputError: it cannot be read, holds nothing, or a line is no such entry.
    """
    remedy = "write id;second;fidgety, one row a second, as `infantjax simulate` does"
    path, header, lines = _opened(path, remedy)
    if not {"id", "second", "fidgety"} <= set(header):
        raise InputError(path, "needs columns id, second and fidgety", remedy)
    seconds: dict[str, dict[int, int]] = defaultdict(dict)
    for line, cells in lines:
        row = dict(zip(header, (cell.strip() for cell in cells)))
        second, fidgety = row.get("second", ""), row.get("fidgety", "")
        if not (row["id"] and second.isdecimal() and fidgety in ("0", "1")):
            raise InputError(path, f'line {line} has second "{second[:20]}" and fidgety "{fidgety[:20]}"', remedy)
        seconds[row["id"]][int(second)] = int(fidgety)
    if not seconds:
        raise InputError(path, "holds no annotated second", remedy)
    return dict(seconds)


def _opened(path: str | Path, remedy: str) -> tuple[Path, list[str], Iterator[tuple[int, list[str]]]]:
    """A text table: its checked path, the lowercase names of its columns, and the numbered lines behind them."""
    path = edge.check_readable(path)
    if edge.kind_of(path) != "text":
        raise InputError(path, "is not a text table", remedy)
    lines = text.rows(path, text.dialect_of(path))
    return path, [name.lower() for name in text.header_of(path, next((cells for _, cells in lines), []))], lines


def read_metadata(path: str | Path) -> dict[str, dict[str, str]]:
    """What a table says of each recording, by id: every column but the id, without empty entries.

    Args:
        path: text table with a header; the id names a file as in the table of `read_cohort`, which will do too.

    Raises:
        InputError: it cannot be read, has no rows, or a line without id or a second one of the same id.
    """
    remedy = "write id and the other columns, one row a recording"
    path, header, lines = _opened(path, remedy)
    of_id = next((i for i, name in enumerate(header) if name in _IDS), 0)
    found: dict[str, dict[str, str]] = {}
    for line, cells in lines:
        row = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
        name = row[of_id] if row else ""
        if not name or name in found:
            raise InputError(path, f"line {line} {'repeats an id' if name else 'has no id'}", remedy)
        found[name] = {h: row[i] for i, h in enumerate(header) if h and i != of_id and row[i]}
    if not found:
        raise InputError(path, "has no rows", remedy)
    return found


def metadata_of(path: str | Path, table: Mapping[str, Mapping[str, str]]) -> Mapping[str, str]:
    """The row of a table that a recording's file belongs to; empty without one."""
    return next((table[name] for name in _ids_of(Path(path)) if name in table), {})


def read_outcomes(path: str | Path) -> dict[str, int]:
    """The outcome of each infant of a table, by id.

    Args:
        path: as the table of `read_cohort`.

    Raises:
        InputError: the table cannot be read, names no infant, or contradicts itself.
    """
    return {name: int(infant.outcome) for name, infant in _infants(Path(path)).items()}


def read_column(path: str | Path, column: str) -> dict[str, str]:
    """What another column of the table says of each infant that it says something of, by id.

    Args:
        path: as the table of `read_cohort`.
        column: its name in the header.

    Raises:
        InputError: as `read_outcomes`, or no infant has an entry in such a column; the message lists the columns.
    """
    infants = _infants(Path(path))
    found = {name: infant.metadata[column] for name, infant in infants.items() if column in infant.metadata}
    if not found:
        known = sorted({name for infant in infants.values() for name in infant.metadata})
        listed = f"those with entries are {', '.join(known[:20])}" if known else "there are none beside id and outcome"
        raise InputError(path, f'has no entries in a column "{column}"', listed)
    return found


def read_infants(path: str | Path) -> dict[str, str]:
    """The infant of each recording by the recording's id: the column `group`, the id itself where there is none.

    Args:
        path: as the table of `read_cohort`.

    Raises:
        InputError: as `read_outcomes`.
    """
    return {name: infant.group or name for name, infant in _infants(Path(path)).items()}


def _infants(path: Path) -> dict[str, _Infant]:
    problems = Problems()
    infants, _ = _read_table(path, problems)
    remedy = "write the outcomes as id;outcome, one row an infant"
    if problems.errors:
        raise problems.to_error(path, remedy)
    if not infants:
        raise InputError(path, "names no infant", remedy)
    return infants


def _read_table(path: Path, problems: Problems, scale: Scale | None = None) -> tuple[dict[str, _Infant], bool]:
    path = edge.check_readable(path)
    if edge.kind_of(path) != "text":
        raise InputError(path, "is not a text table", "write the outcomes as id;outcome, one row an infant")
    dialect = text.dialect_of(path)
    lines = text.rows(path, dialect)
    header = text.header_of(path, next((cells for _, cells in lines), []))
    plain = [name.strip().lower() for name in header]
    if len(plain) < 2:
        raise InputError(path, "needs two columns, id and outcome", "separate them with ; or ,")
    of_outcome = next((i for i, name in enumerate(plain) if name in _OUTCOMES), 1)
    of_id = next((i for i, name in enumerate(plain) if name in _IDS and i != of_outcome), 0)
    if of_id == of_outcome:
        raise InputError(path, "needs two columns, id and outcome", "put the id first")
    if scale is None and plain[of_outcome] in ("0", "1"):
        raise InputError(path, "has no header row", "let the first row be id;outcome")
    of_group = plain.index("group") if "group" in plain else None
    infants: dict[str, _Infant] = {}
    for count, (line, cells) in enumerate(lines):
        if count >= MAX_FRAMES:
            raise InputError(path, f"has more than {MAX_FRAMES} rows", "is it an outcomes table?")
        row = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
        name, outcome = row[of_id], _outcome_of(row[of_outcome], scale)
        if not name:
            problems.errors.append((f"line {line}", "has no id"))
        elif outcome is None:
            kind, wanted = "outcome" if scale is None else "score", _outcomes_in_words(scale)
            what = f'has {kind} "{row[of_outcome][:20]}", which is not {wanted}'
            problems.errors.append((f"line {line} ({name[:60]})", what))
        elif name in infants and infants[name].outcome != outcome:
            problems.errors.append((f"line {line} ({name[:60]})", "contradicts an earlier line of the same infant"))
        elif name in infants:
            problems.warnings.append((f"line {line} ({name[:60]})", "repeats an earlier line"))
        else:
            others = {h: row[i] for i, h in enumerate(header) if h and i not in (of_id, of_outcome) and row[i]}
            # Without a group an infant stands for itself, so that it is never split.
            group = (row[of_group] if of_group is not None else "") or name
            infants[name] = _Infant(outcome, group, others)
    return infants, of_group is not None


def _outcome_of(cell: str, scale: Scale | None) -> float | None:
    """An outcome, or None for what is none."""
    if scale is None:
        return int(cell) if cell in ("0", "1") else None
    try:
        value = float(cell.replace(",", ".") if "." not in cell else cell)
    except ValueError:
        return None
    return value if _is_outcome(value, scale) else None


def _files(folder: Path, table: Path, infants: dict[str, _Infant], problems: Problems) -> dict[str, list[Path]]:
    """The files of each infant; those without an outcome are named."""
    files: dict[str, list[Path]] = {}
    with edge.damage(folder, "a folder"):
        names = sorted(os.listdir(folder))
    for name in names:
        path = folder / name
        if name.startswith((".", "~", "#")) or name.endswith(("~", ".tmp", ".part", ".bak", ".swp")):
            continue
        if path.exists() and table.exists() and path.samefile(table):
            continue
        infant = next((i for i in _ids_of(path) if i in infants), None)
        if infant is not None:
            files.setdefault(infant, []).append(path)
        else:
            try:
                if readers.format_of(path) is not None:
                    problems.warnings.append((name, "has no outcome in the table"))
            except InputError as error:
                if path.is_symlink() and not path.exists():
                    problems.warnings.append((name, error.what))
    return files


def _ids_of(path: Path) -> Iterable[str]:
    """Ids that a file's name may stand for, the most literal first."""
    stem = path.name if path.is_dir() else path.stem
    yield stem
    if stem.startswith("orgcoords_"):
        yield stem.removeprefix("orgcoords_")
    # DeepLabCut appends the name of its network to that of the video.
    if (plain := re.sub(r"DLC_.*$", "", stem)) != stem:
        yield plain


def _read_infant(
    name: str, paths: list[Path], fps: float | None, format: str | None, problems: Problems
) -> Recording | None:
    recordings = []
    for path in paths:
        try:
            recordings.append((path, readers.read(path, fps=fps, format=format)))
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


def _name_equal_recordings(found: dict[str, Recording], problems: Problems) -> None:
    seen: dict[str, str] = {}
    for name, recording in found.items():
        content = sha256(recording.keypoints.tobytes())
        if content in seen:
            problems.warnings.append((f"{seen[content][:60]} and {name[:60]}", "are the same recording"))
        else:
            seen[content] = name


def _convert(
    found: dict[str, Recording], skeleton: Skeleton | str | None, strict: bool, problems: Problems
) -> dict[str, Recording]:
    if skeleton is None:
        return found
    converted = {}
    for name, recording in found.items():
        try:
            converted[name] = convert(recording, skeleton, strict)
        except InputError as error:
            (problems.errors if strict else problems.warnings).append((name[:60], f"cannot be used: {error.what}"))
    return converted
