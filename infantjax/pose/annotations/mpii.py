"""MPII Human Pose: the Matlab file with the structure `RELEASE`.

The persons that the file itself lists as standing apart (`single_person`) are rows, named `IMAGE#NUMBER`. The images of
the test set have no points and are left out, so that all rows are of the training set; the group is the video.

Source: Andriluka et al. 2014.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError, Problems
from infantjax.files import MAX_ARCHIVE_RATIO, MAX_FILE_BYTES
from infantjax.pose.annotations.data import AnnotatedPerson, ParsedAnnotations, ReadRequest, folder_of
from infantjax.weights.archive import DAMAGE

JOINTS = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "thorax", "upper_neck", "head_top"),
    *("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist"),
)
"""The joints in the order of MPII's ids."""

_COMPRESSED, _SMALL = 15, 1 << 20


def recognizes(path: Path) -> bool:
    """Whether the file is one of Matlab."""
    if path.is_dir():
        return False
    with path.open("rb") as stream:
        return stream.read(19) == b"MATLAB 5.0 MAT-file"


def read(request: ReadRequest) -> ParsedAnnotations:
    """Read the file.

    Raises:
        InputError: no such structure, damaged, or it would unpack to too much.
    """
    try:
        return ParsedAnnotations(JOINTS, list(_entries(request)), Problems(), own=False)
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(request.path, f"is not MPII's Matlab file ({reason})", "give it as MPII has it") from None


def _entries(request: ReadRequest) -> Iterator[AnnotatedPerson]:
    release = _release(request.path)
    images = _list(release.annolist)
    training = np.atleast_1d(release.img_train)
    single = _list(getattr(release, "single_person", []))
    videos = _list(getattr(release, "video_list", []))
    first = str(images[0].image.name) if images else ""
    near = request.path.parent
    folder = folder_of(request.image_dir, (near / "images", near.parent / "images", near, near.parent), first)
    for number, image in enumerate(images):
        if not training[number]:
            continue
        apart = {int(i) for i in np.ravel(single[number])} if number < len(single) else set()
        yield from _persons(image, f"image {number}", folder, apart, videos)


def _release(path: Path) -> Any:
    from scipy.io import loadmat

    _require_bounded(path)
    content = loadmat(str(path), struct_as_record=False, squeeze_me=True, variable_names=("RELEASE",))
    if "RELEASE" not in content:
        raise InputError(path, "has no structure RELEASE", "give MPII's own annotation file")
    return content["RELEASE"]


def _require_bounded(path: Path) -> None:
    """Unpack the variables of the file once, piece by piece, before anything takes their declared sizes for true."""
    import zlib

    total, limit = 0, min(MAX_FILE_BYTES, max(_SMALL, MAX_ARCHIVE_RATIO * path.stat().st_size))
    with path.open("rb") as stream:
        stream.seek(126)
        order = "little" if stream.read(2) == b"IM" else "big"
        while len(tag := stream.read(8)) == 8:
            kind, size = (int.from_bytes(tag[i : i + 4], order) for i in (0, 4))  # type: ignore[arg-type]
            if kind != _COMPRESSED:
                stream.seek(size, 1)
                continue
            unpacker = zlib.decompressobj()
            while size and (piece := stream.read(min(size, 1 << 16))):
                size -= len(piece)
                while piece:
                    total += len(unpacker.decompress(piece, 1 << 20))
                    piece = unpacker.unconsumed_tail
                    if total > limit:
                        raise InputError(path, f"would unpack to more than {limit} bytes", "give MPII's own file")


def _list(value: Any) -> list[Any]:
    return list(np.atleast_1d(np.asarray(value, dtype=object)))


def _persons(image: Any, where: str, folder: Path, selected: set[int], videos: list[Any]) -> Iterator[AnnotatedPerson]:
    file = folder / Path(str(image.image.name)).name
    video = np.ravel(getattr(image, "vididx", ()))
    index = int(video[0]) if len(video) == 1 else 0
    for number, person in enumerate(_list(getattr(image, "annorect", [])), 1):
        points = getattr(getattr(person, "annopoints", None), "point", None)
        if points is None or number not in selected:
            continue
        positions = np.full((len(JOINTS), 2), np.nan)
        for point in _list(points):
            joint = int(point.id)
            if not 0 <= joint < len(JOINTS):
                raise ValueError(f"{where}: has a point of id {joint}")
            positions[joint] = float(point.x), float(point.y)
        sides = [np.ravel(getattr(person, name, ())) for name in ("x1", "y1", "x2", "y2")]
        yield AnnotatedPerson(
            where=f"{file.name}#{number}",
            name=f"{file.stem}#{number}",
            points=positions,
            image=file,
            head=tuple(float(side[0]) for side in sides) if all(len(side) == 1 for side in sides) else None,
            group=str(videos[index - 1]) if 0 < index <= len(videos) else "",
            split="train",
        )
