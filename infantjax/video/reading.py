"""Open a video, an image, or a folder of images as frames."""

import glob
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from infantjax.errors import InputError
from infantjax.files import natural_order, require_local
from infantjax.video.frames import WHOLE_FILE, Frames
from infantjax.video.images import IMAGE_SUFFIXES, ImageFiles, is_image
from infantjax.video.stream import VideoStream

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".ts", ".3gp")
"""Endings of the files of a folder that are taken for videos."""
OVERLAY = ".overlay"
"""Ending of the name, before its suffix, of a video or image that shows keypoints."""
HIDDEN = ".hidden"
"""Ending of the name, before its suffix, of a copy of a video with blurred heads."""


def is_video_name(path: Path) -> bool:
    """Whether a file is taken for a video by its name: no hidden one, and none that shows keypoints or hides heads."""
    hidden = path.name.startswith((".", "~")) or path.stem.endswith((OVERLAY, HIDDEN))
    return not hidden and path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()


def find_sources(inputs: Iterable[str | Path]) -> list[Path]:
    """The videos and images that files, glob patterns and folders name, in their order, each once.

    A folder stands for the videos in it, not deeper; without any it is itself the images of one video.

    Args:
        inputs: files, patterns, folders.

    Raises:
        InputError: nothing is named, or a pattern names no video or image.
    """
    found: dict[str, Path] = {}
    for given in inputs:
        require_local(given)
        path = Path(given)
        if path.is_dir():
            paths = sorted(filter(is_video_name, path.iterdir()), key=natural_order) or [path]
        elif not os.path.lexists(path) and glob.has_magic(str(given)):
            named = sorted(map(Path, glob.glob(str(given))), key=natural_order)
            images = [p for p in named if p.suffix.lower() in IMAGE_SUFFIXES and not p.stem.endswith(OVERLAY)]
            paths = [p for p in named if p in images or is_video_name(p)]
            if not paths:
                raise InputError(given, "names no video or image", "give files, folders of files, or a pattern")
        else:
            paths = [path]
        for p in paths:
            found.setdefault(os.path.realpath(p), p)
    if not found:
        raise InputError("input", "names no video or image", "give at least one")
    return list(found.values())


def open_frames(path: str | Path, fps: float | None = None) -> Frames:
    """Open a video, an image, or a folder of images in the order of their names.

    Args:
        path: a file or folder.
        fps: frames per second, if the source does not state it; overrules what a video states.

    Raises:
        InputError: no such file, not readable, no video or image, or the frame rate is not stated.
    """
    path = Path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        what = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise InputError(path, what, "check the path") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    if stat.S_ISDIR(status.st_mode):
        return ImageFiles(path, fps)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(path, "is no regular file", "give a video file, an image, or a folder of images")
    if status.st_size == 0:
        raise InputError(path, "is empty", WHOLE_FILE)
    return ImageFiles(path, fps) if is_image(path) else VideoStream(path, fps)


def is_frames(path: str | Path) -> bool:
    """Whether the first bytes of a file may be those of a video or an image: not text, JSON, HDF5 or an archive."""
    path = Path(path)
    try:
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError:
        return False
    if head.startswith((b"\x89HDF", b"PK", b"{", b"[")):
        return False
    return b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))


def is_video(frames: Frames) -> bool:
    """Whether frames come from a video, not from images."""
    return isinstance(frames, VideoStream)
