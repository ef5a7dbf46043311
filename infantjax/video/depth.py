"""Images of a depth camera: one channel of 8 or 16 bits, as distances and as frames to look at.

A clip is a folder of such images in the order of the numbers in their names. Where the folder itself has none they may
lie one folder deeper: in `depth` (MINI-RGBD) or in a folder of 16 bits (babyPose).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.files import natural_order
from infantjax.video.frames import WHOLE_FILE, Frame, check_sides, describe_error
from infantjax.video.images import ImageFiles, find_images

FOLDER = "depth"
"""Folder of a recording's depth images, beside those in color."""
_CHANNELS = ("1", "L", "F", "I")
"""Modes of Pillow with one channel; those of 16 bits begin with I."""
_SIXTEEN = re.compile(r"16.?bit", re.IGNORECASE)


class DepthImages(ImageFiles):
    """A folder of depth images as frames; `depths` gives what was measured.

    Args:
        path: a folder of images, or of a recording (`depth_folder`).
        fps: frames per second.

    Raises:
        InputError: no depth images, or no frame rate.
    """

    def __init__(self, path: Path, fps: float | None) -> None:
        super().__init__(depth_folder(path), fps)
        self.folder, self.path = self.path, path

    def __iter__(self) -> Iterator[Frame]:
        """The frames in gray, near is bright; each from its own nearest to its own farthest point."""
        for index, (file, depth) in enumerate(zip(self.files, self.depths())):
            known = depth[depth > 0]
            near, far = (known.min(), known.max()) if known.size else (0.0, 1.0)
            gray = np.where(depth > 0, 255 * (far - depth) / max(far - near, 1e-6), 0).astype(np.uint8)
            yield Frame.from_array(index, index / self.fps, file.name, np.repeat(gray[..., None], 3, axis=-1))

    def depths(self, first: int = 0) -> Iterator[Float[np.ndarray, "height width"]]:
        """Distances in the unit of the camera, 0 where nothing was measured, from a frame on."""
        return (read_depth(file) for file in self.files[first:])


def read_depth(path: str | Path) -> Float[np.ndarray, "height width"]:
    """Read a depth image, in the unit of the camera.

    Raises:
        InputError: it cannot be read, is too small or too large, or has several channels.
    """
    from PIL import Image

    path = Path(path)
    try:
        with Image.open(path) as opened:
            check_sides(path, opened.height, opened.width)
            if not opened.mode.startswith(_CHANNELS) or len(opened.getbands()) != 1:
                what = "has several channels, a depth image has one"
                raise InputError(path, what, "give the images of the depth camera")
            return np.asarray(opened, np.float32)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(path, f"cannot be read as an image ({describe_error(error)})", WHOLE_FILE) from None


def depth_folder(path: Path) -> Path:
    """Where the depth images of a recording lie: in the folder itself, in `depth`, or in the one folder of 16 bits.

    Raises:
        InputError: nowhere.
    """
    if not path.is_dir():
        raise InputError(path, "is no folder", "give a folder of depth images")
    if (found := _find_folder(path)) is None:
        raise InputError(path, "holds no depth images", "give a folder of PNG files with one channel")
    return found


def find_depth_clips(path: Path) -> list[Path]:
    """The recordings that a folder stands for: itself, or each folder in it that has depth images.

    Raises:
        InputError: none.
    """
    clips = [path] if path.is_dir() and _find_folder(path) else [p for p in _folders(path) if _find_folder(p)]
    return clips or [depth_folder(path)]


def _find_folder(path: Path) -> Path | None:
    deeper = _folders(path)
    named = [p for p in deeper if p.name.lower() == FOLDER] + [p for p in deeper if _SIXTEEN.search(p.name)]
    return next((folder for folder in (path, *named) if find_images(folder)), None)


def _folders(path: Path) -> list[Path]:
    return sorted((p for p in path.glob("*") if p.is_dir()), key=natural_order)
