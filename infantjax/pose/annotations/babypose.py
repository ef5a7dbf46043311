"""babyPose: depth images of preterm infants with a table of joints for each infant.

A folder of one infant, or of several, each with PNG images (`*.png`, also one folder deeper; of 16 bits where there
are two kinds) and a table, `.csv` or the first sheet of an `.xlsx`. Or, as the same group published its reduced
MINI-RGBD, tables `annotations/result_NAME.csv` beside the folders NAME. A table has a row an image: its number or file
name, then columns NAME_x and NAME_y, or columns NAME with cells `x,y`. Cells that are empty, 0 in both coordinates or
negative are missing joints. The infant is the group.

babyPose itself is published with spreadsheets whose columns its description does not name: rename those that are not
recognized.

Source: Migliorelli et al. 2020, "The babyPose dataset".
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError, MissingExtraError, Problems
from infantjax.files import natural_order
from infantjax.formats import checks, naming, text
from infantjax.pose.annotations.data import (
    AnnotatedPerson,
    ParsedAnnotations,
    ReadRequest,
    collected,
    images_in,
    note_unannotated,
)
from infantjax.skeletons import BABYPOSE_12, MINI_RGBD_14, Skeleton
from infantjax.weights.archive import DAMAGE, open_archive

_COLUMN = re.compile(r"^(.*?)[_. ]?([xyXY])$")
_PAIR = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*$")
_PREFIX = "result_"
_ENDINGS = (".csv", ".xlsx")


def recognizes(path: Path) -> bool:
    """Whether a folder, or one in it, holds one table of the joints of limbs, and images."""
    return path.is_dir() and any(_is_table(table) for table in _tables(path))


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the tables.

    Raises:
        InputError: no such table.
        MissingExtraError: a spreadsheet, and openpyxl is not installed.
    """
    problems, sheets = Problems(), []
    for table in filter(_is_table, _tables(request.path)):
        with collected(problems, table.name):
            sheets.append(_read_table(table, request, problems))
    joints = sheets[0][0] if sheets else []
    entries = []
    for names, found in sheets:
        if names != joints and found:
            problems.errors.append((found[0].where, "has other columns than the first table"))
        entries += found
    return ParsedAnnotations(joints, entries, problems)


def prepare_depth(
    depth: Float[np.ndarray, "row column"], height: int = 96, width: int = 128
) -> Float[np.ndarray, "height width"]:
    """A depth image resized by area, its mean taken away.

    Args:
        depth: float32, in any unit.
        height: of the result, pixels.
        width: of the result, pixels.

    Source: Migliorelli et al. 2021; the kind of resizing is our choice.
    """
    from PIL import Image

    small = np.asarray(Image.fromarray(depth).resize((width, height), Image.Resampling.BOX))
    return small - small.mean()


def _tables(path: Path) -> list[Path]:
    folders = [path, *(p for p in path.iterdir() if p.is_dir())]
    found = (file for folder in folders for file in folder.iterdir())
    # Excel keeps a hidden file beside a table that is open.
    tables = (file for file in found if file.suffix.lower() in _ENDINGS and not file.name.startswith((".", "~$")))
    return sorted(tables, key=natural_order)


