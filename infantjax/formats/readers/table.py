"""Plain text tables: the coordinate CSV of the In-Motion program, one row a frame (wide), one row a point (long).

Wide: columns `<joint>_x`, `<joint>_y`, optionally `<joint>_z` and `<joint>_confidence` (or `_likelihood`, `_score`),
`frame` and `time` (seconds) or `time_ms`. Long: columns `frame` or `time`, `joint`, `x`, `y`, optionally `z` and
`confidence`. The coordinate CSV (`orgcoords_<id>.csv`) is wide with the 19 In-Motion names; unlike the
reference implementation, which takes the columns as they come, columns are found by name here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.formats import text
from infantjax.formats.checks import check_shape
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks, by_joint
from infantjax.recording.recording import Recording

_WIDE = re.compile(r"^(?P<joint>.*\S)[\s_.\-](?P<what>x|y|z|confidence|likelihood|score|conf|c|p)$", re.IGNORECASE)
_FRAME = frozenset({"frame", "frames", "frame_number", "frame_index", "frame_id", "frame_nr", "frame_no"})
_SECONDS = frozenset({"time", "time_s", "timestamp", "timestamp_s", "t", "seconds"})
_MILLISECONDS = frozenset({"time_ms", "timestamp_ms", "milliseconds", "ms"})
_JOINT = frozenset({"joint", "keypoint", "bodypart", "body_part", "landmark", "point", "node", "name"})
_CONFIDENCE = frozenset({"confidence", "likelihood", "score", "conf", "c", "p"})


def recognizes_orgcoords(source: Source) -> bool:
    """Whether a text table is named `orgcoords_*` and has columns for coordinates."""
    return source.path.name.startswith("orgcoords_") and _is_wide(source)


def recognizes_wide(source: Source) -> bool:
    """Whether a text table has a pair of columns `<joint>_x`, `<joint>_y`, and is no such coordinate CSV."""
    return not source.path.name.startswith("orgcoords_") and _is_wide(source)


def recognizes_long(source: Source) -> bool:
    """Whether a text table has columns for the joint's name, x and y."""
    columns = {_plain(c) for c in source.first_cells}
    return source.kind == "text" and bool(columns & _JOINT) and {"x", "y"} <= columns


def _is_wide(source: Source) -> bool:
    found = {(m["joint"], m["what"].lower()) for c in source.first_cells if (m := _WIDE.match(c.strip()))}
    return source.kind == "text" and any((joint, "y") in found for joint, what in found if what == "x")


def read_wide(source: Source, individual: str | None) -> Tracks:
    """Read a table with one row a frame.

    Raises:
        InputError: no or half pairs of coordinate columns, ragged rows, cells that are no numbers.
    """
    path, dialect = source.path, source.dialect
    lines = text.rows(path, dialect)
    header = text.header_of(path, _first(path, lines))
    columns: dict[int, tuple[str, str]] = {}
    frame = time = None
    unused = []
    for position, name in enumerate(header):
        plain = _plain(name)
        if plain in _FRAME or (position == 0 and plain in ("", "index", "unnamed_0")):
            frame = position
        elif plain in _SECONDS | _MILLISECONDS:
            time = position
        elif match := _WIDE.match(name):
            what = match["what"].lower()
            columns[position] = match["joint"], what if what in "xyz" else "c"
        else:
            unused.append(name)
    wanted = [*columns, *(c for c in (frame, time) if c is not None)]
    if not columns:
        raise InputError(path, "has no columns like nose_x and nose_y", "docs/formats.md shows what is read")
    values, line = text.numbers(path, lines, header, wanted, dialect.separator)
    return Tracks(
        **by_joint(path, list(columns.values()), values),
        frames=None if frame is None else values[:, wanted.index(frame)],
        times=None if time is None else _seconds(values[:, wanted.index(time)], header[time]),
        place=lambda row, joint: f"line {line[row]}",
        notes=(f"columns ignored: {', '.join(unused[:10])}",) if unused else (),
    )


