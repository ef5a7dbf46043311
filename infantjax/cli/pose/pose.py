"""`pose`: keypoints of videos and images."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tyro.conf import Positional

from infantjax.assessment.assessor import attempt
from infantjax.cli.options import common
from infantjax.cli.options.keypoints import KeypointFiles, targets_of
from infantjax.cli.options.video import RESULTS, VideoOptions
from infantjax.files import refuse_inputs
from infantjax.video import find_sources, is_video, open_frames


@dataclass(frozen=True)
class Pose(common.Command):
    """Estimate the keypoints of videos, of images, or of a folder of images.

    The same command continues after an interruption. No weights come with the package: public ones, trained on adults,
    are fetched once.

    Example:
        infantjax pose clip.mp4
        infantjax pose clips/*.mp4 -o keypoints --overlay
    """

    inputs: Positional[tuple[str, ...]]
    """Videos or images, folders of videos, glob patterns, or a folder with the images of one video."""
    output: common.Output = RESULTS
    """Folder for a keypoint file of each input; for one input also the file itself: .csv or .npz."""
    fps: common.Fps = None
    """Frames per second, where the input does not say."""
    smoothing: Literal["median5", "butterworth"] | None = None
    """Filter over time; gaps stay gaps."""
    hide_heads: bool = False
    """Blur the head in the overlay."""
    overwrite: bool = False
    """Replace the output."""
    cluster: common.Cluster = None
    """Work on a Ray cluster that shares the folders, an input on each device: its address, or auto."""
    video: Annotated[VideoOptions, common.FLAT] = VideoOptions()

    def run(self) -> int:
        """Estimate the keypoints and write them."""
        common.require_fps(self.fps)
        sources = find_sources(self.inputs)
        targets = targets_of(self.output, sources, self.video.keypoints)
        refuse_inputs(targets, (*sources, self.video.weights))
        if self.cluster is not None:
            tasks = [replace(self, inputs=(str(source),), output=target) for source, target in zip(sources, targets)]
            return common.run_on_cluster(self.cluster, self.output, tasks)
        opened = [attempt(open_frames, source, self.fps) for source in sources]
        kinds = {is_video(frames) for frames in opened if not isinstance(frames, Exception)}
        configs = {video: self.video.config(video, smoothing=self.smoothing) for video in kinds}
        common.prepare_process()
        trackers = {video: self.video.tracker(config, quiet=self.quiet) for video, config in configs.items()}
        files = KeypointFiles(sources, targets, self.video.overlay, self.overwrite, self.quiet, self.hide_heads)
        return files.write(opened, lambda frames: trackers[is_video(frames)])
