"""DeepLabCut tables: .csv with three or four header rows, and the .h5 that pandas writes.

A DeepLabCut .h5 describes its columns by pickled attributes, and pickles can run code. Only the names of the columns
are unpickled here, by an unpickler that refuses every class and function; the rest of the file is read as plain
arrays. Tables in the "fixed" layout of pandas, which DeepLabCut writes for labeled frames only, are not read.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_POINTS, write_atomically
from infantjax.formats import text
from infantjax.formats.checks import damage
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks, by_joint
from infantjax.recording.recording import Recording

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")
_MAX_NAMES_BYTES = 1 << 24
_LABELED = "holds labeled training frames, or a table in pandas' fixed layout, not the track of a video"
_ANALYZE = "analyze the video in DeepLabCut and give the resulting file"


def recognizes_csv(source: Source) -> bool:
    """Whether a text table begins with the header row `scorer`."""
    return source.kind == "text" and [c.strip().lower() for c in source.first_cells[:1]] == ["scorer"]


def recognizes_h5(source: Source) -> bool:
    """Whether an HDF5 file has a group of the shape that pandas writes."""
    return source.kind == "hdf5" and bool(source.hdf5 and source.hdf5.groups)


def read_csv(source: Source, individual: str | None) -> Tracks:
    """Read a .csv of DeepLabCut.

    Raises:
        InputError: other header rows, labeled training data, several individuals without a choice, ragged rows, or
            cells that are no numbers.
    """
    path, separator = source.path, source.dialect.separator
    lines = text.rows(path, source.dialect)
    header: dict[str, list[str]] = {}
    for _, cells in lines:
        cells = [c.strip() for c in cells]
        header[cells[0].lower()] = cells
        if cells[0].lower() == "coords" or len(header) == len(_LEVELS):
            break
    levels = [level for level in _LEVELS if level in header]
    if not {"scorer", "bodyparts", "coords"} <= set(header) or len(levels) != len(header):
        raise InputError(
            path, "does not begin with the rows scorer, (individuals,) bodyparts, coords", "export it from DeepLabCut"
        )
    width = len(header["coords"])
    if any(len(cells) != width for cells in header.values()) or width < 3:
        raise InputError(path, "its header rows have different lengths", "export it from DeepLabCut again")
    if width > 3 * MAX_POINTS * 16:
        raise InputError(path, f"has {width} columns", "leave some individuals or points out")
    first = next(lines, None)
    if first is None:
        raise InputError(path, "has a header but no frames", "analyze the video again")
    if header["coords"][1] == "" or not text.is_number(first[1][0]):
        raise InputError(path, _LABELED, _ANALYZE)
    columns = list(zip(*(header[level][1:] for level in levels)))
    names = ["frame", *("_".join(c[1:]) for c in columns)]
    numbers, line = text.numbers(path, chain([first], lines), names, range(width), separator)
    tracks = _tracks(path, columns, numbers[:, 1:], numbers[:, 0], individual)
    return replace(tracks, place=lambda row, joint: f"line {line[row]}")


def read_h5(source: Source, individual: str | None) -> Tracks:
    """Read a .h5 of DeepLabCut in the table layout of pandas; no code in it is run.

    Raises:
        InputError: the file is damaged, crafted, of another layout, or labeled training data; or it has several
            individuals and none is chosen.
    """
    path, content = source.path, source.hdf5
    if content is None or len(content.groups) != 1:
        count = len(content.groups) if content else 0
        raise InputError(path, f"holds {count} tables of DeepLabCut, expected one", "export one recording a file")
    table = f"{content.groups[0]}/table"
    frames = content.arrays.get(f"{table}/index")
    if frames is None or frames.dtype.kind not in "iu":
        raise InputError(path, _LABELED, _ANALYZE)
    if f"{table}/values_block_1" in content.arrays:
        raise InputError(path, "its table has more than one block of values", "export it from DeepLabCut again")
    values = content.array(f"{table}/values_block_0").astype(np.float64)
    columns = _column_names(path, content.attribute(table, "values_block_0_kind"))
    if values.ndim != 2 or frames.ndim != 1 or values.shape != (len(frames), len(columns)):
        raise InputError(
            path, f"has values {values.shape} for {frames.shape} frames, {len(columns)} columns", "export it again"
        )
    return _tracks(path, columns, values, frames, individual)


class _NamesOnly(pickle.Unpickler):
    """Unpickles text, numbers, lists and tuples, and refuses all that could be called."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _column_names(path: Path, pickled: Any) -> list[tuple[str, ...]]:
    if not isinstance(pickled, bytes) or len(pickled) > _MAX_NAMES_BYTES:
        raise InputError(path, "its column names are not where pandas puts them", "export it from DeepLabCut again")
    try:
        with damage(path, "a list of column names"):
            names = _NamesOnly(io.BytesIO(bytes(pickled))).load()
    except InputError as error:
        raise InputError(
            path,
            f"its column names are no plain list of names: {error.what}",
            "do not use the file: it may have been made to run code",
        ) from None
    if not (
        isinstance(names, list)
        and all(isinstance(n, tuple) and len(n) in (3, 4) and all(isinstance(t, str) for t in n) for n in names)
    ):
        raise InputError(path, "its column names are no plain list of names", "export it from DeepLabCut again")
    return names


def _tracks(
    path: Path,
    columns: Sequence[tuple[str, ...]],
    values: np.ndarray,
    frames: np.ndarray,
    individual: str | None,
) -> Tracks:
    if not columns or len(columns[0]) not in (3, 4):
        raise InputError(path, "has other column levels than those of DeepLabCut", "export it from DeepLabCut")
    notes: tuple[str, ...] = ()
    keep = list(range(len(columns)))
    if len(columns[0]) == 4:
        found = list(dict.fromkeys(c[1] for c in columns))
        chosen = individual or (found[0] if len(found) == 1 else None)
        if chosen not in found:
            what = f'has no individual "{chosen}"' if chosen else f"holds {len(found)} individuals"
            raise InputError(
                path, f"{what} ({', '.join(found[:10])})", "choose one with --individual, of assess or convert"
            )
        keep = [i for i in keep if columns[i][1] == chosen]
        notes = (f'individual "{chosen}" of {len(found)} was taken',) if len(found) > 1 else ()
    elif individual is not None:
        raise InputError(path, "does not name individuals", "leave out --individual")
    kinds = {"likelihood": "c"}
    named = [(columns[i][-2], kinds.get(columns[i][-1].lower(), columns[i][-1].lower())) for i in keep]
    return Tracks(**by_joint(path, named, values[:, keep]), frames=frames, notes=notes)


def write_csv(recording: Recording, path: Path) -> None:
    """Write a .csv as DeepLabCut does for one animal. It does not store the frame rate.

    Raises:
        ValueError: three dimensions.
    """
    if recording.keypoints.shape[2] != 2:
        raise ValueError("a DeepLabCut table holds two dimensions; project the recording first")
    import pandas as pd

    levels = [["infantjax"], recording.skeleton.joints, ["x", "y", "likelihood"]]
    columns = pd.MultiIndex.from_product(levels, names=["scorer", "bodyparts", "coords"])

    def table(rows: slice) -> pd.DataFrame:
        points, index = recording.keypoints[rows], pd.RangeIndex(recording.frames)[rows]
        known = np.full(points.shape[:2], np.nan) if recording.confidence is None else recording.confidence[rows]
        values = np.concatenate([points, known[..., None]], axis=-1).reshape(len(index), -1)
        return pd.DataFrame(values, index, columns)

    write_atomically(path, text.csv_parts(recording.frames, table))