def read_long(source: Source, individual: str | None) -> Tracks:
    """Read a table with one row a point.

    Raises:
        InputError: a column is missing, a point occurs twice in a frame, ragged rows, cells that are no numbers.
    """
    path, dialect = source.path, source.dialect
    lines = text.rows(path, dialect)
    header = text.header_of(path, _first(path, lines))
    plain = [_plain(c) for c in header]

    def column(names: frozenset[str] | set[str]) -> int | None:
        return next((i for i, c in enumerate(plain) if c in names), None)

    joint, x, y, z = column(_JOINT), column({"x"}), column({"y"}), column({"z"})
    frame, time = column(_FRAME), column(_SECONDS | _MILLISECONDS)
    confidence = column(_CONFIDENCE)
    if joint is None or x is None or y is None or (frame is None and time is None):
        raise InputError(
            path, "needs columns frame (or time), joint, x and y", f"its columns are {', '.join(header[:8])}"
        )
    names: list[str] = []

    def named() -> Iterator[tuple[int, list[str]]]:
        # Collects the names while the numbers are parsed, so that the file is read once.
        for line, cells in lines:
            names.append(cells[joint].strip() if joint < len(cells) else "")
            yield line, cells

    wanted = [c for c in (x, y, z, confidence, frame, time) if c is not None]
    numbers, line = text.numbers(path, named(), header, wanted, dialect.separator)
    at = {c: i for i, c in enumerate(wanted)}
    clock = numbers[:, at[frame if frame is not None else time]]  # type: ignore[index]
    if not np.isfinite(clock).all():
        row = int(np.flatnonzero(~np.isfinite(clock))[0])
        raise InputError(path, f"line {line[row]}: the frame or time is missing", "fill it in, or remove the line")
    joints = list(dict.fromkeys(names))
    moments, row_of = np.unique(clock, return_inverse=True)
    check_shape(path, len(moments), len(joints))
    index = {name: i for i, name in enumerate(joints)}
    joint_of = np.array([index[n] for n in names], dtype=np.int64)
    line_of = np.zeros((len(moments), len(joints)), dtype=np.int64)
    line_of[row_of, joint_of] = line
    if len(repeated := np.flatnonzero(line_of[row_of, joint_of] != line)):
        row = repeated[0]
        raise InputError(
            path,
            f'line {line_of[row_of[row], joint_of[row]]}: frame {clock[row]:g} has joint "{names[row]}" a second time',
            "keep one line for each frame and joint (one individual)",
        )
    table = np.full((*line_of.shape, len(wanted)), np.nan)
    table[row_of, joint_of] = numbers

    def place(row: int, name: str) -> str:
        of_joint = [line_of[row, i] for joint, i in index.items() if joint.casefold() == name.casefold()]
        return f"line {next(filter(None, of_joint), line_of[row][line_of[row] > 0].min())}"

    return Tracks(
        joints=joints,
        keypoints=table[..., [at[c] for c in (x, y, z) if c is not None]],
        confidence=None if confidence is None else table[..., at[confidence]],
        frames=None if frame is None else moments,
        times=None if time is None else _seconds(np.nanmax(table[..., at[time]], axis=1), header[time]),
        place=place,
    )


def _seconds(values: np.ndarray, name: str) -> np.ndarray:
    return values * (1e-3 if _plain(name) in _MILLISECONDS else 1.0)


def write_wide(recording: Recording, path: Path) -> None:
    """Write a table with one row a frame: frame, time in seconds, then x, y (z) and confidence of each joint."""
    _write_wide(recording, path, timed=True)


def write_orgcoords(recording: Recording, path: Path) -> None:
    """Write an orgcoords table: frame, then x and y of the 19 names. It does not store the frame rate.

    Raises:
        ValueError: the keypoint set is not in-motion-19, or the recording has three dimensions.
    """
    if recording.skeleton.name != "in-motion-19" or recording.keypoints.shape[2] != 2:
        raise ValueError("an orgcoords table holds in-motion-19 in two dimensions; convert the recording first")
    _write_wide(recording, path, timed=False)


def _write_wide(recording: Recording, path: Path, timed: bool) -> None:
    import pandas as pd

    joints, axes = recording.skeleton.joints, "xyz"[: recording.keypoints.shape[2]]

    def table(rows: slice) -> pd.DataFrame:
        index = pd.RangeIndex(recording.frames)[rows].rename("frame")
        points = recording.keypoints[rows].reshape(len(index), -1)
        found = pd.DataFrame(points, index, [f"{joint}_{axis}" for joint in joints for axis in axes])
        if timed and recording.confidence is not None:
            names = [f"{joint}_confidence" for joint in joints]
            found = pd.concat([found, pd.DataFrame(recording.confidence[rows], index, names)], axis=1)
        if timed:
            found.insert(0, "time", index / recording.fps)
        return found

    write_atomically(path, text.csv_parts(recording.frames, table))


def write_long(recording: Recording, path: Path) -> None:
    """Write a table with one row a point: frame, time in seconds, joint, x, y (z) and confidence."""
    import pandas as pd

    joints, axes = recording.skeleton.joints, recording.keypoints.shape[2]

    def table(rows: slice) -> pd.DataFrame:
        frames = np.arange(recording.frames)[rows]
        index = pd.Index(np.repeat(frames, len(joints)), name="frame")
        found = pd.DataFrame(recording.keypoints[rows].reshape(-1, axes), index, list("xyz"[:axes]))
        if recording.confidence is not None:
            found["confidence"] = recording.confidence[rows].reshape(-1)
        found.insert(0, "joint", np.tile(joints, len(frames)))
        found.insert(0, "time", index / recording.fps)
        return found

    write_atomically(path, text.csv_parts(recording.frames, table))


def _first(path: Path, lines) -> list[str]:  # type: ignore[no-untyped-def]
    for _, cells in lines:
        return list(cells)
    raise InputError(path, "holds nothing but white space", "export the keypoints again")


def _plain(name: str) -> str:
    return re.sub(r"[^\w]+", "_", name.strip()).strip("_").lower()
