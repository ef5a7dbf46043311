"""babyPose: depth pictures of preterm infants with a table of twelve joints for each infant.

A folder of one infant, or of several, each with 16-bit PNG pictures (`*.png`, also one folder deeper) and a table
`.csv`: a row a picture, its first column the picture's number or file name, then columns NAME_x and NAME_y. The data
set is published with spreadsheets (`.xlsx`) whose columns its description does not name: save each as `.csv` first, and
rename columns that are not recognised. Cells that are empty, 0 in both coordinates or negative are missing joints. The
infant is the group.

Source: Migliorelli et al. 2020, "The babyPose dataset".
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from infantjax.errors import Findings, InputError
from infantjax.files import natural_order
from infantjax.motion.readers import edge, naming, text
from infantjax.pose.annotations.data import Entry, Request, Sheet, note_unannotated, pictures_in
from infantjax.skeletons import BABYPOSE_12

_COLUMN = re.compile(r"^(.*?)[_. ]?([xyXY])$")


def recognises(path: Path) -> bool:
    """Whether a folder, or one in it, holds one table of the joints of limbs, and pictures."""
    return path.is_dir() and any(_is_table(table) for table in _tables(path))


def read(request: Request) -> Sheet:
    """Read the tables.

    Raises:
        InputError: no such table.
    """
    findings, sheets = Findings(), []
    for table in filter(_is_table, _tables(request.path)):
        try:
            sheets.append(_read_table(table, request, findings))
        except InputError as error:
            findings.fatal.append((table.name, error.what))
    joints = sheets[0][0] if sheets else []
    entries = []
    for names, found in sheets:
        if names != joints and found:
            findings.fatal.append((found[0].where, "has other columns than the first table"))
        entries += found
    return Sheet(joints, entries, findings)


def depth_clip(paths: Sequence[Path], height: int = 96, width: int = 128) -> Float[np.ndarray, "time height width 1"]:
    """Depth pictures as the networks of babyPose read them: resized by area, the mean of each taken away.

    Args:
        paths: three consecutive annotated pictures, 8 or 16 bits.
        height: of the result, pixels.
        width: of the result, pixels.

    Raises:
        InputError: a picture that cannot be read, or one of several colours.

    Source: Migliorelli et al. 2021; how it resizes is chosen.
    """
    from PIL import Image

    frames = []
    for path in paths:
        try:
            with Image.open(path) as picture:
                values = np.asarray(picture, np.float32)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(path, f"is no picture that can be read ({type(error).__name__})") from None
        if values.ndim != 2:
            raise InputError(
                path, "is no depth picture: it has several channels", "give the pictures of the depth camera"
            )
        small = np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BOX))
        frames.append(small - small.mean())
    return np.stack(frames)[..., None]


def _tables(path: Path) -> list[Path]:
    folders = [path, *(p for p in path.iterdir() if p.is_dir())]
    return sorted((table for folder in folders for table in folder.glob("*.csv")), key=natural_order)


def _is_table(table: Path) -> bool:
    try:
        if edge.kind_of(edge.check_readable(table)) != "text" or not _pictures(table.parent):
            return False
        header = next((cells for _, cells in text.rows(table, text.dialect_of(table))), [])
        match = naming.identify(table, list(_columns(header)), BABYPOSE_12)
    except InputError:
        return False
    return len(match.missing) < len(BABYPOSE_12.joints) // 2


def _pictures(folder: Path) -> dict[str, Path]:
    """The pictures of an infant, also those one folder deeper: of 16 bits where there are some of 8 bits too."""
    found = pictures_in(folder)
    for deeper in sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: "16" in p.name):
        found |= pictures_in(deeper)
    return found


def _columns(header: list[str]) -> dict[str, tuple[int, int]]:
    """Columns of x and y by joint."""
    places: dict[str, dict[str, int]] = {}
    for column, cell in enumerate(header[1:], 1):
        if match := _COLUMN.match(cell.strip()):
            places.setdefault(match[1], {})[match[2].lower()] = column
    return {joint: (at["x"], at["y"]) for joint, at in places.items() if len(at) == 2}


def _read_table(table: Path, request: Request, findings: Findings) -> tuple[list[str], list[Entry]]:
    dialect = text.dialect_of(table)
    lines = text.rows(table, dialect)
    header = text.header_of(table, next((cells for _, cells in lines), []))
    columns = _columns(header)
    folder = request.pictures / table.parent.name if request.pictures else table.parent
    pictures = _pictures(folder) if folder.is_dir() else {}
    numbered = {_number(stem): picture for stem, picture in pictures.items()}
    infant = table.parent.name if table.parent != request.path else table.stem
    entries = []
    for line, cells in lines:
        row = text.check_width(table, line, cells, len(header))
        picture = pictures.get(Path(row[0].strip()).stem) or numbered.get(_number(row[0]))
        where = f"{table.name}, line {line}"
        if picture is None:
            findings.problems.append((where, "names no picture that is there"))
            continue
        points = np.array(
            [[text.parse(table, line, header[i], row[i], dialect.separator) for i in at] for at in columns.values()]
        )
        missing = (points < 0).any(1) | (points == 0).all(1)
        points[missing] = np.nan
        entries.append(Entry(where, f"{infant}_{picture.stem}", points, picture, group=infant))
    note_unannotated(folder, entries, findings)
    return list(columns), entries


def _number(name: str) -> int:
    digits = re.findall(r"\d+", Path(name.strip()).stem)
    return int(digits[-1]) if digits else -1
