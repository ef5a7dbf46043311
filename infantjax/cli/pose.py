"""`pose`: keypoints of videos and images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional

from infantjax.cli import common
from infantjax.cli.video import RESULTS, VideoOptions
from infantjax.errors import InputError
from infantjax.progress import LOGGER

if TYPE_CHECKING:
    from infantjax.pose.tracker import Tracker
    from infantjax.video import Frames


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
    video: Annotated[VideoOptions, common.FLAT] = VideoOptions()

    def run(self) -> int:
        """Estimate the keypoints and write them."""
        from infantjax.assessment.assessor import attempt
        from infantjax.files import refuse_inputs
        from infantjax.video import find_sources, is_video, open_frames

        common.require_fps(self.fps)
        sources = find_sources(self.inputs)
        targets = self._targets(sources)
        refuse_inputs(targets, (*sources, self.video.weights))
        opened = [attempt(open_frames, source, self.fps) for source in sources]
        kinds = {is_video(frames) for frames in opened if not isinstance(frames, Exception)}
        configs = {video: self.video.config(video, smoothing=self.smoothing) for video in kinds}
        common.prepare_process()
        trackers = {video: self.video.tracker(config, quiet=self.quiet) for video, config in configs.items()}
        failed = 0
        for frames, target in zip(opened, targets):
            error = frames
            if not isinstance(frames, Exception):
                error = attempt(self._write, frames, trackers[is_video(frames)], target, sources)
            if error is None:
                continue
            if len(sources) == 1 or not isinstance(error, InputError):
                raise error
            LOGGER.error("%s", error)
            failed += 1
        if failed:
            LOGGER.warning("%d of %d inputs failed", failed, len(sources))
        return 0 if not failed else 2 if failed == len(sources) else 1

    def _targets(self, sources: Sequence[Path]) -> list[Path]:
        """The keypoint file of each source.

        Raises:
            InputError: one file is named for several sources.
        """
        from infantjax.files import safe_stem, unique_names
        from infantjax.pose.writing import SUFFIXES

        if (suffix := self.output.suffix.lower()) and not self.output.is_dir():
            if suffix not in SUFFIXES:
                raise InputError(self.output, "has a suffix that cannot be written", "use .csv or .npz, or a folder")
            if len(sources) > 1:
                raise InputError(self.output, f"is one file for {len(sources)} inputs", "give a folder")
            return [self.output]
        stems = unique_names(safe_stem(source.stem) for source in sources)
        return [self.output / f"{stem}.{self.video.keypoints}" for stem in stems]

    def _write(self, frames: "Frames", tracker: "Tracker", target: Path, sources: Sequence[Path]) -> None:
        """Write the keypoints of one of the sources, and its overlay; of several those of earlier calls are kept."""
        from infantjax.files import refuse_inputs
        from infantjax.pose.writing import overlay_of, write_keypoints

        overlay = overlay_of(frames, target) if self.video.overlay else None
        written = [path for path in (target, overlay) if path is not None]
        refuse_inputs(written, sources)
        if not self.overwrite and (there := [path for path in written if path.exists()]):
            if len(sources) == 1:
                raise InputError(there[0], "exists", "use --overwrite or another name")
            if there == written:
                LOGGER.warning("%s: exists and is kept; --overwrite replaces it", target)
                return
        recording = write_keypoints(frames, tracker, target, overlay, hide_heads=self.hide_heads, quiet=self.quiet)
        common.note((*recording.history, *recording.notes))
        for path in written:
            print(path)
