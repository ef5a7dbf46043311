"""From images to keypoints: networks, codecs, tracking, annotations, training and metrics."""

from infantjax.lazy import lazy_attributes

__all__ = ["DECODERS", "NORMALIZATIONS", "Decoder", "PoseConfig", "PoseNetwork", "Tracker", "load_network", "normalize"]

IMPORTERS = {
    "keras_weights": ("import_efficienthourglass", "import_efficientpose", "import_pose", "is_pose_weights"),
    "backbones": ("filled", "imagenet"),
    "lifting_weights": ("import_videopose3d",),
}
"""Names of the importers of weights in each module of this folder."""

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "DECODERS": "infantjax.pose.decoding",
        "Decoder": "infantjax.pose.decoding",
        "NORMALIZATIONS": "infantjax.pose.images",
        "normalize": "infantjax.pose.images",
        "PoseConfig": "infantjax.pose.tracking",
        "Tracker": "infantjax.pose.tracking",
        "PoseNetwork": "infantjax.pose.network",
        "load_network": "infantjax.pose.network",
    },
)
