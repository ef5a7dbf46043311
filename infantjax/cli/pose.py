"""Keypoints of videos and pictures: `pose`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from infantjax.cli import common
from infantjax.errors import InputError


@dataclass(frozen=True)
class Pose:
    """Keypoints of a video, of a picture, or of a folder of pictures. Run again, an interrupted one continues.

    No weights come with the package, and none trained on infants are public: give a released file.

    Example:
        infantjax pose clip.mp4 --weights EfficientPoseI.h5 -o clip.csv --overlay clip_overlay.mp4
    """

    input: Positional[Path]
    """Video, picture, or folder of pictures."""
    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE")]
    """Keypoint file to write: .csv or .npz."""
    weights: Path
    """Weights: a released file of EfficientPose or EfficientHourglass."""
    overlay: Path | None = None
    """Video to write with the keypoints drawn into it."""
    fps: float | None = None
    """Frames per second, where the input does not say."""
    decoder: Literal["smoothed", "real_time", "weighted", "weighted_video", "quarter", "dark", "soft_argmax"] = (
        "smoothed"
    )
    """From maps to points: smoothed and real_time as released, weighted as in the infant framework."""
    resizing: Literal["reference", "fast"] | None = None
    """How frames are resized: exactly as released, or by the video decoder; if not given, fast for videos."""
    flip: bool = False
    """Mean over the picture and its mirror image."""
    scales: tuple[float, ...] = (1.0,)
    """Mean over the picture at these scales, for example 0.75 1 1.25."""
    person: Literal["central", "largest"] | None = None
    """Which of several persons, told apart by affinity fields; if not given, the surest point of each kind."""
    smoothing: Literal["median5", "butterworth"] | None = None
    """Filter over time; gaps stay gaps."""
    two_stage: bool = False
    """Look again, closer, at where the points were found: for infants that do not fill the frame."""
    min_confidence: float = 0.1
    """Points below are left out."""
    side: int | None = None
    """Height and width of the network's input in pixels; the network's own if not given."""
    batch_size: int | None = None
    """Frames of a call; the backend's choice if not given."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the activations; bfloat16 is for accelerators."""
    overwrite: bool = False
    """Replace the output."""
    quiet: bool = False
    """Print results only."""
    debug: bool = False
    """Show a traceback when something fails."""

    def run(self) -> int:
        """Find the keypoints and write them."""
        from infantjax.pose import PoseConfig, Tracker, load_pose_network
        from infantjax.pose.writing import SUFFIXES, write_keypoints
        from infantjax.video import open_frames
        from infantjax.video.reading import is_video

        common.require_fps(self.fps)
        for path in (self.output, self.overlay):
            if path is not None and path.exists() and not self.overwrite:
                raise InputError(path, "exists", "use --overwrite or another name")
        if self.output.suffix.lower() not in SUFFIXES:
            raise InputError(self.output, "has an ending that names no format to write", "use .csv or .npz")
        frames = open_frames(self.input, self.fps)
        with common.checked():
            config = PoseConfig(
                self.decoder,
                self.resizing or ("fast" if is_video(frames) else "reference"),
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
        network = load_pose_network(self.weights, self.side, early_heads=self.person is not None)
        if self.person is not None and network.affinity_fields is None:
            raise InputError(self.weights, "has no affinity fields", "leave out --person, or give other weights")
        tracker = Tracker(network, config)
        recording = write_keypoints(frames, tracker, self.output, self.overlay, quiet=self.quiet)
        common.note((*recording.history, *recording.notes), self.quiet)
        print(self.output)
        if self.overlay is not None:
            print(self.overlay)
        return 0
