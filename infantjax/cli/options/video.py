"""Options of the commands that read videos: which pose network finds the keypoints, how, and what is kept."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from infantjax import pose
from infantjax.cli.options import common
from infantjax.errors import InputError
from infantjax.pose import DEFAULT_WEIGHTS

RESULTS = Path("infantjax-results")
"""Folder for results where none is given."""


@dataclass(frozen=True)
class VideoOptions:
    """How the keypoints of videos are found, and what is kept of them."""

    weights: Annotated[Path, arg(aliases=["--pose-weights"])] = Path(DEFAULT_WEIGHTS)
    """Pose weights for videos: a name of `infantjax weights list`, a file, or a folder."""
    offline: common.Offline = False
    keypoints: Literal["csv", "npz"] = "csv"
    """Format of the keypoint files of videos."""
    overlay: bool = False
    """Write a copy of each video or image with the keypoints drawn into it."""
    decoder: common.Decoder | None = None
    """How keypoints are found in confidence maps: smoothed, real_time as in EfficientPose, weighted as for infants; the
    network's own if not given."""
    resizing: Literal["reference", "fast"] | None = None
    """Resize frames as the reference implementation does, or fast by the video decoder (default for videos)."""
    flip: bool = False
    """Average over the image and its mirror image."""
    scales: tuple[float, ...] = (1.0,)
    """Average over the image at these scales, for example 0.75 1 1.25."""
    person: Literal["central", "largest"] | None = None
    """Which of several persons to follow; needs weights with affinity fields. Else the surest point of each joint."""
    two_stage: bool = False
    """Run again on a crop around the first keypoints, for infants that do not fill the frame."""
    follow: bool = True
    """Crop videos around where the infant was in the last frames, and keep left and right consistent."""
    min_confidence: float = 0.1
    """Points with less confidence are missing."""
    image_size: int | None = None
    """Height and width of the pose network's input in pixels; the network's own if not given."""
    batch_size: int | None = None
    """Frames of a call of the pose network; the backend's choice if not given."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the pose network's activations; bfloat16 is for accelerators."""
    runtime: Literal["auto", "jax", "onnx"] = "auto"
    """Runtime of the pose network: JAX, or ONNX Runtime, which is faster on a CPU; auto takes the fastest installed."""
    tracker_name: Annotated[Literal["rtmpose-s", "rtmpose-m", "rtmpose-l", "rtmpose-x"] | None, arg(name="tracker")] = (
        None
    )
    """RTMPose by rtmlib in place of a pose network, from the two ONNX files below; nothing is fetched."""
    pose_model: Annotated[Path | None, arg(metavar="FILE")] = None
    """For --tracker: RTMPose with 17, 26, 133 or 136 keypoints."""
    detector_model: Annotated[Path | None, arg(metavar="FILE")] = None
    """For --tracker: YOLOX, which finds the persons."""

    def config(self, video: bool = True, **others: Any) -> Any:
        """The configuration of a tracker.

        Args:
            video: whether the frames are of a video; images are resized as in the reference.
            others: further fields.

        Raises:
            InputError: a number out of its range.
        """
        own = {f.name: getattr(self, f.name) for f in fields(pose.PoseConfig) if f.name not in ("smoothing", "runtime")}
        own["resizing"] = self.resizing or ("fast" if video else "reference")
        # Two stages, and trackers of others, crop in their own way.
        own["follow"] = self.follow and video and not self.two_stage and self.tracker_name is None
        with common.checked():
            return pose.PoseConfig(**own, **others)

    def tracker(self, config: Any, *, quiet: bool) -> "pose.Tracker":
        """The pose network, fetched if it is not on this machine, as a tracker.

        Raises:
            InputError: the weights cannot be had or used, or the runtime cannot do what is asked for.
            MissingExtraError: the runtime is not installed.
        """
        from infantjax.pose.export import fastest

        name, model, detector = self.tracker_name, self.pose_model, self.detector_model
        if name and model and detector:
            from infantjax.pose.estimation.rtmpose import RTMPoseTracker

            with common.checked("options", "leave it out"):
                return RTMPoseTracker(model, detector, config, name)
        if name or model or detector:
            remedy = "give --pose-model and --detector-model with --tracker"
            raise InputError("--tracker", "needs two ONNX files", remedy)
        runtime = fastest(config) if self.runtime == "auto" else self.runtime
        with common.checked("--runtime"):
            config = replace(config, runtime=runtime)
        network = pose.load_pose_network(
            self.weights,
            self.image_size,
            early_heads=self.person is not None,
            offline=self.offline or None,
            quiet=quiet,
        )
        if self.person is not None and network.affinity_fields is None:
            raise InputError(self.weights, "has no affinity fields", "leave out --person, or give other weights")
        try:
            return pose.Tracker(network, config)
        except NotImplementedError as error:
            if self.runtime == "auto":
                return pose.Tracker(network, replace(config, runtime="jax"))
            raise InputError(self.weights, f"{error} ({runtime})", "use --runtime jax") from None
