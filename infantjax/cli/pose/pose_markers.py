"""`pose markers`: tracks of colored markers on hands and feet."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from infantjax import formats
from infantjax.cli.options import common
from infantjax.clinic.markers import Head, Intrinsics, MarkerSettings, record_markers
from infantjax.errors import InputError
from infantjax.files import refuse_inputs
from infantjax.pose.estimation.writing import SUFFIXES, overlay_of
from infantjax.progress import Progress
from infantjax.skeletons import LIMBS_4
from infantjax.video import open_frames, write_overlay
from infantjax.video.depth import DepthImages

Click = Annotated[tuple[float, float], arg(metavar="X Y")]


@dataclass(frozen=True)
class PoseMarkers(common.Command):
    """Follow colored markers on hands and feet through a video, for `assess` and `crossval --method sma-cnn`.

    Look up the pixel of each marker in the first frame with any image viewer.

    Example:
        infantjax pose markers clip.mp4 -o a.csv --right-hand 9 8 --left-hand 99 8 --right-foot 92 99 --left-foot 97 99
    """

    video: Positional[Path]
    """Video, or folder of its images."""
    output: common.OutputFile
    """Keypoint file, .csv or .npz."""
    right_hand: Click
    """Pixel on the marker of the right hand in the first frame."""
    left_hand: Click
    """The same of the left hand."""
    right_foot: Click
    """The same of the right foot."""
    left_foot: Click
    """The same of the left foot."""
    depth: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder with a depth image for each frame, registered to the colors: the tracks have three axes."""
    intrinsics: Annotated[tuple[float, float, float, float] | None, arg(metavar="FX FY CX CY")] = None
    """Of the camera, pixels: with --depth the tracks are in space, in the unit of the depth."""
    head: Head | None = None
    """Side of the image where the head is: axes as published, from head to toe, across, up; those of the camera if not
    given."""
    fps: common.Fps = None
    """Frames per second, where the input does not say."""
    marker: MarkerSettings = field(default_factory=MarkerSettings)
    """Which pixels are those of a marker."""
    overlay: bool = False
    """Write a copy of the video with the tracks drawn."""
    overwrite: bool = False
    """Replace the output."""

    def run(self) -> int:
        """Track the markers and write them."""
        common.require_fps(self.fps)
        if self.output.suffix.lower() not in SUFFIXES:
            raise InputError(self.output, "has a suffix that cannot be written", "use .csv or .npz")
        frames = open_frames(self.video, self.fps)
        overlay = overlay_of(frames, self.output) if self.overlay else None
        written = [path for path in (self.output, overlay) if path is not None]
        refuse_inputs(written, [self.video])
        if not self.overwrite:
            common.require_new(*written, remedy="use --overwrite or another name")
        with common.checked(self.video), Progress(frames.expected, "frames", quiet=self.quiet) as progress:
            recording, pixels = record_markers(
                frames,
                [getattr(self, limb) for limb in LIMBS_4.joints],
                depth=DepthImages(self.depth, frames.fps) if self.depth else None,
                intrinsics=Intrinsics(*self.intrinsics) if self.intrinsics else None,
                head=self.head,
                settings=self.marker,
                report=progress.update,
            )
        with common.written(self.output):
            self.output.parent.mkdir(parents=True, exist_ok=True)
            formats.write(recording, self.output)
        if overlay is not None:
            write_overlay(frames, pixels, LIMBS_4, overlay)
        common.note((*recording.history, *recording.notes))
        for path in written:
            print(path)
        return 0
