"""Annotated images: one module a format, and the format found from the content."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from infantjax import formats as readers
from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.formats import checks
from infantjax.pose.annotations import babypose, coco, in_motion, labelme, mini_rgbd, mpii
from infantjax.pose.annotations.data import (
    AnnotatedPerson,
    Annotations,
    ParsedAnnotations,
    ReadRequest,
    assemble,
)
from infantjax.pose.annotations.splits import split_as_given, split_by_group
from infantjax.settings import require_one_of
from infantjax.skeletons import Skeleton

__all__ = [
    "FORMATS",
    "Annotations",
    "read_annotations",
    "read_annotators",
    "split_as_given",
    "split_by_group",
]


def _read_recording(request: ReadRequest) -> ParsedAnnotations:
    """A keypoint file with one row an image; it knows no images."""
    recording = readers.read(request.path, fps=1.0)
    entries = [AnnotatedPerson(f"row {i}", str(i), points) for i, points in enumerate(recording.keypoints[..., :2])]
    joints = recording.skeleton.joints
    if request.skeleton is None:
        return ParsedAnnotations(joints, entries)
    shared = [joint for joint in joints if joint in request.skeleton.joints]
    rows = [recording.skeleton.index(joint) for joint in shared]
    return ParsedAnnotations(
        shared, [AnnotatedPerson(entry.where, entry.name, np.array(entry.points[rows])) for entry in entries]
    )


FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[[ReadRequest], ParsedAnnotations]]] = {
    "mpii": (mpii.recognizes, mpii.read),
    "coco": (coco.recognizes, coco.read),
    "in-motion": (in_motion.recognizes, in_motion.read),
    "in-motion-processed": (in_motion.recognizes_processed, in_motion.read_processed),
    "mini-rgbd": (mini_rgbd.recognizes, mini_rgbd.read),
    "babypose": (babypose.recognizes, babypose.read),
    "keypoints": (lambda path: readers.format_of(path) is not None, _read_recording),
    "labelme": (labelme.recognizes, labelme.read),
}
"""By name, in the order in which they are tried: whether a file or folder is of the format by its content, and its
reader."""


def read_annotations(
    path: str | Path,
    skeleton: Skeleton | str | None = None,
    format: str | None = None,
    *,
    image_dir: str | Path | None = None,
    row_per_image: bool = False,
) -> Annotations:
    """Read annotated images.

    Images that are not there, images without annotation, repeated rows and points outside the images of published
    sets are `problems` of usable annotations. An image annotated twice and differently, a file that cannot be read,
    and a point outside an image in annotations of one's own are errors, all reported at once.

    Args:
        path: a file or folder of one of `FORMATS`, or a folder of `infantjax simulate --depth`.
        skeleton: whose points to take, by name; None takes those of the format.
        format: a name of `FORMATS`; None finds it from the content.
        image_dir: the folder of the images, where they do not lie where the format has them.
        row_per_image: as where rows must be those of another table: keep images without any point, and of several
            persons of an image only the largest.

    Raises:
        InputError: it cannot be used; one line that lists everything that is wrong.
        ValueError: `format` or `skeleton` is not a known name.
    """
    if format is not None:
        require_one_of("format", format, tuple(FORMATS))
    wanted = skeletons.get(skeleton) if skeleton is not None else None
    path = checks.check_readable(path)
    if (path / "simulation.json").is_file() and (path / "depth").is_dir():
        path = path / "depth"
    formats = [FORMATS[format]] if format else list(FORMATS.values())
    with checks.damage(path, "a folder"):
        read = next((read for recognizes, read in formats if recognizes(path)), None)
    if read is None:
        what = "holds no annotations" if path.is_dir() else "is no file of annotations"
        known = ", ".join(FORMATS)
        raise InputError(path, f"{what} of {f'format {format}' if format else 'a known format'}", f"known are {known}")
    request = ReadRequest(path, wanted, Path(image_dir) if image_dir is not None else None, row_per_image)
    return assemble(read(request), request)


def read_annotators(
    first: Annotations, others: Sequence[str | Path]
) -> Float[np.ndarray, "annotator image keypoint 2"]:
    """Points of the same images by several annotators, in the order of the first one's images.

    Args:
        first: of one annotator, read with `row_per_image`.
        others: files or folders of the others, see `read_annotations`.

    Raises:
        InputError: one that cannot be used, or annotates other images.
    """
    points = [first.points]
    for path in others:
        other = read_annotations(path, first.skeleton, row_per_image=True)
        rows = {name: row for row, name in enumerate(other.names)}
        if set(rows) != set(first.names):
            raise InputError(path, "annotates other images than the first annotator", "give the same images")
        points.append(other.points[[rows[name] for name in first.names]])
    return np.stack(points)
