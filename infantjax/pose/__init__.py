"""From images to keypoints: networks, codecs, crops, tracking, annotations, training and metrics."""

from infantjax.lazy import lazy_attributes

__all__ = [
    "DECODERS",
    "DEFAULT_WEIGHTS",
    "NORMALIZATIONS",
    "Decoder",
    "PoseConfig",
    "PoseEstimator",
    "Tracker",
    "load_pose_network",
    "normalize",
    "save_pose_network",
]

DEFAULT_WEIGHTS = "efficientpose-i-lite"
"""Public weights for videos: the best of their cost on images of an infant, see docs/use/video.md (our choice)."""

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "DECODERS": "infantjax.pose.codec.heatmap",
        "Decoder": "infantjax.pose.codec.heatmap",
        "NORMALIZATIONS": "infantjax.pose.images",
        "normalize": "infantjax.pose.images",
        "PoseConfig": "infantjax.pose.estimation.config",
        "Tracker": "infantjax.pose.estimation.tracker",
        "PoseEstimator": "infantjax.pose.estimation.estimator",
        "load_pose_network": "infantjax.pose.estimation.estimator",
        "save_pose_network": "infantjax.pose.estimation.estimator",
    },
)
