"""Codecs: keypoints encoded as the maps that a network is trained towards, and decoded from the maps it gives."""
