"""`pose depth`: keypoints of depth images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.assessment.assessor import attempt
from infantjax.cli.options import common
from infantjax.cli.options.keypoints import KeypointFiles, targets_of
from infantjax.cli.options.video import RESULTS
from infantjax.errors import InputError
from infantjax.files import refuse_inputs
from infantjax.methods import registry
from infantjax.video.depth import DepthImages, find_depth_clips
from infantjax.weights.ensemble import INDEX, load_ensemble


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
    """Folder for a keypoint file of each input; for one input also the file itself: .csv or .npz."""
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
        common.require_fps(self.fps)
        clips = [clip for path in self.inputs for clip in find_depth_clips(path)]
        targets = targets_of(self.output, clips, self.keypoints)
        refuse_inputs(targets, (*clips, self.weights))
        common.prepare_process()
        with common.checked():
            ensemble = load_ensemble(self.weights) if (self.weights / INDEX).is_file() else None
            if ensemble is None or (method := registry.name_of(ensemble)) not in registry.names("depth images"):
                what = "holds no networks of depth images"
                raise InputError(self.weights, what, "give a folder of `infantjax train depth`")
            tracker = registry.get(method).tracker(ensemble, self.min_confidence, self.batch_size)
        opened = [attempt(DepthImages, clip, self.fps) for clip in clips]
        files = KeypointFiles(clips, targets, self.overlay, self.overwrite, self.quiet)
        return files.write(opened, lambda frames: tracker)
