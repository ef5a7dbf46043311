"""Keypoint recordings: the types, conversion between keypoint sets, cleaning, preprocessing, windows and features."""
