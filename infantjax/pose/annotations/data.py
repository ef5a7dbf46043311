"""The type of a set of annotated images, and how it is made of what the formats give."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import MAX_COORDINATE, natural_order
from infantjax.formats import checks, naming
from infantjax.skeletons import Skeleton
from infantjax.video.images import IMAGE_SUFFIXES

_FRAME = re.compile(r"^(?P<group>.+?)[_\-](?:frame|img|f)?[_\-]?\d+$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotated persons, one row each, in the order of their images' names.

    Attributes:
        names: of the images without ending and folder; with several persons of one image `NAME#NUMBER`.
        points: `[image, keypoint, 2]`, x and y in pixels of the upright image; NaN where not annotated.
        skeleton: the keypoints.
        paths: of the images, which need not exist (`with_images`); None where the format knows none.
        frames: number of the frame, from 0, where a path is that of a video; 0 of an image. None where all are images.
        sizes: `[image, 2]`, height and width in pixels; None where the format does not say.
        heads: `[image, 4]`, boxes x1, y1, x2, y2 of the heads, pixels; None where the format has none.
        groups: the infant or video of each image: those of one group belong together when data are split. None where
            neither format nor file names tell.
        splits: `train`, `val` or `test` for each image, empty where the format does not say; None if it never does.
        problems: what was left out or is unusual, one line each.
    """

    names: tuple[str, ...]
    points: np.ndarray
    skeleton: Skeleton
    paths: tuple[Path, ...] | None = None
    frames: tuple[int, ...] | None = None
    sizes: np.ndarray | None = None
    heads: np.ndarray | None = None
    groups: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def take(self, rows: Sequence[int] | np.ndarray) -> "Annotations":
        """Some rows, in the given order."""
        rows = [int(row) for row in rows]
        changes: dict[str, Any] = {}
        for name in (f.name for f in fields(self) if f.name not in ("skeleton", "problems")):
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                changes[name] = value[rows]
            elif value is not None:
                changes[name] = tuple(value[row] for row in rows)
        return replace(self, **changes)

    def with_images(self) -> "Annotations":
        """The rows whose image is there.

        Raises:
            InputError: none is.
        """
        paths = self.paths or ()
        rows = [row for row, path in enumerate(paths) if path.is_file()]
        if not rows:
            where = paths[0] if paths else "annotations"
            raise InputError(where, "is not there, nor is any other annotated image", "name their folder")
        return self.take(rows)


@dataclass(frozen=True, eq=False)
class AnnotatedPerson:
    """One person as a file has it; the attributes are those of `Annotations`.

    Attributes:
        where: file, line or number, for messages.
        name: of the row.
        points: `[joint, 2]` in the file's own order of joints.
        image: path.
        frame: number of the frame, from 0, where the path is that of a video.
        size: height and width.
        head: box.
        group: infant or video.
        split: `train`, `val`, `test`.
    """

    where: str
    name: str
    points: np.ndarray
    image: Path | None = None
    frame: int | None = None
    size: tuple[float, float] | None = None
    head: tuple[float, ...] | None = None
    group: str = ""
    split: str = ""


@dataclass
class ParsedAnnotations:
    """Annotations as a format holds them.

    Attributes:
        joints: names of the file's points.
        entries: the annotated persons.
        problems: what is wrong.
        among: names of keypoint sets, for formats that number their points.
        own: a mistake in these annotations can be corrected, so a point outside its image is an error; published sets
            have some, which are left out.
    """

    joints: Sequence[str]
    entries: list[AnnotatedPerson]
    problems: Problems = field(default_factory=Problems)
    among: Sequence[str] = ()
    own: bool = True


class ReadRequest(NamedTuple):
    """Request to a format; its fields are the arguments of `read_annotations`."""

    path: Path
    skeleton: Skeleton | None
    image_dir: Path | None
    row_per_image: bool


