"""`pose depth`: keypoints of depth images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.cli.video import RESULTS
from infantjax.errors import InputError
from infantjax.progress import LOGGER

if TYPE_CHECKING:
    from infantjax.pose.writing import KeypointTracker


@dataclass(frozen=True)
class PoseDepth(common.Command):
    """Find the limbs of infants in depth images, with networks that `infantjax train depth` made.

    The same command continues after an interruption.

    Example:
        infantjax pose depth babyPose -o keypoints --weights network --fps 6
    """

    inputs: Positional[tuple[Path, ...]]
    """Folders of depth images, or of such folders: babyPose, MINI-RGBD."""
    weights: Annotated[Path, arg(metavar="DIR")]
    """Folder of `infantjax train depth`."""
    output: common.Output = RESULTS
    """Folder for a keypoint file of each recording."""
    fps: common.Fps = None
    """Frames per second, where the input does not say."""
    keypoints: Literal["csv", "npz"] = "csv"
    """Format of the keypoint files of videos."""
    overlay: bool = False
    """Write a copy of each video or image with the keypoints drawn into it."""
    min_confidence: float = 0.3
    """Points with less confidence are missing."""
    batch_size: int | None = None
    """Clips of three frames in a call of the networks; the backend's choice if not given."""
    overwrite: bool = False
    """Replace the output."""

    def run(self) -> int:
        """Find the keypoints and write them."""
        from infantjax.assessment.assessor import attempt
        from infantjax.files import safe_stem, unique_names
        from infantjax.pose.depth import load_depth_tracker
        from infantjax.video.depth import find_depth_clips

        common.require_fps(self.fps)
        clips = [clip for path in self.inputs for clip in find_depth_clips(path)]
        names = unique_names(safe_stem(clip.resolve().name) for clip in clips)
        common.prepare_process()
        with common.checked():
            tracker = load_depth_tracker(self.weights, self.min_confidence, self.batch_size)
        failed = 0
        for clip, name in zip(clips, names):
            error = attempt(self._write, clip, self.output / f"{name}.{self.keypoints}", tracker)
            if error is None:
                continue
            if len(clips) == 1 or not isinstance(error, InputError):
                raise error
            LOGGER.error("%s", error)
            failed += 1
        return 0 if not failed else 2 if failed == len(clips) else 1

    def _write(self, clip: Path, target: Path, tracker: "KeypointTracker") -> None:
        """Write the keypoints of one recording, and its overlay; those of earlier calls are kept."""
        from infantjax.pose.writing import overlay_of, write_keypoints
        from infantjax.video.depth import DepthImages

        frames = DepthImages(clip, self.fps)
        overlay = overlay_of(frames, target) if self.overlay else None
        written = [path for path in (target, overlay) if path is not None]
        if not self.overwrite and all(path.exists() for path in written):
            LOGGER.warning("%s: exists and is kept; --overwrite replaces it", target)
            return
        recording = write_keypoints(frames, tracker, target, overlay, quiet=self.quiet)
        common.note((*recording.history, *recording.notes))
        for path in written:
            print(path)
