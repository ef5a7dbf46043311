r"""The tables of the infant framework: `raw/annotations/annotations.csv`, and the `points` of its processed folders.

Raw: a header row, then a row an image: anything, the file name (optionally behind a folder and `/` or `\`), then a
cell a keypoint, `(x, y)` in fractions of the image's width and height. (0, 0) is a missing point, and a row whose
first keypoint is empty has no annotation. The images lie in `images` beside the folder of the table, in folders
`train`, `val` and `test` where the split is given.

Processed: `{train,val,test}/points/NAME.txt` with a line `x y` a keypoint, fractions of a crop, and the crops in
`{train,val,test}/images_{S}x{S}`, of which the largest are taken.

Source: behavior of the authors' training framework.
"""

import re
from pathlib import Path

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import natural_order
from infantjax.formats import checks, text
from infantjax.pose.annotations.data import (
    AnnotatedPerson,
    ParsedAnnotations,
    ReadRequest,
    collected,
    images_in,
    note_unannotated,
    read_numbers,
)
from infantjax.skeletons import IN_MOTION_19
from infantjax.video.images import image_size

SPLITS = ("train", "val", "test")

_SETS = ("in-motion-19", "mpii-16")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_POINT = re.compile(rf"^\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)$")
_CROPS = re.compile(r"^images_(\d+)x\1$")
_REMEDY = "write points as (x, y), fractions of width and height"


def recognizes(path: Path) -> bool:
    """Whether a table has such cells, or a folder holds such a table."""
    table = _table(path)
    if table is None or checks.kind_of(table) != "text":
        return False
    rows = text.rows(table, text.dialect_of(table))
    next(rows, None)
    cells = next((cells for _, cells in rows if any(c.strip() for c in cells[2:])), [])
    return any(_POINT.match(cell.strip()) for cell in cells[2:])


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the raw table.

    Raises:
        InputError: no such table, or a cell that is not a point.
    """
    table = _table(request.path) or request.path
    lines = text.rows(table, text.dialect_of(table))
    header = next((cells for _, cells in lines), [])
    while header and not header[-1].strip():
        header.pop()
    joints, problems = [cell.strip() for cell in header[2:]], Problems()
    folder = request.image_dir or table.parent.parent / "images"
    folder = folder if folder.is_dir() or request.image_dir else table.parent
    places = {split: images_in(folder / split) for split in ("", *SPLITS)}
    entries = []
    for line, cells in lines:
        row = text.check_width(table, line, cells, len(header))
        if not row[2].strip():
            problems.warnings.append((f"line {line}", "has no annotation"))
            continue
        fractions = np.array([_point(table, line, name, cell) for name, cell in zip(joints, row[2:])])
        name = Path(row[1].strip().replace("\\", "/"))
        split = next((s for s in SPLITS if name.parent.name == s or name.stem in places[s]), "")
        image = places[split].get(name.stem, folder / split / name.name)
        try:
            height, width = image_size(image)
        except InputError as error:
            what = "is not there" if not image.is_file() else error.what
            problems.warnings.append((image.name, f"{what}; without its size its points mean nothing"))
            continue
        points = fractions * (width, height)
        entries.append(AnnotatedPerson(f"line {line}", image.stem, points, image, size=(height, width), split=split))
    for place in (folder / split for split in ("", *SPLITS)):
        note_unannotated(place, entries, problems)
    if not _named(joints, request):
        problems.warnings.append((table.name, "its columns have no known names; they are taken in their order"))
        return ParsedAnnotations([str(i) for i in range(len(joints))], entries, problems, _SETS)
    return ParsedAnnotations(joints, entries, problems)


def _table(path: Path) -> Path | None:
    if not path.is_dir():
        return path
    tables = (path / part / "annotations.csv" for part in ("", "annotations", "raw/annotations"))
    return next((table for table in tables if table.is_file()), None)


def _named(joints: list[str], request: ReadRequest) -> bool:
    """Whether the columns name keypoints, be it wrongly."""
    parts = {joint.rpartition("_")[2] for joint in (request.skeleton or IN_MOTION_19).joints}
    return any(part in joint.casefold() for part in parts for joint in joints)


def _point(path: Path, line: int, joint: str, cell: str) -> tuple[float, float]:
    if cell.strip().casefold() in text.MISSING:
        return np.nan, np.nan
    match = _POINT.match(cell.strip())
    if not match:
        raise InputError(path, f'line {line}, column {joint}: "{cell[:40]}" is not a point', _REMEDY)
    x, y = float(match[1]), float(match[2])
    return (np.nan, np.nan) if x == y == 0 else (x, y)


# --- processed -------------------------------------------------------------------------------------------------------


def recognizes_processed(path: Path) -> bool:
    """Whether a folder holds points of crops."""
    return _processed(path) is not None


def read_processed(request: ReadRequest) -> ParsedAnnotations:
    """Read the points of the crops.

    Raises:
        InputError: no such folder, or a line that is not x and y.
    """
    folder = _processed(request.path)
    if folder is None:
        raise InputError(request.path, "holds no folder of points", "give the folder `processed`")
    problems, entries, size = Problems(), [], 0
    for split in SPLITS:
        crops = sorted((p for p in (folder / split).glob("images_*x*") if _CROPS.match(p.name)), key=natural_order)
        files = sorted((folder / split / "points").glob("*.txt"), key=natural_order)
        if not files or not crops:
            continue
        side, images = int(crops[-1].name.rpartition("x")[2]), images_in(crops[-1])
        for file in files:
            where, image = f"{split}/{file.name}", images.get(file.stem, crops[-1] / f"{file.stem}.png")
            with collected(problems, where):
                points = read_numbers(file, 2, "x and y")
                size = size or len(points)
                if len(points) != size:
                    raise InputError(file, f"has {len(points)} points, not {size}")
                points[(points == 0).all(1)] = np.nan
                entries.append(AnnotatedPerson(where, file.stem, points * side, image, size=(side, side), split=split))
        note_unannotated(crops[-1], entries, problems)
    return ParsedAnnotations([str(i) for i in range(size)], entries, problems, _SETS)


def _processed(path: Path) -> Path | None:
    if not path.is_dir():
        return None
    folders = (path, path / "processed")
    return next((f for f in folders if any((f / split / "points").is_dir() for split in SPLITS)), None)
