"""Annotated depth images as the frames that train the networks."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.pose.annotations import Annotations
from infantjax.pose.annotations.babypose import prepare_depth
from infantjax.progress import Progress
from infantjax.video.depth import FOLDER, read_depth
from infantjax.video.images import find_images


def to_frame(
    points: Float[np.ndarray, "*time joint 2"], image: tuple[int, int], frame: tuple[int, int]
) -> Float[np.ndarray, "*time joint 2"]:
    """Points of an image in pixels of a frame that it is resized to, whose first pixel has its center at 0.

    Args:
        points: x and y in pixels of the image, whose first pixel has its center at 0.5.
        image: height and width.
        frame: height and width.
    """
    return points * np.array([frame[1] / image[1], frame[0] / image[0]]) - 0.5


def to_image(
    points: Float[np.ndarray, "*time joint 2"], image: tuple[int, int], frame: tuple[int, int]
) -> Float[np.ndarray, "*time joint 2"]:
    """The inverse of `to_frame`."""
    return (points + 0.5) * np.array([image[1] / frame[1], image[0] / frame[0]])


@dataclass(frozen=True, eq=False)
class DepthFrames:
    """Annotated depth frames of all infants in a row, in place of a cohort's recordings.

    Attributes:
        frames: `[frame, row, column]` float32, each minus its mean.
        points: `[frame, joint, 2]` float32, pixels of the frame; NaN where missing.
        annotations: of the images, in the same order.
        infants: names, each with its number of frames.
    """

    frames: Float[np.ndarray, "frame row column"]
    points: Float[np.ndarray, "frame joint 2"]
    annotations: Annotations
    infants: dict[str, int]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images."""
        return self.annotations.names

    @property
    def problems(self) -> tuple[str, ...]:
        """Annotations that were left out or are unusual, one line each."""
        return self.annotations.problems

    @property
    def digest(self) -> str:
        """SHA-256 of all frames and points."""
        return sha256(self.frames, self.points)


def read_frames(annotations: Annotations, height: int, width: int, *, quiet: bool = True) -> DepthFrames:
    """Read all annotated depth images, infant by infant.

    Annotations that name images in color take the depth images beside them (`FOLDER`).

    Args:
        annotations: with paths.
        height: of the frames, pixels.
        width: of the frames, pixels.
        quiet: no progress on stderr.

    Raises:
        InputError: images that cannot be read, one line that names all of them; or none.
    """
    annotations = _with_depth(annotations).with_images()
    groups = annotations.groups or ("",) * len(annotations)
    infants = {name: groups.count(name) for name in dict.fromkeys(groups)}
    order = [row for name in infants for row, group in enumerate(groups) if group == name]
    annotations = annotations.take(order)
    count, paths = len(annotations), annotations.paths or ()
    frames = np.zeros((count, height, width), np.float32)
    points = np.zeros((count, len(annotations.skeleton.joints), 2), np.float32)

    def read(row: int) -> str:
        try:
            depth = read_depth(paths[row])
        except InputError as error:
            return f"{error.where} {error.what}"
        frames[row] = prepare_depth(depth, height, width)
        points[row] = to_frame(annotations.points[row], depth.shape, (height, width))  # type: ignore[arg-type]
        return ""

    problems = []
    with Progress(count, "reading images", quiet=quiet) as progress, ThreadPoolExecutor() as pool:
        for done, problem in enumerate(pool.map(read, range(count)), 1):
            progress.update(done)
            problems += [problem] if problem else []
    if problems:
        listed = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        raise InputError("images", f"{len(problems)} of {count} cannot be used: {listed}", "give depth images")
    return DepthFrames(frames, points, annotations, infants)


def _with_depth(annotations: Annotations) -> Annotations:
    """Depth images in place of those of a sibling folder, by the numbers in their names."""

    @cache
    def depth_of(folder: Path) -> dict[int, Path]:
        beside = folder.parent / FOLDER
        return {_number(path): path for path in find_images(beside)} if beside.is_dir() else {}

    paths = tuple(depth_of(path.parent).get(_number(path), path) for path in annotations.paths or ())
    return replace(annotations, paths=paths or None)


def _number(path: Path) -> int:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[0]) if digits else -1
