"""From images to keypoints: networks, codecs, tracking, annotations, training and metrics."""

from infantjax.lazy import lazy_attributes

__all__ = ["DECODERS", "NORMALISATIONS", "Decoder", "PoseConfig", "PoseNetwork", "Tracker", "load_network", "normalise"]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "DECODERS": "infantjax.pose.decoding",
        "Decoder": "infantjax.pose.decoding",
        "NORMALISATIONS": "infantjax.pose.images",
        "normalise": "infantjax.pose.images",
        "PoseConfig": "infantjax.pose.tracking",
        "Tracker": "infantjax.pose.tracking",
        "PoseNetwork": "infantjax.pose.network",
        "load_network": "infantjax.pose.network",
    },
)
