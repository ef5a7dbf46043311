"""Open a video, an image, or a folder of images as frames."""

import stat
from pathlib import Path

from infantjax.errors import InputError
from infantjax.video.frames import WHOLE_FILE, Frames
from infantjax.video.images import ImageFiles, is_image
from infantjax.video.stream import VideoStream


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
