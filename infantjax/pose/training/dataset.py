"""Annotated images read as crops of one size: what pose networks are trained on."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from infantjax.errors import InputError
from infantjax.pose.annotations import Annotations, split_as_given, split_by_group
from infantjax.pose.crop import crop_annotated
from infantjax.pose.images import Resizing
from infantjax.progress import Progress
from infantjax.training.splits import Split
from infantjax.video.random_access import read_frames

_FRAMES = 32
"""Frames of a video that are held in memory at once."""


@dataclass(frozen=True)
class CropConfig:
    """How annotated images become the crops that networks are trained on.

    Attributes:
        side: height and width, pixels; None is that of the network.
        around_keypoints: crop around the keypoints, as in the training framework, or take the whole image, as the
            network will see it.
        resizing: see `crop.crop_image`.
    """

    side: int | None = None
    around_keypoints: bool = True
    resizing: Resizing = "reference"


def read_crops(
    annotations: Annotations, side: int, config: CropConfig = CropConfig(), quiet: bool = True, file: Path | None = None
) -> tuple[UInt8[np.ndarray, "image side side 3"], Float[np.ndarray, "image keypoint 2"]]:
    """Crop all annotated images.

    Args:
        annotations: with images that exist.
        side: of the crops, pixels.
        config: how.
        quiet: no progress on stderr.
        file: where the crops are kept, as a memory map; None keeps them in memory.

    Returns:
        The crops, 8 bit, and their points float32, fractions of the crop.

    Raises:
        InputError: images or frames that cannot be read, one line that names all of them; a file that cannot be
            written.
    """
    count = len(annotations)
    crops = _allocate((count, side, side, 3), file)
    points = np.full((count, len(annotations.skeleton.joints), 2), np.nan, np.float32)
    paths, numbers = annotations.paths or (), annotations.frames or (0,) * count
    problems: list[str] = []
    unusable = done = 0

    def read(rows: Sequence[int]) -> str:
        try:
            batch = read_frames(paths[rows[0]], [numbers[row] for row in rows])
            for row, frame in zip(rows, batch.frames):
                crops[row], points[row] = crop_annotated(
                    frame, annotations.points[row], side, config.around_keypoints, config.resizing
                )
        except InputError as error:
            return f"{error.where} {error.what}"
        return ""

    sources = _rows_by_source(paths)
    with Progress(count, "reading images", quiet=quiet) as progress, ThreadPoolExecutor() as pool:
        for rows, problem in zip(sources, pool.map(read, sources)):
            done += len(rows)
            progress.update(done)
            if problem:
                problems.append(problem)
                unusable += len(rows)
    if problems:
        listed = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
        remedy = "repair them or leave them out"
        raise InputError("images", f"{unusable} of {count} cannot be used: {listed}", remedy)
    return crops, points


def _rows_by_source(paths: Sequence[Path]) -> list[list[int]]:
    """Rows that are read together: some frames of one video, or one image."""
    rows: dict[Path, list[int]] = {}
    for row, path in enumerate(paths):
        rows.setdefault(path, []).append(row)
    return [of_path[first : first + _FRAMES] for of_path in rows.values() for first in range(0, len(of_path), _FRAMES)]


def split_images(annotations: Annotations, validation: float, seed: int) -> tuple[Split, tuple[str, ...]]:
    """The split that the format has, else one by infant or video as far as these are known.

    Args:
        annotations: what to split.
        validation: share of the images that select the epoch, where the format has no `train` and `val`.
        seed: of the random order.

    Returns:
        The split, and notes for a reader of the results.
    """
    if annotations.splits and {"train", "val"} <= set(annotations.splits):
        return split_as_given(annotations)
    return split_by_group(annotations, {"train": 1 - validation, "validation": validation}, seed)


def _allocate(shape: tuple[int, ...], file: Path | None) -> np.ndarray:
    if file is None:
        return np.zeros(shape, np.uint8)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mapped: Any = np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        # Writing to a sparse file would end the process where the disk is full.
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
        return mapped
    except OSError as error:
        raise InputError(file, f"cannot be written ({error.strerror})", "make room or give another folder") from error
