"""TRC: the marker files of OpenSim, which Sports2D and Pose2Sim write, one for each person.

Five lines of header: the kind of file, names and values of its properties, names of the markers (one for every three
columns), and of the axes. Then rows of frame, time, x, y and z of each marker.
"""

import numpy as np

from infantjax.errors import InputError
from infantjax.formats import text
from infantjax.formats.checks import check_shape
from infantjax.formats.source import Source
from infantjax.formats.tracks import Tracks

_BEGINNING = "pathfiletype"
_REMEDY = "export the file again"
_PIXELS = "_px"


def recognizes(source: Source) -> bool:
    """Whether a text file begins as a file of markers."""
    return _begins(source.first_cells)


def _begins(cells: list[str]) -> bool:
    return bool(cells) and cells[0].strip().casefold() == _BEGINNING


def read(source: Source, individual: str | None) -> Tracks:
    """Read a file of markers.

    Where y points up, as in files in meters, it is turned downwards. Sports2D calls the unit of its files in pixels
    meters as well; their names tell them apart (`..._px_person00.trc`). Coordinates z that are all equal are left out.

    Raises:
        InputError: the header is incomplete, a row is too short, or a cell is no number.
    """
    path = source.path
    dialect = text.Dialect(source.dialect.encoding, "\t")
    lines = list(text.rows(path, dialect))
    if len(lines) < 5 or not _begins(lines[0][1]):
        raise InputError(path, "has no header of a .trc file", _REMEDY)
    properties = {name.strip().casefold(): value for name, value in zip(lines[1][1], lines[2][1])}
    names = [cell.strip() for cell in lines[3][1][2:] if cell.strip()]
    rows = [(number, cells) for number, cells in lines[4:] if cells[0].strip().isdigit()]
    if not names or not rows:
        raise InputError(path, "holds no markers or no frames", _REMEDY)
    check_shape(path, len(rows), len(names))
    width = 2 + 3 * len(names)
    values = np.full((len(rows), width), np.nan)
    for row, (number, cells) in enumerate(rows):
        if len(cells) < width:
            raise InputError(path, f"line {number} has {len(cells)} cells, not {width}", _REMEDY)
        values[row] = [text.parse(path, number, "trc", cell, "\t") for cell in cells[:width]]
    points = values[:, 2:].reshape(len(rows), len(names), 3)
    in_pixels = _PIXELS in path.stem or properties.get("units", "").strip().casefold() == "px"
    notes: tuple[str, ...] = ()
    if not in_pixels:
        points = points * np.array([1, -1, -1])
        notes = ("y points up in the file and was turned downwards",)
    depth = points[..., 2][np.isfinite(points[..., 2])]
    flat = not len(depth) or np.ptp(depth) == 0
    return Tracks(
        joints=names,
        keypoints=points[..., :2] if flat else points,
        frames=values[:, 0],
        times=None if np.isnan(values[:, 1]).any() else values[:, 1],
        fps=_number(properties.get("datarate")),
        place=lambda row, joint: f"line {rows[row][0]}",
        notes=notes,
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
