"""`pose`: keypoints of videos and images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from infantjax.cli import common
from infantjax.errors import InputError
from infantjax.pose import DEFAULT_WEIGHTS


@dataclass(frozen=True)
class Pose(common.Command):
    """Estimate the keypoints of a video, of an image, or of a folder of images.

    The same command continues after an interruption. No weights come with the package: public ones, trained on adults,
    are fetched once.

    Example:
        infantjax pose clip.mp4 -o clip.csv --overlay clip_overlay.mp4
    """

    input: Positional[Path]
    """Video, image, or folder of images."""
    output: common.OutputFile
    """Keypoint file to write: .csv or .npz."""
    weights: Path = Path(DEFAULT_WEIGHTS)
    """Weights: a name of `infantjax weights list`, a file, or a folder."""
    offline: common.Offline = False
    overlay: Path | None = None
    """Video to write with the keypoints drawn into it."""
    fps: common.Fps = None
    """Frames per second, where the input does not say."""
    decoder: common.Decoder = "smoothed"
    """How keypoints are found in confidence maps: smoothed, real_time as in EfficientPose, weighted as for infants."""
    resizing: Literal["reference", "fast"] | None = None
    """Resize frames as the reference implementation does, or fast by the video decoder (default for videos)."""
    flip: bool = False
    """Average over the image and its mirror image."""
    scales: tuple[float, ...] = (1.0,)
    """Average over the image at these scales, for example 0.75 1 1.25."""
    person: Literal["central", "largest"] | None = None
    """Which of several persons to follow; needs weights with affinity fields. Else the surest point of each joint."""
    smoothing: Literal["median5", "butterworth"] | None = None
    """Filter over time; gaps stay gaps."""
    two_stage: bool = False
    """Run again on a crop around the first keypoints, for infants that do not fill the frame."""
    min_confidence: float = 0.1
    """Points with less confidence are missing."""
    image_size: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    batch_size: int | None = None
    """Frames of a call; the backend's choice if not given."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations; bfloat16 is for accelerators."""
    overwrite: bool = False
    """Replace the output."""

    def run(self) -> int:
        """Estimate the keypoints and write them."""
        from infantjax.pose import PoseConfig, Tracker, load_pose_network
        from infantjax.pose.writing import SUFFIXES, write_keypoints
        from infantjax.video import is_video, open_frames

        common.require_fps(self.fps)
        for path in (self.output, self.overlay):
            if path is not None and path.exists() and not self.overwrite:
                raise InputError(path, "exists", "use --overwrite or another name")
        if self.output.suffix.lower() not in SUFFIXES:
            raise InputError(self.output, "has a suffix that cannot be written", "use .csv or .npz")
        frames = open_frames(self.input, self.fps)
        resizing = self.resizing or ("fast" if is_video(frames) else "reference")
        with common.checked():
            config = PoseConfig(
                self.decoder,
                resizing,
                self.flip,
                self.min_confidence,
                self.batch_size,
                self.dtype,
                self.scales,
                self.person,
                self.smoothing,
                self.two_stage,
            )
        common.prepare_process()
        network = load_pose_network(
            self.weights,
            self.image_size,
            early_heads=self.person is not None,
            offline=self.offline or None,
            quiet=self.quiet,
        )
        if self.person is not None and network.affinity_fields is None:
            raise InputError(self.weights, "has no affinity fields", "leave out --person, or give other weights")
        recording = write_keypoints(frames, Tracker(network, config), self.output, self.overlay, quiet=self.quiet)
        common.note((*recording.history, *recording.notes))
        print(self.output)
        if self.overlay is not None:
            print(self.overlay)
        return 0
