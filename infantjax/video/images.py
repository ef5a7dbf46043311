"""Image files as frames, by Pillow.

Pillow decodes JPEG to the gray levels of the reference implementation, from which those of PyAV differ by up to 8 at
edges.
"""

import math
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from infantjax.errors import InputError
from infantjax.files import natural_order
from infantjax.video.frames import WHOLE_FILE, Frame, Frames, check_sides, describe_error

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the files of a folder that are read as images."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")
_EXIF_ORIENTATION = 0x0112
_FIRST_TRANSPOSED = 5  # From this Exif orientation on, rows and columns are exchanged.


class ImageFiles(Frames):
    """One image, or a folder of images in the order of the numbers in their names.

    Attributes:
        files: the images.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        import PIL

        self.path, self.notes = path, []
        self.provenance = f"Pillow {PIL.__version__}"
        self.files = find_images(path) if path.is_dir() else [path]
        if not self.files:
            raise InputError(path, "holds no images", f"give a folder of {', '.join(IMAGE_SUFFIXES)} files")
        if fps is None and path.is_dir():
            raise InputError(path, "is a folder of images, which have no time", "give --fps")
        self.fps, self.expected = fps or math.nan, len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        self.notes, sizes = [], set()
        for index, file in enumerate(self.files):
            image = read_image(file)
            sizes.add(image.shape)
            time = 0.0 if math.isnan(self.fps) else index / self.fps
            yield Frame.from_array(index, time, file.name, image)
        if len(sizes) > 1:
            self.notes.append(f"has images of {len(sizes)} sizes")


def is_image(path: Path) -> bool:
    """Whether a file begins like an image.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(12)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the file") from None
    return head.startswith(_SIGNATURES) or (head.startswith(b"RIFF") and head[8:] == b"WEBP")


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an upright image, from its header.

    Raises:
        InputError: it is no image that can be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            transposed = image.getexif().get(_EXIF_ORIENTATION, 1) >= _FIRST_TRANSPOSED
            return (image.width, image.height) if transposed else (image.height, image.width)
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise InputError(path, f"is no image that can be read ({describe_error(error)})", WHOLE_FILE) from None


def read_image(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read an image: upright, in RGB, without transparency.

    Raises:
        InputError: it is no image that can be read, or is too small or too large.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            check_sides(path, image.height, image.width)
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(path, f"is no image that can be read ({describe_error(error)})", WHOLE_FILE) from None


def encode_image(image: UInt8[np.ndarray, "height width 3"], suffix: str = ".png") -> bytes:
    """The content of an image file, without metadata.

    Args:
        image: RGB.
        suffix: one of `IMAGE_SUFFIXES`.
    """
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(image).save(stream, Image.registered_extensions()[suffix.lower()])
    return stream.getvalue()


def find_images(folder: Path) -> list[Path]:
    """The images of a folder, not deeper, in the order of the numbers in their names.

    Raises:
        InputError: it cannot be read.
    """
    try:
        found = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise InputError(folder, f"cannot be read ({error.strerror})", "check the folder") from None
    return sorted(found, key=natural_order)