def assemble(sheet: ParsedAnnotations, request: ReadRequest) -> Annotations:
    """Rows of a format as `Annotations`: in order, in a known skeleton, all errors reported at once.

    Raises:
        InputError: an image that is annotated twice and differently, a point outside its image
            (`ParsedAnnotations.own`), no annotated image at all, or points of no known keypoint set.
    """
    problems, path = sheet.problems, request.path
    match = naming.identify(path, sheet.joints, request.skeleton, sheet.among) if sheet.joints else None
    entries = [_inside(entry, sheet, problems) for entry in sheet.entries]
    entries = _once(entries, problems)
    shown = [entry for entry in entries if not np.isnan(entry.points).all()]
    problems.warnings += [(entry.where, "has no annotated point") for entry in entries if entry not in shown]
    entries = entries if request.row_per_image else shown
    problems.warnings += [
        (entry.image.name, "is not there") for entry in entries if entry.image is not None and not entry.image.is_file()
    ]
    if problems.errors or match is None or not shown:
        if not problems.lines():
            raise InputError(path, "holds no annotated image", "annotate some")
        raise problems.to_error(path, "correct these and try again" if problems.errors else "no usable image is left")
    entries.sort(key=lambda e: (natural_order(e.image.parent) if e.image else [], natural_order(Path(e.name))))
    columns = [-1 if column is None else column for column in match.columns]
    points = np.stack([entry.points for entry in entries])

    def given(attribute: str, size: int) -> np.ndarray | None:
        values = [getattr(entry, attribute) for entry in entries]
        known = [np.full(size, np.nan) if value is None else value for value in values]
        return None if values.count(None) == len(values) else np.array(known, np.float64)

    groups = tuple(entry.group for entry in entries)
    splits = tuple(entry.split for entry in entries)
    return Annotations(
        names=tuple(entry.name for entry in entries),
        points=np.pad(points, ((0, 0), (0, 1), (0, 0)), constant_values=np.nan)[:, columns],
        skeleton=match.skeleton,
        paths=tuple(e.image for e in entries if e.image) if all(e.image for e in entries) else None,
        frames=tuple(e.frame or 0 for e in entries) if any(e.frame is not None for e in entries) else None,
        sizes=given("size", 2),
        heads=given("head", 4),
        groups=groups if all(groups) else groups_of([entry.name for entry in entries]),
        splits=splits if any(splits) else None,
        problems=problems.notes(),
    )


def groups_of(names: Iterable[str]) -> tuple[str, ...] | None:
    """The infants or videos that file names tell: what stands before the number of the frame, as in `anna_0012`.

    None where a name has no such number, or where all images would be of one group.
    """
    matches = [_FRAME.match(name.partition("#")[0]) for name in names]
    groups = tuple(match["group"] for match in matches if match)
    return groups if len(groups) == len(matches) and len(set(groups)) > 1 else None


@contextmanager
def collected(problems: Problems, where: str) -> Iterator[None]:
    """Note what is wrong with one file of many; the others are read all the same."""
    try:
        yield
    except InputError as error:
        problems.errors.append((where, error.what))


def read_numbers(file: Path, columns: int, what: str) -> np.ndarray:
    """The numbers of a text file, as many in each line.

    Args:
        file: of lines with numbers between blanks.
        columns: numbers of a line.
        what: they are, for the error.

    Raises:
        InputError: other lines, or none.
    """
    with checks.damage(file, "a list of points"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of an empty file
        rows = np.loadtxt(file, ndmin=2, encoding="utf-8")
    if not rows.size or rows.shape[1] != columns:
        raise InputError(file, f"is not {what} in each line", "give the file as it was published")
    return rows


def images_in(folder: Path) -> dict[str, Path]:
    """The images of a folder by name without ending; empty if it does not exist."""
    if not folder.is_dir():
        return {}
    files = sorted(folder.iterdir(), key=natural_order)
    return {p.stem: p for p in files if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")}


def folder_of(images: Path | None, candidates: Sequence[Path], name: str) -> Path:
    """Where the images lie: the given folder, else the first that holds one of them, else the first."""
    if images is not None:
        return images
    return next((folder for folder in candidates if (folder / name).is_file()), candidates[0])


def note_unannotated(folder: Path, entries: Iterable[AnnotatedPerson], problems: Problems) -> None:
    """Note the images of a folder that no entry names."""
    known = {entry.image.stem for entry in entries if entry.image is not None}
    problems.warnings += [
        (image.name, "has no annotation") for stem, image in images_in(folder).items() if stem not in known
    ]


def _inside(entry: AnnotatedPerson, sheet: ParsedAnnotations, problems: Problems) -> AnnotatedPerson:
    if (np.abs(entry.points) > MAX_COORDINATE).any():
        problems.errors.append((entry.where, f"has a point farther than {MAX_COORDINATE:g} pixels away"))
    if entry.size is None:
        return entry
    height, width = entry.size
    x, y = entry.points.T
    outside = (x < 0) | (y < 0) | (x > width) | (y > height)
    if not outside.any():
        return entry
    for joint in np.flatnonzero(outside):
        at = f"{sheet.joints[int(joint)]} at {x[joint]:g}, {y[joint]:g}, outside the image"
        where = problems.errors if sheet.own else problems.warnings
        where.append((entry.where, f"has {at}" if sheet.own else "has points outside the image, left out"))
        if not sheet.own:
            break
    return replace(entry, points=np.where(outside[:, None], np.nan, entry.points))


def _once(entries: list[AnnotatedPerson], problems: Problems) -> list[AnnotatedPerson]:
    """Each image once: equal ones are noted, different ones fatal."""
    found: dict[tuple[Path | None, str], AnnotatedPerson] = {}
    for entry in entries:
        key = (entry.image, entry.name)
        if key not in found:
            found[key] = entry
        elif np.array_equal(found[key].points, entry.points, equal_nan=True):
            problems.warnings.append((entry.where, f"repeats the annotation of {entry.name}"))
        else:
            problems.errors.append((entry.where, f"annotates {entry.name} again and differently"))
    return list(found.values())
