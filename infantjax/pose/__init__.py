"""From pictures to keypoints."""

from infantjax.pose.decoding import DECODERS, Decoder
from infantjax.pose.network import PoseNetwork, load_network
from infantjax.pose.pictures import NORMALISATIONS, normalise
from infantjax.pose.tracking import PoseConfig, Tracker

__all__ = ["DECODERS", "NORMALISATIONS", "Decoder", "PoseConfig", "PoseNetwork", "Tracker", "load_network", "normalise"]
