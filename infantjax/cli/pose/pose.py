"""`pose`: keypoints of videos and images."""

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from infantjax.cli.options import common
from infantjax.cli.options.keypoints import KeypointFiles, targets_of
from infantjax.cli.options.video import RESULTS, VideoOptions
from infantjax.engine import CrashError
from infantjax.errors import InputError
from infantjax.progress import LOGGER


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
        from infantjax.assessment.assessor import attempt
        from infantjax.files import refuse_inputs
        from infantjax.video import find_sources, is_video, open_frames

        common.require_fps(self.fps)
        sources = find_sources(self.inputs)
        targets = targets_of(self.output, sources, self.video.keypoints)
        refuse_inputs(targets, (*sources, self.video.weights))
        if self.cluster is not None:
            return self._on_cluster(self.cluster, sources, targets)
        opened = [attempt(open_frames, source, self.fps) for source in sources]
        kinds = {is_video(frames) for frames in opened if not isinstance(frames, Exception)}
        configs = {video: self.video.config(video, smoothing=self.smoothing) for video in kinds}
        common.prepare_process()
        trackers = {video: self.video.tracker(config, quiet=self.quiet) for video, config in configs.items()}
        files = KeypointFiles(sources, targets, self.video.overlay, self.overwrite, self.quiet, self.hide_heads)
        return files.write(opened, lambda frames: trackers[is_video(frames)])

    def _on_cluster(self, address: str, sources: Sequence[Path], targets: Sequence[Path]) -> int:
        """Each input by this command in a process of the cluster."""
        from infantjax.engine import results

        engine, failed = common.join_cluster(address, self.output), 0
        alone = replace(self, cluster=None, common=replace(self.common, quiet=True))
        tasks = [(replace(alone, inputs=(str(source),), output=target),) for source, target in zip(sources, targets)]
        for _, future in results(engine, _run_alone, tasks):
            try:
                print(future.result(), end="")
            except (InputError, CrashError) as error:
                LOGGER.error("%s", error)
                failed += 1
        if failed:
            LOGGER.warning("%d of %d inputs failed", failed, len(sources))
        return 0 if not failed else 2 if failed == len(sources) else 1


def _run_alone(command: Pose, *, device: int) -> str:
    """Run a command for one input; what it prints."""
    command.output.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            command.run()
        except InputError as error:
            if error.what != "exists":
                raise
    return printed.getvalue()
