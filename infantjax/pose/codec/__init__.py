"""Codecs: keypoints encoded as the maps that a network is trained towards, and decoded from the maps it gives."""

from infantjax.lazy import lazy_attributes

__all__ = [
    "DECODERS",
    "SIGMAS",
    "AffinityFieldCodec",
    "Decoder",
    "DiscCodec",
    "FallOff",
    "HeatmapCodec",
    "Points",
]

_HEATMAP = ("DECODERS", "SIGMAS", "Decoder", "HeatmapCodec", "Points")

__getattr__, __dir__ = lazy_attributes(
    __name__, {name: f"infantjax.pose.codec.{'heatmap' if name in _HEATMAP else 'limb'}" for name in __all__}
)