def _is_table(table: Path) -> bool:
    try:
        if not _images(_folder(table)):
            return False
        rows = _rows(table)
        header, first = (next((cells for _, cells in rows), []) for _ in range(2))
        joints = list(_columns(header, first))
        matches = [_match(table, joints, skeleton) for skeleton in (BABYPOSE_12, MINI_RGBD_14)]
    except InputError:
        return False
    return any(2 * found > len(joints) for found in matches)


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of every line that is not blank."""
    checks.check_readable(table)
    if table.suffix.lower() == ".xlsx":
        yield from _spreadsheet(table)
    elif checks.kind_of(table) == "text":
        yield from text.rows(table, text.dialect_of(table))


def _spreadsheet(table: Path) -> Iterator[tuple[int, list[str]]]:
    import pandas as pd

    try:
        open_archive(table).close()  # the limits of what it unpacks to
        sheet = pd.read_excel(table, header=None, dtype=str, na_filter=False, engine="openpyxl")
    except ImportError:
        raise MissingExtraError("openpyxl", "formats") from None
    except (*DAMAGE, SyntaxError) as error:  # of XML
        raise InputError(table, f"cannot be read as a spreadsheet ({type(error).__name__})") from error
    for line, cells in enumerate(sheet.to_numpy().tolist(), 1):
        if "".join(cells).strip():
            yield line, cells


def _match(table: Path, joints: list[str], skeleton: Skeleton) -> int:
    try:
        match = naming.identify(table, joints, skeleton)
    except InputError:
        return 0
    return len(match.columns) - len(match.missing)


def _infant(table: Path) -> str:
    """The name of the infant: of the table, or of the folder that it has to itself."""
    beside = [file for file in _tables(table.parent) if file.parent == table.parent]
    if table.stem.startswith(_PREFIX) or len(beside) > 1:
        return table.stem.removeprefix(_PREFIX)
    return table.parent.name


def _folder(table: Path, images: Path | None = None) -> Path:
    """Where the images of a table's infant lie."""
    if images is not None:
        return images / _infant(table)
    beside = table.parent.parent / _infant(table)
    return beside if table.stem.startswith(_PREFIX) and beside.is_dir() else table.parent


def _images(folder: Path) -> dict[str, Path]:
    """The images of an infant, also those one folder deeper: of 16 bits where there are some of 8 bits too."""
    if not folder.is_dir():
        return {}
    found = images_in(folder)
    for deeper in sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: "16" in p.name):
        found |= images_in(deeper)
    return found


def _columns(header: Sequence[str], first: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Columns of x and y by joint, or the one of both."""
    if any(_PAIR.match(cell) for cell in first[1:]):
        return {cell.strip(): (column,) for column, cell in enumerate(header[1:], 1) if cell.strip()}
    places: dict[str, dict[str, int]] = {}
    for column, cell in enumerate(header[1:], 1):
        if match := _COLUMN.match(cell.strip()):
            places.setdefault(match[1], {})[match[2].lower()] = column
    return {joint: (at["x"], at["y"]) for joint, at in places.items() if len(at) == 2}


def _read_table(table: Path, request: ReadRequest, problems: Problems) -> tuple[list[str], list[AnnotatedPerson]]:
    lines = list(_rows(table))
    header = text.header_of(table, lines[0][1])
    columns = _columns(header, lines[1][1] if len(lines) > 1 else [])
    folder, infant = _folder(table, request.image_dir), _infant(table)
    images = _images(folder)
    numbered = {_number(stem): image for stem, image in images.items()}
    entries = []
    for line, cells in lines[1:]:
        row = text.check_width(table, line, cells, len(header))
        image = images.get(Path(row[0].strip()).stem) or numbered.get(_number(row[0]))
        where = f"{table.name}, line {line}"
        if image is None:
            problems.warnings.append((where, "names no image that is there"))
            continue
        points = np.array([_point(table, line, header, row, at) for at in columns.values()])
        points[(points < 0).any(1) | (points == 0).all(1)] = np.nan
        entries.append(AnnotatedPerson(where, f"{infant}_{_number(image.stem):06d}", points, image, group=infant))
    note_unannotated(folder, entries, problems)
    return list(columns), entries


def _point(table: Path, line: int, header: Sequence[str], row: Sequence[str], at: tuple[int, ...]) -> list[float]:
    if len(at) == 1:
        match = _PAIR.match(row[at[0]])
        if not match and row[at[0]].strip().casefold() not in text.MISSING:
            raise InputError(table, f'line {line}, column {header[at[0]]}: "{row[at[0]][:40]}" is not x,y')
        return [float(match[1]), float(match[2])] if match else [np.nan, np.nan]
    return [text.parse(table, line, header[i], row[i], ";") for i in at]


def _number(name: str) -> int:
    """The first number of a name: `00012_8bit` is 12."""
    digits = re.search(r"\d+", Path(name.strip()).stem)
    return int(digits[0]) if digits else -1
